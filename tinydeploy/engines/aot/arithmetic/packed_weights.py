"""Packed weights, for kernels that make two products by one multiplication: see kernels/packed.h.

Their sums are exact as long as the magnitudes of a channel's weights over a run of inputs sum up to no
more than 255. What is beyond that is taken from the largest weights, and added by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

_MOST = 255  # 255 * 128 < 2^15
_FURTHEST = 255  # a byte
_EXCESS_COST = 3  # of one weight, in ends of runs; half of it is for its bytes in flash


def best_run(weights: npt.NDArray[np.int8], runs: Sequence[int]) -> int:
    """Which of these numbers of inputs to a run costs least for the weights [channel][position]."""
    return _best_run(weights.tobytes(), *weights.shape, tuple(runs))


@lru_cache(maxsize=64)  # an op that is done in parts asks for each of them
def _best_run(values: bytes, channels: int, depth: int, runs: Sequence[int]) -> int:
    weights = np.frombuffer(values, np.int8).reshape(channels, depth)

    def cost(run: int) -> int:
        return int(channels * -(-depth // run) + _EXCESS_COST * np.count_nonzero(excess(weights, run)))

    return min(runs, key=cost)


def excess(weights: npt.NDArray[np.int8], run: int) -> npt.NDArray[np.int8]:
    """What to take from the weights [channel][position], so that those of every `run` positions are small."""
    channels, depth = weights.shape
    padded = np.zeros((channels, -(-depth // run) * run), np.int16)
    padded[:, :depth] = weights
    groups = padded.reshape(-1, run)
    (large,) = np.nonzero(np.abs(groups).sum(axis=1) > _MOST)
    found = np.zeros(groups.shape, np.int8)
    found[large] = _beyond(groups[large])
    return found.reshape(padded.shape)[:, :depth]


def _beyond(groups: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """What to take from the largest of each of the `groups`: their magnitudes sum up to more than allowed."""
    magnitudes = np.abs(groups)
    order = np.argsort(-magnitudes, axis=1, kind="stable")
    ranked = np.take_along_axis(magnitudes, order, axis=1)
    beyond = ranked.sum(axis=1, keepdims=True) - _MOST - (np.cumsum(ranked, axis=1) - ranked)
    taken = np.zeros_like(magnitudes)
    np.put_along_axis(taken, order, np.clip(beyond, 0, ranked).astype(np.int16), axis=1)
    return np.sign(groups) * taken


def behind_starts(excess: npt.NDArray[np.int8], run: int) -> npt.NDArray[np.int8]:
    """The same [channel][position] where a column has a word of its own before the positions of each run."""
    at = np.arange(excess.shape[1])
    places = at + at // run + 1
    found = np.zeros((len(excess), int(places[-1]) + 1), np.int8)
    found[:, places] = excess
    return found


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
