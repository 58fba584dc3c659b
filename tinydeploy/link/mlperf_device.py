"""A device that speaks MLPerf Tiny's device protocol, as typed methods: docs/mlperf.md.

The protocol (https://github.com/mlcommons/tiny, benchmark/api) is text without checksums: a command ends with
%, the reply is lines, the last of them m-ready.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tinydeploy.errors import (
    DeviceFaultError,
    DeviceStatusError,
    LinkCorruptError,
    LinkTimeoutError,
    WrongFirmwareError,
)
from tinydeploy.link.channel import Stream

READY = "m-ready"
CHUNK = 31  # bytes of a sample in one command, as the official runner sends them
_SOUND_CHUNK = 512  # of sound, for which a device takes longer commands
_END = "%"
_LONGEST_REPLY = 1 << 20  # bytes
_FIRST_TRY, _LONGEST_TRY = 0.25, 4.0  # seconds
_FAULT = re.compile(r"e-\[Fault at 0x([0-9a-f]+)\]")


Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Identity:
    """What a device says it is: its name, the profile of its firmware, the benchmark's model."""

    name: str
    profile: str
    model: str


@dataclass(frozen=True)
class Inferred:
    """What `infer` brought: the device's clock before and after, in microseconds, and the scores."""

    start_us: int
    end_us: int
    results: tuple[float, ...]


@dataclass(frozen=True)
class Heard:
    """What the device made of a frame of sound: its clock, in microseconds, its features, and the scores.

    Features and scores are as the model takes and gives them, integers.
    """

    start_us: int
    end_us: int
    features: tuple[int, ...]
    scores: tuple[int, ...]
    is_detection: bool


class MlperfDevice:
    """The device at the other end of `stream`; `greet` comes first.

    `timeout` is how many seconds a reply may take. `on_line` is told every line of the conversation, after
    "> " what is sent and after "< " what comes. Every method raises LinkTimeoutError without a whole reply,
    LinkCorruptError for one that is none, DeviceStatusError for an error that the device reports,
    DeviceFaultError, or TargetDiedError.
    """

    def __init__(
        self, stream: Stream, timeout: float, on_line: Callable[[str], None] = lambda line: None
    ) -> None:
        self.timeout = timeout
        self._stream = stream
        self._on_line = on_line
        self._pending = b""

    def greet(self) -> Identity:
        """Waits for the device, which may have started long ago, and asks what it is.

        Raises WrongFirmwareError if it answers otherwise than the protocol says.
        """
        deadline, wait, heard = time.monotonic() + self.timeout, _FIRST_TRY, False
        while True:
            self._send("")  # ends whatever half a command the device may have
            until = min(deadline, time.monotonic() + wait)
            try:
                while self._line(until) != READY:
                    heard = True
                break
            except LinkTimeoutError:
                if until >= deadline:
                    if heard or self._pending:
                        raise WrongFirmwareError(
                            "the device does not speak MLPerf Tiny's protocol", "load its firmware again"
                        ) from None
                    raise
                wait = min(2 * wait, _LONGEST_TRY)
        self._drain(min(wait, _FIRST_TRY))
        name = self._field("name", "m-name-dut")
        said = self.command("profile")
        return Identity(name, _field(said, "m-profile"), _field(said, "m-model"))

    def command(self, words: str, timeout: float | None = None) -> list[str]:
        """The lines of the reply, without the last, which is m-ready."""
        self._send(words)
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        lines: list[str] = []
        while (line := self._line(deadline)) != READY:
            lines.append(line)
            if sum(map(len, lines)) > _LONGEST_REPLY:
                raise LinkCorruptError(f"the device does not end its reply to '{words[:20]}'")
        for line in lines:
            if line.startswith("e-["):
                raise DeviceStatusError(f"the device answers '{words[:20]}' with {line}")
        return lines

    def load(self, sample: bytes, chunk: int = CHUNK) -> None:
        """Sends a sample, `chunk` bytes with each command."""
        self.command(f"db load {len(sample)}")
        said: list[str] = []
        for at in range(0, len(sample), chunk):
            said = self.command(f"db {sample[at : at + chunk].hex()}")
        if "m-load-done" not in said:
            raise LinkCorruptError("the device has not taken the whole sample")

    def infer(self, count: int, warmups: int, timeout: float | None = None) -> Inferred:
        """`count` inferences of the sample, after `warmups`; `timeout` is for them all."""
        said = self.command(f"infer {count} {warmups}", timeout)
        scores = _numbers(said, "m-results", float)
        if "m-infer-done" not in said:
            raise LinkCorruptError(f"the device does not end '{count} inferences'")
        return Inferred(*_times(said), scores)

    def hear(self, frame: bytes) -> Heard:
        """Sends the next frame of a stream that `start` has begun, int16 samples."""
        self.load(frame, _SOUND_CHUNK)
        said = self.command("extract_uart_stream")
        features, scores = _numbers(said, "m-features", int), _numbers(said, "m-activations", int)
        return Heard(*_times(said), features, scores, "m-detected" in said)

    def _field(self, command: str, name: str) -> str:
        return _field(self.command(command), name)

    def _send(self, words: str) -> None:
        self._on_line(f"> {words}{_END}")
        self._stream.write(f"{words}{_END}".encode("ascii"), time.monotonic() + self.timeout)

    def _drain(self, seconds: float) -> None:
        """Drops what else comes of earlier tries."""
        self._pending = b""
        deadline = time.monotonic() + seconds
        while self._stream.read(deadline):
            pass

    def _line(self, deadline: float) -> str:
        """The next line that is not empty."""
        while True:
            line, end, rest = self._pending.partition(b"\n")
            if end:
                self._pending = rest
                if text := line.strip(b"\r\0").decode("ascii", "replace"):
                    self._on_line(f"< {text}")
                    if found := _FAULT.fullmatch(text):
                        pc = int(found[1], 16)
                        raise DeviceFaultError(f"the device has faulted at {pc:#010x}", "", {"pc": pc})
                    return text
                continue
            if len(self._pending) > _LONGEST_REPLY:
                raise LinkCorruptError("the device sends no lines")
            data = self._stream.read(deadline)
            if not data:
                raise LinkTimeoutError("the device does not answer", "is it running, and at 115200 baud?")
            self._pending += data


def _times(lines: list[str]) -> tuple[int, int]:
    """The two times of the reply, in microseconds."""
    times = [int(line[9:]) for line in lines if re.fullmatch(r"m-lap-us-\d{1,18}", line)]
    if len(times) != 2 or times[1] < times[0]:
        raise LinkCorruptError("the device tells no time of what it has done")
    return times[0], times[1]


def _numbers(lines: list[str], name: str, kind: Callable[[str], Number]) -> tuple[Number, ...]:
    """The numbers between the brackets of the line with this name."""
    text = _field(lines, name)
    try:
        return tuple(kind(word) for word in text.split(",") if word.strip())
    except ValueError as error:
        raise LinkCorruptError(f"the device gives results that are no numbers: {text[:40]}") from error


def _field(lines: list[str], name: str) -> str:
    """What is between the brackets of the line with this name."""
    for line in lines:
        if found := re.fullmatch(rf"{re.escape(name)}-\[([^\]]*)\]", line):
            return found[1]
    raise LinkCorruptError(f"the device's reply has no {name}: {' '.join(lines)[:60]}")
