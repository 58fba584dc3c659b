"""From a graph to a program: every op lowered, ops that move no bytes resolved to shared memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from tinydeploy.engines import Refusal
from tinydeploy.engines.aot import (  # noqa: F401, each registers its lowerings
    additions,
    islands,
    lower_conv,
    lower_elementwise,
    lower_float,
    lower_gather,
    lower_logic,
    lower_lookup,
    lower_lstm,
    lower_matmul,
    lower_quantize,
    lower_reduce,
    lower_resize,
    lower_shape,
    lower_space,
    lower_state,
    passes,
)
from tinydeploy.engines.aot.program import LOWERINGS, Alias, Slice, Step, Stripes, UnsupportedError
from tinydeploy.graph import Graph, Op


@dataclass(frozen=True, eq=False)
class Program:
    """What there is to run. `memory[t]` is the tensor in whose memory t lies: t, or what t is an alias of.

    It begins there at byte `offsets[t]`, or at the first.

    `graph` is the one lowered, except that a constant's alias is a constant too, and for what islands.py and
    stripes.py do: they add tensors behind the model's own, stripes.py the slices, and it gives a tensor that
    is never whole the shape of the rows that its buffer holds.
    """

    graph: Graph
    ops: tuple[tuple[Op, tuple[Step, ...]], ...]
    memory: Mapping[int, int]
    offsets: Mapping[int, int] = field(default_factory=dict)
    slices: Mapping[int, Slice] = field(default_factory=dict)
    stripes: tuple[Stripes, ...] = ()

    def place(self, tensor: int) -> tuple[int, int]:
        """The tensor in whose memory a tensor or a slice lies, and the byte in it where it begins."""
        piece = self.slices.get(tensor, Slice(tensor, 0, 0))
        return self.memory[piece.tensor], self.offsets.get(piece.tensor, 0) + piece.offset


@lru_cache(maxsize=8)  # asked for by each goal and board, and to know what is refused
def lower(graph: Graph, adding: bool = True) -> tuple[Program, tuple[Refusal, ...]]:
    """The program of `graph`, and every op that could not be lowered: it is whole only if there is none.

    `adding` lets convolutions do the additions behind them.
    """
    folded = islands.fold(graph)
    graph = folded.graph
    memory = {tensor.index: tensor.index for tensor in graph.tensors}
    ops: list[tuple[Op, tuple[Step, ...]]] = []
    refusals = [Refusal(*refused) for refused in folded.refused.items()]
    for op in passes.simplify(graph, folded.ops, adding):
        try:
            if op.index in folded.refused:
                continue
            lowered = lower_op(graph, op)
        except UnsupportedError as error:
            refusals.append(Refusal(op.index, str(error)))
            continue
        if not isinstance(lowered, Alias):
            if lowered:
                ops.append((op, lowered))
        elif graph.tensors[lowered.input].data is None:
            memory[lowered.output] = memory[lowered.input]
        else:
            graph = _with_constant(graph, lowered)
    return Program(graph, tuple(ops), memory), tuple(sorted(refusals, key=lambda refusal: refusal.op))


def lower_op(graph: Graph, op: Op) -> tuple[Step, ...] | Alias:
    """What `op` becomes. Raises UnsupportedError if it cannot be compiled."""
    if op.kind not in LOWERINGS and "table" not in op.options:
        raise UnsupportedError(f"there is no kernel for {op.kind}")
    shapes = op.inputs[1:] if op.kind == "RESHAPE" else ()  # a scalar's shape is empty
    for index in {*op.inputs, *op.outputs}.difference(shapes):
        if index >= 0 and graph.tensors[index].elements == 0:
            raise UnsupportedError("it has a tensor without elements")
    if "table" in op.options:
        lowered = lower_lookup.composed(graph, op)
    elif "float" in op.options:
        lowered = lower_float.lower(graph, op)
    elif "sum" in op.options:
        lowered = additions.lower(graph, op)
    else:
        lowered = LOWERINGS[op.kind](graph, op)
    if isinstance(lowered, Alias):
        source, target = graph.tensors[lowered.input], graph.tensors[lowered.output]
        if source.bytes != target.bytes:
            raise UnsupportedError(f"its output has {target.bytes} bytes, its input {source.bytes}")
        if source.is_variable:
            raise UnsupportedError("it reshapes a variable")
    return lowered


def _with_constant(graph: Graph, alias: Alias) -> Graph:
    """`graph` with the alias of a constant made a constant."""
    data = graph.tensors[alias.input].data
    assert data is not None
    output = graph.tensors[alias.output]
    constant = replace(output, data=data.reshape(output.shape).astype(output.dtype.numpy, copy=False))
    tensors = tuple(constant if tensor is output else tensor for tensor in graph.tensors)
    return replace(graph, tensors=tensors)
