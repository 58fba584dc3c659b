"""A PPK2 on a pseudo-terminal: to tinydeploy, a meter whose trigger input sees inferences.

It speaks the serial protocol that the package ppk2-api knows: a command is a byte with its arguments, a
sample four bytes, whose lowest 14 bits are the converter's, the next three the range, the highest eight the
inputs.
"""

from __future__ import annotations

import os
import select
import struct
import threading

from tinydeploy.link.pseudo_terminal import PseudoTerminal

_CALIBRATION = "Calibrated: 1\nR0: 1000\nR1: 100\nR2: 10\nR3: 1\nR4: 0.05\nGS2: 0\nHW: 9173\nIA: 56\nEND"
_METADATA, _START, _STOP = 0x19, 0x06, 0x07
_ARGUMENTS = {0x0D: 2, 0x11: 1, 0x0C: 1}  # by command, the bytes that follow it
_IDLE, _BUSY = 100, 1000  # of the converter, in range 2: 10 ohms
PER_COUNT = 4 * 1.8 / 163840 / 10  # amperes of one of them


def sample(converter: int, trigger: bool) -> bytes:
    return struct.pack("<I", converter | 2 << 14 | trigger << 24)


class FakePpk2(PseudoTerminal):
    """The meter at `port`. Of each start it sends `pulses` inferences of `samples` samples, with gaps."""

    def __init__(self, pulses: int, samples: int = 50) -> None:
        super().__init__(self._live)
        gap = sample(_IDLE, False) * 20
        self._stream = gap + (sample(_BUSY, True) * samples + gap) * pulses
        self.has_stopped = threading.Event()

    def _live(self) -> None:
        said, out = b"", b""
        while not self.over:
            reads, writes, _ = select.select([self.ours], [self.ours] if out else [], [], 0.02)
            if writes:
                out = out[os.write(self.ours, out[:1024]) :]
            if not reads:
                continue
            said += os.read(self.ours, 256)
            while said and len(said) > (extra := _ARGUMENTS.get(said[0], 0)):
                command, said = said[0], said[1 + extra :]
                if command == _METADATA:
                    out += _CALIBRATION.encode()
                elif command == _START:
                    out += self._stream
                elif command == _STOP:
                    self.has_stopped.set()
