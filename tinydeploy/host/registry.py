"""A registry: names, and where what they name is, which is loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TypeVar

_Kind = TypeVar("_Kind")


class Registry(Mapping[str, _Kind]):
    """Things by name. `places` says for each name in which module, and as what there, it stands: "a.b:C".

    `added` are at hand already, such as a plug-in's.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self.places = dict(places)
        self.added: dict[str, _Kind] = {}

    def __getitem__(self, name: str) -> _Kind:
        if name in self.added:
            return self.added[name]
        module, _, attribute = self.places[name].partition(":")
        found: _Kind = getattr(import_module(module), attribute)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter((*self.places, *self.added))

    def __len__(self) -> int:
        return len(self.places) + len(self.added)

    def __contains__(self, name: object) -> bool:
        return name in self.places or name in self.added
