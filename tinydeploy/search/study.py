"""The study: candidates asked for and told of, in a database in the folder: it goes on after any end."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinydeploy.errors import ToolError, UsageError
from tinydeploy.progress import Notice, Progress
from tinydeploy.results import metric_table
from tinydeploy.search.candidates import Bench, Tried, cost, kept, try_candidate

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

DATABASE = "study.db"
CANDIDATES = "candidates"
_NAME = "tinydeploy search"
_RECORD = "candidate"  # the attribute that holds what became of a trial
_LOST = "interrupted"
_REPEATED = 20  # candidates in a row that were there before: the space has no others


@dataclass(frozen=True)
class Candidate:
    """A trial that has come to an end: its choices, and what became of it."""

    number: int
    params: Mapping[str, Any]
    tried: Tried


def need_optuna() -> None:
    """Raises ToolError, with the command that installs it, unless optuna is there."""
    if importlib.util.find_spec("optuna") is None:
        raise ToolError("search needs optuna, which is not installed", "pip install 'tinydeploy[search]'")


class StudyFolder:
    """The study in a folder, and the candidates that were trained, each in a folder of its own."""

    def __init__(self, folder: Path, identity: Mapping[str, str], goal_count: int, higher: bool) -> None:
        """Opens the study of this identity, or begins it.

        So many costs go down, and the metric up, or down unless `higher` is better. Raises UsageError for a
        folder with another study, or one that cannot be written.
        """
        import optuna
        from optuna.study import StudyDirection

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.folder = folder
        down, up = StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE
        try:
            (folder / CANDIDATES).mkdir(parents=True, exist_ok=True)
            self.study: Study = optuna.create_study(
                storage=f"sqlite:///{(folder / DATABASE).resolve()}",
                study_name=_NAME,
                directions=[up if higher else down, *([down] * goal_count)],
                load_if_exists=True,
            )
        except OSError as error:
            raise UsageError(
                f"cannot write to {folder}: {error.strerror or error}", "choose another folder with -o"
            ) from error
        except Exception as error:  # SQLAlchemy's, whatever is wrong with the file
            raise UsageError(
                f"{folder / DATABASE} is no study of tinydeploy's: {_line(error)}",
                "choose another folder with -o",
            ) from error
        kept = self.study.user_attrs.get("identity")
        if kept is None and not self.study.trials:
            self.study.set_user_attr("identity", dict(identity))
        elif kept != dict(identity):
            other = [name for name in identity if (kept or {}).get(name) != identity[name]]
            raise UsageError(
                f"{folder} holds a study of another {' and '.join(other) or 'kind'}",
                "choose another folder with -o, or remove this one",
            )

    def candidates(self) -> list[Candidate]:
        """All that have come to an end, in order."""
        return list(_ended(self.study.get_trials(deepcopy=False)))

    def front(self) -> list[Candidate]:
        """Those trained of which no other is better in one figure without being worse; the cheapest first."""
        best = _ended(self.study.best_trials)
        found = [one for one in best if one.tried.state == "trained" and one.tried.same_as is None]
        costs = self.study.user_attrs["minimize"]
        return sorted(found, key=lambda one: cost(one.tried.price or {}, costs[0]))

    def place(self, number: int) -> Path:
        """The folder of a candidate that was trained."""
        return self.folder / CANDIDATES / f"{number:04}"

    def run(self, bench: Bench, count: int, progress: Progress, notice: Notice) -> None:
        """Tries candidates until `count` have come to an end; those that were interrupted come first."""
        self.study.set_user_attr("minimize", list(bench.goal.minimize))
        self._recover(bench)
        repeated = 0
        while (done := len(ended := self.candidates())) < count:
            state = f"candidate {done + 1}, {sum(one.tried.state == 'trained' for one in ended)} trained"
            progress(state, done, count)
            self.study.sampler = _sampler(bench.goal.seed, done)
            trial = self.study.ask()
            tried = try_candidate(
                bench, trial, done, functools.partial(self._earlier, trial), self.place(trial.number)
            )
            self._tell(trial, tried, bench)
            repeated = repeated + 1 if tried.same_as is not None else 0
            if repeated == _REPEATED:
                notice(f"the last {_REPEATED} candidates were there before: there seem to be no others")
                return

    def _earlier(self, trial: Trial) -> Tried | None:
        """What became of the first candidate with the same choices."""
        for one in self.candidates():
            if one.params == trial.params and one.number != trial.number and one.tried.same_as is None:
                return Tried(**{**one.tried.to_json(), "same_as": one.number})
        return None

    def _tell(self, trial: Trial, tried: Tried, bench: Bench) -> None:
        from optuna.trial import TrialState

        trial.set_user_attr(_RECORD, tried.to_json())
        values = None
        if tried.state == "trained" and tried.price is not None and tried.figure is not None:
            values = [tried.figure, *(cost(tried.price, name) for name in bench.goal.minimize)]
        state = {"trained": TrialState.COMPLETE, "over": TrialState.PRUNED}.get(tried.state, TrialState.FAIL)
        self.study.tell(trial.number, values, state=state)

    def _recover(self, bench: Bench) -> None:
        """Candidates that an end has interrupted: those that were trained are told of, others come again."""
        from optuna.trial import Trial, TrialState

        for left in (self.folder / CANDIDATES).glob(".candidate-*"):
            shutil.rmtree(left, ignore_errors=True)
        for frozen in self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            trial = Trial(self.study, frozen._trial_id)
            if (tried := kept(self.place(frozen.number))) is not None:
                self._tell(trial, tried, bench)
                continue
            trial.set_user_attr(_LOST, True)
            self.study.tell(frozen.number, state=TrialState.FAIL)
            self.study.enqueue_trial(frozen.params)


def identity(space: Path, data_sha256: str, settled: Mapping[str, Any]) -> dict[str, str]:
    """What has to be the same for a study to go on."""
    said = json.dumps(settled, sort_keys=True, default=str)
    return {
        "space": hashlib.sha256(space.read_bytes()).hexdigest(),
        "data": data_sha256,
        "set of options": said,
    }


def is_higher_better(metric: str) -> bool:
    """Whether more of a metric is better."""
    known = metric_table.metric(metric)
    return known is None or known.higher_is_better


def _ended(trials: list[FrozenTrial]) -> Iterator[Candidate]:
    for trial in trials:
        if trial.state.is_finished() and _RECORD in trial.user_attrs:
            yield Candidate(trial.number, trial.params, Tried(**trial.user_attrs[_RECORD]))


def _sampler(seed: int, trials: int) -> Any:
    """The sampler, seeded anew for each candidate: a study that was interrupted makes the same choices."""
    import warnings

    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it says of its own defaults
        return optuna.samplers.TPESampler(seed=(seed * 1_000_003 + trials) % (1 << 32), n_startup_trials=10)


def _line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[
        :200
    ]
