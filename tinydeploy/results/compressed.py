"""What `compress` made: a row for each recipe, what each is on its targets, and which one to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinydeploy.results import drops, gates
from tinydeploy.results.many import Swept

FLOAT, PTQ = "float", "ptq"
"""The rows of the model as it was given, and of the same quantised without any training."""


@dataclass(frozen=True)
class Row:
    """One recipe's model: its folder, the command that makes it alone, and why there is none.

    `bytes` are of its file, `deflated` of the same when zipped, `weights` of its kernels of which `zeros` are
    zero. `value` is the float model's figure before it was quantised.
    """

    name: str
    folder: str
    command: str
    bytes: int = 0
    deflated: int = 0
    weights: int = 0
    zeros: int = 0
    value: float | None = None
    error: str = ""


@dataclass(frozen=True)
class Compressed:
    """All rows, float and ptq first, and a run of each int8 model on each board, judged by `metric`."""

    model: str
    metric: str
    rows: tuple[Row, ...]
    runs: tuple[Swept, ...]
    notes: tuple[str, ...] = ()

    @property
    def boards(self) -> tuple[str, ...]:
        """The boards, each once."""
        return tuple(dict.fromkeys(map(_board, self.runs)))

    def on(self, board: str) -> tuple[Swept, ...]:
        """The runs on one board, in the order of the rows."""
        return tuple(run for run in self.runs if _board(run) == board)

    def row(self, name: str) -> Row:
        """The row of that recipe."""
        return next(row for row in self.rows if row.name == name)

    def failures(self) -> list[str]:
        """What went wrong: rows and runs without a result, and boards on which no row holds the limits."""
        found = [f"{row.name}: {row.error}" for row in self.rows if row.error]
        found += [f"{run.name}: {run.error}" for run in self.runs if run.error]
        for board in self.boards:
            runs = [run for run in self.on(board) if run.result]
            if runs and any(run.result.gates for run in runs if run.result) and not chosen(runs):
                found.append(f"{board}: no recipe holds the limits; {_nearest(runs)}")
        return found

    def to_json(self) -> dict[str, Any]:
        """The content of compress.json, but for the results, which lie in their folders."""
        return {
            "schema": "tinydeploy.compress/1",
            "model": self.model,
            "metric": self.metric,
            "rows": [vars(row) for row in self.rows],
            "runs": [_run_json(run) for run in self.runs],
            "chosen": {
                board: best.asked["recipe"] for board in self.boards if (best := chosen(self.on(board)))
            },
            "notes": list(self.notes),
        }


def _run_json(run: Swept) -> dict[str, Any]:
    drop = drops.largest(run.result) if run.result else None
    return {
        **run.asked,
        **{name: figure.values[0] for name, figure in run.figures.items()},
        "largest_drop": vars(drop) if drop else None,
        "held": holds(run),
        "folder": run.folder,
        "failure": run.error,
    }


def missed(run: Swept) -> tuple[str, ...]:
    """The limits that the run misses, a phrase each."""
    found = (run.result.gates or ()) if run.result else ()
    return tuple(map(gates.phrase, gates.missed(found)))


def holds(run: Swept) -> bool | None:
    """Whether the run holds its limits; None without any, or without a result."""
    return None if not run.result or not run.result.gates else not missed(run)


def chosen(runs: Sequence[Swept]) -> Swept | None:
    """The best of the runs that hold the limits by its metric; of several, that of fewest instructions."""
    able = [run for run in runs if run.result and holds(run) is not False]
    return min(able, key=_rank, default=None)


def _rank(run: Swept) -> tuple[float, float, float]:
    figures = run.figures
    quality = next((f for f in figures.values() if f.name in _qualities(run)), None)
    value = quality.values[0] if quality and quality.values[0] is not None else 0.0
    costs = [figures[name].values[0] or 0.0 for name in ("instructions", "cycles") if name in figures]
    flash = figures["flash"].values[0] if "flash" in figures else 0.0
    return (-value if quality and quality.higher else value, costs[0] if costs else 0.0, flash or 0.0)


def _qualities(run: Swept) -> tuple[str, ...]:
    """The name that the metric has among a run's figures."""
    accuracy = run.result.accuracy if run.result else None
    if accuracy is None:
        return ()
    return ("accuracy",) if accuracy.metric in ("top1", "accuracy") else (accuracy.metric,)


def quality(runs: Sequence[Swept]) -> str:
    """The name of the metric among the figures of runs; "accuracy" without a result."""
    return next((name for run in runs for name in _qualities(run)), "accuracy")


def _nearest(runs: Sequence[Swept]) -> str:
    """What the run that misses fewest limits misses."""
    nearest = min(runs, key=lambda run: len(missed(run)))
    return f"{nearest.asked['recipe']}: {'; '.join(missed(nearest))}"


def _board(run: Swept) -> str:
    return run.asked["board"]
