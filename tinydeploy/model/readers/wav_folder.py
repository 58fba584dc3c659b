"""A folder of WAV files, one subfolder a class, as samples of a model that takes audio. 16-bit PCM, mono."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tinydeploy.errors import DataError, UsageError
from tinydeploy.model.graph import Tensor
from tinydeploy.model.preparation import Preparation
from tinydeploy.model.readers import wav_file
from tinydeploy.model.readers.loaded import Array, Loaded, check_room, classes_of, in_classes, left_out

SUFFIXES = (".wav",)
_FULL_SCALE = 32768.0


def read(root: Path, tensor: Tensor, wish: Preparation) -> Loaded:
    """X float32 [n, length] of the model's length: longer files are cut, shorter ones end in zeros.

    With a stride in `wish`, every window of a file is a sample. Values are divided by 32768, unless `wish`
    scales them otherwise. All files must have `wish`'s rate, or else one and the same. Raises DataError, and
    UsageError for a model that takes no audio.
    """
    long = [size for size in tensor.shape if size != 1]
    if len(long) != 1:
        raise UsageError(
            f"{root} holds WAV files, and the model takes {list(tensor.shape)}",
            "it takes features of audio: compute them as in training, and give an .npz",
        )
    length = long[0]
    files, others = classes_of(root, SUFFIXES, "WAV files")
    rate, rows, names, padded, cut = wish.rate, [], [], 0, 0
    for path, name in files:
        found, audio = _audio(path)
        rate = rate or found
        if found != rate:
            raise DataError(
                f"{path} has {found:,} samples a second where {rate:,} are wanted",
                "resample it, as in training",
            )
        padded, cut = padded + (len(audio) < length), cut + (len(audio) > length and not wish.stride)
        windows = _windows(audio, length, wish.stride)
        rows += windows
        names += [name] * len(windows)
        check_room(str(root), len(rows), (length,))
    scaling = wish if wish.scale or wish.mean else replace(wish, scale=(_FULL_SCALE,))
    done = replace(scaling, rate=rate, window=length)
    y, many = in_classes(names)
    changed = [f"{padded:,} padded with zeros" if padded else "", f"{cut:,} cut" if cut else ""]
    windowed = f", windows every {wish.stride:,}" if wish.stride else ""
    what = (
        f"{len(files):,} WAV files {many}, {length:,} samples at {rate:,} Hz{windowed}, each {done.formula}"
    )
    what += "".join(f"; {words}" for words in changed if words) + left_out(others, "WAV files")
    x: Array = scaling.applied(str(root), np.stack(rows))
    return Loaded({"x": x.reshape(len(x), *tensor.shape[1:])} | y, what, done)


def _audio(path: Path) -> tuple[int, Array]:
    """The rate in Hz, and the samples, int16 [n]. Raises DataError."""
    found = wav_file.read(path)
    channels = found.sound.shape[1]
    if channels != 1:
        raise DataError(f"{path} has {channels} channels, and one is wanted", "mix it down, as in training")
    return found.rate, found.sound[:, 0]


def _windows(audio: Array, length: int, stride: int) -> list[Array]:
    if len(audio) <= length:
        return [np.pad(audio, (0, length - len(audio)))]
    if not stride:
        return [audio[:length]]
    return [audio[start : start + length] for start in range(0, len(audio) - length + 1, stride)]
