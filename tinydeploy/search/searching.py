"""The verb `search` as a function: a space, its data and a goal; candidates, and the front on the target."""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board
from tinydeploy.errors import UsageError
from tinydeploy.estimate.pricing import prices
from tinydeploy.evaluate.estimation import model_for
from tinydeploy.evaluate.keyword_types import Searching
from tinydeploy.evaluate.keywords import checked_keywords
from tinydeploy.evaluate.request import taken_budget
from tinydeploy.host.interpreter import Child
from tinydeploy.model.graph import Graph
from tinydeploy.model.metric_choice import Wishes
from tinydeploy.model.readers import tflite_model
from tinydeploy.model.samples import Data
from tinydeploy.progress import Notice, Progress, silent, unsaid
from tinydeploy.report import search_page
from tinydeploy.results.estimated import NO_TIME
from tinydeploy.search import front, study, study_data
from tinydeploy.search.candidates import Bench, Goal
from tinydeploy.search.keras_space import CandidateError, KerasSpace
from tinydeploy.search.study import Candidate, StudyFolder
from tinydeploy.search.study_data import StudyData
from tinydeploy.words import COSTS, DEFAULT_BOARD

_TRIALS, _EPOCHS = 50, 30
_PROBES = 5  # random candidates, of which one has to be built before a study begins
_OWN = ("trials", "epochs", "minimize", "seed", "metric", "threshold", "labels", "out")


@dataclass(frozen=True)
class Found:
    """What a search has found; `to_json` is the content of search.json, `folder` where all of it lies."""

    folder: Path
    told: Mapping[str, Any]

    def to_json(self) -> Mapping[str, Any]:
        """All candidates, with what became of them, and what the target says of the front."""
        return self.told

    @property
    def failures(self) -> list[str]:
        """The candidates of the front that did not run."""
        rows = self.told["candidates"]
        return [f"candidate {row['number']}: {row['run_error']}" for row in rows if row.get("run_error")]


@checked_keywords
def search(
    space: str | Path,
    data: Data | None = None,
    *,
    progress: Progress = silent,
    notice: Notice = unsaid,
    **options: Unpack[Searching],
) -> Found:
    """Searches a Keras function with choices for the candidates that no other beats; see docs/search.md.

    Candidates are priced untrained, and trained if they fit board and limits. Those of the front are built
    and run on the target. All goes to the folder `out`; a search that was ended goes on there.

    Raises UsageError, DataError, ModelError, ToolError.
    """
    study.need_optuna()
    settled: dict[str, Any] = dict(options)
    budget = taken_budget(settled)
    own = {name: settled.pop(name) for name in _OWN if name in settled}
    path = Path(space)
    folder = Path(own.get("out") or f"tinydeploy-out/search-{path.stem}")
    goal = _goal(settled, own, budget)
    _warn(goal.board, notice)
    progress("starting TensorFlow", 0, 0)
    with _scratch() as scratch, KerasSpace(path) as keras, _child() as reference:
        graph = _probe(keras, scratch, goal.seed)
        found = _data(keras, graph, data, goal, scratch)
        for line in found.told:
            notice(line)
        training = scratch / "training.npz"
        found.for_training(training)
        metric = _metric(graph, found, goal.wishes)
        kept = StudyFolder(
            folder,
            study.identity(path, found.sha256, _said(goal, metric)),
            len(goal.minimize),
            study.is_higher_better(metric),
        )
        bench = Bench(keras, found, training, goal, reference)
        kept.run(bench, int(own.get("trials") or _TRIALS), progress, notice)
    best = kept.front()
    measured = front.run(kept, best, found, goal, path, progress)
    told = _told(path, goal, metric, kept.candidates(), best, measured)
    front.write(folder, search_page.files(told))
    return Found(folder, told)


def _goal(settled: Mapping[str, Any], own: Mapping[str, Any], budget: Mapping[str, float]) -> Goal:
    board = lookup.board(settled.get("board", DEFAULT_BOARD))
    minimize = own.get("minimize") or COSTS[:1]
    minimize = tuple(minimize.split(",") if isinstance(minimize, str) else minimize)
    for name in minimize:
        if name not in COSTS:
            raise UsageError(f"'{name}' cannot be minimised", f"it is some of {', '.join(COSTS)}")
    if len({*minimize}) != len(minimize):
        raise UsageError(f"{', '.join(minimize)}: a cost is named twice")
    if ("ms" in minimize or "max_estimated_ms" in budget) and model_for(board) is None:
        raise UsageError(f"{NO_TIME} for {board.id}", "take instructions, or a board with a clock")
    for name in ("trials", "epochs"):
        if own.get(name) is not None and int(own[name]) < 1:
            raise UsageError(f"{name} must be above zero")
    return Goal(
        board,
        settled.get("optimize"),
        minimize,
        budget,
        Wishes.of(own),
        int(own.get("epochs") or _EPOCHS),
        int(own.get("seed") or 0),
    )


def _warn(board: Board, notice: Notice) -> None:
    """What is not as with other boards."""
    core = board.core
    if prices.of_core(core.id) is None:
        notice(f"no prices are known on {core.name}: each candidate is built, and counted on the target")
    elif prices.is_borrowed(core.id):
        notice(f"the prices on {core.name} are those of a core like it")


def _said(goal: Goal, metric: str) -> dict[str, Any]:
    """The options that make a study another one."""
    return {
        "board": goal.board.id,
        "optimize": goal.optimize or "",
        "minimize": goal.minimize,
        "budget": dict(goal.budget),
        "metric": metric,
        "epochs": goal.epochs,
        "seed": goal.seed,
    }


class _AtRandom:
    """Choices for a candidate that only shows what the space is like."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        return self._random.randrange(low, high + 1, step)

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        return low if step else self._random.uniform(low, high)

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._random.choice(choices)


def _probe(space: KerasSpace, scratch: Path, seed: int) -> Graph:
    """The graph of the first of some random candidates that can be built. Raises UsageError if none can."""
    first = ""
    for number in range(_PROBES):
        made = scratch / f"probe{number}.tflite"
        try:
            space.build(_AtRandom(seed + number), number, seed, None, made)
        except CandidateError as error:
            first = first or str(error)
            continue
        return tflite_model.parse(made.read_bytes(), made.name)
    raise UsageError(f"{space.path.name} builds no candidate: {first}", "see docs/search.md")


def _data(space: KerasSpace, graph: Graph, data: Data | None, goal: Goal, scratch: Path) -> StudyData:
    if data is not None:
        return study_data.split(graph, data, None, goal.wishes, goal.seed)
    if "load" not in space.has:
        raise UsageError(
            "there are no data to train with", f"--data, or a function load() in {space.path.name}"
        )
    loaded = scratch / "loaded.npz"
    space.load(loaded)
    given, test = study_data.of_load(loaded, space.path)
    return study_data.split(graph, given, test, goal.wishes, goal.seed)


def _metric(graph: Graph, data: StudyData, wishes: Wishes) -> str:
    """The metric that candidates are judged by."""
    from tinydeploy.model import samples

    x, y = data.validation
    judge = samples.load({"x": x, "y": y}, graph, None, wishes).judge
    assert judge is not None, "the data were read with the same wishes"
    return judge.metric


def _told(
    space: Path,
    goal: Goal,
    metric: str,
    candidates: list[Candidate],
    best: list[Candidate],
    measured: Mapping[int, Mapping[str, Any]],
) -> dict[str, Any]:
    """The content of search.json."""
    numbers = {one.number for one in best}
    rows = [
        {
            "number": one.number,
            "front": one.number in numbers,
            **one.tried.to_json(),
            "params": dict(one.params),
            **measured.get(one.number, {}),
        }
        for one in candidates
    ]
    states = Counter("repeated" if row["same_as"] is not None else row["state"] for row in rows)
    return {
        "schema": "tinydeploy.search/1",
        "space": space.name,
        "space_sha256": hashlib.sha256(space.read_bytes()).hexdigest(),
        "board": goal.board.id,
        "metric": metric,
        "minimize": list(goal.minimize),
        "budget": dict(goal.budget),
        "counts": dict(states),
        "candidates": rows,
    }


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tinydeploy-search-") as folder:
        yield Path(folder)


@contextmanager
def _child() -> Iterator[Child]:
    child = Child("tinydeploy.host.reference")
    try:
        yield child
    finally:
        child.close()
