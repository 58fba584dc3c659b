"""The calibration set: which samples give a quantised model its ranges, and what may be wrong with them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import DataError
from tinydeploy.model.card import Card
from tinydeploy.model.samples import Samples, spread
from tinydeploy.prepare.float_host import Range

Array = npt.NDArray[Any]

LEAST, MOST, DEFAULT = 100, 1000, 500  # samples
_TAIL = 1e-4  # of a tensor's values: so few may lie outside of what is called its bulk
_RULED = 4.0  # a range this many times its bulk's is ruled by outliers
_NAMED = 6


@dataclass(frozen=True, eq=False)
class CalibrationSet:
    """`inputs`, float32 [n, *shape] per model input; where they come from; what may be wrong with them."""

    inputs: tuple[Array, ...]
    source: str
    warnings: tuple[str, ...]


def choose(
    samples: Samples, count: int | None, test: Samples | None = None, card: Card | None = None
) -> CalibrationSet:
    """`count` of the samples, spread over their classes. Raises DataError if they are no floats.

    Warns of too few, of classes that are missing, of samples that are in the `test` set as well, and of data
    that the card says the model was trained with.
    """
    wanted = count or DEFAULT
    rows = np.arange(samples.count)
    if wanted < samples.count:
        rows = spread(samples.count, wanted, samples.judge.strata if samples.judge else None)
    for values in samples.given:
        if values.dtype.kind not in "fiub":
            raise DataError(f"the calibration set holds {values.dtype}, and float values are wanted")
    inputs = tuple(
        values[rows].astype(codes.dtype) for values, codes in zip(samples.given, samples.inputs, strict=True)
    )
    warnings = [*_few(len(rows)), *_missing(samples, rows), *_overlap(inputs, test)]
    if card is not None and card.training.sha256 and card.training.sha256 in samples.source:
        warnings.append("the calibration set is the training set, whose ranges other data may go beyond")
    return CalibrationSet(inputs, samples.source, tuple(warnings))


def of_rows(chosen: CalibrationSet, rows: Array) -> CalibrationSet:
    """The same with some of its samples."""
    return replace(chosen, inputs=tuple(values[rows] for values in chosen.inputs))


def _few(count: int) -> list[str]:
    if count >= LEAST:
        return []
    return [f"{count:,} samples calibrate: ranges want {LEAST} to {MOST:,}, spread over the classes"]


def _missing(samples: Samples, rows: Array) -> list[str]:
    judge = samples.judge
    if judge is None or judge.strata is None or len(judge.names) < 2:
        return []
    present = np.unique(judge.strata[rows])
    absent = [name for number, name in enumerate(judge.names) if number not in present]
    if len(present) == 1:
        return [
            f"every calibration sample is of the class '{judge.names[int(present[0])]}': ranges of the other "
            "classes are not seen"
        ]
    if not absent:
        return []
    shown = ", ".join(absent[:_NAMED]) + (" …" if len(absent) > _NAMED else "")
    return [f"the calibration set lacks {len(absent)} of {len(judge.names)} classes: {shown}"]


def _overlap(inputs: Sequence[Array], test: Samples | None) -> list[str]:
    """Samples of the calibration set that the test set holds as well, by their content."""
    if test is None:
        return []
    own = _hashes(inputs)
    typed = [given.astype(x.dtype) for given, x in zip(test.given, inputs, strict=True)]
    shared = len(own & _hashes(typed))
    if not shared:
        return []
    return [
        f"{shared:,} of {len(own):,} calibration samples are in the test set, too: its accuracy is flattered"
    ]


def _hashes(arrays: Sequence[Array]) -> set[bytes]:
    return {
        hashlib.sha256(b"".join(np.ascontiguousarray(array[row]).tobytes() for array in arrays)).digest()
        for row in range(len(arrays[0]))
    }


def bulk(one: Range) -> tuple[float, float]:
    """Between which values all but a ten-thousandth of a tensor's lie."""
    total = one.counts.sum()
    if not total or one.high <= one.low:
        return one.low, one.high
    below = np.cumsum(one.counts) / total
    width = (one.high - one.low) / len(one.counts)
    first = int(np.searchsorted(below, _TAIL / 2))
    last = int(np.searchsorted(below, 1 - _TAIL / 2))
    return one.low + first * width, one.low + (min(last, len(one.counts) - 1) + 1) * width


def ruled_by_outliers(ranges: Sequence[Range]) -> list[str]:
    """The names of tensors whose range a few values make several times as wide as it would be."""
    found = []
    for one in ranges:
        low, high = bulk(one)
        if one.high - one.low > _RULED * max(high - low, 1e-30):
            found.append(one.name)
    return found
