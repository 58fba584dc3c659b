"""The models and boards that a tinydeploy.toml lists: its [[deploy]] entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinydeploy.errors import UsageError
from tinydeploy.evaluate import config
from tinydeploy.words import DEFAULT_BOARD


@dataclass(frozen=True)
class Deploy:
    """One model on one board: the keywords of a run."""

    model: Path
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The model, the board, and what else was asked for: "kws on nano33ble, ram"."""
        said = [str(self.options[key]) for key in ("engine", "optimize", "target") if key in self.options]
        stem = self.model.stem if self.model.suffix else self.model.name
        return ", ".join([f"{stem} on {self.options.get('board', DEFAULT_BOARD)}", *said])


def read(path: Path) -> tuple[Deploy, ...]:
    """The entries of the file, each with the file's own [budget] where it has no such limit itself.

    Raises UsageError for a file without any, an entry without a model, or a key that is not known.
    """
    raw = config.raw(path)
    entries = raw.get("deploy", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UsageError(f"{path}: 'deploy' must be written as [[deploy]]")
    if not entries:
        raise UsageError(f"{path} lists nothing to deploy", 'add [[deploy]] with model = "FILE"')
    common = config.values(path, {"budget": raw["budget"]} if "budget" in raw else {})
    found = []
    for number, entry in enumerate(entries, 1):
        own = dict(entry)
        model = own.pop("model", None)
        if not isinstance(model, str):
            raise UsageError(f"{path}: entry {number} of [[deploy]] has no model", 'model = "FILE"')
        options = {"board": DEFAULT_BOARD} | common | config.values(path, own, f"[[deploy]] {number}: ")
        found.append(Deploy(path.parent / model, options))
    return tuple(found)
