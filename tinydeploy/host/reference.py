"""The host reference: TFLite Micro's own interpreter, from PyPI, whose outputs firmware has to equal.

The interpreter does not verify the model and may crash (with a small arena it does), so it runs in a
process of its own: this module as `python -m tinydeploy.host.reference`.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from tinydeploy.errors import ModelError, ToolError
from tinydeploy.host import tools
from tinydeploy.host.interpreter import Archive, Array, Child, listed, numbered, serve

# Tried in turn; the pages of an arena that TFLite Micro does not touch cost nothing.
_ROOMY_ARENAS = (16 << 20, 256 << 20, 2 << 30)
_ALLOCATION_TIMEOUT = 60.0  # seconds; it takes milliseconds, but the process may have to be started
_TRIAL_TIMEOUT = 10.0  # seconds for one inference, after which a model counts as slow, not as refused
_NODE = re.compile(r"Node (\S+) \(number (\d+)\D*\) failed to \w+")
_UNKNOWN = re.compile(r"Didn't find op for builtin opcode '(\w+)'")


def available() -> bool:
    """Whether the `tflite-micro` package is installed."""
    return importlib.util.find_spec("tflite_micro") is not None


def version() -> str:
    """The reference's name and version: "tflite-micro 0.dev20261023182759". Raises ToolError without it."""
    if not available():
        raise ToolError(
            "the reference interpreter tflite-micro is not installed",
            "pip install tflite-micro (wheels: Linux x86-64, Python 3.11 to 3.13); "
            "without it there is no parity and no reference accuracy",
        )
    return f"tflite-micro {tools.version('tflite-micro')}"


@dataclass(frozen=True)
class Objection:
    """Why TFLite Micro does not run a model, in its own words, and which operator of the file it names.

    `kind` is empty and `number` None where it names none.
    """

    reason: str
    kind: str = ""
    number: int | None = None


class Reference:
    """TFLite Micro running one model on the host, with 64-bit pointers. Use as a context manager.

    `timeout` bounds each call in seconds. `child` may be one that others use before and afterwards.
    """

    def __init__(self, model: bytes, timeout: float = 600.0, child: Child | None = None) -> None:
        """Starts nothing yet. Raises ToolError if the `tflite-micro` package is missing."""
        self.version = version()
        self._model: bytes | None = model  # until the child has it
        self._content = model
        self._timeout = timeout
        self._child = child or Child(__name__)
        self._arena = 0
        self._begun: Sequence[Array] | None = None
        self._expected: tuple[Sequence[Array], list[Array]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the child process."""
        self._child.close()

    def begin(self, inputs: Sequence[Array]) -> None:
        """Has the child start on `run(inputs)` while the caller does something else."""
        self._ask(self._arena or _ROOMY_ARENAS[0], inputs)
        self._begun = inputs

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Outputs for a batch of samples, each starting from the model's initial state.

        `inputs` holds an array [n, *shape] per model input, in the input's own type; the result an array
        [n, *shape] per model output. Raises ModelError if TFLite Micro refuses the model or crashes.
        """
        outputs = self._roomy(inputs, self._timeout)
        if outputs is None:
            raise ModelError(f"TFLite Micro cannot run the model: {self._objection().reason}")
        return outputs

    def objection(self, inputs: Sequence[Array]) -> Objection | None:
        """Why TFLite Micro cannot allocate the model's tensors or run one inference; None if it can.

        `inputs` is as in run(), with one sample. Whether it can is what counts here, not the arena's size,
        which 64-bit pointers enlarge. An inference that takes too long speaks for the model.
        """
        if self._roomy((), _ALLOCATION_TIMEOUT) is None:
            return self._objection()
        if self._roomy(inputs, _TRIAL_TIMEOUT) is None and self._child.ending != "hung":
            return self._objection()
        return None

    def arena_passes(self, size: int, inputs: Sequence[Array], timeout: float = 60.0) -> bool | None:
        """Whether an arena of `size` bytes carries a whole inference with the right outputs.

        `inputs` is as in run(). A refusal, a crash and a wrong output mean no; None says that no answer came
        within `timeout` seconds.
        """
        if self._expected is None or self._expected[0] is not inputs:
            self._expected = (inputs, self.run(inputs))
        outputs = self._call(size, inputs, timeout)
        if outputs is None and self._child.ending == "hung":
            return None
        return outputs is not None and all(
            np.array_equal(a, b) for a, b in zip(outputs, self._expected[1], strict=True)
        )

    def _roomy(self, inputs: Sequence[Array], timeout: float) -> list[Array] | None:
        """The outputs with an arena that is large enough; None if none is."""
        for arena in _ROOMY_ARENAS if not self._arena else (self._arena,):
            outputs = self._call(arena, inputs, timeout)
            if outputs is not None:
                self._arena = arena
                return outputs
            if self._child.ending == "hung":
                break
        return None

    def _call(self, arena: int, inputs: Sequence[Array], timeout: float) -> list[Array] | None:
        """None if TFLite Micro failed, in whichever way."""
        begun, self._begun = self._begun, None
        if begun is not inputs:
            if begun is not None:
                self._child.end()  # it is busy with something that nobody wants any more
            self._ask(arena, inputs)
        answer = self._child.answer(timeout)
        return None if answer is None else listed(answer)

    def _ask(self, arena: int, inputs: Sequence[Array]) -> None:
        if self._child.process is None:
            self._model = self._content
        new = {} if self._model is None else {"model": np.frombuffer(self._model, np.uint8)}
        self._child.forget()
        self._child.ask({"arena": np.array(arena), **new, **numbered(inputs)})
        self._model = None

    def _objection(self) -> Objection:
        said, ending = self._child.said(), self._child.ending
        # "tensorflow/lite/micro/kernels/exp.cc:41 …": the folders tell a user nothing.
        words = re.sub(r"^\S*/", "", said[0])[:200] if said else ""
        if ending:
            how = "it hangs" if ending == "hung" else f"it crashes ({ending})"
            return Objection(f"{how}: {words}" if words else how)
        if node := next((found for line in said if (found := _NODE.search(line))), None):
            return Objection(words, node[1], int(node[2]))
        unknown = _UNKNOWN.search(words)
        return Objection(words or "it says no reason", unknown[1] if unknown else "")


_trials: Child | None = None


@functools.lru_cache(maxsize=64)
def _tried(model: bytes, trial: tuple[tuple[tuple[int, ...], str, bytes], ...]) -> Objection | None:
    global _trials
    _trials = _trials or Child(__name__)  # it ends with this process, which then closes its pipe
    inputs = [np.frombuffer(content, dtype).reshape(shape) for shape, dtype, content in trial]
    return Reference(model, child=_trials).objection(inputs)


def objection(model: bytes, inputs: Sequence[Array]) -> Objection | None:
    """Reference(model).objection(inputs), asked once for each model, of one child for all models.

    Raises ToolError if the `tflite-micro` package is missing.
    """
    return _tried(model, tuple((array.shape, array.dtype.str, array.tobytes()) for array in inputs))


def _infer(
    interpreter: Any, inputs: Sequence[Array], outputs: int, restart: Callable[[], Any] | None
) -> list[Array]:
    """`restart` makes a new interpreter, for a model whose initial state reset() does not bring back."""
    samples = []
    for number, sample in enumerate(zip(*inputs, strict=True)):
        interpreter.reset()
        if restart is not None and number > 0:
            interpreter = restart()
        for i, array in enumerate(sample):
            interpreter.set_input(array, i)
        interpreter.invoke()
        samples.append([interpreter.get_output(i) for i in range(outputs)])
    return [np.stack(output) for output in zip(*samples, strict=True)]


class _Served:
    """The child's side: the model that it was last given, and the interpreter that it last built."""

    def __init__(self) -> None:
        from tflite_micro import runtime

        self._runtime = runtime
        self._model = b""
        self._built: tuple[int, Any] | None = None

    def reply(self, question: Archive) -> Archive:
        """Outputs of `question`'s samples; nothing if it has none, and the tensors could be allocated."""
        if "model" in question:
            self._built, self._model = None, question.pop("model").tobytes()
        arena = int(question.pop("arena"))
        graph = self._runtime.schema_fb.Model.GetRootAs(self._model, 0)
        # CALL_ONCE initialises variables once in an interpreter's life; reset() sets them to zero points.
        codes = {graph.OperatorCodes(i).BuiltinCode() for i in range(graph.OperatorCodesLength())}
        initialises = self._runtime.schema_fb.BuiltinOperator.CALL_ONCE in codes
        built, self._built = self._built, None
        if built is None or built[0] != arena:
            built = None  # frees the arena before the next one is taken
            built = (arena, self._start(arena))
        again = functools.partial(self._start, arena) if initialises else None
        outputs = graph.Subgraphs(0).OutputsLength()
        answer = _infer(built[1], listed(question), outputs, again) if question else []
        self._built = None if initialises else built
        return numbered(answer)

    def _start(self, arena: int) -> Any:
        return self._runtime.Interpreter.from_bytes(self._model, arena_size=arena)


if __name__ == "__main__":
    serve(_Served().reply)
