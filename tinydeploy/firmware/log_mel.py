"""The features of MLPerf Tiny's streaming wake word: logarithms of the energies in mel bands of sound.

As the benchmark trains with them (https://github.com/mlcommons/tiny, benchmark/training/streaming_wakeword/
get_dataset.py, get_lfbe_func): pre-emphasis, Hamming's window, power spectrum, triangular bands on the mel
scale, decibels. Here are the tables of the firmware, which computes in float32, and the same in float64.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

RATE = 16_000  # samples a second
WINDOW = 1024  # samples
STRIDE = 512  # samples from one frame to the next: 32 ms
BANDS = 40
_EMPHASIS = 1 - 2**-5
_LEAST = 1e-30
_OFFSET, _RANGE = 52.0, 64.0  # decibels

Array = npt.NDArray[np.float64]


def features(sound: npt.NDArray[np.int16]) -> Array:
    """Of each whole frame of the sound [samples]; [frames, BANDS]. Before the first there is silence."""
    frames = len(sound) // STRIDE
    padded = np.concatenate([np.zeros(STRIDE + 1), sound[: frames * STRIDE] / 32768])
    emphasised = padded[1:] - _EMPHASIS * padded[:-1]
    windows = np.lib.stride_tricks.sliding_window_view(emphasised, WINDOW)[::STRIDE]
    power = np.abs(np.fft.rfft(windows * np.hamming(WINDOW))) ** 2 / WINDOW
    energies = np.maximum(power @ _bands(), _LEAST)
    return np.asarray(np.clip((10 * np.log10(energies) + _OFFSET) / _RANGE, 0, 1))


def _places() -> Array:
    """Where each frequency of a window is between the edges of the bands, the first edge being 0."""
    hertz = np.arange(WINDOW // 2 + 1) * RATE / WINDOW
    return np.asarray(np.log1p(hertz / 700) / np.log1p(RATE / 2 / 700) * (BANDS + 1))


def _bands() -> Array:
    """The share of each frequency in each band; [WINDOW / 2 + 1, BANDS]. No band has the constant part."""
    far = np.abs(_places()[:, None] - np.arange(1, BANDS + 1))
    shares = np.maximum(1 - far, 0)
    shares[0] = 0
    return np.asarray(shares)


def tables() -> dict[str, Any]:
    """What log_mel_tables.h is made of."""
    places = _places()[1:]
    below = np.minimum(places.astype(int), BANDS)
    turns = np.cos(2 * np.pi * np.arange(WINDOW // 4 + 1) / WINDOW)
    return {
        "window": WINDOW,
        "stride": STRIDE,
        "bands": BANDS,
        "emphasis": _EMPHASIS,
        "least": _LEAST,
        "offset": _OFFSET,
        "range": _RANGE,
        "cosine": _lines(f"{value:.9g}" for value in turns),
        "hamming": _lines(f"{value:.9g}" for value in np.hamming(WINDOW)[: WINDOW // 2]),
        "band_below": _lines(map(str, below)),
        "shares": _lines(f"{value:.9g}" for value in places - below),
    }


def _lines(numbers: Iterable[str]) -> list[str]:
    """Numbers as lines of C++, eight in each."""
    words = [f"{number}," for number in numbers]
    return [" ".join(words[at : at + 8]) for at in range(0, len(words), 8)]
