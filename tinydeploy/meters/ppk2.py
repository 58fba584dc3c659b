"""Nordic's Power Profiler Kit II as a meter, by the package ppk2-api. Its digital input 0 is the trigger."""

from __future__ import annotations

import threading
import time

import numpy as np

from tinydeploy.errors import TargetError, ToolError
from tinydeploy.meters.meter import Recording

_RATE = 100_000  # samples per second
_SAMPLE_BYTES = 4
_MOST_SECONDS = 60
_POLL = 0.005  # seconds
_SETTLE = 0.05  # before and after the inferences, so that the trigger is seen low


class Ppk2Meter:
    """The PPK2 at `port`, which measures in a supply line of `volts`. It does not supply the board itself."""

    def __init__(self, port: str, volts: float) -> None:
        try:
            from ppk2_api.ppk2_api import PPK2_API
        except ImportError as error:
            raise ToolError("a PPK2 needs the package ppk2-api", "pip install 'tinydeploy[meter]'") from error
        self._port = port
        self._volts = volts
        self._data = bytearray()
        self._error: Exception | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            self._ppk = PPK2_API(port, timeout=1, write_timeout=1, exclusive=True)
            known = self._ppk.get_modifiers()
        except (
            OSError,
            ValueError,
            AttributeError,
        ) as error:
            raise TargetError(f"there is no PPK2 at {port}: {error}") from error
        if not known:
            raise TargetError(f"what is at {port} does not answer as a PPK2 does")
        self._ppk.use_ampere_meter()
        self._ppk.set_source_voltage(round(1000 * volts))

    def start(self) -> None:
        """See Meter."""
        self._ppk.start_measuring()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        time.sleep(_SETTLE)

    def stop(self) -> Recording:
        """See Meter."""
        time.sleep(_SETTLE)
        self._end()
        if self._error is not None:
            raise TargetError(f"the PPK2 at {self._port} went away: {self._error}")
        if len(self._data) < 2 * _SAMPLE_BYTES:
            raise TargetError(f"the PPK2 at {self._port} sends no samples")
        whole = len(self._data) // _SAMPLE_BYTES * _SAMPLE_BYTES
        microamperes, bits = self._ppk.get_samples(bytes(self._data[:whole]))
        return Recording(
            f"PPK2 at {self._volts:g} V",
            np.arange(len(microamperes)) / _RATE,
            np.array(microamperes, np.float64) * 1e-6 * self._volts,
            (np.array(bits, np.int64) & 1).astype(np.bool_),
        )

    def close(self) -> None:
        """See Meter."""
        self._end()
        self._ppk.ser.close()

    def _end(self) -> None:
        if self._thread is not None:
            self._over.set()
            self._thread.join()
            self._thread = None
            self._ppk.stop_measuring()

    def _read(self) -> None:
        try:
            while not self._over.is_set() and len(self._data) < _MOST_SECONDS * _RATE * _SAMPLE_BYTES:
                self._data += self._ppk.get_data()
                time.sleep(_POLL)
        except (OSError, TypeError) as error:  # TypeError is pyserial's for a port that was closed
            self._error = error
