"""Weights for kernels that make two products by one multiplication, see kernels/packed.h.

Their sums are exact as long as the magnitudes of a channel's weights over a run of inputs sum up to no
more than 255. What is beyond that is taken from the largest weights, and added by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

_MOST = 255  # 255 * 128 < 2^15


def best_run(weights: npt.NDArray[np.int8], runs: Sequence[int], excess_cost: float) -> int:
    """Which number of inputs of a run costs least for the weights [channel][position].

    `excess_cost` is what a weight costs that is added by itself, as a part of what the end of a run costs.
    """

    def cost(run: int) -> float:
        channels, depth = weights.shape
        alone = int(np.count_nonzero(excess(weights, run)))
        return float(channels * -(-depth // run) + excess_cost * alone)

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
    """The weights that are not zero, each as position * 2^11 + channel of the block * 2^8 + its byte.

    A zero ends the list of each `block` channels, up to eight.
    """

    def entries(weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
        channels, positions = np.nonzero(weights)
        return positions << 11 | channels << 8 | weights[channels, positions].astype(np.uint8)

    return _lists(excess, block, entries)


def by_position(excess: npt.NDArray[np.int8], block: int) -> npt.NDArray[np.uint32]:
    """The positions with weights that are not zero, each as position * 2^16 + the bytes of its weights.

    A zero ends the list of each `block` channels, one or two.
    """

    def entries(weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
        (positions,) = np.nonzero(weights.any(axis=0))
        bytes_ = weights[:, positions].astype(np.uint8).astype(np.int64)
        shifts = 8 * np.arange(len(weights))[:, np.newaxis]
        return np.asarray(positions << 16 | (bytes_ << shifts).sum(axis=0), np.int64)

    return _lists(excess, block, entries)


def _lists(
    excess: npt.NDArray[np.int8],
    block: int,
    entries: Callable[[npt.NDArray[np.int8]], npt.NDArray[np.int64]],
) -> npt.NDArray[np.uint32]:
    if not excess.any():
        return np.zeros(1, np.uint32)
    blocks = (excess[start : start + block] for start in range(0, len(excess), block))
    return np.concatenate([np.append(entries(weights), 0) for weights in blocks]).astype(np.uint32)
