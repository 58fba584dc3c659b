"""What a row of the catalogue of ops says: the facts of one kind of op."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from tinydeploy.model.dtype import DType

Shape = tuple[int, ...]
# The multiply-accumulates of an op, from its inputs' shapes (None where one is left out), its output's
# shape and its options.
Macs = Callable[[Sequence[Shape | None], Shape, Mapping[str, object]], int]

ANY = None  # the rank of a tensor that may have any
JOINED = -1  # what an op moves that puts all its inputs together


class Family(Enum):
    """What people see an op as: the report draws each family in its colour. The value names that."""

    CONV = "conv"
    DEPTHWISE = "depthwise"
    DENSE = "dense"  # matrix products, and what is recurrent
    ELEMENTWISE = "elementwise"  # pooling, reductions, element-wise ops, activations
    MOVEMENT = "movement"  # also from one type or quantisation to another


class GoesBy(Enum):
    """What part of the output hangs on a part of the inputs alone, so that an op can be done in parts.

    ROW: a row or column on a window of rows or columns of input 0. PIXEL: the last axis at one place on the
    same place of all inputs. ELEMENT: an element on the elements of the same place, with broadcasting.
    """

    ROW = "row"
    PIXEL = "pixel"
    ELEMENT = "element"
    WHOLE = "whole"


@dataclass(frozen=True)
class OpKind:
    """The facts of one kind of op, whose name is TFLite's builtin name (a custom op's is CUSTOM:code).

    `inputs` are the ranks of the leading inputs, which are needed: ANY may have any rank. `gaps` says that
    some of them may be left out all the same. `outputs` are likewise the first outputs' ranks; () is an op
    that has none.

    `options` is the schema's table that the meaning of the op hangs on; without it in a file the schema's
    defaults hold, unless `options_needed`.

    `moves` is set if the op only lays out elements anew, whatever they mean: the input that these come from,
    or JOINED for all. `moved_types` are the types that TFLite Micro moves. `reshapes` says that the order
    stays, too. `picks` are two inputs: the elements of the first whose positions the second holds.

    `clamps` are the real bounds of an activation that does nothing but clamp, None being no bound; an op
    before it that has `fuses` can do that. `int4_weights` says with which scales TFLite Micro takes input 1
    in 4 bits. `of_shape` is an op that asks for nothing but its input's shape.

    `resolver` is the method of TFLite Micro's MicroMutableOpResolver that registers the kind; "" if a program
    cannot register it. `cmsis_nn` and `esp_nn` are prefixes of the functions that the library's fast kernels
    for it call. `without_aot` says why the aot engine has no lowering, if it has none.
    """

    family: Family
    inputs: tuple[int | None, ...] = ()
    outputs: tuple[int | None, ...] = (ANY,)
    goes_by: GoesBy = GoesBy.WHOLE
    gaps: bool = False
    options: str = ""
    options_needed: bool = False
    macs: Macs | None = None
    moves: int | None = None
    moved_types: tuple[DType, ...] = ()
    reshapes: bool = False
    picks: tuple[int, int] | None = None
    clamps: tuple[float | None, float | None] | None = None
    fuses: bool = False
    int4_weights: Literal["", "one scale", "per channel"] = ""
    of_shape: bool = False
    resolver: str = ""
    cmsis_nn: str = ""
    esp_nn: str = ""
    without_aot: str = ""

    @property
    def is_convolution(self) -> bool:
        """Whether it goes over its input in windows, with weights of its own."""
        return self.goes_by is GoesBy.ROW and self.macs is not None

    @property
    def is_function(self) -> bool:
        """Whether each element of the output is a function of one element."""
        return self.goes_by is GoesBy.ELEMENT and len(self.inputs) == 1

    @property
    def fast_kernels(self) -> dict[str, str]:
        """By library, the prefix of its functions that TFLite Micro's fast kernels for this call."""
        known = {"CMSIS-NN": self.cmsis_nn, "ESP-NN": self.esp_nn}
        return {library: prefix for library, prefix in known.items() if prefix}

    @property
    def recodes(self) -> bool:
        """Whether it only writes each number in another type or quantisation."""
        return self.is_function and self.family is Family.MOVEMENT
