"""Printable text: names from outside, made safe to show."""

from __future__ import annotations

import unicodedata


def printable(name: str) -> str:
    """A name from outside with control, format and unassigned characters shown as U+FFFD.

    They could hide text, reorder it, or make a page that no parser accepts.
    """
    return "".join("\ufffd" if unicodedata.category(char).startswith("C") else char for char in name)
