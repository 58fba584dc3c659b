"""A session: one firmware on one target, started, greeted, checked, and restarted after a fault."""

from __future__ import annotations

from types import TracebackType

from tinydeploy.errors import DeviceFaultError
from tinydeploy.firmware import elf
from tinydeploy.firmware.build import Firmware
from tinydeploy.link.device import Device
from tinydeploy.link.messages import Greeting
from tinydeploy.targets.target import Target


class Session:
    """A context manager around a target. `device` is the side of the link of `firmware`, already greeted.

    `timeout` is how many seconds the device may take for one answer. A fault that leaves the context
    says the function and line where it happened, as far as the ELF knows.
    """

    device: Device
    greeting: Greeting

    def __init__(self, target: Target, firmware: Firmware, model_sha256: str, timeout: float) -> None:
        self.target = target
        self.firmware = firmware
        self._model_sha256 = model_sha256
        self._timeout = timeout
        self._answer_timeout = timeout

    def __enter__(self) -> Session:
        try:
            self._greet(restart=False)
        except BaseException:
            self.target.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.target.close()
        if isinstance(error, DeviceFaultError):
            raise error.at(elf.locate(self.firmware.elf, error.pc)) from error

    def _greet(self, restart: bool) -> None:
        stream = self.target.reset() if restart else self.target.start()
        self.device = Device(stream, timeout=self._timeout)
        self.greeting = self.device.hello(self._model_sha256, self.firmware.build_id)
        self.device.timeout = self._answer_timeout

    def restart(self) -> None:
        """Resets the target and greets the firmware anew, as after a fault or a hang."""
        self._greet(restart=True)

    def answer_within(self, seconds: float) -> float:
        """From now on the device has this long for one answer, but as long as ever to start and greet.

        Returns how long it had before.
        """
        before, self._answer_timeout = self._answer_timeout, seconds
        self.device.timeout = seconds
        return before
