"""Inspection: what a model holds and where it can run, without building anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from tinydeploy.boards.board import Board
from tinydeploy.engines.engine import ArenaPlan
from tinydeploy.engines.engine_registry import ENGINES, engine_named
from tinydeploy.evaluate import board_checks
from tinydeploy.evaluate.result_parts import tensor_info
from tinydeploy.model.graph import Graph, Op, op_macs, op_shape
from tinydeploy.results.setting import Edit, Layer, TensorInfo
from tinydeploy.words import GOALS


@dataclass(frozen=True)
class OpRow:
    """One op: what it makes, from how many constant bytes, and the activations live while it runs.

    `layers` is how the aot engine does it, by goal; empty if the op costs nothing, cannot be compiled, or is
    `folded`: what it makes was computed when the model was read.
    """

    index: int
    op: str
    output_shape: tuple[int, ...]
    macs: int
    constant_bytes: int
    live_bytes: int
    layers: dict[str, Layer]
    folded: bool = False


@dataclass(frozen=True)
class Inspection:
    """A model's contents, and what the aot engine makes of them for the goal `optimize`.

    `arenas` has the plan of each engine that makes one, and `goal_arenas` the aot engine's bytes by goal.
    `refusals` says by engine why it cannot run the model, "" if it can, and `evidence` how that is known, if
    not by the engine's own checks alone. `edits` are what was changed of the file's model.
    """

    path: str
    sha256: str
    file_bytes: int
    macs: int
    constant_bytes: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    ops: tuple[OpRow, ...]
    optimize: str
    arenas: dict[str, ArenaPlan]
    goal_arenas: dict[str, int]
    refusals: dict[str, str]
    evidence: dict[str, str]
    signature: str = ""
    edits: tuple[Edit, ...] = ()


def inspect_graph(graph: Graph, board: Board, optimize: str | None = None) -> Inspection:
    """Everything that `tinydeploy inspect` shows; arenas and kernels are as for `board` and `optimize`."""
    chosen = optimize or GOALS[0]
    for name, known in ENGINES.items():
        if known.goals:
            engine_named(name, chosen)  # refuses what is no goal
    arenas = {}
    goal_arenas = {}
    refusals = {}
    layers: dict[int, dict[str, Layer]] = {op.index: {} for op in graph.ops}
    for name, known in ENGINES.items():
        refused = known.refusals(graph)
        refusals[name] = board_checks.reasons(graph, refused) if refused else ""
        for goal in known.goals or (chosen,):
            if refused:
                continue
            sources = engine_named(name, goal if known.goals else None).generate(graph, board)
            for layer in sources.layers:
                layers[layer.op][goal] = layer
            if sources.arena is not None:
                goal_arenas[goal] = sources.arena.bytes
                if goal == chosen:
                    arenas[name] = sources.arena
    return Inspection(
        path=graph.path,
        sha256=graph.sha256,
        file_bytes=graph.file_bytes,
        macs=graph.macs,
        constant_bytes=graph.constant_bytes,
        inputs=tuple(tensor_info(graph.tensors[index]) for index in graph.inputs),
        outputs=tuple(tensor_info(graph.tensors[index]) for index in graph.outputs),
        ops=_op_rows(graph, layers),
        optimize=chosen,
        arenas=arenas,
        goal_arenas=goal_arenas,
        refusals=refusals,
        evidence={name: engine.evidence for name, engine in ENGINES.items() if not refusals[name]},
        signature=graph.signature,
        edits=graph.edits,
    )


def _op_rows(graph: Graph, layers: Mapping[int, dict[str, Layer]]) -> tuple[OpRow, ...]:
    live = _live_bytes(graph)
    return tuple(
        OpRow(
            op.index,
            op.kind,
            op_shape(graph, op),
            op_macs(graph, op),
            _constant_bytes(graph, op),
            live[op.index],
            layers[op.index],
            op.index in graph.folded,
        )
        for op in graph.ops
    )


def _constant_bytes(graph: Graph, op: Op) -> int:
    """What the constants that `op` reads while it runs take."""
    if op.index in graph.folded:
        return 0
    constants = {i for i in op.inputs if i >= 0 and graph.tensors[i].data is not None}
    return sum(graph.tensors[i].bytes for i in constants)


def _live_bytes(graph: Graph) -> list[int]:
    """Per op, the bytes of every activation that exists by then and is needed then or later."""
    first = dict.fromkeys(graph.inputs, -1)
    last = dict.fromkeys(graph.outputs, len(graph.ops))
    for op in graph.ops:
        for index in op.outputs if op.index not in graph.folded else ():
            first.setdefault(index, op.index)
            last.setdefault(index, op.index)
        for index in op.inputs if op.index not in graph.folded else ():
            if index >= 0 and graph.tensors[index].data is None:
                last[index] = max(last.get(index, -1), op.index)
    for tensor in graph.tensors:
        if tensor.is_variable:
            first[tensor.index], last[tensor.index] = -1, len(graph.ops)
    change = [0] * (len(graph.ops) + 3)  # of the sum, from one time to the next; the first time is -1
    for i, begin in first.items():
        change[begin + 1] += graph.tensors[i].bytes
        change[last.get(i, begin) + 2] -= graph.tensors[i].bytes
    return list(accumulate(change))[1 : len(graph.ops) + 1]
