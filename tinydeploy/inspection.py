"""What a model holds and where it can run, without building anything."""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy import checks
from tinydeploy.boards import Board, all_boards
from tinydeploy.engines import ArenaPlan, Layer
from tinydeploy.engines.registry import ENGINES, engine_named
from tinydeploy.graph import Graph, Tensor, op_macs


@dataclass(frozen=True)
class TensorInfo:
    """A tensor at the model's edge: shape, type, and its quantisation if it has one for the whole tensor."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True)
class OpRow:
    """One op: what it makes, from how many constant bytes, and the activations live while it runs.

    `kernel` is the aot engine's, empty if the op costs nothing or cannot be compiled; `stripes` and
    `saved_bytes` are as in engines.Layer.
    """

    index: int
    op: str
    output_shape: tuple[int, ...]
    macs: int
    constant_bytes: int
    live_bytes: int
    kernel: str
    stripes: int
    saved_bytes: int


@dataclass(frozen=True)
class Inspection:
    """A model's contents; `arenas` has the plan of each engine that makes one, `verdicts` who can run it."""

    path: str
    sha256: str
    file_bytes: int
    macs: int
    constant_bytes: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    ops: tuple[OpRow, ...]
    arenas: dict[str, ArenaPlan]
    verdicts: tuple[checks.Verdict, ...]


def inspect_graph(graph: Graph, board: Board, optimize: str | None = None) -> Inspection:
    """Everything that `tinydeploy inspect` shows; arenas and kernels are as for `board` and `optimize`."""
    arenas = {}
    layers: dict[int, Layer] = {}
    for name in ENGINES:
        engine = engine_named(name, optimize)
        if not engine.refusals(graph):
            sources = engine.generate(graph, board)
            layers |= {layer.op: layer for layer in sources.layers}
            if sources.arena is not None:
                arenas[name] = sources.arena
    live = _live_bytes(graph)
    uncompiled = Layer(-1, "", 0)
    ops = tuple(
        OpRow(
            op.index,
            op.kind,
            graph.tensors[op.outputs[0]].shape,
            op_macs(graph, op),
            sum(
                graph.tensors[i].bytes for i in set(op.inputs) if i >= 0 and graph.tensors[i].data is not None
            ),
            live[op.index],
            layer.kernel,
            layer.stripes,
            layer.saved_bytes,
        )
        for op in graph.ops
        for layer in [layers.get(op.index, uncompiled)]
    )
    return Inspection(
        path=graph.path,
        sha256=graph.sha256,
        file_bytes=graph.file_bytes,
        macs=graph.macs,
        constant_bytes=graph.constant_bytes,
        inputs=tuple(_tensor_info(graph.tensors[index]) for index in graph.inputs),
        outputs=tuple(_tensor_info(graph.tensors[index]) for index in graph.outputs),
        ops=ops,
        arenas=arenas,
        verdicts=checks.runnable(graph, ENGINES.values(), all_boards()),
    )


def _tensor_info(tensor: Tensor) -> TensorInfo:
    whole = tensor.quantization if tensor.quantization and not tensor.quantization.per_channel else None
    return TensorInfo(
        tensor.name,
        tensor.shape,
        tensor.dtype.value,
        whole.scale if whole else None,
        whole.zero_point if whole else None,
    )


def _live_bytes(graph: Graph) -> list[int]:
    """Per op, the bytes of every activation that exists by then and is needed then or later."""
    first = dict.fromkeys(graph.inputs, -1)
    last = dict.fromkeys(graph.outputs, len(graph.ops))
    for op in graph.ops:
        for index in op.outputs:
            first.setdefault(index, op.index)
            last.setdefault(index, op.index)
        for index in op.inputs:
            if index >= 0 and graph.tensors[index].data is None:
                last[index] = max(last.get(index, -1), op.index)
    for tensor in graph.tensors:
        if tensor.is_variable:
            first[tensor.index], last[tensor.index] = -1, len(graph.ops)
    return [
        sum(graph.tensors[i].bytes for i in first if first[i] <= op.index <= last.get(i, first[i]))
        for op in graph.ops
    ]
