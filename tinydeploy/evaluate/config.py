"""tinydeploy.toml, the file beside a model that holds its usual options. Flags beat the file."""

from __future__ import annotations

import dataclasses
import difflib
import os
import stat
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tinydeploy.engines.engine_registry import ENGINES
from tinydeploy.errors import UsageError
from tinydeploy.evaluate import data_request
from tinydeploy.evaluate.option import CODE, COMMAND, PLACE, Option
from tinydeploy.evaluate.option_table import AT_PORT, in_file
from tinydeploy.evaluate.python_data import is_python
from tinydeploy.model.preparation import Preparation
from tinydeploy.targets.target_registry import KINDS, choose_target, means_nothing, target_at_port
from tinydeploy.words import DEFAULT_BOARD

FILE_NAME = "tinydeploy.toml"
LISTS = ("deploy", "sweep")
"""The tables of such a file that are about several runs."""

_MOST_BYTES = 1 << 20  # of a file
_KNOWN = in_file()
_Values: Any = dataclasses.make_dataclass(
    "_Values",
    [(option.name, Any, () if option.kind is tuple else None) for option in _KNOWN.values()],
    frozen=True,
)


class Config(_Values):  # type: ignore[misc]  # its fields are the table's
    """What a tinydeploy.toml says, by the options' keywords; None, or no labels, where it says nothing."""


_TYPES: dict[type, tuple[type, ...]] = {
    str: (str,),
    bool: (bool,),
    int: (int,),
    float: (int, float),
    Path: (str,),
    tuple: (list,),
}
"""What TOML has for the type of an option."""
_WORDS = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list of strings",
}


def _value(path: Path, option: Option, raw: Any) -> Any:
    """What the file says of an option, as the verbs take it. Raises UsageError if that cannot be."""
    _check(path, option, raw)
    _refuse_untrusted(path, option, raw)
    if option.parse is not None:
        try:
            return option.parse(raw)
        except ValueError as error:
            raise UsageError(f"{path}: '{option.key}' {error}") from error
    if option.kind is Path:
        return Path(data_request.anchored(raw, path.parent)) if option.name == "data" else path.parent / raw
    if option.also is not None:
        return option.kind(raw)
    return tuple(raw) if isinstance(raw, list) else raw


def _check(path: Path, option: Option, raw: Any) -> None:
    key = option.key
    if option.parse is not None:
        return
    types = (*([option.also] if option.also else ()), *_TYPES[option.kind])
    wrong = not isinstance(raw, types) or (isinstance(raw, bool) and bool not in types)
    if isinstance(raw, list):
        wrong = wrong or not all(isinstance(item, str) for item in raw)
    if wrong:
        raise UsageError(f"{path}: '{key}' must be {_WORDS[types[-1]]}")
    if option.kind in (int, float) and not option.any_number and raw <= 0:
        raise UsageError(f"{path}: '{key}' must be above zero")
    if option.most is not None and not raw <= option.most:
        raise UsageError(f"{path}: '{key}' must be a number, at most {option.most:,.0f}")
    if raw == "":
        raise UsageError(f"{path}: '{key}' is empty")
    for text in [raw] if isinstance(raw, str) else raw if isinstance(raw, list) else []:
        if not text.isprintable():
            raise UsageError(f"{path}: '{key}' holds characters that cannot be printed")


def _refuse_untrusted(path: Path, option: Option, raw: Any) -> None:
    """Whoever made the file, which may have come with the model, runs nothing and writes nowhere else."""
    hint = f"give it by {' or '.join(filter(None, (option.short or option.long, option.variable)))}"
    is_code = option.untrusted in (COMMAND, CODE)
    if is_code or (option.name == "data" and is_python(str(raw))):
        raise UsageError(
            f"{path}: '{option.key}' is {option.untrusted if is_code else CODE}, "
            "and a file beside a model is not trusted with any",
            hint,
        )
    if option.untrusted == PLACE:
        folder = path.parent.resolve()
        if not (folder / raw).resolve().is_relative_to(folder):
            raise UsageError(
                f"{path}: '{option.key}' leads out of its folder, "
                "and a file beside a model is not trusted with that",
                hint,
            )


def load(model: Path) -> Config:
    """The configuration beside `model`; an empty one if there is no file.

    Raises UsageError for a file that is not TOML, an unknown key (with the nearest known one) or a
    value of the wrong type.
    """
    path = model.parent / FILE_NAME
    own, _ = _parted(path)
    return Config(**values(path, {key: value for key, value in own.items() if key not in LISTS}))


def values(path: Path, table: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """The options that a table of the file holds, by their keywords. Raises UsageError as `load`."""
    found = dict(_flat(table))
    for key in found:
        if key not in _KNOWN:
            near = difflib.get_close_matches(key, _KNOWN, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(_KNOWN)}"
            raise UsageError(f"{path}: {where}unknown key '{key}'", hint)
    return {_KNOWN[key].name: _value(path, _KNOWN[key], value) for key, value in found.items()}


def preparation(model: Path) -> Preparation:
    """What the table [data] of the file beside `model` says of how raw data become the model's input."""
    path = model.parent / FILE_NAME
    return Preparation.parse(f"{path}: [data]", _parted(path)[1])


def _parted(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The file without its table [data], whose `file` is the key `data`; and the rest of that table."""
    whole = raw(path) if os.path.lexists(path) else {}
    table = whole.get("data")
    if not isinstance(table, dict):
        return whole, {}
    own = {key: value for key, value in whole.items() if key != "data"}
    return own | ({"data": table["file"]} if "file" in table else {}), {
        key: value for key, value in table.items() if key != "file"
    }


def raw(path: Path) -> dict[str, Any]:
    """What a TOML file holds. Raises UsageError for one that cannot be read."""
    try:
        there = path.stat()
        if not stat.S_ISREG(there.st_mode):
            raise UsageError(f"{path}: no regular file")
        if there.st_size > _MOST_BYTES:
            raise UsageError(f"{path}: too large for what it is", f"at most {_MOST_BYTES:,} bytes")
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # as some editors of Windows begin it
    except RecursionError as error:
        raise UsageError(f"{path}: nested too deeply") from error
    except (ValueError, OSError) as error:  # TOMLDecodeError, UnicodeDecodeError, numbers of too many digits
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def settled(file: Config, given: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Keyword arguments for a verb: what is given, else of `keys` the file's; neither leaves the default."""
    given = {name: value for name, value in given.items() if value is not None and not _is_empty(name, value)}
    said = {name: getattr(file, name, None) for name in keys}
    values = {name: value for name, value in said.items() if value not in (None, ())} | given
    for name in _meant_for_another_target(values, given):
        del values[name]
    return values


def _is_empty(name: str, value: Any) -> bool:
    """Whether an option that is a list is an empty one."""
    return any(option.name == name and option.kind is tuple for option in _KNOWN.values()) and not len(value)


def _meant_for_another_target(values: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """The file's values that mean nothing where `given` leads: it may be for a board, an emulator, a goal."""
    from tinydeploy.boards import lookup

    alien: Collection[str] = ()
    if "port" in given:
        alien = {"target", *means_nothing(target_at_port())}
    elif "target" in given:
        # What is no target is told later, with those that there are.
        alien = means_nothing(KINDS[given["target"]]) if given["target"] in KINDS else ()
    elif "port" not in values:
        kind = choose_target(lookup.board(values.get("board", DEFAULT_BOARD)), None)
        alien = means_nothing(kind) & {*AT_PORT}
    engine = ENGINES.get(str(given.get("engine")))
    if engine is not None and not engine.goals:
        alien = {*alien, "optimize"}
    return [name for name in values if name in alien and name not in given]


def _flat(raw: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The keys of tables by their dotted names: library in [tflm] is tflm.library."""
    for key, value in raw.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", item) for name, item in value.items())
        else:
            yield key, value
