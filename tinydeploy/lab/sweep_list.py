"""The [sweep] table of a tinydeploy.toml: what is to be combined, and the options of all runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinydeploy.errors import UsageError
from tinydeploy.evaluate import config
from tinydeploy.evaluate.keyword_types import SWEPT
from tinydeploy.lab import sweep
from tinydeploy.lab.sweep import Job

_LISTS = {"models": "model"} | SWEPT
_OF_THE_WHOLE = ("on", "workers", "x", "y")  # options of a sweep, and none of its runs


@dataclass(frozen=True)
class Combined:
    """Models, lists of values for options, and the options that all runs share."""

    models: tuple[Path, ...] = ()
    axes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


def read(path: Path) -> Combined:
    """What the file has under [sweep]; nothing without a file. Raises UsageError for what cannot be."""
    if not path.is_file():
        return Combined()
    table = config.raw(path).get("sweep", {})
    if not isinstance(table, dict):
        raise UsageError(f"{path}: 'sweep' must be written as [sweep]")
    lists: dict[str, tuple[str, ...]] = {}
    for key in _LISTS:
        values = table.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise UsageError(f"{path}: [sweep] '{key}' must be a list of strings")
        lists[_LISTS[key]] = tuple(values)
    rest = {key: value for key, value in table.items() if key not in _LISTS}
    models = tuple(path.parent / model for model in lists.pop("model"))
    return Combined(models, lists, config.values(path, rest, "[sweep] "))


def jobs(models: Sequence[str | Path], given: Mapping[str, Any]) -> tuple[tuple[Job, ...], Path]:
    """The jobs of what is given and of what [sweep] in the tinydeploy.toml here has besides; their folder."""
    options = {name: value for name, value in given.items() if name not in _OF_THE_WHOLE}
    file = read(Path(config.FILE_NAME))
    folder = Path(options.pop("out", None) or file.options.get("out") or "tinydeploy-out/sweep")
    axes = {name: options.pop(key, None) or file.axes.get(name, ()) for key, name in SWEPT.items()}
    shared = {name: value for name, value in file.options.items() if name != "out"} | options
    return sweep.jobs(list(models) or file.models, axes, shared, folder), folder


def commands(models: Sequence[str | Path], given: Mapping[str, Any]) -> tuple[str, ...]:
    """What a sweep would run, as command lines for whatever else is to run them."""
    return tuple(job.command for job in jobs(models, given)[0] if not sweep.is_done(job))
