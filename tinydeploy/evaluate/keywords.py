"""Keyword arguments of the verbs: one that is not known is refused, with the nearest that is."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable
from inspect import signature
from typing import Any, ParamSpec, TypeVar, get_args, get_type_hints

_Parameters = ParamSpec("_Parameters")
_Returned = TypeVar("_Returned")


def keywords(function: Callable[..., Any]) -> set[str]:
    """The keywords that a function knows: its own, and those of the TypedDict that its `options` unpack."""
    known = {*signature(function).parameters}
    if "options" in known:
        (options,) = get_args(get_type_hints(function)["options"])
        known |= {*options.__annotations__}
    return known - {"options"}


def checked_keywords(function: Callable[_Parameters, _Returned]) -> Callable[_Parameters, _Returned]:
    """The function, which refuses a keyword that it does not know, and names the nearest that it does."""
    known = keywords(function)

    @functools.wraps(function)
    def checked(*args: _Parameters.args, **keywords: _Parameters.kwargs) -> _Returned:
        for keyword in keywords:
            if keyword not in known:
                near = difflib.get_close_matches(keyword, known, n=1, cutoff=0.5)
                hint = f"; did you mean '{near[0]}'?" if near else f"; it knows {', '.join(sorted(known))}"
                raise TypeError(f"{function.__name__}() has no keyword '{keyword}'{hint}")
        return function(*args, **keywords)

    return checked
