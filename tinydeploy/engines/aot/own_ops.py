"""The compiler's own ops: what rewrites and tiling make of a model's, and no model says."""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.model.graph import Op


@dataclass(frozen=True)
class Padding:
    """Rows and columns of zero points around an input."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class Addition:
    """An ADD or a SUB (`kind`) of tensor `made`, which is then its input `position`, and its activation."""

    kind: str
    made: int
    position: int
    activation: str


@dataclass(frozen=True)
class WindowOp(Op):
    """A convolution or pooling with what no model says.

    Its `padding` takes the place of the one among the options. A convolution with an `addition` makes that
    one's output; the partner is its input 3, after weights and bias.
    """

    padding: Padding | None = None
    addition: Addition | None = None

    @classmethod
    def of(cls, op: Op) -> WindowOp:
        """The convolution or pooling `op`."""
        return op if isinstance(op, WindowOp) else cls(**vars(op))


@dataclass(frozen=True)
class LookupOp(Op):
    """A function of 8- or 16-bit elements: `table` has the output of each input, in the order of its bits.

    Floats are their own bits. A join has one such table after the other, for each input.
    """

    table: tuple[int, ...] = ()


@dataclass(frozen=True)
class FloatOp(Op):
    """A QUANTIZE of what an op of two operands, of kind `function`, makes in float: see in_float.py.

    Its inputs are that op's: integers, which stand for reals, or constants in float. So are its options.
    """

    function: str = ""
