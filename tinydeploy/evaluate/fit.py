"""The fit: which boards a model fits, for which goal, and with how much room, without a build."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tinydeploy.boards.board import Board
from tinydeploy.engines.aot.pipeline import GOALS, AotEngine
from tinydeploy.engines.engine import EngineSources
from tinydeploy.errors import FitError
from tinydeploy.evaluate import board_checks
from tinydeploy.evaluate.estimation import rough
from tinydeploy.firmware import footprint
from tinydeploy.firmware.footprint import Need
from tinydeploy.model.graph import Graph
from tinydeploy.results.estimated import Estimate
from tinydeploy.targets.target_registry import choose_target

_FOR_ROOM = ("balanced", "size", "ram")  # the goals to try in turn where nobody asks for all
# Bytes of flash, all generous, with which more of it would change no program.
_OP_SHARE, _BARE_SHARE, _ARDUINO_SHARE = 4 << 10, 32 << 10, 128 << 10


class Verdict(StrEnum):
    """Whether a firmware fits: at the most that it can need, only at less than that, or not at the least."""

    FITS = "fits"
    TIGHT = "tight"
    NO = "no"


@dataclass(frozen=True)
class Fit:
    """A model on a board, done for a goal. `problem` says in one line why it does not fit, or may not.

    Without a plan, because a tensor or the constants alone are too large, there are no figures.
    """

    board: str
    core: str
    optimize: str
    verdict: Verdict
    problem: str = ""
    arena_bytes: int | None = None
    ram: Need | None = None
    flash: Need | None = None
    estimate: Estimate | None = None  # of the time, by what the engine's cost model expects

    @property
    def is_roomy(self) -> bool:
        """Whether it fits with all that it can need, as far as that is known."""
        return all(need is not None and need.at_most <= need.budget for need in (self.ram, self.flash))

    @property
    def room(self) -> float:
        """The part that is left of the scarcer memory; below 0 by how much it falls short."""
        needs = [need for need in (self.ram, self.flash) if need is not None]
        return min((need.left / need.budget for need in needs), default=-float("inf"))


def fits(
    graph: Graph, among: Sequence[Board], *, every_goal: bool = False, goals: Sequence[str] = _FOR_ROOM
) -> tuple[Fit, ...]:
    """Each board with its best goal: the first of `goals` that fits, or else the one that comes nearest.

    With `every_goal` there is one for each. The roomiest come first. Raises ModelError if the engine cannot
    run the model.
    """
    board_checks.check_ops(graph, AotEngine())
    programs = _Programs(graph)
    found: list[Fit] = []
    # Of boards alike, the one with most flash first: what it gets mostly suits the others too. One core after
    # the other, as what was tried for it serves all.
    for board in sorted(among, key=lambda board: (board.core.kernels, -board.flash.bytes)):
        tried = _tried(graph, board, programs, GOALS if every_goal else goals, every_goal)
        found += tried if every_goal else [min(tried, key=_rank)]
    return tuple(sorted(found, key=lambda fit: (*_rank(fit), fit.board, GOALS.index(fit.optimize))))


def _rank(fit: Fit) -> tuple[int, float]:
    """What is sure to fit first, and of that the roomiest."""
    return [Verdict.FITS, Verdict.TIGHT, Verdict.NO].index(fit.verdict), -fit.room


def _tried(
    graph: Graph, board: Board, programs: _Programs, goals: Sequence[str], every_goal: bool
) -> list[Fit]:
    try:
        board_checks.check_memories(graph, AotEngine(), board)
    except FitError as error:
        named = goals if every_goal else goals[:1]
        return [Fit(board.id, board.core.name, goal, Verdict.NO, error.message) for goal in named]
    tried = []
    for goal in goals:
        tried.append(_judged(graph, programs.of(board, goal), board, goal))
        if not every_goal and tried[-1].is_roomy:
            break  # no other goal would change the verdict
    return tried


def _judged(graph: Graph, sources: EngineSources, board: Board, goal: str) -> Fit:
    assert sources.arena is not None
    estimate = rough(graph, sources, board)
    link = choose_target(board, None, stand_ins=False).links(board)[0]
    ram, flash = footprint.ram(sources, board, link), footprint.flash(sources, board)
    needs = {"RAM": ram, "flash": flash}
    short = [f"{name} by {-need.left:,} bytes" for name, need in needs.items() if need.at_least > need.budget]
    close = [name for name, need in needs.items() if need.at_most > need.budget]
    if short:
        verdict, problem = Verdict.NO, f"too little {' and '.join(short)}"
    elif close:
        verdict, problem = Verdict.TIGHT, f"{' and '.join(close)} may be too small: a build decides"
    elif not footprint.is_known(board):
        verdict, problem = Verdict.TIGHT, "what the Arduino core takes is not known here: a build decides"
    else:
        verdict, problem = Verdict.FITS, ""
    return Fit(board.id, board.core.name, goal, verdict, problem, sources.arena.bytes, ram, flash, estimate)


class _Programs:
    """What the engine makes of the graph, made once for all boards that get the same."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._made: dict[tuple[object, ...], list[EngineSources]] = {}

    def of(self, board: Board, goal: str) -> EngineSources:
        """The sources for `board`; those with more flash have been asked for before."""
        made = self._made.setdefault((board.core.kernels, goal), [])
        for sources in made:
            if _roomy(sources, board):
                return sources
        made.append(AotEngine(goal).generate(self._graph, board))
        return made[-1]


def _roomy(sources: EngineSources, board: Board) -> bool:
    """Whether the board has so much flash that the engine does not have to save any for `sources`."""
    shell = _ARDUINO_SHARE if board.arduino else _BARE_SHARE
    return sources.constant_bytes + _OP_SHARE * len(sources.profiled_ops) + shell <= board.flash.bytes
