"""Board checks: whether an engine can run a graph on a board, asked before anything is built."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tinydeploy.boards.board import Board
from tinydeploy.engines.aot.lowering.lowerings import LOWERINGS
from tinydeploy.engines.aot.rewrite.float_ops import POINTWISE
from tinydeploy.engines.engine import Engine, Refusal
from tinydeploy.engines.engine_registry import ENGINES
from tinydeploy.errors import FitError, ModelError
from tinydeploy.model.canonicalize.constant_folding import FIXED_SHAPE_HINT
from tinydeploy.model.graph import Graph
from tinydeploy.model.ops import catalogue

TILE_HINT = (
    "repeat one dimension at a time, up to 10 times; to enlarge images, take "
    "UpSampling2D(interpolation='bilinear') or tf.image.resize(x, size, method='nearest')"
)

_FLOAT = re.compile(r"(not|in|turns) float32")  # of a refusal: that is what an op was left in
_NAMED = 20  # of the ops that are refused for one reason
_NO_ENGINE = "no engine runs it: take in its place what docs/ops.md lists, in the types that stand there"
_INSTEAD = {
    "GELU": "swish, or x * sigmoid(1.702 * x), is close to GELU and runs",
    "SELECT": "tf.where makes a SELECT_V2 in place of SELECT, which runs",
}
"""What to write in place of ops that TFLite Micro has no kernel for, by kind."""


def check(graph: Graph, engine: Engine, board: Board) -> None:
    """Returns if nothing speaks against building: check_ops and check_memories."""
    check_ops(graph, engine)
    check_memories(graph, engine, board)


def check_ops(graph: Graph, engine: Engine) -> None:
    """Raises ModelError if the engine has no kernel for an op."""
    refusals = engine.refusals(graph)
    if refusals:
        hint = _way_out(graph, engine, refusals)
        raise ModelError(f"{engine.name} cannot run {reasons(graph, refusals)}", hint)


def _way_out(graph: Graph, engine: Engine, refusals: Sequence[Refusal]) -> str:
    """What to do about the refusals: a known cause's cure, else an engine that runs the model."""
    kinds = {graph.ops[refusal.op].kind for refusal in refusals if refusal.op >= 0}
    if kinds & {"SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"}:
        return f"shapes are computed at run time because the batch is open; {FIXED_SHAPE_HINT}"
    if "TILE" in kinds:
        return TILE_HINT
    others = [name for name, other in ENGINES.items() if name != engine.name and not other.refusals(graph)]
    if others:
        return f"--engine {others[0]} runs it"
    if any(_FLOAT.search(refusal.reason) for refusal in refusals):
        return "no engine runs it: change the layer that was left in float"
    known = [_INSTEAD[kind] for kind in sorted(kinds & _INSTEAD.keys())]
    in_float = sorted(kinds & {kind for kind in POINTWISE if catalogue.of(kind).resolver} - {*LOWERINGS})
    if in_float:
        known.append(
            f"{', '.join(in_float)} runs if left in float: denylisted_ops of "
            "tf.lite.experimental.QuantizationDebugOptions"
        )
    if known:
        return "; ".join(["no engine runs it", *known])
    if kinds and kinds <= LOWERINGS.keys():
        return f"no engine runs it as it is: docs/ops.md says what {', '.join(sorted(kinds))} may be"
    return _NO_ENGINE


def check_memories(graph: Graph, engine: Engine, board: Board) -> None:
    """Raises FitError if the constants alone are larger than the flash, or a whole tensor than the RAM.

    A model that passes may still turn out too large: that shows in the arena's plan and in the linker.
    """
    if graph.constant_bytes > board.flash.bytes:
        raise FitError(
            f"the model's constants take {graph.constant_bytes:,} bytes, "
            f"and {board.id} has {board.flash.bytes:,} bytes of flash",
            "take a board with more flash, or a smaller model",
        )
    whole = (graph.tensors[index] for index in engine.whole_tensors(graph))
    largest = max(whole, key=lambda tensor: tensor.bytes)
    _check_ram(f"tensor {largest.index} {list(largest.shape)} takes", largest.bytes, board)


def check_arena(arena_bytes: int, board: Board) -> None:
    """Raises FitError if an arena of so many bytes is larger than the board's RAM."""
    _check_ram("the arena takes", arena_bytes, board, "; --optimize ram plans the smallest arena")


def _check_ram(what: str, bytes_: int, board: Board, way_out: str = "") -> None:
    room = board.arena_room
    if bytes_ > room:
        kind = "PSRAM for it" if board.arena_in_psram else "RAM besides its stack"
        outside = "; --arena psram" if board.psram and not board.arena_in_psram else ""
        raise FitError(
            f"{what} {bytes_:,} bytes, and {board.id} has {room:,} bytes of {kind}",
            f"take a board with more RAM, or a smaller model{way_out}{outside}",
        )


def reasons(graph: Graph, refusals: Sequence[Refusal]) -> str:
    """What is refused: "3 of 5 ops: CAST (op 3: no kernel), CUMSUM (ops 5, 9: no kernel)"."""
    whole = [refusal.reason for refusal in refusals if refusal.op < 0]
    if whole:
        return f"the model: {whole[0]}"
    groups: dict[tuple[str, str], list[int]] = {}
    for refusal in refusals:
        groups.setdefault((graph.ops[refusal.op].kind, refusal.reason), []).append(refusal.op)
    parts = []
    for (kind, reason), ops in groups.items():
        plural = "s" if len(ops) > 1 else ""
        named = ", ".join(map(str, ops[:_NAMED])) + " …" * (len(ops) > _NAMED)
        parts.append(f"{kind} (op{plural} {named}: {reason})")
    count, many = len(graph.ops), "s" if len(graph.ops) > 1 else ""
    return f"{len(refusals)} of {count} op{many}: {', '.join(parts)}"
