"""Writes the schema of result.json from the dataclasses: python scripts/result_schema.py

A field is required unless it may be None; no object takes other keys. An int is at least 0 unless its type
says otherwise (Annotated), and a class's RULE is added to its schema.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from tinydeploy.results import result
from tinydeploy.results.result import Result
from tinydeploy.results.stored import field_types

FILE = Path(result.__file__).with_name("result.schema.json")
_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0},
    float: {"type": "number"},
}


def schema() -> dict[str, Any]:
    """The JSON Schema of a Result."""
    classes: dict[str, dict[str, Any]] = {}
    top = _class(Result, classes)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tinydeploy result",
        "description": "One run of one model on one board with one engine. Sizes are bytes, counts are raw, "
        "durations are seconds. A figure that was not measured has no key.",
        **top,
        "$defs": {name: classes[name] for name in sorted(classes)},
    }


def _class(kind: type, classes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    fields = field_types(kind)
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [name for name, hint in fields.items() if type(None) not in typing.get_args(hint)],
        "properties": {name: _type(hint, classes) for name, hint in fields.items()},
        **getattr(kind, "RULE", {}),
    }


def _type(kind: Any, classes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _type(inner[0], classes) | inner[1].keywords
    if origin is Literal:
        return {"enum": list(inner)} if len(inner) > 1 else {"const": inner[0]}
    if origin in (types.UnionType, typing.Union):
        (present,) = (part for part in inner if part is not type(None))
        return _type(present, classes)
    if origin is tuple:
        return {"type": "array", "items": _type(inner[0], classes)}
    if origin is Mapping:
        names = {} if inner[0] is str else {"propertyNames": _type(inner[0], classes)}
        return {"type": "object", **names, "additionalProperties": _type(inner[1], classes)}
    if dataclasses.is_dataclass(kind):
        assert isinstance(kind, type)
        if kind.__name__ not in classes:
            classes[kind.__name__] = {}
            classes[kind.__name__] = _class(kind, classes)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    return _PLAIN[kind]


def text() -> str:
    """The file's content."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
