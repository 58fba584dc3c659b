"""How far an op's output may run into an input that dies with the op.

If at each step of a kernel the bytes of the input that are still needed lie above the bytes of the output
that it writes, the two may share memory: the output starts at least `distance` bytes below the input, and its
writing follows the reading. A kernel's order is two arrays over its steps: `first`, the lowest byte of the
input that the step reads, and `end`, the end of the bytes of the output that it writes. A step reads all that
it needs before it writes; a kernel that does otherwise takes more steps. To read earlier than the arrays say
is always safe, so wide loads and prefetches need not be in them. What a kernel must not do is to read later,
or to promise the compiler with `__restrict` that its pointers do not meet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.program import Argument, Overlap, Read, Write
from tinydeploy.graph import Graph, Tensor

Steps = npt.NDArray[np.int64]


def distance(first: npt.ArrayLike, end: npt.ArrayLike) -> int:
    """The least distance, in bytes and at least 0, at which no step writes what a later one reads."""
    reads, writes = (np.asarray(steps, np.int64).reshape(-1) for steps in (first, end))
    needed = np.minimum.accumulate(reads[::-1])[::-1]  # the lowest byte that this step or a later one reads
    return max(0, int((writes[:-1] - needed[1:]).max(initial=0)))


def of_copies(first: npt.ArrayLike, end: npt.ArrayLike) -> int:
    """The distance of a kernel whose steps are memcpys: the bytes read and written may not even touch."""
    return distance(*(np.repeat(np.asarray(steps, np.int64).reshape(-1), 2) for steps in (first, end)))


def ends(count: int, size: int = 1) -> Steps:
    """The ends of `count` writes of `size` bytes, one after the other."""
    return np.arange(1, count + 1, dtype=np.int64) * size


def walk(shape: Sequence[int], strides: Sequence[int], offset: int = 0) -> Steps:
    """Where a loop nest gets to, in elements, from the outermost loop to the innermost."""
    places = np.full((), offset, np.int64)
    for extent, stride in zip(shape, strides, strict=True):
        places = places[..., np.newaxis] + np.arange(extent, dtype=np.int64) * stride
    return places.reshape(-1)


def windows(params: Mapping[str, int | float | bool], depth: int) -> Steps:
    """The first byte of each output pixel's window, cut to the input of int8 pixels of `depth` channels.

    `params` are those of kernels/window.h, with kBatches.
    """
    p = {name: int(value) for name, value in params.items()}
    y = np.arange(p["kOutputHeight"]) * p["kStrideHeight"] - p["kPadTop"]
    x = np.arange(p["kOutputWidth"]) * p["kStrideWidth"] - p["kPadLeft"]
    rows = np.clip(y, 0, p["kInputHeight"] - 1) * p["kInputWidth"]
    columns = np.clip(x, 0, p["kInputWidth"] - 1)
    images = np.arange(p["kBatches"]) * p["kInputHeight"] * p["kInputWidth"]
    first: Steps = (images[:, np.newaxis, np.newaxis] + rows[:, np.newaxis] + columns) * depth
    return first.reshape(-1)


def by_channels(first: Steps, depth: int, channels: int = 1, pixels: int = 1) -> int:
    """The distance of a kernel that makes `channels` of `depth` channels of `pixels` output pixels at once.

    It goes through the channels, then to the next pixels. For each such block it may read the whole windows,
    from `first` on, and has read them before it writes. Pixels and channels that are left over are made one
    by one.
    """
    whole = first.size // pixels * pixels
    groups = first[:whole].reshape(-1, pixels).min(axis=1, initial=np.iinfo(np.int64).max)
    lowest = np.concatenate([groups, first[whole:]])
    last = np.concatenate([ends(groups.size, pixels), np.arange(whole, first.size) + 1]) - 1
    blocked = depth // channels * channels
    block_ends = np.concatenate([ends(depth // channels, channels), np.arange(blocked, depth) + 1])
    return distance(np.repeat(lowest, block_ends.size), last[:, np.newaxis] * depth + block_ends)


def row_by_row(params: Mapping[str, int | float | bool], depth: int) -> int:
    """The distance of a kernel that keeps the rows of its windows in a working memory of its own.

    For each output row of `depth` channels, it first reads those rows of the windows that it has not read
    before, whole, and then writes.
    """
    p = {name: int(value) for name, value in params.items()}
    row_bytes = p["kInputWidth"] * p["kInputDepth"]
    first = []
    for image in range(p["kBatches"]):
        unread = 0
        for y in range(p["kOutputHeight"]):
            top = y * p["kStrideHeight"] - p["kPadTop"]
            unread = max(unread, min(top, p["kInputHeight"]))
            first.append((image * p["kInputHeight"] + unread) * row_bytes)
            unread = max(unread, min(top + p["kKernelHeight"], p["kInputHeight"]))
    rows = p["kBatches"] * p["kOutputHeight"]
    return distance(first, ends(rows, p["kOutputWidth"] * depth))


def channel_rows(params: Mapping[str, int | float | bool], depth: int, multiplier: int = 1) -> int:
    """The distance of a kernel that makes one output channel of one row after the other.

    Channel c of `depth` needs of the row's windows the input channel c // `multiplier` alone. It is read and
    written in turn.
    """
    p = {name: int(value) for name, value in params.items()}
    top = np.arange(p["kOutputHeight"]) * p["kStrideHeight"] - p["kPadTop"]
    images = np.arange(p["kBatches"]) * p["kInputHeight"]
    rows = (images[:, np.newaxis] + np.clip(top, 0, p["kInputHeight"] - 1)).reshape(-1, 1)
    first = rows * p["kInputWidth"] * (depth // multiplier) + np.arange(depth) // multiplier
    last = (ends(rows.size, p["kOutputWidth"]) - 1)[:, np.newaxis] * depth
    return of_copies(first, last + np.arange(depth) + 1)


def channel_by_channel(first: Steps, depth: int, multiplier: int = 1) -> int:
    """The distance of a kernel that makes one output channel of one pixel after the other.

    Channel c of `depth` needs of its pixel's window the input channel c // `multiplier` alone.
    """
    reads = first[:, np.newaxis] + np.arange(depth) // multiplier
    return distance(reads, ends(reads.size))


def over(source: Argument, output: Tensor, least: int) -> tuple[Overlap, ...]:
    """What a step declares of an input and its output at the distance `least`: nothing of a constant."""
    return (Overlap(source.tensor, output.index, least),) if isinstance(source, Read) else ()


def in_place(graph: Graph, args: Sequence[Argument]) -> tuple[Overlap, ...]:
    """What a kernel declares that reads element i of args[0] last when it writes element i of args[1]."""
    source, target = args[:2]
    if not isinstance(source, Read) or not isinstance(target, Write):
        return ()
    output = graph.tensors[target.tensor]
    sizes = graph.tensors[source.tensor].dtype.bytes, output.dtype.bytes
    elements = np.arange(output.elements, dtype=np.int64)
    return over(source, output, distance(elements * sizes[0], (elements + 1) * sizes[1]))
