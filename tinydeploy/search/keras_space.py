"""A space of candidates: the user's file, in a process of the Python that has TensorFlow (keras_child.py)."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

from tinydeploy.errors import ToolError, UsageError
from tinydeploy.prepare import training_child

_CHILD = Path(__file__).with_name("keras_child.py")


class Choices(Protocol):
    """Who makes a candidate's choices: a trial of optuna's, or what stands in for one."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int: ...  # noqa: D102
    def suggest_float(  # noqa: D102
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float: ...
    def suggest_categorical(self, name: str, choices: Any) -> Any: ...  # noqa: D102


class CandidateError(Exception):
    """A candidate that could not be built, converted or trained: why, and where in the user's file."""


class KerasSpace:
    """The user's file. Its process starts when it is needed, and again after it has ended.

    `has` are the functions that it has, of build, load and train.
    """

    def __init__(self, path: Path) -> None:
        """Raises UsageError for a file that is not there, or has no build; ToolError without TensorFlow."""
        if not path.is_file():
            raise UsageError(f"no such file: {path}")
        if path.suffix != ".py":
            raise UsageError(f"{path} is no Python file", "give a .py with build(trial)")
        self.path = path.resolve()
        self._python = training_child.python("search")
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        self.has: tuple[str, ...] = ()
        self._start()
        if "build" not in self.has:
            raise UsageError(f"{path} has no function build(trial)", "see docs/search.md")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._log.close()

    def load(self, to: Path) -> None:
        """Has the user's function of that name write its arrays as an .npz. Raises UsageError."""
        try:
            self._asked({"do": "load", "to": str(to)})
        except CandidateError as error:
            raise UsageError(f"{self.path.name}: {error}") from error

    def build(self, choices: Choices, number: int, seed: int, data: Path | None, to: Path) -> dict[str, Any]:
        """An untrained candidate as an int8 .tflite; its ranges are those of some samples, or of random ones.

        Raises CandidateError.
        """
        question = {"do": "build", "number": number, "seed": seed, "data": str(data or ""), "to": str(to)}
        return self._asked(question, choices)

    def train(self, epochs: int, seed: int, data: Path, to: Path) -> dict[str, Any]:
        """Trains the candidate that was built last: model.keras and model.tflite go to the folder `to`.

        Raises CandidateError.
        """
        return self._asked({"do": "train", "epochs": epochs, "seed": seed, "data": str(data), "to": str(to)})

    def _asked(self, question: Mapping[str, Any], choices: Choices | None = None) -> dict[str, Any]:
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            self._put(process, question)
            while True:
                answer = self._get(process)
                if "ask" in answer and choices is not None:
                    self._put(process, _chosen(choices, answer))
                    continue
                if "error" in answer:
                    where = f" ({answer['where']})" if answer["where"] else ""
                    raise CandidateError(f"{answer['error']}{where}")
                return dict(answer["done"])
        except CandidateError:
            raise
        except BaseException:  # an interrupt must not leave a child behind, nor half an answer in the pipe
            self._end()
            raise

    def _start(self) -> subprocess.Popen[str]:
        self._log.seek(0)
        self._log.truncate()
        process = self._process = subprocess.Popen(
            [str(self._python), "-P", str(_CHILD), str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=training_child.environment(),
            text=True,
            encoding="utf-8",
        )
        try:
            first = self._get(process)
        except CandidateError as error:
            raise ToolError(f"TensorFlow cannot be started: {error}") from error
        if "error" in first:
            self._end()
            if first["kind"] == "ModuleNotFoundError" and not first["where"]:
                raise ToolError(
                    f"{self._python} has no TensorFlow: {first['error']}",
                    f"pip install 'tinydeploy[train]' there, or name another by {training_child.VARIABLE}",
                )
            where = first["where"] or self.path.name
            raise UsageError(f"{self.path} cannot be run: {first['error']} ({where})")
        self.has = tuple(first["has"])
        return process

    def _put(self, process: subprocess.Popen[str], told: Mapping[str, Any]) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(told) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: there will be no answer

    def _get(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if line:
            return dict(json.loads(line))
        code = process.wait()
        said = training_child.last_words(self._log)
        self._end()
        ending = signal.Signals(-code).name if code < 0 else f"code {code}"
        raise CandidateError(f"TensorFlow's process has ended: {ending}{f': {said}' if said else ''}")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _chosen(choices: Choices, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A choice as an answer, or why there can be none."""
    try:
        suggest = getattr(choices, asked["ask"])
        return {"value": suggest(asked["name"], **asked["given"])}
    except (ValueError, TypeError) as error:
        return {"error": f"the choice '{asked['name']}': {error}"}
