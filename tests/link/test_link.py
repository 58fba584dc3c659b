"""The link: the codec, and the host's side of the protocol against the device's own C++, run natively."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import firmware_build
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinydeploy.errors import (
    DeviceFaultError,
    DeviceResetError,
    DeviceStatusError,
    LinkCorruptError,
    LinkError,
    LinkTimeoutError,
    TargetDiedError,
    TargetError,
    WrongFirmwareError,
)
from tinydeploy.link import device as device_module
from tinydeploy.link import fault
from tinydeploy.link.channel import FdStream, SerialStream, Stream
from tinydeploy.link.device import Device
from tinydeploy.link.frames import MAX_PAYLOAD, Decoder, Frame, encode
from tinydeploy.link.messages import Kind

ECHO_SHA256 = "010203" + 29 * "00"
pytestmark = pytest.mark.usefixtures("quick_retries")

ECHO_BYTES = 600
BUILD_ID = firmware_build.BUILD_ID
FAIL, LOG = 0xF2, 0xF3  # first input bytes that the echo engine takes as orders

frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 2**40 - 1), st.binary(max_size=MAX_PAYLOAD))
chunks = st.integers(1, 300)


@given(st.lists(frames, max_size=5), chunks)
def test_frames_round_trip_however_the_stream_is_cut(sent: list[Frame], step: int) -> None:
    line = b"".join(map(encode, sent))
    decoder = Decoder()
    received = [frame for at in range(0, len(line), step) for frame in decoder.feed(line[at : at + step])]
    assert received == sent
    assert decoder.bad_frames == 0


@given(frames)
def test_a_frame_costs_two_bytes_beside_its_body_and_holds_no_zero(frame: Frame) -> None:
    line = encode(frame)
    assert len(line) == 2 + len(frame.payload) + 8 + 2
    assert line.index(0) == len(line) - 1


@given(st.lists(st.binary(max_size=600), max_size=8))
def test_garbage_neither_breaks_the_decoder_nor_hides_the_next_frame(garbage: list[bytes]) -> None:
    decoder = Decoder()
    for piece in garbage:
        decoder.feed(piece)
    assert decoder.feed(b"\0" + encode(Frame(1, 2, b"three")))[-1] == Frame(1, 2, b"three")


@given(frames, st.integers(0, 8 * 256))
def test_a_flipped_bit_is_never_taken_for_the_frame(frame: Frame, position: int) -> None:
    line = bytearray(encode(frame))
    line[position // 8 % len(line)] ^= 1 << position % 8
    assert frame not in Decoder().feed(bytes(line)) or bytes(line) == encode(frame)


def test_a_payload_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="245"):
        encode(Frame(0, 0, bytes(MAX_PAYLOAD + 1)))


@contextmanager
def process(program: Path) -> Iterator[tuple[FdStream, subprocess.Popen[bytes]]]:
    child_reads, we_write = os.pipe()
    we_read, child_writes = os.pipe()
    child = subprocess.Popen([program], stdin=child_reads, stdout=child_writes)
    os.close(child_reads)
    os.close(child_writes)
    stream = FdStream(we_read, we_write, lambda: TargetDiedError("gone"))
    try:
        yield stream, child
    finally:
        stream.close()
        if child.poll() is None:
            assert child.wait(10) == 0, "the firmware crashed"


def pattern(seed: int) -> bytes:
    return bytes((7 * index + seed) % 240 for index in range(ECHO_BYTES))


def echoed(data: bytes, earlier: int) -> bytes:
    return bytes((byte + 1 + earlier) % 256 for byte in data)


def test_a_session(echo: Path) -> None:
    lines: list[str] = []
    with process(echo) as (stream, _):
        device = Device(stream, on_log=lines.append)
        greeting = device.hello(ECHO_SHA256)
        assert (greeting.engine, greeting.model_sha256, greeting.unit) == (
            "echo",
            ECHO_SHA256,
            "instructions",
        )
        assert (greeting.inputs, greeting.outputs, greeting.ops, greeting.arena_capacity) == (1, 1, 3, 4096)
        setup = device.setup(4096)
        assert setup.input_bytes == setup.output_bytes == (ECHO_BYTES,)
        for earlier in range(3):
            device.write_input(0, pattern(earlier))
            assert device.invoke() == 0  # the native counter only counts readings
            assert device.read_output(0) == echoed(pattern(earlier), earlier)
        device.reset_state()
        device.write_input(0, bytes([LOG]) + pattern(1)[1:])
        device.invoke(profile=True)
        assert device.read_output(0) == echoed(bytes([LOG]) + pattern(1)[1:], 0)
        assert lines == ["invocation 0 of echo, 100% of beef"]
        assert device.op_counts() == (0, 0, 0)
        stats = device.stats()
        assert (stats.stack_bytes, stats.arena_overrun, stats.bad_frames) == (123, False, 0)
        assert stats.arena_touched_bytes == stats.arena_high_water_bytes == 2 * ECHO_BYTES


def test_sequence_numbers_wrap(echo: Path) -> None:
    with process(echo) as (stream, _):
        device = Device(stream)
        device.hello()
        device.setup(2048)
        for count in range(300):
            device.write_input(0, pattern(count))
        device.invoke()
        assert device.read_output(0) == echoed(pattern(299), 0)


def test_refusals_and_failures_leave_the_session_usable(echo: Path) -> None:
    with process(echo) as (stream, _):
        device = Device(stream)
        device.hello()
        with pytest.raises(DeviceStatusError, match="no model set up"):
            device.invoke()
        with pytest.raises(DeviceStatusError, match="arena is too small"):
            device.setup(1199)
        with pytest.raises(DeviceStatusError, match="malformed"):
            device.setup(4097)
        device.setup(1200)
        with pytest.raises(DeviceStatusError, match="malformed"):
            device.write_input(0, bytes(ECHO_BYTES + 1))
        with pytest.raises(DeviceStatusError, match="malformed"):
            device.write_input(1, b"x")
        device.write_input(0, bytes([FAIL]) + pattern(0)[1:])
        with pytest.raises(DeviceStatusError, match="inference failed"):
            device.invoke()
        device.write_input(0, pattern(5))
        device.invoke()
        assert device.read_output(0) == echoed(pattern(5), 0)


def test_another_model_is_not_taken(echo: Path) -> None:
    with process(echo) as (stream, _):
        with pytest.raises(WrongFirmwareError, match="010203"):
            Device(stream).hello("ff" * 32)
        assert Device(stream).hello(ECHO_SHA256).engine == "echo"


def test_another_build_of_the_model_is_not_taken(echo: Path) -> None:
    with process(echo) as (stream, _):
        with pytest.raises(WrongFirmwareError, match=f"another build.*{BUILD_ID}, not {16 * 'f'}") as caught:
            Device(stream).hello(ECHO_SHA256, 16 * "f")
        assert "again" in caught.value.hint
        assert Device(stream).hello(ECHO_SHA256, BUILD_ID).build_id == BUILD_ID


def test_another_protocol_is_not_taken(echo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "PROTOCOL_VERSION", 99)
    with process(echo) as (stream, _), pytest.raises(WrongFirmwareError, match="version 3 of"):
        Device(stream).hello()


def test_death_is_told_from_silence(echo: Path) -> None:
    with process(echo) as (stream, child):
        device = Device(stream, timeout=0.3)
        device.hello()
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(LinkTimeoutError):
            device.stats()
        child.kill()
        child.wait(10)
        with pytest.raises(TargetDiedError):
            device.hello()


class Switched:
    """A stream that can be put onto another device, as when a board resets."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def read(self, deadline: float) -> bytes:
        return self.stream.read(deadline)

    def write(self, data: bytes, deadline: float) -> None:
        self.stream.write(data, deadline)

    def close(self) -> None:
        self.stream.close()


def test_a_reset_in_the_middle_is_noticed(echo: Path) -> None:
    with process(echo) as (first, _), process(echo) as (second, _):
        switched = Switched(first)
        device = Device(switched)
        device.hello()
        device.setup(2048)
        switched.stream = second
        with pytest.raises(DeviceResetError):
            device.invoke()
        device.hello()
        device.setup(2048)


class Deaf:
    """A peer that answers whatever it is sent with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked = 0

    def read(self, deadline: float) -> bytes:
        if self.asked and self.answer:
            self.asked = 0
            return self.answer
        time.sleep(max(0.0, deadline - time.monotonic()))
        return b""

    def write(self, data: bytes, deadline: float) -> None:
        self.asked += 1

    def close(self) -> None:
        """Nothing to close."""


def test_damaged_answers_are_told_from_silence() -> None:
    damaged = bytearray(encode(Frame(0x81, 0, b"hello")))
    damaged[3] ^= 1
    with pytest.raises(LinkCorruptError, match="damaged"):
        Device(Deaf(bytes(damaged)), timeout=0.2).hello()
    with pytest.raises(LinkTimeoutError):
        Device(Deaf(b""), timeout=0.2).hello()


def test_a_peer_that_never_stops_talking_is_left_at_the_deadline() -> None:
    class Chatter(Deaf):
        def read(self, deadline: float) -> bytes:
            return self.answer

    log = encode(Frame(Kind.LOG, 0, b"again"))
    for noise in (b"noise ", log, bytes(100)):
        with pytest.raises(LinkError):
            Device(Chatter(noise), timeout=0.2).hello()


faults = st.sampled_from(["drop", "flip", "twice", "cut", "garbage"])
plans = st.lists(st.one_of(st.none(), faults), max_size=24)


class Faulty:
    """A line that does to each piece of traffic what its plans say, and is perfect afterwards."""

    def __init__(
        self, stream: Stream, sending: list[str | None], receiving: list[str | None], seed: int
    ) -> None:
        self.stream = stream
        self.sending, self.receiving = list(sending), list(receiving)
        self.seed = seed

    def damaged(self, data: bytes, plan: list[str | None]) -> bytes:
        what = plan.pop(0) if plan and data else None
        self.seed = (self.seed * 1103515245 + 12345) % 2**31
        at = self.seed // 8 % max(1, len(data))
        if what == "drop":
            return b""
        if what == "flip":
            return data[:at] + bytes([data[at] ^ 1 << self.seed % 8]) + data[at + 1 :]
        if what == "twice":
            return data + data
        if what == "cut":
            return data[:at]
        if what == "garbage":
            return data[:at] + bytes([self.seed % 251, 0, self.seed % 241]) + data[at:]
        return data

    def read(self, deadline: float) -> bytes:
        return self.damaged(self.stream.read(deadline), self.receiving)

    def write(self, data: bytes, deadline: float) -> None:
        self.stream.write(self.damaged(data, self.sending), deadline)

    def close(self) -> None:
        self.stream.close()


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sending=plans, receiving=plans, seed=st.integers(0, 2**31 - 1))
def test_a_faulty_line_gives_the_right_data_or_a_clear_error(
    echo: Path, sending: list[str | None], receiving: list[str | None], seed: int
) -> None:
    """The echo engine's answer depends on how often it was invoked, so a request done twice would show."""
    with process(echo) as (stream, _):
        device = Device(Faulty(stream, sending, receiving, seed), timeout=3)
        try:
            device.hello(ECHO_SHA256)
            device.setup(2048)
            for earlier in range(3):
                device.write_input(0, pattern(earlier))
                device.invoke()
                assert device.read_output(0) == echoed(pattern(earlier), earlier)
        except LinkError:
            assert sending or receiving


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.lists(st.one_of(st.binary(max_size=400), frames.map(encode)), max_size=6))
def test_no_noise_brings_the_firmware_down(echo: Path, noise: list[bytes]) -> None:
    with process(echo) as (stream, _):
        for piece in noise:
            # Told the right bytes, the echo engine faults or hangs; that is not what is looked for here.
            if not any(frame.kind == Kind.INVOKE for frame in Decoder().feed(piece)):
                stream.write(piece, time.monotonic() + 5)
        assert Device(stream).hello(ECHO_SHA256).engine == "echo"


def test_a_serial_port(echo: Path) -> None:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    name = os.ttyname(theirs)
    child = subprocess.Popen([echo], stdin=ours, stdout=ours)
    os.close(ours)
    stream = SerialStream(name)
    os.close(theirs)
    try:
        device = Device(stream)
        device.hello(ECHO_SHA256)
        device.setup(2048)
        device.write_input(0, pattern(3))
        device.invoke()
        assert device.read_output(0) == echoed(pattern(3), 0)
        child.kill()
        child.wait(10)
        with pytest.raises(TargetDiedError, match=name):
            device.stats()
    finally:
        stream.close()
        child.kill()
        child.wait(10)


def test_a_serial_port_that_is_not_there() -> None:
    with pytest.raises(TargetError, match="no-such-port"):
        SerialStream("/dev/no-such-port")


def arm_fault(cfsr: int, *, sp: int = 0x20001000, bfar: int = 0) -> DeviceFaultError:
    words = [0, 0, 0, 0, 0, 0, 0x1234, 0x01000000, cfsr, 1 << 30, 0, bfar, sp, 3]
    return fault.parse(b"\x01" + b"".join(word.to_bytes(4, "little") for word in words))


def test_arm_faults_in_words() -> None:
    assert arm_fault(1 << 16).message == "the core faulted at pc 0x1234: undefined instruction"
    assert arm_fault(1 << 25).message.endswith("division by zero")
    assert "(address 0x1ffffff0)" in arm_fault(1 << 9 | 1 << 15, bfar=0x1FFFFFF0).message
    overflow = arm_fault(1 << 9 | 1 << 12, sp=0x1FFFFFE0)
    assert "stack overflow" in overflow.message
    assert "stack_bytes" in overflow.hint
    assert overflow.pc == 0x1234
    assert arm_fault(1 << 16).at("f (a.cpp:1)").message.endswith("undefined instruction in f (a.cpp:1)")


@given(st.binary(max_size=80))
def test_any_fault_report_can_be_put_into_words(payload: bytes) -> None:
    assert "faulted" in fault.parse(payload).message
