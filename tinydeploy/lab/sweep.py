"""The sweep: every combination of models, boards, engines and goals, each run once, whatever happens.

A run is addressed by its content: the model's and the data's bytes, and all options. Its folder is its own
checkpoint: what has a result, or a failure that would come again, is not run again.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinydeploy.errors import TinydeployError, UsageError
from tinydeploy.evaluate import data_request
from tinydeploy.evaluate.deployment import model_path
from tinydeploy.evaluate.option_table import VERBS
from tinydeploy.host import cache, paths
from tinydeploy.lab import executors
from tinydeploy.progress import Progress
from tinydeploy.results import stored
from tinydeploy.results.many import Swept
from tinydeploy.results.result import Result
from tinydeploy.version import __version__

_TRANSIENT = 3  # the exit code of what failed in a tool or a target, and may not fail again


@dataclass(frozen=True)
class Job:
    """One run: its model, its options, what of them to show, and the folder of its result."""

    model: str
    options: Mapping[str, Any]
    asked: Mapping[str, str]
    folder: Path

    @property
    def command(self) -> str:
        """The same as a command line."""
        words = ["tinydeploy", "run", self.model, "-o", str(self.folder)]
        flags = {option.name: option.long for option in VERBS["run"].options}
        for name, value in self.options.items():
            if name in flags and value not in (None, False):
                words += [flags[name]] if value is True else [flags[name], str(value)]
        return shlex.join(words)


def jobs(
    models: Sequence[str | Path], axes: Mapping[str, Sequence[str]], options: Mapping[str, Any], out: Path
) -> tuple[Job, ...]:
    """All combinations; paths are made absolute, as a run may be done elsewhere.

    `axes` are lists of values for options, of which an empty one leaves the default.

    Raises DataError if a model or the data cannot be read, UsageError if two runs are the same.
    """
    found: dict[str, Job] = {}
    data = options.get("data")
    options = dict(options) | (
        {"data": data_request.anchored(str(data), Path.cwd())} if data is not None else {}
    )
    given = {name: values for name, values in axes.items() if values}
    for model in models:
        path = model_path(model).resolve()
        content = data_request.digest(path)
        for values in itertools.product(*given.values()):
            chosen = dict(options) | dict(zip(given, values, strict=True))
            asked = {"model": path.stem} | {
                name: str(value) for name, value in zip(given, values, strict=True)
            }
            key = _key(content, chosen)
            if key in found:
                raise UsageError(
                    f"the sweep has {', '.join(asked.values())} twice", "name each model, board and goal once"
                )
            found[key] = Job(str(path), chosen, asked, out.resolve() / "jobs" / f"{path.stem}-{key}")
    return tuple(found.values())


def _key(model: str, options: Mapping[str, Any]) -> str:
    data = options.get("data")
    content = data_request.content(str(data)) if data is not None else ""
    named = {name: str(value) for name, value in sorted(options.items()) if name != "data"}
    said = json.dumps([__version__, model, content or str(data), named])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def is_done(job: Job) -> bool:
    """Whether the job has a result that is whole, or a failure that would come again."""
    return _result(job) is not None or _error(job, lasting=True) != ""


def outcome(job: Job) -> Swept:
    """What became of the job."""
    result = _result(job)
    error = "" if result else _error(job) or "it did not come to an end"
    return Swept(job.asked, str(job.folder), result, error)


def _result(job: Job) -> Result | None:
    try:
        return stored.read(job.folder / stored.FILE)
    except UsageError:
        return None


def _error(job: Job, lasting: bool = False) -> str:
    try:
        told = json.loads((_failure(job)).read_text(encoding="utf-8"))
        return "" if lasting and told["exit_code"] == _TRANSIENT else str(told["message"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _failure(job: Job) -> Path:
    """The file of the job's failure, beside its folder."""
    return job.folder.with_name(f"{job.folder.name}.error.json")


def work(run: Callable[..., Any], job: Job) -> None:
    """Runs the job, and leaves its result, or its failure, in its folder. A port is one job's at a time."""
    port = job.options.get("port")
    lock = cache.locked(paths.cache_dir() / "ports" / hashlib.sha256(str(port).encode()).hexdigest()[:16])
    failure = _failure(job)
    try:
        with lock if port else nullcontext():
            run(job.model, out=job.folder, **job.options)
        failure.unlink(missing_ok=True)
    except TinydeployError as error:
        told = {"message": error.message, "hint": error.hint, "exit_code": error.exit_code}
        failure.parent.mkdir(parents=True, exist_ok=True)
        scratch = failure.with_suffix(".new")
        scratch.write_text(json.dumps(told), encoding="utf-8")
        scratch.replace(failure)


def sweep(
    every: Sequence[Job], run: Callable[..., Any], where: str, workers: int, progress: Progress
) -> tuple[Swept, ...]:
    """Runs what is not done yet, in `workers` processes or wherever `where` says; then all outcomes."""
    waiting = [job for job in every if not is_done(job)]
    done = len(every) - len(waiting)
    progress("sweep", done, len(every))
    for job in executors.completed(
        where, work, run, waiting, workers, every[0].folder.parent if every else Path()
    ):
        done += 1
        progress(f"sweep: {', '.join(job.asked.values())}", done, len(every))
    return tuple(map(outcome, every))
