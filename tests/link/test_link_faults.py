"""Sessions with a generated model over a line that does what lines do: right, or ended by a clear error."""

from __future__ import annotations

import dataclasses
import os
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import firmware_build
import native
import numpy as np
import pytest
from nightly import NIGHTLY

from tinydeploy.errors import LinkError, TargetDiedError, TinydeployError
from tinydeploy.link import device as device_module
from tinydeploy.link import frames
from tinydeploy.link.channel import FdStream
from tinydeploy.link.device import Device
from tinydeploy.link.frames import Frame
from tinydeploy.link.messages import Kind, Stats
from tinydeploy.model.readers import tflite_model

SESSIONS = 1000 if NIGHTLY else 400
MODEL = Path(__file__).parents[2] / "models" / "digits" / "digits.tflite"
GRAPH = tflite_model.load(MODEL)
SAMPLES = 20
OLD_FAULT = frames.encode(Frame(Kind.FAULT, 77 << 8, b"\x01" + bytes(56)))
PAYLOAD = 25  # bytes: with frames this small a sample takes four of them
TIMEOUT = 1.0  # seconds for one answer
HANG = 300  # seconds that all sessions together do not take
AT_ONCE = 12
ERRORS = ("DeviceResetError", "LinkCorruptError", "LinkTimeoutError", "TargetDiedError")

Figure = tuple[int, int, tuple[int, ...], bytes, Stats]
Figures = list[Figure]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return firmware_build.model_for_host(tmp_path_factory.mktemp("native"), GRAPH)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_PAYLOAD", PAYLOAD)
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
    """The stream between host and board, with an accident in about one of `1 / rate` pieces of traffic.

    `heard` and `told` are whole frames, of this session or another: they may be repeated any time.
    """

    def __init__(self, board: Board, dice: random.Random, rate: float, deadly: float) -> None:
        self.told: list[bytes] = []
        self.heard: list[bytes] = [OLD_FAULT]
        self._held_until = 0.0
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

    def _damaged(self, data: bytes, earlier: list[bytes]) -> bytes:
        dice = self.dice
        earlier += [part + b"\0" for part in data.split(b"\0")[:-1]]  # a piece may be half a frame, too
        if not data or dice.random() >= self.rate:
            return data
        at = dice.randrange(len(data))
        to = min(len(data), at + dice.randrange(1, 40))
        kind = self._happens(
            dice.choice(
                [
                    "lose",
                    "double",
                    "cut",
                    "flip",
                    "burst",
                    "drop a byte",
                    "garbage",
                    "chatter",
                    "replay",
                    "replay",
                ]
            )
        )
        old = b"".join(dice.choice(earlier) for _ in range(dice.randrange(1, 4))) if earlier else b""
        return {
            "replay": dice.choice([data + old, old + data]),
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
            what = self._happens(
                self.dice.choice(["reset", "unplug", "broken wire", "wrong baud rate", "late", "late"])
            )
            if what == "reset":
                self.board.reset()
                # What the line still held when the board went down: frames, and a part of one.
                self._late = b"".join(self.heard[-3:]) + self.heard[-1][:5]
            elif what == "late":
                self._held_until = time.monotonic() + TIMEOUT * self.dice.uniform(0.9, 1.1)
            else:
                self._cut = what
        if self._cut == "unplug":
            raise TargetDiedError("the port went away")

    def read(self, deadline: float) -> bytes:
        self._accident()
        held = min(deadline, self._held_until) - time.monotonic()
        if held > 0:
            time.sleep(held)
            return b""
        data = self._late or self.board.stream.read(deadline)
        if self._cut:
            data = self.dice.randbytes(len(data)) if self._cut == "wrong baud rate" else b""
        # Frames arrive in pieces.
        split = self.dice.randrange(1, len(data) + 1) if data and self.dice.random() < 0.3 else len(data)
        data, self._late = data[:split], data[split:]
        return self._damaged(data, self.heard)

    def write(self, data: bytes, deadline: float) -> None:
        self._accident()
        self.board.stream.write(self._damaged(data, self.told), deadline)

    def close(self) -> None:
        """The board is unplugged by who has plugged it in."""


def sample(seed: int) -> bytes:
    return random.Random(seed).randbytes(GRAPH.tensors[GRAPH.inputs[0]].bytes)


def session(stream: Line | FdStream, seeds: Sequence[int]) -> Figures:
    """What a run asks of a device: count, sum of the ops, each op's count, output, marks."""
    device = Device(stream, timeout=TIMEOUT)
    device.setup(device.hello(GRAPH.sha256).arena_capacity)
    figures = []
    for seed in seeds:
        device.reset_state()
        device.write_input(0, sample(seed))
        count = device.invoke()
        device.write_input(0, sample(seed))
        profiled = device.invoke(profile=True)
        figures.append((count, profiled, device.op_counts(), device.read_output(0), device.stats()))
    return figures


@pytest.fixture(scope="session")
def right(program: Path) -> Figures:
    """The figures of every sample over a line that is perfect; the outputs are TFLite Micro's."""
    board = Board(program)
    figures = session(board.stream, range(SAMPLES))
    board.unplug()
    inputs = [[np.frombuffer(sample(seed), np.int8)] for seed in range(SAMPLES)]
    assert [figure[3] for figure in figures] == [
        out[0].tobytes() for out in native.tflm(GRAPH.content, inputs)
    ]
    assert len({figure[:3] for figure in figures}) == SAMPLES, "an old figure would not show"
    for _, profiled, ops, _, stats in figures:
        assert profiled == sum(ops)
        assert (stats.stack_bytes, stats.bad_frames, stats.arena_overrun) == (123, 0, False)
        assert 0 < stats.arena_touched_bytes <= stats.arena_high_water_bytes
    return figures


@dataclass(frozen=True)
class End:
    """How a session ended: with figures or with an error, after these accidents."""

    seeds: list[int]
    figures: Figures | None
    error: TinydeployError | None
    accidents: Counter[str]


def accident_prone_sessions(program: Path, number: int) -> list[End]:
    """A session, and if it ends in an error another one, with what the first left on the line."""
    dice = random.Random(number)
    board = Board(program)
    line = Line(board, dice, rate=dice.choice([0.02, 0.1, 0.3]), deadly=dice.choice([0, 0, 0.005]))
    ends: list[End] = []
    while len(ends) < 2 and not (ends and ends[-1].figures):
        seeds = [dice.randrange(SAMPLES) for _ in range(2)]
        figures, error = None, None
        try:
            figures = session(line, seeds)
        except TinydeployError as caught:
            error = caught
        ends.append(End(seeds, figures, error, line.accidents))
    board.unplug()
    return ends


def test_random_accidents_give_the_right_figure_or_a_clear_error(program: Path, right: Figures) -> None:
    ends: dict[int, list[End]] = {}
    numbers = iter(range(SESSIONS))

    def work() -> None:
        for number in numbers:
            ends[number] = accident_prone_sessions(program, number)

    # A session is mostly waiting for what was lost. Daemons, so that one that hangs fails here, and no later.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
        assert not thread.is_alive(), f"a session hangs, after {len(ends)} of {SESSIONS}"

    assert len(ends) == SESSIONS
    for number, some in ends.items():
        for end in some:
            if end.figures is not None:
                assert comparable(end.figures) == comparable([right[seed] for seed in end.seeds]), number
            else:
                assert isinstance(end.error, LinkError | TargetDiedError), number
                assert end.error.message
                assert "\n" not in end.error.message
                assert end.accidents, number
    kinds = Counter(type(end.error).__name__ for some in ends.values() for end in some)
    assert set(kinds) >= {"NoneType", *ERRORS}
    assert kinds["NoneType"] > SESSIONS // 2
    assert len(sum((some[-1].accidents for some in ends.values()), Counter())) == 14


def comparable(figures: Figures) -> Figures:
    """Without the number of damaged frames, which is the line's."""
    return [(*others, dataclasses.replace(stats, bad_frames=0)) for *others, stats in figures]
