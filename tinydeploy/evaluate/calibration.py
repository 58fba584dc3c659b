"""A calibration: models run on a board that one has, and what they execute is counted here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinydeploy.boards.board import Board
from tinydeploy.errors import UsageError
from tinydeploy.estimate import intervals
from tinydeploy.estimate.core_models import core_model
from tinydeploy.estimate.counts import Counts, counts
from tinydeploy.estimate.fitting import Factors, fit, left_out
from tinydeploy.estimate.points import Point
from tinydeploy.estimate.timing import ENOUGH, line_of
from tinydeploy.evaluate import arena_sizing, execution
from tinydeploy.evaluate.deployment import Job, prepare
from tinydeploy.model import samples as sample_files
from tinydeploy.model.graph import Graph
from tinydeploy.progress import Progress
from tinydeploy.targets.target_registry import emulator_for

GOALS = ("balanced", "speed", "size")
"""What each model is compiled for: other code of the same model, and so another point."""
_RUNS = 5


@dataclass(frozen=True)
class Calibration:
    """The points of a board, the factors fitted to them, and by how much each is mispredicted if left out."""

    points: tuple[Point, ...]
    factors: Factors
    left_out: tuple[float, ...]


def calibrate(
    graphs: Sequence[Graph], board: Board, timeout: float, progress: Progress, **options: Any
) -> Calibration:
    """Runs each model for each of GOALS on the board at a port, as `options` say how, and counts it here.

    Raises UsageError if that makes too few points, or nothing here can count for the board's core;
    TargetError if the board does not answer, or another model's firmware does. Nothing is kept of a
    calibration that fails.
    """
    core, emulator = core_model(board.core.id), emulator_for(board)
    if core is None or emulator is None:
        raise UsageError(f"nothing here can count what a {board.core.name} executes")
    if len(graphs) * len(GOALS) < ENOUGH:
        raise UsageError(
            f"{len(graphs)} model makes {len(graphs) * len(GOALS)} points, and {ENOUGH} are needed",
            "name two models, unlike each other",
        )
    points = []
    for graph in graphs:
        for goal in GOALS:
            there = prepare(graph, board=board.id, optimize=goal, **options).connected()
            here = prepare(graph, board=board.id, optimize=goal, target=emulator.name)
            cycles, clock_hz = _measured(there, timeout, progress)
            counted = _counted(here, timeout, progress)
            words = ("tinydeploy aot", Path(graph.path).stem, goal)
            ms = 1e3 * cycles / clock_hz
            points.append(Point(board.id, core.core, clock_hz / 1e6, *words, ms, "calibrated", counted))
    line = line_of(board)
    return Calibration(tuple(points), fit(core, line, points), left_out(core, line, points))


def _measured(job: Job, timeout: float, progress: Progress) -> tuple[float, int]:
    """The median cycles of an inference on the board, and its clock."""
    firmware = job.build(job.planned_bytes, progress)
    progress(f"measuring {Path(job.graph.path).stem} on the board", 0, 0)
    sample = sample_files.random(job.graph, 1, arena_sizing.SEED).inputs
    with job.session(firmware, timeout, progress) as session:
        execution.setup(session.device, job.graph, job.planned_bytes or 0)
        runs = [execution.invoke(session.device, job.graph, sample, 0, profile=False) for _ in range(_RUNS)]
        return execution.spread(runs).median, session.greeting.clock_hz or job.board.clock_hz


def _counted(job: Job, timeout: float, progress: Progress) -> Counts:
    """What the same inference executes, on what counts here."""
    firmware = job.build(job.planned_bytes, progress)
    progress(f"counting {Path(job.graph.path).stem} in {job.target.title}", 0, 0)
    sample = sample_files.random(job.graph, 1, arena_sizing.SEED).inputs
    with job.session(firmware, timeout, recording=True) as session:
        execution.setup(session.device, job.graph, job.planned_bytes or 0)
        execution.invoke(session.device, job.graph, sample, 0, profile=False)
        return counts(intervals.inference(session.target.executed(), firmware.elf), firmware.elf)
