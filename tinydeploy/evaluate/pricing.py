"""The price of a model on a board: what it takes there, before anything is built."""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.boards.board import Board
from tinydeploy.engines.aot.emit import emit
from tinydeploy.engines.aot.kernels.cores.kernel_sets import kernels_of
from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.errors import UsageError
from tinydeploy.estimate.pricing import prices
from tinydeploy.evaluate import board_checks
from tinydeploy.evaluate.estimation import model_for
from tinydeploy.firmware import footprint
from tinydeploy.firmware.footprint import Need
from tinydeploy.model.graph import Graph
from tinydeploy.targets.target_registry import choose_target


@dataclass(frozen=True)
class Price:
    """What an inference and its firmware take, as plan and fitted kernels say.

    `instructions` may be off by `off`, one standard deviation. The arena is the plan's, exactly; of flash and
    RAM there is an estimate between two ends. `ms` is None for a board without a time model. `unknown` are
    kernels that have no price: what they execute is not in `instructions`.
    """

    instructions: int
    off: float
    arena_bytes: int
    flash: Need
    ram: Need
    ms: float | None
    unknown: tuple[str, ...] = ()


def price(graph: Graph, board: Board, optimize: str | None = None) -> Price:
    """What the model takes on the board with the aot engine.

    Raises ModelError if the engine refuses an op, FitError if a memory is too small whatever is done,
    UsageError for a core whose kernels no prices are known of.
    """
    known = prices.of_core(board.core.id)
    if known is None:
        raise UsageError(
            f"no prices are known of kernels on {board.core.name}",
            "scripts/price_calibration.py finds them where an emulator counts; or take another board",
        )
    engine = AotEngine(optimize) if optimize else AotEngine()
    board_checks.check(graph, engine, board)
    program = engine.program(graph, board)
    sources = emit(program, kernels_of(board.core), engine.optimize)
    assert sources.arena is not None
    found = prices.priced(program, known)
    time = model_for(board)
    link = choose_target(board, None, stand_ins=False).links(board)[0]
    return Price(
        found.instructions,
        found.off,
        sources.arena.bytes,
        footprint.flash(sources, board),
        footprint.ram(sources, board, link),
        time.rough(found.instructions).ms if time else None,
        found.unknown,
    )
