"""The messages of the protocol of docs/protocol.md: kinds of frames, and what replies hold."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from tinydeploy.link import frames

PROTOCOL_VERSION = 3
REPLY = 0x80
GREETING_FORMAT = struct.Struct("<BBBIIIII32sQ")  # the fields of Greeting; the engine's name follows
STATS_FORMAT = struct.Struct("<IIIBI")  # the fields of Stats


class Kind(IntEnum):
    """What a frame says; a reply is its request's kind with _REPLY set."""

    HELLO = 0x01
    SETUP = 0x02
    WRITE = 0x03
    INVOKE = 0x04
    READ = 0x05
    OPS = 0x06
    STATS = 0x07
    RESET = 0x08
    OUT_OF_ORDER = 0xC0
    NO_SESSION = 0xC1
    LOG = 0xC2
    FAULT = 0xC3


STATUS = {
    1: "the arena is too small",
    2: "the inference failed",
    3: "the engine cannot run this model on this core",
    0x40: "the device refuses the request as malformed",
    0x41: "the device has no model set up",
}
MAX_TENSORS = (frames.MAX_PAYLOAD - 1) // 4
"""How many inputs and outputs a model may have: one reply holds the size of each."""
REFUSALS = (0x40, 0x41)  # not executed, so its number is still due


@dataclass(frozen=True)
class Greeting:
    """Who answers: firmware, capacities, and what it counts: "instructions", or "cycles" of `clock_hz`."""

    version: int
    engine: str
    model_sha256: str
    build_id: str
    window: int
    unit: str
    clock_hz: int  # 0 if instructions are counted
    arena_capacity: int
    inputs: int
    outputs: int
    ops: int


@dataclass(frozen=True)
class SetupReply:
    """Bytes of each input and output tensor."""

    input_bytes: tuple[int, ...]
    output_bytes: tuple[int, ...]


@dataclass(frozen=True)
class Stats:
    """Marks that the firmware left in painted memory, in bytes.

    `stack_bytes` is the most that was in use since start-up, `arena_touched_bytes` how many bytes of
    the arena were written since setup(), `arena_high_water_bytes` how far in the last of them lies.
    `arena_overrun` says whether anything before or after the arena was written. `bad_frames` counts
    damaged frames that the device has dropped.
    """

    stack_bytes: int
    arena_touched_bytes: int
    arena_high_water_bytes: int
    arena_overrun: bool
    bad_frames: int
