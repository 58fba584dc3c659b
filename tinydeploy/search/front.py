"""The front of a search: each candidate with its card and its command, built and run on the target."""

from __future__ import annotations

import hashlib
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinydeploy import verbs
from tinydeploy.errors import TinydeployError, UsageError
from tinydeploy.host import output_folder
from tinydeploy.host.output_folder import Manifest
from tinydeploy.model import card as cards
from tinydeploy.model.card import Card, Training
from tinydeploy.progress import Progress
from tinydeploy.results import gates, stored
from tinydeploy.results.compare import COSTS
from tinydeploy.results.result import Result
from tinydeploy.search.candidates import FLOAT, MODEL, Goal
from tinydeploy.search.study import Candidate, StudyFolder
from tinydeploy.search.study_data import StudyData

FRONT, TEST, RUN = "front", "test.npz", "run"
_MANIFEST = Manifest("search-files.json", "tinydeploy.search-files/1")


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Writes the files of the whole search into its folder. Raises UsageError if it cannot."""
    output_folder.write(folder, {name: text.encode() for name, text in files.items()}, _MANIFEST)


def run(
    kept: StudyFolder, best: Sequence[Candidate], data: StudyData, goal: Goal, space: Path, progress: Progress
) -> dict[int, dict[str, Any]]:
    """Each of the front in its folder, run there unless it was before: by number, what was measured.

    A run that fails is told of, and the others go on.
    """
    home = kept.folder / FRONT
    wanted = {f"{one.number:04}" for one in best}
    for other in home.glob("*") if home.is_dir() else ():
        if other.is_dir() and other.name not in wanted:
            shutil.rmtree(other)
    home.mkdir(parents=True, exist_ok=True)
    test = kept.folder / TEST
    np.savez(test, **data.held_back)  # type: ignore[arg-type]
    found: dict[int, dict[str, Any]] = {}
    for done, one in enumerate(best):
        progress(f"candidate {one.number} on the target", done, len(best))
        place = home / f"{one.number:04}"
        _prepare(kept.place(one.number), place, one, data, space)
        command = _command(place, test, goal)
        try:
            measured = _measured(_result(place, data, goal))
        except TinydeployError as error:
            found[one.number] = {"command": command, "run_error": error.message}
            continue
        found[one.number] = {"command": command, "measured": measured}
    return found


def _prepare(source: Path, place: Path, one: Candidate, data: StudyData, space: Path) -> None:
    """The candidate's models, and its card."""
    place.mkdir(parents=True, exist_ok=True)
    for name in (MODEL, FLOAT):
        shutil.copyfile(source / name, place / name)
    content = (place / MODEL).read_bytes()
    choices = ", ".join(f"{name}={value}" for name, value in one.params.items())
    x = data.train[0]
    trained = Training(data.source, data.sha256, len(x))
    card = Card(
        file=MODEL,
        sha256=hashlib.sha256(content).hexdigest(),
        made=f"tinydeploy search {space.name}, candidate {one.number}: {choices}",
        training=trained,
        **cards.statistics(x),
    )
    (place / cards.FILE_NAME).write_text(card.to_toml(), encoding="utf-8")


def _options(goal: Goal) -> dict[str, Any]:
    options: dict[str, Any] = {"board": goal.board.id, **goal.budget}
    if goal.optimize:
        options["optimize"] = goal.optimize
    if goal.wishes.metric:
        options["metric"] = goal.wishes.metric
    if goal.wishes.threshold is not None:
        options["threshold"] = goal.wishes.threshold
    return options


def _command(place: Path, test: Path, goal: Goal) -> str:
    words = ["tinydeploy", "run", str(place / MODEL), "--data", str(test)]
    for name, value in _options(goal).items():
        words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)


def _result(place: Path, data: StudyData, goal: Goal) -> Result:
    """The run's result: that of before, if it is of this model and these samples."""
    digest = hashlib.sha256((place / MODEL).read_bytes()).hexdigest()
    try:
        before = stored.read(place / RUN / stored.FILE)
        if before.model.sha256 == digest and before.board.id == goal.board.id:
            return before
    except UsageError:
        pass
    result, _ = verbs.run(place / MODEL, data=data.held_back, out=place / RUN, **_options(goal))
    return result


def _measured(result: Result) -> dict[str, Any]:
    """The figures that the target gave, by the names of the costs; a limit that was missed, in words."""
    figures: dict[str, Any] = {
        name: COSTS[name](result) for name in ("instructions", "arena", "flash", "ram")
    }
    figures["ms"] = result.estimate.ms if result.estimate else None
    if result.accuracy:
        figures = {result.accuracy.metric: result.accuracy.value, **figures}
    missed = gates.missed(result.gates or ())
    return figures | ({"missed": "; ".join(map(gates.phrase, missed))} if missed else {})
