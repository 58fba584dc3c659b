"""One candidate: priced untrained, trained if it fits, quantised, priced again and judged."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinydeploy.boards.board import Board
from tinydeploy.errors import FitError, ModelError
from tinydeploy.evaluate import accuracy
from tinydeploy.evaluate.pricing import Price, price, settled
from tinydeploy.host.interpreter import Child
from tinydeploy.host.reference import Reference
from tinydeploy.model import samples as sample_files
from tinydeploy.model.graph import Graph
from tinydeploy.model.metric_choice import Wishes
from tinydeploy.model.readers import tflite_model
from tinydeploy.results import gates
from tinydeploy.results.measured import Accuracy
from tinydeploy.search.keras_space import CandidateError, Choices, KerasSpace
from tinydeploy.search.study_data import StudyData

_SURE = 2.0  # so many deviations below a limit: what is priced may be less than it says
MODEL, FLOAT, _RECORD = "model.tflite", "model.keras", "candidate.json"


@dataclass(frozen=True)
class Goal:
    """What candidates are for: a board, the engine's goal, what they may cost at the most, what counts."""

    board: Board
    optimize: str | None
    minimize: tuple[str, ...]
    budget: Mapping[str, float]
    wishes: Wishes
    epochs: int
    seed: int


@dataclass(frozen=True)
class Tried:
    """What became of a candidate: "trained", "over" a limit, "refused" by the engine, or "failed"; and why.

    `figure` is the metric of the int8 model on the samples that candidates are chosen by. `same_as` is the
    number of an earlier one with the same choices.
    """

    state: str
    why: str = ""
    price: dict[str, Any] | None = None
    metric: str = ""
    figure: float | None = None
    epochs: int = 0
    parameters: int = 0
    same_as: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, eq=False)
class Bench:
    """All that candidates are tried with."""

    space: KerasSpace
    data: StudyData
    training: Path  # the file of the data that the space trains with
    goal: Goal
    reference: Child


def cost(found: Mapping[str, Any], name: str) -> float:
    """A cost of what is kept of a price."""
    value = found[name]
    return math.nan if value is None else float(value)


def try_candidate(
    bench: Bench, choices: Choices, turn: int, known: Callable[[], Tried | None], folder: Path
) -> Tried:
    """Prices a candidate, and trains it if it fits; what was trained goes to `folder`, whole or not at all.

    `turn` counts the candidates, and makes its seed. `known`, once its choices are made, gives an earlier one
    with the same, if there is one.
    """
    goal = bench.goal
    seed = goal.seed + turn
    with tempfile.TemporaryDirectory(prefix=".candidate-", dir=folder.parent) as scratch:
        place = Path(scratch) / "new"
        place.mkdir()
        bare = Path(scratch) / "untrained.tflite"
        try:
            built = bench.space.build(choices, turn, seed, bench.training, bare)
            if (earlier := known()) is not None:
                return earlier
            first = _priced(bare, goal)
            over = missed(first, goal)
            if over:
                return Tried("over", over, told(first), parameters=built["parameters"])
            trained = bench.space.train(goal.epochs, seed, bench.training, place)
            found = _judged(place / MODEL, bench)
        except CandidateError as error:
            return Tried("failed", str(error))
        except FitError as error:
            return Tried("over", error.message)
        except ModelError as error:
            return Tried("refused", error.message)
        tried = dataclasses.replace(found, epochs=trained["epochs"], parameters=built["parameters"])
        if tried.state == "trained":
            (place / _RECORD).write_text(json.dumps(tried.to_json()), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            place.replace(folder)
        return tried


def kept(folder: Path) -> Tried | None:
    """What became of the candidate whose folder this is; None if it is not there, which it is as a whole."""
    try:
        return Tried(**json.loads((folder / _RECORD).read_text(encoding="utf-8")))
    except OSError:
        return None


def _parsed(path: Path) -> Graph:
    return tflite_model.parse(path.read_bytes(), path.name)


def _priced(path: Path, goal: Goal) -> Price:
    graph = _parsed(path)
    return settled(price(graph, goal.board, goal.optimize), graph, goal.board, goal.optimize)


def told(found: Price) -> dict[str, Any]:
    """A price as it is kept: bytes, raw counts, milliseconds."""
    return {
        "instructions": found.instructions,
        "off": round(found.off),
        "arena": found.arena_bytes,
        "flash": found.flash.estimate,
        "ram": found.ram.estimate,
        "ms": found.ms,
    }


def missed(found: Price, goal: Goal) -> str:
    """Which memory or limit is too small for the candidate, even if it takes as little as it may; or ""."""
    for name, need in (("flash", found.flash), ("RAM", found.ram)):
        if need.at_least > need.budget:
            return f"{name}: at least {need.at_least:,} bytes, and {goal.board.id} has {need.budget:,}"
    instructions = max(0.0, found.instructions - _SURE * found.off)
    least = {
        "max_flash": found.flash.at_least,
        "max_ram": found.ram.at_least,
        "max_arena": found.arena_bytes,
        "max_instructions": round(instructions),
        "max_estimated_ms": None
        if found.ms is None
        else found.ms * instructions / max(1, found.instructions),
    }
    figures = {name: value for name, value in least.items() if value is not None}
    budget = {name: value for name, value in goal.budget.items() if name in figures}
    over = gates.missed(gates.held(budget, lambda limit: figures[limit.name]))
    return "; ".join(map(gates.phrase, over))


def _judged(path: Path, bench: Bench) -> Tried:
    """The trained candidate's price and figure."""
    goal = bench.goal
    found = _priced(path, goal)
    over = missed(found, goal)
    if over:
        return Tried("over", f"once trained, {over}", told(found))
    graph = _parsed(path)
    x, y = bench.data.validation
    typed = sample_files.load({"x": x, "y": y}, graph, None, goal.wishes)
    if typed.judge is None:
        return Tried("failed", typed.unjudged, told(found))
    outputs = Reference(graph.content, child=bench.reference).run(typed.inputs)
    figure = accuracy.accuracy(typed.judge, graph, typed.inputs, outputs, None)
    if not isinstance(figure, Accuracy):
        return Tried("failed", figure, told(found))
    if not math.isfinite(figure.value):
        return Tried("failed", f"{figure.metric} is {figure.value}", told(found))
    return Tried("trained", "", told(found), figure.metric, figure.value)
