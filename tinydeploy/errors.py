"""The tree of errors. Each carries the one line that a person reads, and a hint that says what to do."""

from __future__ import annotations

from collections.abc import Mapping


class TinydeployError(Exception):
    """Anything that ends a verb. `message` is one line, `hint` (may be empty) is the way out of it.

    `exit_code` is that of the command line: 1 a check failed, 2 usage, or a model or data file that cannot be
    used (or does not fit), 3 a tool, a build or a target failed.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(TinydeployError):
    """An argument or an option is wrong: unknown board, unwritable folder, a typo in tinydeploy.toml."""


class ModelError(TinydeployError):
    """The model file cannot be used: not TFLite, truncated, float, an op that no engine has …"""


class DataError(TinydeployError):
    """The samples cannot be used: wrong shape, wrong type, unreadable file."""


class FitError(TinydeployError):
    """The model or the firmware does not fit the board's flash or RAM."""


class ToolError(TinydeployError):
    """A program that we call is missing or failed. The message names the file that keeps its output."""

    exit_code = 3


class TargetError(TinydeployError):
    """The target ended, or could not be started."""

    exit_code = 3


class TargetDiedError(TargetError):
    """The emulator's process ended, or the port went away."""


class LinkError(TargetError):
    """The link to the device failed."""


class LinkTimeoutError(LinkError):
    """No answer before the deadline: frames were lost, or the device hangs."""


class LinkCorruptError(LinkError):
    """Answers kept arriving with a wrong checksum."""


class DeviceResetError(LinkError):
    """The device started anew in the middle of a session."""


class WrongFirmwareError(LinkError):
    """The device runs another model, another engine or another protocol version than the one just built."""


class DeviceFaultError(TargetError):
    """The core faulted. `registers` holds what it reported by name; `at` adds the place in the source."""

    def __init__(self, message: str, hint: str = "", registers: Mapping[str, int] | None = None) -> None:
        super().__init__(message, hint)
        self.registers = dict(registers or {})

    @property
    def pc(self) -> int:
        """Where the core was; 0 if it could not tell."""
        return self.registers.get("pc", 0)

    def at(self, place: str) -> DeviceFaultError:
        """The same fault, with the place of `pc` ("function (file:line)") in its message, if it has one."""
        if self.pc == 0:
            return self
        return DeviceFaultError(f"{self.message} in {place}", self.hint, self.registers)


class DeviceStatusError(TargetError):
    """The firmware answered a request with a failure, such as an arena that is too small."""


class GateError(TinydeployError):
    """A measurement was made, and a check of it failed: outputs, arena, or a limit that the user set."""

    exit_code = 1
