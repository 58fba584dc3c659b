"""Weights of which two channels are multiplied at once, in kernels/fully_connected_packed.h.

Their products are exact as long as the magnitudes of a channel's weights over a run of inputs sum up to no
more than 255. What is beyond that is taken from the largest weights, and added by itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RUNS = (2, 4, 8, 16)
_MOST = 255  # 255 * 128 < 2^15
_EXCESS_COST = 3  # of one more product, in runs of one more channel


def best_run(weights: npt.NDArray[np.int8]) -> int:
    """The number of inputs of a run that costs least for the weights [channel][position]."""
    return min(RUNS, key=lambda run: _cost(weights, run))


def _cost(weights: npt.NDArray[np.int8], run: int) -> int:
    channels, depth = weights.shape
    products = int(np.count_nonzero(excess(weights, run)))
    return int(channels * -(-depth // run) + _EXCESS_COST * products)


def excess(weights: npt.NDArray[np.int8], run: int) -> npt.NDArray[np.int8]:
    """What to take from the weights [channel][position], so that those of every `run` positions are small."""
    channels, depth = weights.shape
    padded = np.pad(weights.astype(np.int64), ((0, 0), (0, -depth % run))).reshape(channels, -1, run)
    magnitudes = np.abs(padded)
    order = np.argsort(-magnitudes, axis=2, kind="stable")
    ranked = np.take_along_axis(magnitudes, order, axis=2)
    beyond = ranked.sum(axis=2, keepdims=True) - _MOST - (np.cumsum(ranked, axis=2) - ranked)
    taken = np.zeros_like(magnitudes)
    np.put_along_axis(taken, order, np.clip(beyond, 0, ranked), axis=2)
    return (np.sign(padded) * taken).reshape(channels, -1)[:, :depth].astype(np.int8)


def entries(excess: npt.NDArray[np.int8], block: int) -> npt.NDArray[np.uint32]:
    """The weights that are not zero, channel by channel, each `block` channels ended by a zero.

    An entry is position * 2^11 + channel of the block * 2^8 + the weight's byte.
    """
    found: list[npt.NDArray[np.uint32]] = []
    for start in range(0, len(excess), block):
        channels, positions = np.nonzero(excess[start : start + block])
        values = excess[start + channels, positions].astype(np.uint8)
        found += [(positions << 11 | channels << 8 | values).astype(np.uint32), np.zeros(1, np.uint32)]
    return np.concatenate(found)
