"""A sample as something to look at: a picture, the curves of a series, or bars of features."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.results.closer_look import Drawing

Array = npt.NDArray[Any]

_SIDE = 64  # pixels of a picture: larger ones are thinned out
_POINTS = 128  # of a series
_CHANNELS = 12  # more side by side are no curves, but a picture
_FEATURES = 64  # more in a row are a series


def drawing(values: Array) -> Drawing | None:
    """The sample of shape [*shape] for people to look at; None where its shape says nothing of how.

    [height, width] and [height, width, 1 or 3] are a picture, [time, channels] with more steps than channels
    are a series, and a few numbers in a row are features. Ones around them count for nothing.
    """
    core = values.reshape(values.shape[1:]) if values.ndim > 3 and values.shape[0] == 1 else values
    if core.ndim == 3 and core.shape[2] in (1, 3) and min(core.shape[:2]) > 1:
        return _picture(core)
    core = np.squeeze(core)
    if core.ndim == 1 and core.size > 1:
        return _series(core[:, None]) if core.size > _FEATURES else _drawn("features", core[None, :, None])
    if core.ndim != 2:
        return None
    if core.shape[1] <= _CHANNELS and core.shape[0] > core.shape[1]:
        return _series(core)
    return _picture(core[..., None])


def _picture(core: Array) -> Drawing:
    step = -(-max(core.shape[:2]) // _SIDE)
    return _drawn("picture", core[::step, ::step])


def _series(core: Array) -> Drawing:
    """Curves of [time, channels]; of a long one the lowest and the highest of each stretch, in turn."""
    steps = len(core)
    if steps > _POINTS:
        edges = np.linspace(0, steps, _POINTS // 2 + 1).astype(int)
        pieces = [core[start:end] for start, end in itertools.pairwise(edges)]
        core = np.concatenate([[piece.min(axis=0), piece.max(axis=0)] for piece in pieces])
    return _drawn("series", core[None])


def _drawn(kind: Any, core: Array) -> Drawing:
    """Of [rows, width, channels], with values as levels from the lowest, 0, to the highest, 255."""
    real = np.nan_to_num(core.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(real.min()), float(real.max())
    levels = np.rint(255 * (real - low) / ((high - low) or 1.0)).astype(np.uint8)
    return Drawing(kind, core.shape[1], core.shape[2], low, high, base64.b64encode(levels.tobytes()).decode())
