"""tinydeploy.toml, the file beside a model that holds its usual options. Flags beat the file."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinydeploy.errors import UsageError

FILE_NAME = "tinydeploy.toml"


@dataclass(frozen=True)
class Config:
    """The keys of tinydeploy.toml; they are the command line's long options. Paths count from the file.

    `tflm_library` is `library` in the table [tflm].
    """

    board: str | None = None
    signature: str | None = None
    logits: bool | None = None
    engine: str | None = None
    optimize: str | None = None
    data: Path | None = None
    samples: int | None = None
    metric: str | None = None
    output: str | None = None
    threshold: float | None = None
    out: Path | None = None
    target: str | None = None
    link: str | None = None
    port: str | None = None
    upload_command: str | None = None
    dtr: str | None = None
    rts: str | None = None
    timeout: float | None = None
    tflm_library: str | None = None
    labels: tuple[str, ...] = field(default=())


_TYPES: dict[str, tuple[type, ...]] = {
    "board": (str,),
    "signature": (str,),
    "logits": (bool,),
    "engine": (str,),
    "optimize": (str,),
    "data": (str,),
    "samples": (int,),
    "metric": (str,),
    "output": (int, str),
    "threshold": (int, float),
    "out": (str,),
    "target": (str,),
    "link": (str,),
    "port": (str,),
    "upload_command": (str,),
    "dtr": (str,),
    "rts": (str,),
    "timeout": (int, float),
    "tflm.library": (str,),
    "labels": (list,),
}
_WORDS = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list of strings",
}


def _value(path: Path, key: str, raw: Any) -> Any:
    types = _TYPES[key]
    wrong = not isinstance(raw, types) or (isinstance(raw, bool) and bool not in types)
    if isinstance(raw, list):
        wrong = wrong or not all(isinstance(item, str) for item in raw)
    if wrong:
        raise UsageError(f"{path}: '{key}' must be {_WORDS[types[-1]]}")
    if key == "output":
        return str(raw)
    if isinstance(raw, int | float) and not isinstance(raw, bool) and raw <= 0 and key != "threshold":
        raise UsageError(f"{path}: '{key}' must be above zero")
    if key in ("data", "out"):
        return path.parent / raw
    if key == "tflm.library" and (path.parent / Path(raw).expanduser()).is_dir():
        return str(path.parent / Path(raw).expanduser())
    return tuple(raw) if isinstance(raw, list) else raw


def load(model: Path) -> Config:
    """The configuration beside `model`; an empty one if there is no file.

    Raises UsageError for a file that is not TOML, an unknown key (with the nearest known one) or a
    value of the wrong type.
    """
    path = model.parent / FILE_NAME
    if not path.is_file():
        return Config()
    try:
        raw = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path}: {error}") from error
    values = dict(_flat(raw))
    for key in values:
        if key not in _TYPES:
            near = difflib.get_close_matches(key, _TYPES, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(_TYPES)}"
            raise UsageError(f"{path}: unknown key '{key}'", hint)
    return Config(**{key.replace(".", "_"): _value(path, key, value) for key, value in values.items()})


def _flat(raw: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The keys of tables by their dotted names: library in [tflm] is tflm.library."""
    for key, value in raw.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", item) for name, item in value.items())
        else:
            yield key, value
