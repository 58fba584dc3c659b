"""The check: results, listed deployments or mere plans held against their limits, a case each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinydeploy.boards import lookup
from tinydeploy.errors import TinydeployError, UsageError
from tinydeploy.evaluate import config, fit
from tinydeploy.evaluate.baselines import Baselines
from tinydeploy.evaluate.config import FILE_NAME
from tinydeploy.evaluate.deployment import model_path
from tinydeploy.evaluate.fit import Fit
from tinydeploy.evaluate.request import load_model, taken_budget, with_usual
from tinydeploy.lab import deploy_list
from tinydeploy.progress import Progress
from tinydeploy.results import gates, stored
from tinydeploy.results.case import Case, of_result
from tinydeploy.results.gates import Budget
from tinydeploy.results.limits import LIMITS
from tinydeploy.results.measured import Gate
from tinydeploy.results.result import Result
from tinydeploy.words import DEFAULT_BOARD

PLANNED = ("max_arena", "max_ram", "max_flash")
"""The limits that a plan alone can be held against."""
Run = Callable[..., tuple[Result, Path]]
"""What runs a model with keywords: verbs.run."""
Against = Callable[[Result, Path], Result]
"""What holds a result, which is or may be at that path, against a baseline."""


def check(
    paths: Sequence[Path], plan: bool, board: str | None, given: dict[str, Any], run: Run, progress: Progress
) -> tuple[Case, ...]:
    """What verbs.check says; `given` are limits and a baseline."""
    baselines = Baselines.taken(given)
    budget = taken_budget(given)
    if not plan:

        def against(result: Result, file: Path) -> Result:
            return baselines.of(file)(result)

        more = budget if board is None else {**budget, "board": board}
        return cases(paths or [Path()], more, run, against, progress)
    if others := [name for name in budget if name not in PLANNED]:
        raise UsageError(f"{others[0]} is not known without a run", "leave --plan out")
    found: list[Case] = []
    for model, options in _listed(paths):
        own = with_usual(model, options, "check") | budget | ({} if board is None else {"board": board})
        here = lookup.board(own.pop("board", DEFAULT_BOARD))
        limits = {name: value for name, value in taken_budget(own).items() if name in PLANNED}
        found += planned(fit.fits(load_model(model, {}), [here]), model_path(model), limits)
    return tuple(found)


def _listed(paths: Sequence[Path]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The models of paths and of the lists among them, each with what its list says of it."""
    for path in paths or [Path(FILE_NAME)]:
        listed = path / FILE_NAME if path.is_dir() and "deploy" in _raw(path / FILE_NAME) else path
        if listed.suffix == ".toml":
            yield from ((entry.model, entry.options) for entry in deploy_list.read(listed))
        else:
            yield path, {}


def _raw(file: Path) -> Mapping[str, Any]:
    return config.raw(file) if file.is_file() else {}


def cases(
    paths: Iterable[Path], given: Mapping[str, Any], run: Run, against: Against, progress: Progress
) -> tuple[Case, ...]:
    """A case for each result that the paths name, and for each entry of the lists among them.

    `given` are limits that beat those of the files. What fails is a case, too, and the rest goes on.
    """
    found: list[Case] = []
    for path in paths:
        listed = path / FILE_NAME if path.is_dir() and not (path / stored.FILE).exists() else path
        if listed.suffix != ".toml" or (path.is_dir() and not listed.exists()):
            found.append(_of_result(path, given, against))
            continue
        entries = deploy_list.read(listed)
        for number, entry in enumerate(entries):
            progress(f"checking {entry.name}", number, len(entries))
            found.append(_of_entry(entry, given, run, against))
    return tuple(found)


def _of_result(path: Path, given: Mapping[str, Any], against: Against) -> Case:
    result = stored.read(path)
    budget = _budget(result) | dict(given)
    fresh = replace(result, gates=None) if budget else result
    file = path / stored.FILE if path.is_dir() else path
    return of_result(against(gates.judged(fresh, budget), file), str(file), str(file.parent))


def _budget(result: Result) -> dict[str, float]:
    """The limits of the tinydeploy.toml beside the model, or else of the one here."""
    beside = Path(result.model.path).parent / FILE_NAME
    found = next((file for file in (beside, Path(FILE_NAME)) if file.is_file()), None)
    if found is None:
        return {}
    raw = config.raw(found)
    return config.values(found, {"budget": raw["budget"]} if "budget" in raw else {})


def _of_entry(entry: deploy_list.Deploy, given: Mapping[str, Any], run: Run, against: Against) -> Case:
    file = str(entry.model)
    try:
        result, folder = run(entry.model, **dict(entry.options) | dict(given))
        return of_result(against(result, folder / stored.FILE), file, str(folder), entry.name)
    except TinydeployError as error:
        told = f"{error.message} ({error.hint})" if error.hint else error.message
        return Case(entry.name, file, error=" ".join(told.split()))


def planned(fits: Sequence[Fit], model: Path, budget: Budget) -> tuple[Case, ...]:
    """A case for each fit of the model: its plan held against limits of arena, RAM and flash, unbuilt.

    Of RAM and flash only what is certain counts: what lies between least and most is for a build to decide.
    """
    found = []
    for one in fits:
        held = tuple(_of_plan(one, name, value) for name, value in budget.items())
        failed = tuple(map(gates.phrase, gates.missed(held)))
        if one.verdict == "no":
            failed = (one.problem, *failed)
        found.append(Case(f"{model.stem} on {one.board}, {one.optimize}", str(model), held, failed))
    return tuple(found)


def _of_plan(one: Fit, name: str, value: float) -> Gate:
    unit = LIMITS[name].unit.name
    if name == "max_arena":
        if one.arena_bytes is None:
            return Gate(name, None, value, False, unit, "there is no plan: the model does not fit")
        return Gate(name, one.arena_bytes, value, one.arena_bytes <= value, unit)
    need = one.ram if name == "max_ram" else one.flash
    if need is None:
        return Gate(name, None, value, False, unit, "there is no plan: the model does not fit")
    if need.at_most <= value or need.at_least > value:
        certain = need.at_most if need.at_most <= value else need.at_least
        return Gate(name, certain, value, certain <= value, unit)
    return Gate(
        name,
        None,
        value,
        None,
        unit,
        f"between {need.at_least:,} and {need.at_most:,} bytes: a build decides",
    )
