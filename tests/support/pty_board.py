"""netduinoplus2 in QEMU behind a pseudo-terminal: to tinydeploy, a dev board on a serial port.

Run as a program it is the board's upload tool: `pty_board.py FOLDER ELF` replaces what is in the board's
flash and resets it.
"""

from __future__ import annotations

import os
import pty
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

BOARD = "netduinoplus2"
_PROBE = "probe"  # the socket of the board's debug probe
_STEP = 0.02  # seconds

Damage = Callable[[bytes], bytes]


def intact(data: bytes) -> bytes:
    return data


class PtyBoard:
    """The board, plugged in at `port`, with nothing in its flash until `flash` is there.

    `boot_log` is what it says after each reset, before the firmware runs. With `resets_on_open` it is
    reset by whoever opens the port; with `vanishes` it leaves the bus in an upload, as a board that is
    its own USB device. `to_device` and `to_host` see all traffic. After `unplug_after` bytes to the host
    it is unplugged. With `ignores_uploads` it keeps the firmware it has. `in_bootloader` it has no port until
    an upload has given it a firmware.
    """

    def __init__(self, folder: Path) -> None:
        self.port = folder / "ttyACM0"
        self.flash = folder / "flash.elf"
        self.upload_command = f"{sys.executable} {__file__} {folder} $SOURCE"
        self.boot_log = b""
        self.resets_on_open = self.vanishes = self.ignores_uploads = self.in_bootloader = False
        self.to_device: Damage = intact
        self.to_host: Damage = intact
        self.unplug_after: int | None = None
        self.uploads = self.resets = 0
        self._ours = -1
        self._is_open = False
        self._said = 0
        self._qemu: subprocess.Popen[bytes] | None = None
        self._probe = socket.socket(socket.AF_UNIX)
        self._probe.bind(str(folder / _PROBE))
        self._probe.listen()
        self._over = False
        self._thread = threading.Thread(target=self._live)

    def __enter__(self) -> PtyBoard:
        if not self.in_bootloader:
            self._plug()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._thread.join()
        self._unplug()
        self._probe.close()

    def _plug(self) -> None:
        self._ours, theirs = pty.openpty()
        tty.setraw(theirs)
        self.port.symlink_to(os.ttyname(theirs))
        os.close(theirs)
        self._is_open = False

    def _unplug(self) -> None:
        self._off()
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1
            self.port.unlink()

    def _off(self) -> None:
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.communicate()
            self._qemu = None

    def _reset(self) -> None:
        self.resets += 1
        self._off()
        self._say(self.boot_log)
        if self.flash.exists():
            command = [
                "qemu-system-arm",
                "-M",
                BOARD,
                "-kernel",
                str(self.flash),
                "-icount",
                "shift=0,sleep=off",
            ]
            command += ["-display", "none", "-monitor", "none", "-nodefaults", "-chardev", "stdio,id=uart"]
            pipe = subprocess.PIPE
            self._qemu = subprocess.Popen(
                [*command, "-serial", "chardev:uart"], stdin=pipe, stdout=pipe, bufsize=0
            )

    def _say(self, data: bytes) -> None:
        if data:
            os.write(self._ours, data)

    def _live(self) -> None:
        while not self._over:
            if self._qemu is not None and self._qemu.poll() is not None:
                self._off()
            poll = select.poll()
            said = self._qemu.stdout.fileno() if self._qemu else -1
            for fd in (self._ours, said, self._probe.fileno()):
                if fd >= 0:
                    poll.register(fd, select.POLLIN)
            events = dict(poll.poll(1000 * _STEP))
            if self._ours >= 0:
                self._port(events.get(self._ours, 0))
            if events.get(said):
                self._talk(os.read(said, 4096))
            if self._probe.fileno() in events:
                self._upload()

    def _port(self, events: int) -> None:
        if events & select.POLLHUP:
            self._is_open = False
            time.sleep(_STEP)
            return
        if not self._is_open:
            self._is_open = True
            if self.resets_on_open:
                self._reset()
        if events & select.POLLIN:
            data = self.to_device(os.read(self._ours, 4096))
            if self._qemu is not None and data:
                self._qemu.stdin.write(data)

    def _talk(self, data: bytes) -> None:
        self._say(self.to_host(data))
        self._said += len(data)
        if self.unplug_after is not None and self._said >= self.unplug_after:
            self._unplug()

    def _upload(self) -> None:
        """A connection to the probe is an upload."""
        connection, _ = self._probe.accept()
        with connection:
            elf = connection.makefile().readline().strip()
            self.uploads += 1
            if not self.ignores_uploads:
                shutil.copy(elf, self.flash)
            if self.vanishes:
                self._unplug()
            connection.sendall(b"done\n")
        if self.vanishes or self.in_bootloader:
            time.sleep(0.5)
            self._plug()
        self._reset()


def upload(folder: str, elf: str) -> int:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(f"{folder}/{_PROBE}")
        except OSError:
            print("Error: no probe is connected")
            return 3
        probe.sendall(f"{Path(elf).resolve()}\n".encode())
        return 0 if probe.recv(100) else 4


if __name__ == "__main__":
    sys.exit(upload(sys.argv[1], sys.argv[2]))
