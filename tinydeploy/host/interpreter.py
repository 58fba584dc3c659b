"""An interpreter in a process of its own: it may crash, hang, or print, and none of that is ours.

The child is a module of this package that calls `serve`. Parent and child exchange .npz archives, each
after its length, so nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Archive = dict[str, Array]

_HEADER = struct.Struct("<Q")
_FAILED = {"failed": np.array(True)}
_MOST_SAID = 200  # characters of a line that the child has printed


class Child:
    """The process of an interpreter; started when it is first asked, and again after it has ended."""

    def __init__(self, module: str) -> None:
        """`module` is what the child runs: "tinydeploy.host.reference"."""
        self.process: subprocess.Popen[bytes] | None = None
        self.ending = ""
        """How it ended while it was to answer: "" if it has not, "SIGSEGV", "hung", "code 1"."""
        self._module = module
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close())

    def close(self) -> None:
        """Ends the process."""
        self.end()
        self._log.close()

    def end(self) -> None:
        """Ends the process; the next question starts another."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def ask(self, question: Mapping[str, Any]) -> None:
        """Sends a question, for which answer() will wait."""
        self.ending = ""
        process = self.process or self._start()
        assert process.stdin is not None
        try:
            with contextlib.suppress(BrokenPipeError):  # it has ended: there will be no answer
                send(process.stdin, question)
        except BaseException:
            self.end()
            raise

    def answer(self, timeout: float) -> Archive | None:
        """The answer to the last question; None if the interpreter refused, crashed or hung."""
        process = self.process
        assert process is not None and process.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(timeout, give_up)
        timer.start()
        try:
            answer = receive(process.stdout)
        except BaseException:  # an interrupt must not leave a child behind, nor half an answer in the pipe
            self.end()
            raise
        finally:
            timer.cancel()
        if answer is None:
            process.wait()
            self.ending = "hung" if late.is_set() else _ending(process.returncode)
            self.end()
            return None
        return None if "failed" in answer else answer

    def said(self) -> list[str]:
        """The lines that the child has printed since its last question, without what cannot be printed."""
        self._log.seek(0)
        lines = self._log.read(1 << 16).decode("utf-8", "replace").split("\n")
        printable = ("".join(c for c in line if c.isprintable()).strip() for line in lines)
        return [line for line in printable if line]

    def reason(self) -> str:
        """Why there was no answer, in a few words: how the child ended, or the last line that it printed."""
        said = self.said()
        return self.ending or (said[-1][:_MOST_SAID] if said else "it says no reason")

    def forget(self) -> None:
        """Empties what said() tells."""
        self._log.seek(0)
        self._log.truncate()

    def _start(self) -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        return self.process


def _ending(code: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"code {code}"


def numbered(arrays: Sequence[Array]) -> Archive:
    """Arrays by their position, as an archive wants them."""
    return {str(i): array for i, array in enumerate(arrays)}


def listed(archive: Mapping[str, Array]) -> list[Array]:
    """The arrays of numbered()."""
    return [archive[str(i)] for i in range(len(archive))]


def send(stream: IO[bytes], arrays: Mapping[str, Any]) -> None:
    """Writes an archive."""
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    stream.write(_HEADER.pack(packed.tell()))
    stream.write(packed.getbuffer())
    stream.flush()


def receive(stream: IO[bytes]) -> Archive | None:
    """Reads an archive; None at the end of the stream, wherever it comes."""
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    (size,) = _HEADER.unpack(header)
    packed = stream.read(size)
    if len(packed) < size:
        return None
    with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
        return dict(archive)


def serve(reply: Callable[[Archive], Archive]) -> None:
    """The child: replies to questions until the parent closes the pipe. What `reply` raises is a refusal."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt ends it even in the middle of an inference
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the interpreter prints is not an answer
    while (question := receive(sys.stdin.buffer)) is not None:
        try:
            answer = reply(question)
        except Exception as error:  # the interpreter's, or the flatbuffer's of a damaged model
            print(error, file=sys.stderr, flush=True)
            answer = _FAILED
        send(answers, answer)
