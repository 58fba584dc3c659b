"""Starts MLPerf Tiny's runner as it is, with a pseudo-terminal among the serial ports that it finds.

A program of its own, for the Python that has the runner's packages: LAUNCHER PORT RUNNER_FOLDER ARGUMENTS….
The runner looks for its device by USB ids, which a pseudo-terminal has not, and asks libusb for meters, which
need not be installed.
"""

from __future__ import annotations

import runpy
import sys
from types import SimpleNamespace
from typing import Any

VID, PID = 0x7D7D, 0x0001  # in the devices file that the runner is given


def main(port: str, folder: str, *arguments: str) -> None:
    """Runs the runner's main.py with the arguments."""
    import usb.core
    from serial.tools import list_ports

    device = SimpleNamespace(device=port, vid=VID, pid=PID, description="tinydeploy's emulated device")
    list_ports.comports = lambda *_: [device]
    find = usb.core.find

    def found(*args: Any, **keywords: Any) -> Any:
        try:
            return find(*args, **keywords)
        except usb.core.NoBackendError:
            return []

    usb.core.find = found
    sys.path.insert(0, folder)
    sys.argv = [f"{folder}/main.py", *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
