"""QEMU counts what a firmware executes: a plugin, compiled once on this machine, and what it writes.

A plugin sees the very firmware that is measured, and its instructions add up to what that counts itself.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from tinydeploy.boards.board import Board
from tinydeploy.errors import TargetError, ToolError
from tinydeploy.firmware import code
from tinydeploy.host import memo, tools
from tinydeploy.targets.executed import ROW, Executed

_SOURCE = Path(__file__).with_suffix(".cpp")
_COMPILER = "g++"
_FLAGS = ("-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra")
_TIMEOUT = 120.0  # seconds that a compiler may take
_NEW_INTERFACE = 9  # from this version on QEMU refuses plugins of the first version of its interface
_MARK = "_ZN10tinydeploy7counter4readEv"  # tinydeploy::counter::read()


def plugin(qemu_version: str) -> bytes:
    """The plugin for a QEMU that calls itself so, compiled or kept from before.

    Raises ToolError without a compiler for this machine, naming its package, or if it fails.
    """
    source = _SOURCE.read_bytes()
    found = re.search(r"version (\d+)\.", qemu_version)
    interface = 2 if found and int(found[1]) >= _NEW_INTERFACE else 1
    key = f"qemu plugin {interface} {_FLAGS} {hashlib.sha256(source).hexdigest()}"
    if kept := memo.read(key):
        return kept
    compiler = shutil.which(_COMPILER)
    if compiler is None:
        raise ToolError(
            f"a plugin counts what a firmware executes, and {_COMPILER}, which compiles it, is not installed",
            tools.install_command(_COMPILER),
        )
    with tempfile.TemporaryDirectory(prefix="tinydeploy-") as folder:
        made = Path(folder) / "counting.so"
        define = f"-DTINYDEPLOY_QEMU_PLUGIN_VERSION={interface}"
        command = [compiler, *_FLAGS, define, str(_SOURCE), "-o", str(made)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT)
        except (OSError, subprocess.SubprocessError) as error:
            raise ToolError(f"{_COMPILER} cannot compile the plugin that counts: {error}") from error
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["it says nothing"])[0]
            raise ToolError(f"{_COMPILER} cannot compile the plugin that counts: {said}", "is it whole?")
        compiled = made.read_bytes()
    memo.write(key, compiled)
    return compiled


class Recorder:
    """One run of a firmware under the plugin. `options` are QEMU's; `close` removes what it wrote."""

    def __init__(self, board: Board, elf: Path, qemu_version: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tinydeploy-"))
        self._out = self._folder / "executed"
        compiled = self._folder / "counting.so"
        try:
            compiled.write_bytes(plugin(qemu_version))
            self.options = ("-plugin", ",".join(map(str, self._words(board, elf, compiled))))
        except BaseException:
            self.close()
            raise

    def _words(self, board: Board, elf: Path, compiled: Path) -> list[object]:
        begin, end = code.extent(elf)
        mark = code.address_of(elf, _MARK)
        if mark is None:
            raise TargetError("the firmware has no function that reads its counter: it is not tinydeploy's")
        memories = {"flash": board.flash, "ram": board.ram}
        ranges = {name: (one.origin, one.origin + one.bytes) for name, one in memories.items()}
        ranges["code"] = (begin, end)
        return [
            compiled,
            f"mark={mark:#x}",
            f"out={self._out}",
            *(f"{name}={first:#x}:{last:#x}" for name, (first, last) in ranges.items()),
        ]

    def intervals(self) -> list[Executed]:
        """What ran between one read of the counter and the next, from reset on, in order.

        Raises TargetError if the plugin has written nothing: it does not run.
        """
        try:
            data = self._out.read_bytes()
        except OSError:
            data = b""
        if not data:
            raise TargetError("QEMU has not loaded the plugin that counts, or it says nothing")
        found, at = [], 0
        while at + 8 <= len(data):
            count = int(np.frombuffer(data, "<u8", 1, at)[0])
            end = at + 8 + count * ROW.itemsize
            if end > len(data):
                raise TargetError("what QEMU's plugin says of the execution is cut off")
            found.append(Executed(np.frombuffer(data, ROW, count, at + 8)))
            at = end
        return found

    def close(self) -> None:
        """Removes the files of the run."""
        shutil.rmtree(self._folder, ignore_errors=True)
