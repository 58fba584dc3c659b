"""The catalogue of ops: all rows, and how to ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tinydeploy.model.ops.layers import LAYERS
from tinydeploy.model.ops.movement import MOVEMENT
from tinydeploy.model.ops.op_kind import JOINED, Family, OpKind
from tinydeploy.model.ops.other_ops import CONTROL, CUSTOM, REDUCTIONS, SHAPES, STATE
from tinydeploy.model.ops.pointwise import POINTWISE

CATALOGUE: Mapping[str, OpKind] = {
    **LAYERS, **POINTWISE, **MOVEMENT, **REDUCTIONS, **STATE, **SHAPES, **CONTROL, **CUSTOM
}  # fmt: skip
_UNKNOWN = OpKind(Family.ELEMENTWISE)


def of(kind: str) -> OpKind:
    """The facts of a kind of op; of one that has no row, that nothing is known."""
    return CATALOGUE.get(kind, _UNKNOWN)


def kinds(holds: Callable[[OpKind], object]) -> tuple[str, ...]:
    """The kinds of ops of which that holds."""
    return tuple(kind for kind, row in CATALOGUE.items() if holds(row))


JOINS = kinds(lambda op: op.moves == JOINED)
