"""Input overlap: how far an op's output may run into an input that dies with the op.

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

from tinydeploy.engines.aot.ir import Argument, Overlap, Read, Write
from tinydeploy.model.graph import Graph, Tensor

Steps = npt.NDArray[np.int64]
Walk = tuple[int, Sequence[int]]  # where a loop nest begins, and the stride of each loop, outermost first

APART = 1 << 40  # bytes, more than any tensor has: input and output share none
_MOST_STEPS = 1 << 20  # that are looked at one by one: what takes more keeps its tensors apart


def distance(first: npt.ArrayLike, end: npt.ArrayLike) -> int:
    """The least distance, in bytes and at least 0, at which no step writes what a later one reads."""
    reads, writes = (np.asarray(steps, np.int64).reshape(-1) for steps in (first, end))
    needed = np.minimum.accumulate(reads[::-1])[::-1]  # the lowest byte that this step or a later one reads
    return max(0, int((writes[:-1] - needed[1:]).max(initial=0)))


def of_copies(first: npt.ArrayLike, end: npt.ArrayLike) -> int:
    """The distance of a kernel whose steps are memcpys: the bytes read and written may not even touch."""
    return distance(*(np.repeat(np.asarray(steps, np.int64).reshape(-1), 2) for steps in (first, end)))


def of_nest(shape: Sequence[int], first: Walk, end: Walk, copies: bool = False) -> int:
    """`distance`, or with `copies` `of_copies`, of a loop nest whose `first` and `end` are walks.

    It takes as long for large loops as for small ones. Of two steps, the earlier is in the same turn of some
    outer loops, in an earlier turn of the next loop, and anywhere in those inside; what each loop adds at
    the most is known by itself, for it is linear.
    """
    loops = [loop for loop in zip(shape, first[1], end[1], strict=True) if loop[0] > 1]
    inside = sum((n - 1) * (max(write, 0) + max(-read, 0)) for n, read, write in loops)
    outside = 0
    found = []
    for n, read, write in loops:
        inside -= (n - 1) * (max(write, 0) + max(-read, 0))
        turns = ((0, 1), (0, n - 1), (n - 2, n - 1))  # the corners of all that are earlier and later
        found.append(outside + inside + max(a * write - b * read for a, b in turns))
        outside += max(0, (n - 1) * (write - read))
    if copies:
        found.append(outside)
    return max(0, end[0] - first[0] + max(found)) if found else 0


def rows(count: int, size: int) -> Steps | None:
    """The first bytes of `count` rows of `size` bytes each; None if they are too many to look at."""
    return np.arange(count, dtype=np.int64) * size if count <= _MOST_STEPS else None


def pixels(images: int, of_rows: Steps, of_columns: Steps, height: int, width: int) -> Steps | None:
    """The pixel of an input that each output pixel starts from; None if they are too many to look at.

    Each output row starts from one of the `height` rows of its image, each column from one of `width`.
    """
    if images * len(of_rows) * len(of_columns) > _MOST_STEPS:
        return None
    starts = np.arange(images, dtype=np.int64)[:, np.newaxis, np.newaxis] * height
    first: Steps = (starts + of_rows[:, np.newaxis]) * width + of_columns
    return first.reshape(-1)


def windows(params: Mapping[str, int | float | bool], depth: int) -> Steps | None:
    """The first byte of each output pixel's window, cut to the input of int8 pixels of `depth` channels.

    `params` are those of kernels/window.h, with kBatches. None if they are too many to look at.
    """
    p = {name: int(value) for name, value in params.items()}
    if p["kBatches"] * p["kOutputHeight"] * p["kOutputWidth"] > _MOST_STEPS:
        return None
    y = np.arange(p["kOutputHeight"]) * p["kStrideHeight"] - p["kPadTop"]
    x = np.arange(p["kOutputWidth"]) * p["kStrideWidth"] - p["kPadLeft"]
    of_rows, of_columns = np.clip(y, 0, p["kInputHeight"] - 1), np.clip(x, 0, p["kInputWidth"] - 1)
    first = pixels(p["kBatches"], of_rows, of_columns, p["kInputHeight"], p["kInputWidth"])
    return None if first is None else first * depth


def by_channels(first: Steps | None, depth: int, channels: int = 1, pixels: int = 1) -> int:
    """The distance of a kernel that makes `channels` of `depth` channels of `pixels` output pixels at once.

    It goes through the channels, then to the next pixels. For each such block it may read the whole windows,
    from `first` on, and has read them before it writes. Pixels and channels that are left over are made one
    by one.
    """
    if first is None:
        return APART
    whole = first.size // pixels * pixels
    groups = first[:whole].reshape(-1, pixels).min(axis=1, initial=np.iinfo(np.int64).max)
    lowest = np.concatenate([groups, first[whole:]])
    count = groups.size
    last = np.concatenate([np.arange(1, count + 1) * pixels, np.arange(whole, first.size) + 1]) - 1
    # A group's last channels, and those of the group before, are written before they are read.
    written = [last[:-1] * depth + depth - lowest[1:]]
    if depth > 1 and depth != channels:
        blocked = depth // channels * channels
        written.append(last * depth + (depth - 1 if blocked != depth else depth - channels) - lowest)
    return max(0, int(np.concatenate(written).max(initial=0)))


def row_by_row(params: Mapping[str, int | float | bool], depth: int) -> int:
    """The distance of a kernel that keeps the rows of its windows in a working memory of its own.

    For each output row of `depth` channels, it first reads those rows of the windows that it has not read
    before, whole, and then writes.
    """
    p = {name: int(value) for name, value in params.items()}
    if p["kBatches"] * p["kOutputHeight"] > _MOST_STEPS:
        return APART
    top = np.arange(p["kOutputHeight"]) * p["kStrideHeight"] - p["kPadTop"]
    read = np.clip(top + p["kKernelHeight"], 0, p["kInputHeight"])
    unread = np.maximum(np.concatenate([[0], read[:-1]]), np.minimum(top, p["kInputHeight"]))
    images = np.arange(p["kBatches"])[:, np.newaxis] * p["kInputHeight"]
    end = np.arange(1, images.size * top.size + 1) * p["kOutputWidth"] * depth
    return distance((images + unread) * p["kInputWidth"] * p["kInputDepth"], end)


def channel_rows(params: Mapping[str, int | float | bool], depth: int, multiplier: int = 1) -> int:
    """The distance of a kernel that makes one output channel of one row after the other.

    Channel c of `depth` needs of the row's windows the input channel c // `multiplier` alone. It is read and
    written in turn.
    """
    p = {name: int(value) for name, value in params.items()}
    if p["kBatches"] * p["kOutputHeight"] * depth > _MOST_STEPS:
        return APART
    top = np.arange(p["kOutputHeight"]) * p["kStrideHeight"] - p["kPadTop"]
    images = np.arange(p["kBatches"]) * p["kInputHeight"]
    tops = (images[:, np.newaxis] + np.clip(top, 0, p["kInputHeight"] - 1)).reshape(-1, 1)
    first = tops * p["kInputWidth"] * (depth // multiplier) + np.arange(depth) // multiplier
    last = (np.arange(1, tops.size + 1) * p["kOutputWidth"] - 1)[:, np.newaxis] * depth
    return of_copies(first, last + np.arange(depth) + 1)


def channel_by_channel(first: Steps | None, depth: int, multiplier: int = 1) -> int:
    """The distance of a kernel that makes one output channel of one pixel after the other.

    Channel c of `depth` needs of its pixel's window the input channel c // `multiplier` alone.
    """
    if first is None:
        return APART
    # What has been written before channel c of a pixel, less what it reads, grows with c.
    written = np.arange(first.size, dtype=np.int64) * depth - first
    if depth == 1:
        written = written[1:]
    return max(0, int(written.max()) + depth - 1 - (depth - 1) // multiplier) if written.size else 0


def over(source: Argument, output: Tensor, least: int) -> tuple[Overlap, ...]:
    """What a step declares of an input and its output at the distance `least`: nothing of a constant."""
    return (Overlap(source.tensor, output.index, least),) if isinstance(source, Read) else ()


def in_place(graph: Graph, args: Sequence[Argument]) -> tuple[Overlap, ...]:
    """What a kernel declares that reads element i of args[0] last when it writes element i of args[1]."""
    source, target = args[:2]
    if not isinstance(source, Read) or not isinstance(target, Write):
        return ()
    output = graph.tensors[target.tensor]
    read, write = graph.tensors[source.tensor].dtype.bytes, output.dtype.bytes
    return over(source, output, of_nest((output.elements,), (0, (read,)), (write, (write,))))
