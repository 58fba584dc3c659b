"""Board checks: whether an engine can run a graph on a board, asked before anything is built."""

from __future__ import annotations

from collections.abc import Sequence

from tinydeploy.boards.board import Board
from tinydeploy.engines.engine import Engine, Refusal
from tinydeploy.engines.engine_registry import ENGINES
from tinydeploy.errors import FitError, ModelError
from tinydeploy.model.canonicalize.constant_folding import FIXED_SHAPE_HINT
from tinydeploy.model.graph import Graph

TILE_HINT = (
    "repeat one dimension at a time, up to 10 times; to enlarge images, take "
    "UpSampling2D(interpolation='bilinear') or tf.image.resize(x, size, method='nearest')"
)


def check(graph: Graph, engine: Engine, board: Board) -> None:
    """Returns if nothing speaks against building: check_ops and check_memories."""
    check_ops(graph, engine)
    check_memories(graph, engine, board)


def check_ops(graph: Graph, engine: Engine) -> None:
    """Raises ModelError if the engine has no kernel for an op."""
    refusals = engine.refusals(graph)
    if refusals:
        hint = "tinydeploy inspect shows which engines can run which ops"
        kinds = {graph.ops[refusal.op].kind for refusal in refusals if refusal.op >= 0}
        if kinds & {"SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"}:
            hint = f"shapes are computed at run time because the batch is open; {FIXED_SHAPE_HINT}"
        elif "TILE" in kinds:
            hint = TILE_HINT
        elif (other := _for_floats(engine)) and any("float32" in refusal.reason for refusal in refusals):
            change = "change the layer that was left in float"
            hint = f"{change}, or try --engine {other}, which has float kernels"
        raise ModelError(f"{engine.name} cannot run {reasons(graph, refusals)}", hint)


def _for_floats(engine: Engine) -> str:
    """Another engine that has kernels for float; "" if `engine` has them, or if there is none."""
    names = [name for name, known in ENGINES.items() if known.runs_floats]
    return "" if engine.name in names else next(iter(names), "")


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
    room = board.ram.bytes - board.stack_bytes
    if bytes_ > room:
        raise FitError(
            f"{what} {bytes_:,} bytes, and {board.id} has {room:,} bytes of RAM besides its stack",
            f"take a board with more RAM, or a smaller model{way_out}",
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
        parts.append(f"{kind} (op{plural} {', '.join(map(str, ops))}: {reason})")
    count, many = len(graph.ops), "s" if len(graph.ops) > 1 else ""
    return f"{len(refusals)} of {count} op{many}: {', '.join(parts)}"
