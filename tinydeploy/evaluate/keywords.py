"""Keyword arguments of the verbs: what is not known, or cannot be, is refused, as on the command line."""

from __future__ import annotations

import difflib
import functools
import numbers
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, ParamSpec, TypeVar, get_args, get_type_hints

from tinydeploy.errors import UsageError
from tinydeploy.evaluate.option import Option
from tinydeploy.evaluate.option_table import VERBS

_Parameters = ParamSpec("_Parameters")
_Returned = TypeVar("_Returned")

_TYPES: dict[str, tuple[type, str]] = {
    "str": (str, "a string"),
    "int": (numbers.Integral, "a whole number"),
    "float": (numbers.Real, "a number"),
}
"""What may be given for an annotation; for others, where it is used they are told."""


def keywords(function: Callable[..., Any]) -> set[str]:
    """The keywords that a function knows: its own, and those of the TypedDict that its `options` unpack."""
    return {*_annotated(function)}


def _annotated(function: Callable[..., Any]) -> dict[str, str]:
    """The keywords, each with its annotation as it is written, without None."""
    known: dict[str, Any] = {name: item.annotation for name, item in signature(function).parameters.items()}
    if "options" in known:
        (options,) = get_args(get_type_hints(function)["options"])
        known |= options.__annotations__
        del known["options"]
    written = {name: getattr(kind, "__forward_arg__", str(kind)) for name, kind in known.items()}
    return {name: kind.removesuffix(" | None") for name, kind in written.items()}


def checked_keywords(function: Callable[_Parameters, _Returned]) -> Callable[_Parameters, _Returned]:
    """The function, which refuses a keyword that it does not know, and names the nearest that it does.

    Raises UsageError for a value of another type, and for a number out of the option's range.
    """
    known = _annotated(function)
    table = {
        option.name: option
        for verb in VERBS.values()
        for option in verb.options
        if function.__name__ in verb.functions
    }

    @functools.wraps(function)
    def checked(*args: _Parameters.args, **keywords: _Parameters.kwargs) -> _Returned:
        for keyword, value in keywords.items():
            if keyword not in known:
                near = difflib.get_close_matches(keyword, known, n=1, cutoff=0.5)
                hint = f"; did you mean '{near[0]}'?" if near else f"; it knows {', '.join(sorted(known))}"
                raise TypeError(f"{function.__name__}() has no keyword '{keyword}'{hint}")
            if value is not None:
                _check_value(keyword, value, known[keyword], table)
        return function(*args, **keywords)

    return checked


def _check_value(name: str, value: object, annotation: str, table: Mapping[str, Option]) -> None:
    option = table.get(name)
    if option is not None and option.parse is not None:
        return  # it may have been parsed
    kind, words = _TYPES.get(annotation, (object, ""))
    if not isinstance(value, kind) or (kind in (numbers.Integral, numbers.Real) and isinstance(value, bool)):
        raise UsageError(f"{name} must be {words}, not {type(value).__name__}")
    if option is None or option.any_number or option.kind not in (int, float):
        return
    number: Any = value
    if isinstance(value, numbers.Real) and not 0 < number <= (option.most or float("inf")):
        most = f", and at most {option.most:,.0f}" if option.most else ""
        raise UsageError(f"{name} is {value}, and must be above zero{most}")
