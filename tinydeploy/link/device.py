"""The device behind a link, as typed methods: the host's side of the protocol of docs/protocol.md."""

from __future__ import annotations

import secrets
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence

from tinydeploy.errors import (
    DeviceFaultError,
    DeviceResetError,
    DeviceStatusError,
    LinkCorruptError,
    LinkTimeoutError,
    TargetError,
    WrongFirmwareError,
)
from tinydeploy.link import fault, frames
from tinydeploy.link.channel import BAUD, Stream
from tinydeploy.link.frames import Frame
from tinydeploy.link.messages import (
    GREETING_FORMAT,
    PROTOCOL_VERSION,
    REFUSALS,
    REPLY,
    STATS_FORMAT,
    STATUS,
    Greeting,
    Kind,
    SetupReply,
    Stats,
)

_HELLO_RETRY = 0.05  # seconds until the first; doubled after each. A hello may come before the device is up
_FIRST_RETRY = 0.5
_LAST_RETRY = 4.0
_DELIMITER = b"\0"
_TEXT = 8  # characters: what is longer and all printable is no chance
_REBUILD = "build and load the firmware again"
_BAD_LINE = f"a wrong baud rate, or bad cabling: the firmware speaks at {BAUD} baud"


class Device:
    """A session with the firmware at the other end of `stream`. `hello()` comes first.

    `timeout` is how many seconds the device may take for one answer; a tensor of several frames has
    that long for each of them. `on_log` is called with each line that the firmware logs.

    Every method raises LinkTimeoutError, LinkCorruptError, DeviceResetError, DeviceFaultError or
    TargetDiedError when the device does not answer, for these reasons; DeviceStatusError when it
    answers that the request failed. After any of them but the last a new session has to be started.
    """

    def __init__(
        self, stream: Stream, *, timeout: float = 10.0, on_log: Callable[[str], None] = lambda line: None
    ) -> None:
        self.timeout = timeout
        self._stream = stream
        self._on_log = on_log
        self._decoder = frames.Decoder()
        self._received: deque[Frame] = deque()
        self._fault: DeviceFaultError | None = None  # told by a device that nobody has greeted
        self._hint = ""  # of a fault in another session
        self._begun = self._next = 0  # numbers: of the session's hello, of the next request
        self._end = 0  # one more than the highest number sent
        self._window = 1
        self._ops = 0
        self._inputs = self._outputs = 0
        self._setup = SetupReply((), ())

    def hello(self, expected_sha256: str | None = None, expected_build: str | None = None) -> Greeting:
        """Starts a session. Raises WrongFirmwareError if the firmware was not of that model and build.

        Both are in hexadecimal; None takes any model, or any build.
        """
        self._decoder = frames.Decoder()
        self._received.clear()
        self._fault, self._hint = None, ""
        self._window = 1
        # The session's number, with 256 numbers for requests; it goes up with each 256 of them.
        self._begun = self._next = self._end = (1 + secrets.randbelow(2**31)) << 8
        self._send(_DELIMITER)  # ends what an earlier session may have left half-sent
        payload = self._request(Kind.HELLO, None)
        if payload[:1] != bytes([PROTOCOL_VERSION]):
            raise _other_protocol(payload)
        if len(payload) < GREETING_FORMAT.size:
            raise _wrong_length(Kind.HELLO, len(payload), GREETING_FORMAT.size)
        version, window, cycles, clock_hz, capacity, inputs, outputs, ops, sha256, number = (
            GREETING_FORMAT.unpack_from(payload)
        )
        digest, build = sha256.hex(), f"{number:016x}"
        if expected_sha256 is not None and digest != expected_sha256:
            raise WrongFirmwareError(
                f"the device runs the model with SHA-256 {digest[:12]}…, not {expected_sha256[:12]}…",
                _REBUILD,
            )
        if expected_build is not None and build != expected_build:
            raise WrongFirmwareError(
                f"the device runs another build of this model, {build}, not {expected_build}", _REBUILD
            )
        self._window, self._inputs, self._outputs, self._ops = max(1, window), inputs, outputs, ops
        engine = payload[GREETING_FORMAT.size :].decode("ascii", "replace")
        unit = "cycles" if cycles else "instructions"
        return Greeting(
            version, engine, digest, build, window, unit, clock_hz, capacity, inputs, outputs, ops
        )

    def setup(self, arena_bytes: int) -> SetupReply:
        """Builds the model, in its initial state, in an arena of that many bytes, which is painted before."""
        tensors = self._inputs + self._outputs
        payload = self._request(Kind.SETUP, 4 * tensors, struct.pack("<I", arena_bytes))
        sizes = struct.unpack(f"<{tensors}I", payload)
        self._setup = SetupReply(sizes[: self._inputs], sizes[self._inputs :])
        return self._setup

    def write_input(self, index: int, data: bytes) -> None:
        """Fills an input tensor, or its first bytes. An inference may overwrite it: write before each."""
        head = struct.Struct("<BI")
        step = frames.MAX_PAYLOAD - head.size
        parts = [head.pack(index, at) + data[at : at + step] for at in range(0, len(data), step)]
        if parts:
            self._exchange(Kind.WRITE, 0, parts)

    def invoke(self, profile: bool = False, trigger: bool = False) -> int:
        """Runs one inference; returns its count in the greeting's unit.

        With `profile`, op_counts() has each op's count afterwards, and the count returned is their sum. With
        `trigger` a firmware that has a trigger pin holds it high meanwhile.
        """
        flags = bytes([profile | trigger << 1])
        (count,) = struct.unpack("<Q", self._request(Kind.INVOKE, 8, flags))
        return int(count)

    def read_output(self, index: int) -> bytes:
        """All bytes of an output tensor."""
        size, step = self._setup.output_bytes[index], frames.MAX_PAYLOAD - 1
        parts = [(at, min(step, size - at)) for at in range(0, size, step)]
        return b"".join(
            self._request(Kind.READ, part, struct.pack("<BIB", index, at, part)) for at, part in parts
        )

    def op_counts(self) -> tuple[int, ...]:
        """Each op's count in the last inference that was profiled."""
        counts: list[int] = []
        while len(counts) < self._ops:
            take = min(self._ops - len(counts), (frames.MAX_PAYLOAD - 1) // 4)
            payload = self._request(Kind.OPS, 4 * take, struct.pack("<IB", len(counts), take))
            counts += struct.unpack(f"<{take}I", payload)
        return tuple(counts)

    def stats(self) -> Stats:
        """What the painted stack and arena tell."""
        stack, touched, high_water, overrun, bad_frames = STATS_FORMAT.unpack(
            self._request(Kind.STATS, STATS_FORMAT.size)
        )
        return Stats(stack, touched, high_water, bool(overrun), bad_frames)

    def reset_state(self) -> None:
        """Puts the model's state (of an LSTM, of variables) back to its initial values."""
        self._request(Kind.RESET, 0)

    def close(self) -> None:
        """Lets go of the line."""
        self._stream.close()

    def _request(self, kind: Kind, answer_bytes: int | None, payload: bytes = b"") -> bytes:
        return self._exchange(kind, answer_bytes, [payload])

    def _exchange(self, kind: Kind, answer_bytes: int | None, payloads: Sequence[bytes]) -> bytes:
        """Has each of `payloads` executed, in order and once; returns the last one's reply after its status.

        Each reply has to have `answer_bytes` there; None leaves that to the caller.
        Go-back-N: up to a window of frames is sent ahead; a gap or a silence starts again from the
        first frame that is not known to be executed. A reply stands for all frames before its own too.
        """
        total = len(payloads)
        first = self._next
        done = sent = 0  # of the payloads
        rewound_at = -1
        bad_before, retries = self._decoder.bad_frames, 0
        retry = _HELLO_RETRY if kind == Kind.HELLO else _FIRST_RETRY
        now = time.monotonic()
        deadline, retry_at = now + self.timeout, now + retry
        while True:
            until = min(total, done + self._window)
            self._send_all(kind, first + sent, payloads[sent:until])
            sent = max(sent, until)
            frame = self._frame(min(deadline, retry_at))
            now = time.monotonic()
            if frame is None and now < deadline:
                retries += 1
                retry = min(2 * retry, _LAST_RETRY)
                retry_at = now + retry
                sent = done
                self._send(_DELIMITER)  # the device may be in the middle of a frame that lost its end
                continue
            if frame is None or now >= deadline:
                raise self._silence(kind, self._decoder.bad_frames - bad_before, retries)
            before = done
            in_flight = done <= frame.number - first < sent
            if frame.kind == kind | REPLY and frame.payload and in_flight:
                status, answer = frame.payload[0], frame.payload[1:]
                done = frame.number - first + (status not in REFUSALS)
                self._next = first + done
                _check_answer(kind, status, len(answer), answer_bytes)
                if done == total:
                    return answer
            elif frame.kind == Kind.OUT_OF_ORDER and in_flight:
                due = int.from_bytes(frame.payload, "little") - first
                if done <= due < sent:
                    done = due
                    if rewound_at != done:  # each frame after the gap is complained about
                        rewound_at = sent = done
            elif frame.kind == Kind.NO_SESSION and in_flight and kind != Kind.HELLO:
                raise DeviceResetError("the device has started anew in the middle of a session")
            if done > before:
                retry = _FIRST_RETRY
                deadline, retry_at = now + self.timeout, now + retry

    def _send_all(self, kind: Kind, first: int, payloads: Sequence[bytes]) -> None:
        """Sends these payloads, numbered from `first` on, together."""
        if payloads:
            self._end = max(self._end, first + len(payloads))
            self._send(b"".join(frames.encode(Frame(kind, first + i, p)) for i, p in enumerate(payloads)))

    def _frame(self, until: float) -> Frame | None:
        """The next frame that answers a request of this session; None if there is none by then."""
        while True:
            while self._received:
                frame = self._received.popleft()
                if not self._begun <= frame.number < self._end:
                    self._foreign(frame)
                elif frame.kind == Kind.FAULT:
                    raise fault.parse(frame.payload)
                elif frame.kind == Kind.LOG:
                    self._on_log(frame.payload.decode("utf-8", "replace"))
                else:
                    return frame
            if time.monotonic() >= until:
                return None
            self._received.extend(self._decoder.feed(self._stream.read(until)))

    def _foreign(self, frame: Frame) -> None:
        """A frame that is of no request of this session: it answers nothing, but may explain a silence."""
        if frame.kind == Kind.FAULT:
            told = fault.parse(frame.payload)
            if frame.number == 0:  # before any session
                self._fault = told
            else:
                self._hint = f"in an earlier session {told.message}: reset the board"
        # Version 2 had the session's number, which its hello held in the same place, after the version.
        elif frame.kind == Kind.HELLO | REPLY and frame.payload[2:6] == (self._begun >> 8).to_bytes(
            4, "little"
        ):
            raise _other_protocol(frame.payload[1:])

    def _send(self, data: bytes) -> None:
        self._stream.write(data, time.monotonic() + self.timeout)

    def _silence(self, kind: Kind, bad_frames: int, retries: int) -> TargetError:
        if self._fault is not None:
            return self._fault
        what = f"{kind.name} within {self.timeout:g} s"
        noise = self._decoder.noise
        if kind == Kind.HELLO and (said := _text(noise)):
            return WrongFirmwareError(f"the device did not answer {what}; it says “{said}”", _REBUILD)
        if bad_frames and 2 * bad_frames >= retries:
            return LinkCorruptError(
                f"no intact answer to {what}: {bad_frames} frames came damaged", _BAD_LINE
            )
        if kind == Kind.HELLO and noise:
            return LinkCorruptError(f"no intact answer to {what}: what came were no frames", _BAD_LINE)
        if self._hint:
            return LinkTimeoutError(f"the device did not answer {what}", self._hint)
        ways = ["check the port and its wiring"] if kind == Kind.HELLO else []
        ways.append("raise --timeout if it only is slow")
        return LinkTimeoutError(f"the device did not answer {what}", "; ".join(ways))


def _other_protocol(greeting: bytes) -> WrongFirmwareError:
    version = f"version {greeting[0]}" if greeting else "another version"
    return WrongFirmwareError(
        f"the device speaks {version} of the protocol, not {PROTOCOL_VERSION}", _REBUILD
    )


def _check_answer(kind: Kind, status: int, found: int, wanted: int | None) -> None:
    """Raises DeviceStatusError for a status, LinkCorruptError for an answer of the wrong length."""
    if status:
        raise DeviceStatusError(STATUS.get(status, f"the device answers status {status}"))
    if wanted not in (None, found):
        raise _wrong_length(kind, found, wanted)


def _wrong_length(kind: Kind, found: int, wanted: int | None) -> LinkCorruptError:
    return LinkCorruptError(
        f"the device's answer to {kind.name} has {found} bytes instead of {wanted}", _REBUILD
    )


def _text(noise: bytes) -> str:
    """The longest line of `noise`, if it is text that a person was meant to read; else nothing."""
    lines = noise.decode("ascii", "replace").replace("\ufffd", "\0").strip().splitlines()
    readable = sum(map(len, lines)) >= _TEXT and all(map(str.isprintable, lines))
    return max(lines, key=len)[:80] if readable else ""
