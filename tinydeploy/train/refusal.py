"""Why a recipe cannot be followed on a model: the line that a person reads, and what to do."""

from __future__ import annotations


class RefusalError(Exception):
    """A recipe that does not apply to a model. `hint` may be empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
