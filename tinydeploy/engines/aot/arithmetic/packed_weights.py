"""Packed weights, for kernels that make two products by one multiplication: see kernels/packed.h.

Their sums are exact as long as the magnitudes of a channel's weights over a run of inputs sum up to no
more than 255. What is beyond that is taken from the largest weights, and added by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_MOST = 255  # 255 * 128 < 2^15
_FURTHEST = 255  # a byte
_EXCESS_COST = 3  # of one weight, in ends of runs; half of it is for its bytes in flash


def best_run(weights: npt.NDArray[np.int8], runs: Sequence[int]) -> int:
    """Which of these numbers of inputs to a run costs least for the weights [channel][position]."""

    def cost(run: int) -> int:
        channels, depth = weights.shape
        return int(channels * -(-depth // run) + _EXCESS_COST * np.count_nonzero(excess(weights, run)))

    return min(runs, key=cost)


def excess(weights: npt.NDArray[np.int8], run: int) -> npt.NDArray[np.int8]:
    """What to take from the weights [channel][position], so that those of every `run` positions are small."""
    channels, depth = weights.shape
    padded = np.pad(weights.astype(np.int64), ((0, 0), (0, -depth % run)))
    padded = padded.reshape(channels, -(-depth // run), run)
    magnitudes = np.abs(padded)
    order = np.argsort(-magnitudes, axis=2, kind="stable")
    ranked = np.take_along_axis(magnitudes, order, axis=2)
    beyond = ranked.sum(axis=2, keepdims=True) - _MOST - (np.cumsum(ranked, axis=2) - ranked)
    taken = np.zeros_like(magnitudes)
    np.put_along_axis(taken, order, np.clip(beyond, 0, ranked), axis=2)
    return (np.sign(padded) * taken).reshape(channels, -(-depth // run) * run)[:, :depth].astype(np.int8)


def by_channel(excess: npt.NDArray[np.int8], block: int) -> npt.NDArray[np.uint32]:
    """The lists of kernels/fully_connected_packed.h, one for each `block` channels, up to eight."""
    lists = []
    for start in range(0, len(excess), block):
        channels, positions = np.nonzero(excess[start : start + block])
        weights = excess[start + channels, positions].astype(np.uint8)
        lists += [(positions << 11 | channels << 8 | weights).astype(np.uint32), np.zeros(1, np.uint32)]
    return np.concatenate(lists) if excess.any() else np.zeros(1, np.uint32)


def by_position(excess: npt.NDArray[np.int8], block: int) -> npt.NDArray[np.uint8]:
    """The lists of kernels/conv_scalar.h, one for each `block` channels."""
    lists = bytearray()
    for start in range(0, len(excess), block):
        weights = excess[start : start + block]
        last = -1
        for position in np.flatnonzero(weights.any(axis=0)).tolist():
            while position - last > _FURTHEST:
                lists += bytes([_FURTHEST, *[0] * len(weights)])
                last += _FURTHEST
            lists += bytes([position - last]) + weights[:, position].tobytes()
            last = position
        lists.append(0)
    return np.frombuffer(lists, np.uint8) if excess.any() else np.zeros(1, np.uint8)
