"""The table of lowerings, by kind of op; each family of ops registers its own."""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.engines.aot.ir import Alias, Step
from tinydeploy.model.graph import Graph, Op

Lowering = Callable[[Graph, Op], tuple[Step, ...] | Alias]
LOWERINGS: dict[str, Lowering] = {}


def lowers(*kinds: str) -> Callable[[Lowering], Lowering]:
    """Registers a function as the lowering of these builtin ops."""

    def register(lowering: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(kinds, lowering))
        return lowering

    return register
