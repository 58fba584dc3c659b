"""The price of a model on a board, before anything is built; and what is counted there instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tinydeploy.boards.board import Board
from tinydeploy.engines.aot.emit import emit
from tinydeploy.engines.aot.kernels.cores.kernel_sets import kernels_of
from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.estimate.pricing import prices
from tinydeploy.evaluate import board_checks, execution
from tinydeploy.evaluate.deployment import prepare
from tinydeploy.evaluate.estimation import model_for
from tinydeploy.evaluate.keyword_types import Deploying
from tinydeploy.firmware import footprint
from tinydeploy.firmware.footprint import Need
from tinydeploy.model import samples
from tinydeploy.model.graph import Graph
from tinydeploy.progress import silent
from tinydeploy.targets.target_registry import choose_target
from tinydeploy.words import DEFAULT_TIMEOUT


@dataclass(frozen=True)
class Price:
    """What an inference and its firmware take, as plan and fitted kernels say.

    `instructions` may be off by `off`, one standard deviation. The arena is the plan's, exactly; of flash and
    RAM there is an estimate between two ends. `ms` is None for a board without a time model. `unknown` are
    kernels that have no price on the board's core: what they execute is not in `instructions`.
    """

    instructions: int
    off: float
    arena_bytes: int
    flash: Need
    ram: Need
    ms: float | None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counted:
    """What an inference of random inputs executes on the board's target, as a whole and by op; its arena."""

    instructions: int
    ops: Mapping[int, int]
    arena_bytes: int


def price(graph: Graph, board: Board, optimize: str | None = None) -> Price:
    """What the model takes on the board with the aot engine.

    Raises ModelError if the engine refuses an op, FitError if a memory is too small whatever is done.
    """
    engine = AotEngine(optimize) if optimize else AotEngine()
    board_checks.check(graph, engine, board)
    program = engine.program(graph, board)
    sources = emit(program, kernels_of(board.core), engine.optimize)
    assert sources.arena is not None
    found = prices.priced(program, prices.of_core(board.core.id))
    link = choose_target(board, None, stand_ins=False).links(board)[0]
    return Price(
        found.instructions,
        found.off,
        sources.arena.bytes,
        footprint.flash(sources, board),
        footprint.ram(sources, board, link),
        _ms(found.instructions, board),
        found.unknown,
    )


def settled(found: Price, graph: Graph, board: Board, optimize: str | None = None) -> Price:
    """The price, whose instructions are counted on the target if any of its kernels has no price."""
    if not found.unknown:
        return found
    count = counted(graph, board.id, optimize).instructions
    return replace(found, instructions=count, off=0.0, ms=_ms(count, board), unknown=())


def counted(graph: Graph, board: str, optimize: str | None = None, seed: int = 0) -> Counted:
    """Builds the firmware, and counts one inference as a whole and one by op. Raises as a run does."""
    options: Deploying = {"board": board}
    if optimize:
        options["optimize"] = optimize
    job = prepare(graph, **options)
    assert job.planned_bytes is not None, "the aot engine plans"
    firmware = job.build(job.planned_bytes, silent)
    inputs = samples.random(graph, 1, seed).inputs
    with job.session(firmware, DEFAULT_TIMEOUT) as session:
        execution.setup(session.device, graph, job.planned_bytes)
        whole = execution.invoke(session.device, graph, inputs, 0, profile=False)
        execution.invoke(session.device, graph, inputs, 0, profile=True)
        ops = dict(zip(job.sources.profiled_ops, session.device.op_counts(), strict=True))
    return Counted(whole, ops, job.planned_bytes)


def _ms(instructions: int, board: Board) -> float | None:
    """The time of so many instructions, by the board's model."""
    time = model_for(board)
    return time.rough(instructions).ms if time else None
