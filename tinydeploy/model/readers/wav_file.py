"""A WAV file of 16-bit PCM."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import DataError

_UNKNOWN_LENGTH = 0x7FFF0000 // 2  # samples: from here on, a writer to a pipe did not know it


@dataclass(frozen=True, eq=False)
class Wav:
    """Samples a second, and the sound, int16 [samples, channels]."""

    rate: int
    sound: npt.NDArray[np.int16]


def read(path: Path, most: int | None = None) -> Wav:
    """The file, or its first `most` samples. Raises DataError, also for one that is cut short or empty."""
    try:
        with wave.open(str(path)) as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            told = file.getnframes()
            frames = told if most is None else min(told, most)
            raw = file.readframes(frames) if width == 2 else b""
    except (wave.Error, EOFError, OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "it is cut short"
        raise DataError(f"{path} cannot be read as a WAV file: {reason}", "save it as 16-bit PCM") from error
    if width != 2:
        raise DataError(f"{path} has {8 * width} bits a sample, and 16-bit PCM is wanted", "convert it")
    there = len(raw) // (2 * channels)
    if not there or rate <= 0:
        raise DataError(f"{path} holds no audio")
    if there < frames and told < _UNKNOWN_LENGTH:
        raise DataError(
            f"{path} is cut short: it tells of {told:,} samples, and {there:,} are there",
            "remove it, or save it anew",
        )
    sound = np.frombuffer(raw[: there * 2 * channels], "<i2").astype(np.int16)
    return Wav(rate, sound.reshape(there, channels))
