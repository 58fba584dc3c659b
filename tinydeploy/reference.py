"""The host reference: TFLite Micro's own interpreter, from PyPI, whose outputs firmware has to equal.

The interpreter does not verify the model and may crash (with a small arena it does), so it runs in a
process of its own: this module as `python -m tinydeploy.reference`. Parent and child exchange .npz
archives, each after its length, so nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import io
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import ModelError, ToolError

Array = npt.NDArray[Any]

# Tried in turn; the pages of an arena that TFLite Micro does not touch cost nothing.
_ROOMY_ARENAS = (16 << 20, 256 << 20, 2 << 30)
_HEADER = struct.Struct("<Q")


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
    return f"tflite-micro {importlib.metadata.version('tflite-micro')}"


class Reference:
    """TFLite Micro running one model on the host, with 64-bit pointers. Use as a context manager.

    `timeout` bounds each call in seconds.
    """

    def __init__(self, model: bytes, timeout: float = 600.0) -> None:
        """Starts nothing yet. Raises ToolError if the `tflite-micro` package is missing."""
        self.version = version()
        self._model = model
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close())
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
        self._end()
        self._log.close()

    def begin(self, inputs: Sequence[Array]) -> None:
        """Has the child start on `run(inputs)` while the caller does something else."""
        self._ask(self._arena or _ROOMY_ARENAS[0], inputs)
        self._begun = inputs

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Outputs for a batch of samples, each starting from the model's initial state.

        `inputs` holds an array [n, *shape] per model input, in the input's own type; the result an array
        [n, *shape] per model output. Raises ModelError if TFLite Micro refuses the model or crashes.
        """
        for arena in _ROOMY_ARENAS if not self._arena else (self._arena,):
            outputs = self._call(arena, inputs, self._timeout)
            if outputs is not None:
                self._arena = arena
                return outputs
        raise ModelError(f"TFLite Micro cannot run the model: {self._last_words()}")

    def arena_passes(self, size: int, inputs: Sequence[Array], timeout: float = 60.0) -> bool | None:
        """Whether an arena of `size` bytes carries a whole inference with the right outputs.

        `inputs` is as in run(). A refusal, a crash and a wrong output mean no; None says that no answer came
        within `timeout` seconds.
        """
        if self._expected is None or self._expected[0] is not inputs:
            self._expected = (inputs, self.run(inputs))
        started = time.monotonic()
        outputs = self._call(size, inputs, timeout)
        if outputs is None and time.monotonic() - started >= timeout:
            return None
        return outputs is not None and all(
            np.array_equal(a, b) for a, b in zip(outputs, self._expected[1], strict=True)
        )

    def _call(self, arena: int, inputs: Sequence[Array], timeout: float) -> list[Array] | None:
        """None if TFLite Micro failed, in whichever way."""
        begun, self._begun = self._begun, None
        if begun is not inputs:
            if begun is not None:
                self._end()  # it is busy with something that nobody wants any more
            self._ask(arena, inputs)
        assert self._process is not None and self._process.stdout is not None
        timer = threading.Timer(timeout, self._process.kill)
        timer.start()
        try:
            answer = _receive(self._process.stdout)
        except BaseException:  # an interrupt must not leave a child behind, nor half an answer in the pipe
            self._end()
            raise
        finally:
            timer.cancel()
        if answer is None:
            self._end()
            return None
        return _list(answer) if answer else None

    def _ask(self, arena: int, inputs: Sequence[Array]) -> None:
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            with contextlib.suppress(BrokenPipeError):  # it has ended: there will be no answer
                _send(process.stdin, {"arena": np.array(arena), **_numbered(inputs)})
        except BaseException:
            self._end()
            raise

    def _start(self) -> subprocess.Popen[bytes]:
        self._log.seek(0)
        self._log.truncate()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tinydeploy.reference"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            _send(self._process.stdin, {"model": np.frombuffer(self._model, np.uint8)})
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _last_words(self) -> str:
        if self._process is None:
            return "it crashed"
        self._log.seek(0)
        lines = self._log.read(1 << 16).decode("utf-8", "replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return "".join(c for c in said[0] if c.isprintable())[:200] if said else "it says no reason"


def _numbered(arrays: Sequence[Array]) -> dict[str, Array]:
    return {str(i): array for i, array in enumerate(arrays)}


def _list(archive: Mapping[str, Array]) -> list[Array]:
    return [archive[str(i)] for i in range(len(archive))]


def _send(stream: IO[bytes], arrays: Mapping[str, Any]) -> None:
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    stream.write(_HEADER.pack(packed.tell()))
    stream.write(packed.getbuffer())
    stream.flush()


def _receive(stream: IO[bytes]) -> dict[str, Array] | None:
    """None at the end of the stream, wherever it comes."""
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    (size,) = _HEADER.unpack(header)
    packed = stream.read(size)
    if len(packed) < size:
        return None
    with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
        return dict(archive)


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


def _serve() -> None:
    """The child: one model, then requests until the parent closes the pipe."""
    from tflite_micro import runtime

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt ends it even in the middle of an inference
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the interpreter prints is not an answer
    first = _receive(sys.stdin.buffer)
    if first is None:
        return
    model = first["model"].tobytes()
    graph = runtime.schema_fb.Model.GetRootAs(model, 0)
    outputs = graph.Subgraphs(0).OutputsLength()
    # CALL_ONCE initialises variables once in an interpreter's life; reset() sets them to their zero points.
    codes = {graph.OperatorCodes(i).BuiltinCode() for i in range(graph.OperatorCodesLength())}
    initialises = runtime.schema_fb.BuiltinOperator.CALL_ONCE in codes
    built: tuple[int, Any] | None = None

    def start(arena: int) -> Any:
        return runtime.Interpreter.from_bytes(model, arena_size=arena)

    while (request := _receive(sys.stdin.buffer)) is not None:
        arena = int(request.pop("arena"))
        try:
            if built is None or built[0] != arena:
                built = None  # frees the arena before the next one is taken
                built = (arena, start(arena))
            again = functools.partial(start, arena) if initialises else None
            answer = _infer(built[1], _list(request), outputs, again)
            built = None if initialises else built
        except (RuntimeError, ValueError, MemoryError) as error:
            print(error, file=sys.stderr, flush=True)
            built, answer = None, []
        _send(answers, _numbered(answer))


if __name__ == "__main__":
    _serve()
