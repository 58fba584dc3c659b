"""A result.json read again: checked against its schema, older ones brought up to date, and made a Result."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from tinydeploy.errors import UsageError
from tinydeploy.results.older import UPGRADES
from tinydeploy.results.result import NOT_IN_JSON, SCHEMA, Result, schema

FILE = "result.json"
MOST_BYTES = 64 << 20  # a result of a thousand ops has one
_AGAIN = "run the model again with -o/--out, and take that result"
_T = TypeVar("_T")


def read(path: Path) -> Result:
    """The result in a result.json, or in the folder that holds one. Raises UsageError, in one line."""
    file = path / FILE if path.is_dir() else path
    if path.is_dir() and not file.exists() and (others := sorted(path.glob(f"*/{FILE}"))):
        named = ", ".join(str(other.parent) for other in others[:4])
        raise UsageError(f"{path} holds results, and is none", f"name one of them: {named}")
    try:
        if file.stat().st_size > MOST_BYTES:
            raise UsageError(f"{file} is no result: it has {file.stat().st_size:,} bytes")
        text = file.read_bytes().decode()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"{file} cannot be read: {reason}", "a run writes one to its -o/--out") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is no result: it is not UTF-8 text") from error
    return parse(text, str(file))


def parse(text: str, name: str) -> Result:
    """The result in the text of the file `name`. Raises UsageError, in one line."""
    try:
        content = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        what = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
        raise UsageError(f"{name} is no JSON, or not all of it: {what}", _AGAIN) from error
    found = str(content.get("schema")) if isinstance(content, dict) else ""
    if found != SCHEMA and found not in UPGRADES:
        raise _refused(name, found)
    from jsonschema import Draft202012Validator  # takes a while to load, and --help needs none of it
    from jsonschema.exceptions import best_match

    try:
        while found != SCHEMA:
            content = UPGRADES[found](content)
            found = content["schema"]
        wrong = best_match(Draft202012Validator(schema()).iter_errors(content))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise UsageError(f"{name} is not a whole result of {found}: {error}", _AGAIN) from error
    if wrong is not None:
        where = ".".join(str(step) for step in wrong.absolute_path) or "it"
        raise UsageError(f"{name} is not a whole result: {where}: {_short(wrong.message)}", _AGAIN)
    return typed(Result, content)


def typed(kind: type[_T], content: Mapping[str, Any]) -> _T:
    """A dataclass of plain values, as `result.plain` made them. Its fields' types say what each becomes."""
    return kind(**{name: _value(hint, content.get(name)) for name, hint in field_types(kind).items()})


def field_types(kind: type) -> dict[str, Any]:
    """The types of the fields of a dataclass that are in its JSON, by name, with what is Annotated."""
    import numpy.typing as npt  # result.py has it for type checkers alone

    hints = typing.get_type_hints(kind, localns={"npt": npt}, include_extras=True)
    fields = dataclasses.fields(typing.cast(Any, kind))
    return {item.name: hints[item.name] for item in fields if item.metadata != NOT_IN_JSON}


def _value(kind: Any, value: Any) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if value is None:  # not measured
        return None
    if origin is typing.Annotated:
        return _value(inner[0], value)
    if origin in (types.UnionType, typing.Union):
        return _value(next(part for part in inner if part is not type(None)), value)
    if origin is tuple:
        return tuple(_value(inner[0], item) for item in value)
    if origin is Mapping:
        return {key: _value(inner[1], item) for key, item in value.items()}
    return typed(kind, value) if isinstance(kind, type) and dataclasses.is_dataclass(kind) else value


def _refused(name: str, found: str) -> UsageError:
    known = ", ".join([*UPGRADES, SCHEMA])
    if found.startswith("tinydeploy."):
        return UsageError(f"{name} is a {found[:40]!r}, and what is read here is {known}", _AGAIN)
    return UsageError(f"{name} is no result of tinydeploy: its schema is none of {known}", _AGAIN)


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= 160 else f"{line[:80]} … {line[-70:]}"
