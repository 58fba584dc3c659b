"""Intact frames that are no answer: of another session, of another request, of another length."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from cobs import cobs
from test_link import ECHO_SHA256, echoed, pattern, process

from tinydeploy.errors import (
    DeviceFaultError,
    LinkCorruptError,
    LinkTimeoutError,
    TargetError,
    WrongFirmwareError,
)
from tinydeploy.evaluate import execution
from tinydeploy.link import messages
from tinydeploy.link.channel import Stream
from tinydeploy.link.device import Device
from tinydeploy.link.frames import Decoder, Frame, encode
from tinydeploy.link.messages import Kind

pytestmark = pytest.mark.usefixtures("quick_retries")


class Recorder:
    """A line that keeps what the device says, and says `next_time` before what is new."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.heard: list[bytes] = []
        self.next_time: list[bytes] = []
        self.hold = False
        self.swallow = False  # what the host says

    def read(self, deadline: float) -> bytes:
        if self.next_time:
            return self.next_time.pop(0)
        data = self.stream.read(deadline)
        self.heard += [part + b"\0" for part in data.split(b"\0")[:-1]]
        return b"" if self.hold else data

    def write(self, data: bytes, deadline: float) -> None:
        if not self.swallow:
            self.stream.write(data, deadline)

    def close(self) -> None:
        self.stream.close()


def one_sample(device: Device, seed: int) -> bytes:
    device.reset_state()
    device.write_input(0, pattern(seed))
    device.invoke(profile=True)
    device.op_counts()
    assert device.stats().stack_bytes == 123
    return device.read_output(0)


def test_nothing_of_an_earlier_session_answers(echo: Path) -> None:
    """Every answer of a first session, said again whenever the second one waits for its own."""
    with process(echo) as (stream, _):
        line = Recorder(stream)
        device = Device(line, timeout=5)
        device.hello(ECHO_SHA256)
        device.setup(2048)
        assert one_sample(device, 1) == echoed(pattern(1), 0)
        old = [*line.heard, encode(Frame(Kind.LOG, 5, b"old"))]
        logged: list[str] = []
        device = Device(line, timeout=5, on_log=logged.append)
        for seed, ask in ((2, device.hello), (3, lambda: device.setup(2048)), (4, lambda: None)):
            line.next_time = [b"".join(old)]
            ask()
            line.next_time = [b"".join(old)] * 9
            if seed == 4:
                assert one_sample(device, seed) == echoed(pattern(seed), 0)
        assert logged == []


def test_an_answer_that_comes_after_its_deadline_is_too_late_for_good(echo: Path) -> None:
    with process(echo) as (stream, _):
        line = Recorder(stream)
        device = Device(line, timeout=5)
        device.hello()
        device.setup(2048)
        device.write_input(0, pattern(1))
        device.invoke()
        line.hold, device.timeout = True, 0.5
        with pytest.raises(LinkTimeoutError):
            device.read_output(0)
        line.hold, late = False, line.heard[-1]
        device.timeout = 5
        device.hello()
        device.setup(2048)
        line.next_time = [late] * 20
        assert one_sample(device, 9) == echoed(pattern(9), 0)


def test_numbers_go_on_where_a_byte_of_them_wraps(echo: Path) -> None:
    """All the device has said is said again 256 requests later, when the lowest byte is the same again."""
    with process(echo) as (stream, _):
        line = Recorder(stream)
        device = Device(line, timeout=5)
        device.hello()
        device.setup(2048)
        for seed in range(100):
            assert one_sample(device, seed % 7) == echoed(pattern(seed % 7), 0)
            heard = line.heard[-256:]
            line.next_time = [heard[0], b"".join(heard[:4]), b"".join(heard)]
        assert len(line.heard) > 3 * 256


def test_half_a_frame_that_a_reset_has_left_does_not_matter(echo: Path) -> None:
    with process(echo) as (stream, _):
        line = Recorder(stream)
        device = Device(line, timeout=5)
        device.hello()
        device.setup(2048)
        one_sample(device, 1)
        line.stream.write(encode(Frame(Kind.INVOKE, 3, b"\0"))[:-1], time.monotonic() + 1)
        line.next_time = [line.heard[-1], line.heard[-1][:9]]
        device.hello()
        device.setup(2048)
        assert one_sample(device, 2) == echoed(pattern(2), 0)


def test_an_old_request_is_not_executed(echo: Path) -> None:
    told: list[bytes] = []
    with process(echo) as (stream, _):
        line = Recorder(stream)
        line.write = lambda data, deadline: (told.append(data), stream.write(data, deadline))[1]  # type: ignore[method-assign]
        device = Device(line, timeout=5)
        device.hello()
        device.setup(2048)
        one_sample(device, 1)
        old = [data for data in told if not any(frame.kind == Kind.HELLO for frame in Decoder().feed(data))]
        device.hello()
        device.setup(2048)
        device.write_input(0, pattern(5))
        stream.write(b"".join(old), time.monotonic() + 5)
        device.invoke()
        assert device.read_output(0) == echoed(pattern(5), 0)


def test_a_fault_of_another_session_is_no_fault_of_this_one(echo: Path) -> None:
    old = encode(Frame(Kind.FAULT, 77 << 8, b"\x01" + bytes(56)))
    with process(echo) as (stream, _):
        line = Recorder(stream)
        line.next_time = [old]
        device = Device(line, timeout=5)
        device.hello()
        line.next_time = [old]
        device.setup(2048)
        line.swallow = True
        line.next_time = [old]
        device.timeout = 0.1
        with pytest.raises(LinkTimeoutError) as silent:
            device.stats()
        assert "in an earlier session the core faulted" in silent.value.hint
        line.next_time = [encode(Frame(Kind.FAULT, 0, b"\x01" + bytes(56)))]
        with pytest.raises(DeviceFaultError):
            device.hello()


class Scripted:
    """A device in Python: `answers` has the payload of each kind's reply, after its status."""

    def __init__(self, answers: dict[Kind, bytes]) -> None:
        self.answers = answers
        self.decoder = Decoder()
        self.said = b""

    def write(self, data: bytes, deadline: float) -> None:
        for frame in self.decoder.feed(data):
            answer = b"\0" + self.answers[Kind(frame.kind)]
            self.said += encode(Frame(frame.kind | 0x80, frame.number, answer))

    def read(self, deadline: float) -> bytes:
        said, self.said = self.said, b""
        return said

    def close(self) -> None:
        """Nothing to close."""


GREETING = struct.pack("<BBBIIIII32sQ", messages.PROTOCOL_VERSION, 1, 0, 0, 64, 1, 1, 2, bytes(32), 0)
RIGHT = {
    Kind.HELLO: GREETING + b"aot",
    Kind.SETUP: struct.pack("<2I", 4, 6),
    Kind.WRITE: b"",
    Kind.INVOKE: struct.pack("<Q", 7),
    Kind.READ: b"123456",
    Kind.OPS: struct.pack("<2I", 3, 4),
    Kind.STATS: struct.pack("<IIIBI", 1, 2, 3, 1, 5),
    Kind.RESET: b"",
}


def ask_everything(answers: dict[Kind, bytes]) -> None:
    device = Device(Scripted(answers), timeout=0.5)
    device.hello()
    device.setup(64)
    device.reset_state()
    device.write_input(0, b"1234")
    assert device.invoke() == 7
    assert device.op_counts() == (3, 4)
    assert device.read_output(0) == b"123456"
    assert device.stats() == messages.Stats(1, 2, 3, True, 5)


@pytest.mark.parametrize("kind", list(RIGHT), ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    "change", [lambda payload: payload[:-1], lambda payload: payload + b"x"], ids=["-", "+"]
)
def test_an_answer_of_the_wrong_length_is_none(kind: Kind, change: Callable[[bytes], bytes]) -> None:
    ask_everything(RIGHT)
    wrong = change(RIGHT[kind]) if kind != Kind.HELLO else GREETING[:-1]
    if wrong == RIGHT[kind]:
        return  # nothing can be taken from nothing
    with pytest.raises(
        LinkCorruptError, match=rf"answer to {kind.name} has {len(wrong)} bytes instead of \d+"
    ):
        ask_everything(RIGHT | {kind: wrong})


@pytest.mark.parametrize("sizes", [(4, 7), (5, 6), (4, 2**32 - 1)])
def test_tensors_that_are_not_the_models_are_refused_before_anything_is_read(sizes: tuple[int, int]) -> None:
    with pytest.raises(WrongFirmwareError, match=r"bytes.*the model's"):
        execution.check_tensors(messages.SetupReply(sizes[:1], sizes[1:]), (4,), (6,))
    execution.check_tensors(messages.SetupReply((4,), (6,)), (4,), (6,))


def test_an_older_firmware_is_told_by_its_version() -> None:
    class VersionTwo(Scripted):
        """Its frames have a sequence number of one byte; its hello held the session's number."""

        def write(self, data: bytes, deadline: float) -> None:
            for part in filter(None, data.split(b"\0")):
                kind, sequence, *session = cobs.decode(part)[:-4]
                body = bytes([kind | 0x80, sequence, 0, 2, *session]) + bytes(60) + b"aot"
                self.said += cobs.encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\0"

    with pytest.raises(WrongFirmwareError, match="version 2 of the protocol, not 3"):
        Device(VersionTwo({}), timeout=1).hello()
    with pytest.raises(TargetError, match="version 9"):
        ask_everything(RIGHT | {Kind.HELLO: b"\x09"})
