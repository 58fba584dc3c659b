"""From counts to milliseconds on a board, with an interval and with what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import hypot

from tinydeploy.boards.board import Board
from tinydeploy.estimate.core_models import CoreModel, core_model
from tinydeploy.estimate.counts import Counts
from tinydeploy.estimate.fitting import Factors, Line, fit, scale, unfitted
from tinydeploy.estimate.points import Point, known_points, points
from tinydeploy.results.estimated import Estimate

ENOUGH = 4  # points of one board to fit its factors to
_UNKNOWN_LINE = Line(2.0, 1.0)  # of a flash of which nothing is said
_OTHER_PART = 0.15  # relative error of a core's scale that was found on another part
_OTHER_MIX = 0.3  # relative error of the time of an inference of which only the instructions are expected
_NOT_FITTED = "nothing: no measured times of this part are known"


@dataclass(frozen=True)
class TimeModel:
    """How a board's time follows from counts: factors, and what people are told of them."""

    core: CoreModel
    factors: Factors
    clock_hz: int
    name: str
    fitted_on: str
    line_off: float = 0.0  # cycles that a line may take more or less, where that was not fitted

    def estimate(self, counts: Counts) -> Estimate:
        """The time of what was executed."""
        cycles = self.factors.predict(counts)
        off = hypot(self.factors.spread, self.line_off * counts.flash_lines / cycles) if cycles else 0.0
        return self._told(cycles, off)

    def rough(self, instructions: int) -> Estimate:
        """The time of so many instructions, mixed as in the published points; with an interval for others."""
        mix = _mix(self.core.core)
        cycles = instructions * self.factors.predict(mix) / mix.instructions
        found = self._told(cycles, hypot(self.factors.spread, _OTHER_MIX))
        return replace(found, model=f"{found.model}; of instructions that are expected")

    def _told(self, cycles: float, off: float) -> Estimate:
        ms = 1e3 * cycles / self.clock_hz
        low, high = ms * max(0.0, 1 - off), ms * (1 + off)
        ms, low, high = (round(one, 6) for one in (ms, low, high))
        return Estimate(round(cycles), ms, low, high, self.name, self.fitted_on)


def time_model(board: Board, known: Sequence[Point] | None = None) -> TimeModel | None:
    """The model for a board by the points that are known (the package's); None for a core without one.

    Points of the board itself, or of the part that its file names, are fitted to. Without enough of them the
    scale is another part's of the same core, if there is one, and else the core model stands as it is.
    """
    core = core_model(board.core.id)
    if core is None:
        return None
    known = known_points() if known is None else known
    line = line_of(board)
    own = [point for point in known if point.board == part_of(board)]
    if len(own) >= ENOUGH:
        return TimeModel(core, fit(core, line, own), board.clock_hz, f"{core.core}, fitted", _told(own))
    line_off = line.spread * line.cycles
    others = _by_board([point for point in known if point.core == core.core])
    if not others:
        name = f"{core.core}, from its manuals"
        return TimeModel(core, unfitted(core, line), board.clock_hz, name, _NOT_FITTED, line_off)
    fitted = [scale(core, fit(core, line, some)) for some in others]
    factors = unfitted(core, line, sum(fitted) / len(fitted))
    own_spread = max(fit(core, line, some).spread for some in others)
    spread = max(core.spread, hypot(_OTHER_PART, own_spread))
    told = "; ".join(map(_told, others))
    name = f"{core.core}, scaled as on another part"
    factors = replace(factors, spread=spread)
    return TimeModel(core, factors, board.clock_hz, name, f"{told}: another part", line_off)


def line_of(board: Board | None) -> Line:
    """What a line of the board's flash costs, as far as its file says."""
    timing = board.timing if board else None
    return Line(timing.line_cycles, timing.line_spread) if timing else _UNKNOWN_LINE


def part_of(board: Board) -> str:
    """The board whose published times are this one's too: it has the same part at the same clock."""
    return board.timing.points if board.timing and board.timing.points else board.id


def _mix(core: str) -> Counts:
    """What the published points of a core execute, all together; of a core without points, all of them."""
    some = [point.counts for point in points() if point.core == core] or [point.counts for point in points()]
    return Counts(**{name: sum(getattr(one, name) for one in some) for name in asdict(some[0])})


def _by_board(some: Sequence[Point]) -> list[list[Point]]:
    found: dict[str, list[Point]] = {}
    for point in some:
        found.setdefault(point.board, []).append(point)
    return [own for own in found.values() if len(own) >= ENOUGH]


def _told(own: Sequence[Point]) -> str:
    """What was fitted to: "8 points of HALE v1.1 and HALE v1.2 on nucleo_l4r5zi at 120 MHz"."""
    engines = " and ".join(sorted({point.engine for point in own}))
    return f"{len(own)} points of {engines} on {own[0].board} at {own[0].mhz:g} MHz"
