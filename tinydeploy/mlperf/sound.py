"""Sound with wake words, as MLPerf Tiny's runner has it: a truth file in JSON, and WAV files; or made up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import DataError
from tinydeploy.firmware.log_mel import RATE, STRIDE
from tinydeploy.model.readers import wav_file

OFFICIAL = "sww_long_test.json"
TRUTH = "truth.json"
_FOLDER = "sww01"
_NAME = "name one of the runner's sww_data_dir, such as sww_short_test.json"
_SEED = 21
_MOST_FRAMES = 1 << 17  # more than an hour


@dataclass(frozen=True)
class Recording:
    """A file's sound, int16 [samples] at RATE, and when each wake word in it begins and ends, in seconds."""

    file: str
    sound: npt.NDArray[np.int16]
    words: tuple[tuple[float, float], ...]
    is_made_up: bool = False

    @property
    def frames(self) -> list[bytes]:
        """The whole frames, as they are sent."""
        count = len(self.sound) // STRIDE
        return [self.sound[i * STRIDE : (i + 1) * STRIDE].astype("<i2").tobytes() for i in range(count)]

    @property
    def truth(self) -> dict[str, Any]:
        """The file's entry of a truth file."""
        windows = [list(word) for word in self.words]
        seconds = len(self.sound) / RATE
        return {
            "wav_file": self.file,
            "sample_rate": RATE,
            "length_sec": seconds,
            "detection_windows": windows,
        }


def read(path: Path, count: int | None = None) -> tuple[Recording, ...]:
    """The first `count` files (None: all) of a truth file, or of that in the folder `path`.

    Of several in a folder it is OFFICIAL. Raises DataError with what cannot be used.
    """
    truth = _truth(path)
    try:
        entries = json.loads(truth.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {truth}: {error.strerror}", _NAME) from error
    except ValueError as error:
        raise DataError(f"{truth} is not a truth file in JSON", _NAME) from error
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{truth} is not a list of WAV files and their words")
    return tuple(_recording(truth, number, entry) for number, entry in enumerate(entries[:count], 1))


def _truth(path: Path) -> Path:
    if not path.is_dir():
        return path
    folder = path / _FOLDER if (path / _FOLDER).is_dir() else path
    found = sorted(folder.glob("*.json"))
    official = folder / OFFICIAL
    if official in found or len(found) != 1:
        return official
    return found[0]


def _recording(truth: Path, number: int, entry: Mapping[str, Any]) -> Recording:
    try:
        file = entry["wav_file"]
        words = tuple((float(begin), float(end)) for begin, end in entry["detection_windows"])
        if not isinstance(file, str) or not all(0 <= begin <= end for begin, end in words):
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{truth}: entry {number} has no wav_file with detection_windows") from error
    return Recording(file, _sound(truth.parent / file), words)


def _sound(path: Path) -> npt.NDArray[np.int16]:
    """The first channel."""
    found = wav_file.read(path, _MOST_FRAMES * STRIDE + 1)
    if found.rate != RATE:
        raise DataError(f"{path} has 16 bits a sample at {found.rate:,} Hz, and 16 at {RATE:,} are wanted")
    sound = found.sound[:, 0]
    if not 2 * STRIDE <= len(sound) <= _MOST_FRAMES * STRIDE:
        raise DataError(f"{path} has {len(sound):,} samples: too few or too many")
    return sound


def write(recordings: Sequence[Recording], folder: Path) -> None:
    """What the official runner reads of recordings: when their words are. The sound it leaves to a board."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TRUTH).write_text(json.dumps([recording.truth for recording in recordings]), encoding="utf-8")


def made_up(seconds: float) -> tuple[Recording, ...]:
    """A seeded sound of bursts of noise with pauses, without any word."""
    random = np.random.default_rng(_SEED)
    count = min(max(round(seconds * RATE / STRIDE), 2), _MOST_FRAMES)
    loudness = np.repeat(random.choice([0, 30, 300, 3000], count // 8 + 1), 8)[:count]
    noise = random.normal(0, 1, (count, STRIDE)) * loudness[:, None]
    return (Recording("made_up.wav", noise.clip(-32768, 32767).astype(np.int16).reshape(-1), (), True),)
