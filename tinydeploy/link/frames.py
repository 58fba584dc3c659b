"""Frames: kind, number, payload and CRC-32, stuffed with COBS, ended by a zero byte."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from cobs import cobs

MAX_PAYLOAD = 244
_HEADER = 2  # kind, and the number's lowest byte
_NUMBER = 4  # its other bytes
_CRC = 4
_MAX_STUFFED = _HEADER + MAX_PAYLOAD + _NUMBER + _CRC + 1


@dataclass(frozen=True)
class Frame:
    """One frame. `kind` is 0..255, `number` is 0..2**40 - 1, `payload` is at most MAX_PAYLOAD bytes."""

    kind: int
    number: int
    payload: bytes = b""


def encode(frame: Frame) -> bytes:
    """The frame's bytes on the line, zero byte included. Raises ValueError for too long a payload."""
    if len(frame.payload) > MAX_PAYLOAD:
        raise ValueError(f"a payload of {len(frame.payload)} bytes")
    body = (
        bytes((frame.kind, frame.number & 0xFF))
        + frame.payload
        + (frame.number >> 8).to_bytes(_NUMBER, "little")
    )
    return bytes(cobs.encode(body + zlib.crc32(body).to_bytes(_CRC, "little"))) + b"\0"


class Decoder:
    """Takes a byte stream apart. `bad_frames` counts what was between two zero bytes and no intact frame."""

    def __init__(self) -> None:
        self.bad_frames = 0
        self._pending = bytearray()
        self._bad = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The intact frames that end in `data`, in order. Any bytes may be fed; memory stays bounded."""
        *ended, rest = data.split(b"\0")
        frames = []
        for part in ended:
            self._pending += part
            stuffed = bytes(self._pending)
            self._pending.clear()
            if stuffed:
                frame = _decode(stuffed)
                if frame is None:
                    self.bad_frames += 1
                    self._bad = stuffed[-_MAX_STUFFED:]
                else:
                    frames.append(frame)
        # A byte more than the longest frame is enough to know that it is none.
        self._pending += rest[: _MAX_STUFFED + 1 - len(self._pending)]
        return frames

    @property
    def noise(self) -> bytes:
        """The latest bytes that are no intact frame, at most one frame's worth."""
        return bytes(self._pending) or self._bad


def _decode(stuffed: bytes) -> Frame | None:
    if len(stuffed) > _MAX_STUFFED:
        return None
    try:
        body = cobs.decode(stuffed)
    except cobs.DecodeError:
        return None
    content, crc = body[:-_CRC], body[-_CRC:]
    if len(content) < _HEADER + _NUMBER or zlib.crc32(content) != int.from_bytes(crc, "little"):
        return None
    number = content[1] | int.from_bytes(content[-_NUMBER:], "little") << 8
    return Frame(content[0], number, bytes(content[_HEADER:-_NUMBER]))
