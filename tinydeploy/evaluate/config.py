"""tinydeploy.toml, the file beside a model that holds its usual options. Flags beat the file."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinydeploy.errors import UsageError
from tinydeploy.words import DEFAULT_BOARD

FILE_NAME = "tinydeploy.toml"
MOST_SAMPLES = 10_000_000
LONGEST_TIMEOUT = 86_400.0  # seconds: a day
UPLOAD_COMMAND_VARIABLE = "TINYDEPLOY_UPLOAD_COMMAND"
OUT_VARIABLE = "TINYDEPLOY_OUT"
TFLM_VARIABLE = "TINYDEPLOY_TFLM"

# A library is code: a download may have scripts of its own, and semihosting gives what runs in QEMU a shell.
_NEVER = {
    "upload_command": ("a command", f"--upload-command or {UPLOAD_COMMAND_VARIABLE}"),
    "tflm.library": ("code that will run", f"--tflm-library or {TFLM_VARIABLE}"),
}
"""Keys that are known only to be refused: what each would be, and how to give it."""

_MOST_BYTES = 1 << 20  # of a file
_MOST = {"samples": MOST_SAMPLES, "timeout": LONGEST_TIMEOUT}


@dataclass(frozen=True)
class Config:
    """The keys of tinydeploy.toml; they are the command line's long options. Paths count from the file."""

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
    if key in _MOST and not raw <= _MOST[key]:
        raise UsageError(f"{path}: '{key}' must be a number, at most {_MOST[key]:,.0f}")
    for text in [raw] if isinstance(raw, str) else raw if isinstance(raw, list) else []:
        if not text.isprintable():
            raise UsageError(f"{path}: '{key}' holds characters that cannot be printed")
    _refuse_untrusted(path, key, raw)
    if key in ("data", "out"):
        return path.parent / raw
    return tuple(raw) if isinstance(raw, list) else raw


def _refuse_untrusted(path: Path, key: str, raw: Any) -> None:
    """Whoever made the file, which may have come with the model, runs nothing and writes nowhere else."""
    if key in _NEVER:
        what, otherwise = _NEVER[key]
        raise UsageError(
            f"{path}: '{key}' is {what}, and a file beside a model is not trusted with any",
            f"give it by {otherwise}",
        )
    if key == "out":
        folder = path.parent.resolve()
        if not (folder / raw).resolve().is_relative_to(folder):
            raise UsageError(
                f"{path}: 'out' leads out of its folder, and a file beside a model is not trusted with that",
                f"give it by -o or {OUT_VARIABLE}",
            )


def load(model: Path) -> Config:
    """The configuration beside `model`; an empty one if there is no file.

    Raises UsageError for a file that is not TOML, an unknown key (with the nearest known one) or a
    value of the wrong type.
    """
    path = model.parent / FILE_NAME
    if not path.is_file():
        return Config()
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path}: too large for what it is", f"at most {_MOST_BYTES:,} bytes")
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise UsageError(f"{path}: nested too deeply") from error
    except (ValueError, OSError) as error:  # TOMLDecodeError, UnicodeDecodeError, numbers of too many digits
        raise UsageError(f"{path}: {error}") from error
    values = dict(_flat(raw))
    for key in values:
        if key not in _TYPES:
            near = difflib.get_close_matches(key, _TYPES, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(_TYPES)}"
            raise UsageError(f"{path}: unknown key '{key}'", hint)
    return Config(**{key.replace(".", "_"): _value(path, key, value) for key, value in values.items()})


def settled(file: Config, given: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Keyword arguments for a verb: what is given, else of `keys` the file's; neither leaves the default."""
    given = {name: value for name, value in given.items() if value is not None}
    said = {name: getattr(file, name, None) for name in keys}
    values = {name: value for name, value in said.items() if value not in (None, ())} | given
    for name in _meant_for_another_target(values, given):
        del values[name]
    return values


def _meant_for_another_target(values: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """The file's values that mean nothing where `given` leads: it may be for a board, an emulator, a goal."""
    from tinydeploy.boards import lookup

    meant: tuple[str, ...] = ()
    if "port" in given:
        meant = ("target", "link")
    elif "target" in given:
        meant = ("port", "upload_command", "dtr", "rts") if values["target"] != "board" else ()
        meant += ("link",) if values["target"] != "qemu" else ()
    elif "port" not in values and lookup.board(values.get("board", DEFAULT_BOARD)).is_emulated:
        meant = ("upload_command", "dtr", "rts")
    if given.get("engine") == "tflm":
        meant += ("optimize",)
    return [name for name in meant if name in values and name not in given]


def _flat(raw: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The keys of tables by their dotted names: library in [tflm] is tflm.library."""
    for key, value in raw.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", item) for name, item in value.items())
        else:
            yield key, value
