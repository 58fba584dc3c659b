"""A thousand sessions over a line that does what lines do: each ends right, or in a clear error."""

from __future__ import annotations

import os
import random
import subprocess
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import firmware_build
import pytest

from tinydeploy.errors import LinkError, TargetDiedError, TinydeployError
from tinydeploy.link import device as device_module
from tinydeploy.link.channel import FdStream
from tinydeploy.link.device import Device

SESSIONS = 1000
SHA256 = "040506" + 29 * "00"
BYTES = 600  # of the paced engine's input and output
TIMEOUT = 1.0  # seconds for one answer
HANG = 300  # seconds that all sessions together do not take
AT_ONCE = 12
ERRORS = ("DeviceResetError", "LinkCorruptError", "LinkTimeoutError", "TargetDiedError")

Figures = list[tuple[int, int, tuple[int, ...], bytes]]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return firmware_build.for_host(tmp_path_factory.mktemp("native"), "paced")


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "_HELLO_RETRY", 0.01)
    monkeypatch.setattr(device_module, "_FIRST_RETRY", 0.01)
    monkeypatch.setattr(device_module, "_LAST_RETRY", 0.03)


class Board:
    """The firmware as a process, plugged in; it can be reset, and unplugged for good."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._start()

    def _start(self) -> None:
        child_reads, we_write = os.pipe()
        we_read, child_writes = os.pipe()
        self._child = subprocess.Popen([self._program], stdin=child_reads, stdout=child_writes)
        os.close(child_reads)
        os.close(child_writes)
        self.stream = FdStream(we_read, we_write, lambda: TargetDiedError("the port went away"))

    def unplug(self) -> None:
        self.stream.close()
        assert self._child.wait(HANG) == 0, "the firmware crashed"

    def reset(self) -> None:
        self.unplug()
        self._start()


class Line:
    """The stream between host and board, with an accident in about one of `1 / rate` pieces of traffic."""

    def __init__(self, board: Board, dice: random.Random, rate: float, deadly: float) -> None:
        self.board = board
        self.dice = dice
        self.rate = rate
        self.deadly = deadly
        self.accidents: Counter[str] = Counter()
        self._cut = ""  # the accident after which nothing gets through
        self._late = b""  # what the line still holds back

    def _happens(self, name: str) -> str:
        self.accidents[name] += 1
        return name

    def _damaged(self, data: bytes) -> bytes:
        dice = self.dice
        if not data or dice.random() >= self.rate:
            return data
        at = dice.randrange(len(data))
        to = min(len(data), at + dice.randrange(1, 40))
        kind = self._happens(
            dice.choice(["lose", "double", "cut", "flip", "burst", "drop a byte", "garbage", "chatter"])
        )
        return {
            "lose": b"",
            "double": data + data,
            "cut": data[:at],
            "flip": data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :],
            "burst": data[:at] + dice.randbytes(to - at) + data[to:],
            "drop a byte": data[:at] + data[at + 1 :],
            "garbage": data[:at] + dice.randbytes(dice.randrange(1, 300)) + data[at:],
            "chatter": b"\r\nboot: loading 0x8000\r\n" + data,
        }[kind]

    def _accident(self) -> None:
        if not self._cut and self.dice.random() < self.deadly:
            what = self._happens(self.dice.choice(["reset", "unplug", "broken wire", "wrong baud rate"]))
            if what == "reset":
                self.board.reset()
            else:
                self._cut = what
        if self._cut == "unplug":
            raise TargetDiedError("the port went away")

    def read(self, deadline: float) -> bytes:
        self._accident()
        data = self._late or self.board.stream.read(deadline)
        if self._cut:
            data = self.dice.randbytes(len(data)) if self._cut == "wrong baud rate" else b""
        # Frames arrive in pieces.
        split = self.dice.randrange(1, len(data) + 1) if data and self.dice.random() < 0.3 else len(data)
        data, self._late = data[:split], data[split:]
        return self._damaged(data)

    def write(self, data: bytes, deadline: float) -> None:
        self._accident()
        self.board.stream.write(self._damaged(data), deadline)

    def close(self) -> None:
        """The board is unplugged by who has plugged it in."""


def pattern(seed: int) -> bytes:
    return seed.to_bytes(2, "little") + bytes((7 * index + seed) % 251 for index in range(BYTES - 2))


def session(stream: Line, seeds: list[int]) -> Figures:
    """What a run asks of a device: count, sum of the ops, each op's count, and the output, per sample."""
    device = Device(stream, timeout=TIMEOUT)
    device.hello(SHA256)
    device.setup(2 * BYTES)
    figures = []
    for seed in seeds:
        device.reset_state()
        device.write_input(0, pattern(seed))
        count = device.invoke()
        device.write_input(0, pattern(seed))
        profiled = device.invoke(profile=True)
        figures.append((count, profiled, device.op_counts(), device.read_output(0)))
    return figures


def right(seeds: list[int]) -> Figures:
    """The first inference reads the counter seed + 1 times, and then once more; the second one more each."""
    output = [bytes((byte + 2) % 256 for byte in pattern(seed)) for seed in seeds]
    ops = [(seed + 2, 2) for seed in seeds]
    return [(seed + 2, seed + 4, op, out) for seed, op, out in zip(seeds, ops, output, strict=True)]


def test_without_accidents_every_figure_is_right(program: Path) -> None:
    board = Board(program)
    assert session(Line(board, random.Random(0), 0, 0), [3, 500, 3]) == right([3, 500, 3])
    board.unplug()


@dataclass(frozen=True)
class End:
    """How a session ended: with figures or with an error, after these accidents."""

    seeds: list[int]
    figures: Figures | None
    error: TinydeployError | None
    accidents: Counter[str]


def accident_prone_session(program: Path, number: int) -> End:
    dice = random.Random(number)
    seeds = [dice.randrange(300) for _ in range(3)]
    board = Board(program)
    line = Line(board, dice, rate=dice.choice([0.02, 0.1, 0.3]), deadly=dice.choice([0, 0, 0.005]))
    figures, error = None, None
    try:
        figures = session(line, seeds)
    except TinydeployError as caught:
        error = caught
    board.unplug()
    return End(seeds, figures, error, line.accidents)


def test_random_accidents_give_the_right_figure_or_a_clear_error(program: Path) -> None:
    ends: dict[int, End] = {}
    numbers = iter(range(SESSIONS))

    def work() -> None:
        for number in numbers:
            ends[number] = accident_prone_session(program, number)

    # A session is mostly waiting for what was lost. Daemons, so that one that hangs fails here, and no later.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
        assert not thread.is_alive(), f"a session hangs, after {len(ends)} of {SESSIONS}"

    assert len(ends) == SESSIONS
    for number, end in ends.items():
        if end.figures is not None:
            assert end.figures == right(end.seeds), number
        else:
            assert isinstance(end.error, LinkError | TargetDiedError), number
            assert end.error.message
            assert "\n" not in end.error.message
            assert end.accidents, number
    kinds = Counter(type(end.error).__name__ for end in ends.values())
    assert set(kinds) >= {"NoneType", *ERRORS}
    assert kinds["NoneType"] > SESSIONS // 2
    assert len(sum((end.accidents for end in ends.values()), Counter())) == 12
