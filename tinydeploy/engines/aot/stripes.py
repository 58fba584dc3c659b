"""Runs of ops that are done in stripes: a few rows of every tensor at a time, so that few are ever whole.

A run ends with a whole tensor, whose rows are made a stripe at a time. Every op of the run makes in each
stripe the rows that the later ones then need and that it has not made before. So nothing is computed twice:
of a tensor inside the run, the rows that a later window still needs move to the front of its buffer before
new ones follow. Each op is lowered as if its rows were all there is, with the padding that belongs to them.
Most stripes are alike, and share their kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise, product
from math import prod

from tinydeploy.engines.aot import memory, overlap
from tinydeploy.engines.aot.checks import int_option
from tinydeploy.engines.aot.lower import Program, lower_op
from tinydeploy.engines.aot.program import Alias, Overlap, Slice, Step, Stripes, Write
from tinydeploy.graph import Graph, Op, Tensor

_POOLING = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
_WINDOWS = ("CONV_2D", "DEPTHWISE_CONV_2D", *_POOLING)
_ROW_BY_ROW = (
    *("ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM", "SOFTMAX", "QUANTIZE", "DEQUANTIZE"),
    *("RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH"),
)
_HEIGHTS = (1, 2, 4, 8)  # of a stripe, in rows of the run's last tensor
_NEVER = 1 << 40  # behind every byte

Suit = Callable[[Program], Program]


def least_arena(program: Program, suit: Suit, kernel_bytes: Sequence[int]) -> Program:
    """`program` with the runs in stripes that make its arena smallest; `suit` chooses the core's kernels.

    One run after the other is cut, around the op that needs most, as long as that shrinks the arena. Each
    further kernel that a run takes (one at the least) counts like so many bytes; of several `kernel_bytes`,
    the one whose arena comes out smallest is taken. Of runs that come to the same, it is one of few stripes,
    kernels and ops.
    """
    return min((_cut_greedily(program, suit, weight) for weight in kernel_bytes), key=memory.arena_bytes)


def _cut_greedily(best: Program, suit: Suit, kernel_bytes: int) -> Program:
    while True:
        needed = memory.needed(best)
        peak = max(needed.values(), default=0)
        crowded = max((time for time, size in needed.items() if size == peak), default=-1)
        found: list[tuple[int, int, int, int, Program]] = []
        schedules = [
            schedule
            for run, height in product(_runs(best, crowded), _HEIGHTS)
            if (schedule := _schedule(best, run, height)) is not None
        ]
        for least, schedule in sorted(((s.least_bytes, s) for s in schedules), key=lambda pair: pair[0]):
            if least + kernel_bytes >= min([peak, *(cost for cost, *_ in found)]):
                break
            cut = _cut(best, schedule, suit)
            kernels = max(1, _kernels(cut) - _kernels(best))
            cost = max(memory.needed(cut).values()) + kernels * kernel_bytes
            if cost < peak:
                found.append((cost, schedule.count, kernels, len(schedule.ops), cut))
        if not found:
            return best
        *_, cut = min(found, key=lambda candidate: candidate[:4])
        if memory.arena_bytes(cut) >= memory.arena_bytes(best):
            return best
        best = cut


def _kernels(program: Program) -> int:
    """How many different kernels `program` has, at most: one for each set of parameters of an op."""
    return sum(len({(step.kernel, *step.params.items()) for step in steps}) for _, steps in program.ops)


def stripe(program: Program, first: int, last: int, height: int, suit: Suit) -> Program | None:
    """`program` with its ops at positions `first` to `last` in stripes of `height` rows, None if that fails.

    These ops have to go by rows, as `goes_by_rows` tells.
    """
    schedule = _schedule(program, range(first, last + 1), height)
    return _cut(program, schedule, suit) if schedule else None


def _runs(program: Program, crowded: int) -> Iterator[range]:
    """The positions of ops that lie in a row around the op of index `crowded` and can be done by rows."""
    fits = [
        goes_by_rows(program.graph, op) and not any(s.first <= op.index <= s.last for s in program.stripes)
        for op, _ in program.ops
    ]
    place = next((n for n, (op, _) in enumerate(program.ops) if op.index >= crowded), len(fits))
    for first in range(place + 1):
        for last in range(max(place, first + 1), len(fits)):
            if not all(fits[first : last + 1]):
                break
            yield range(first, last + 1)


def goes_by_rows(graph: Graph, op: Op) -> bool:
    """Whether every row of the output comes from some rows of each input that is no constant."""
    tensors = [graph.tensors[index] for index in (*_activations(graph, op), *op.outputs)]
    if len(op.outputs) != 1 or any(len(t.shape) != 4 or t.shape[0] != 1 or t.is_variable for t in tensors):
        return False
    if op.kind in _WINDOWS:
        return _activations(graph, op) == (op.inputs[0], *op.inputs[3:])  # the last is an addend
    constants = [graph.tensors[index] for index in op.inputs if graph.tensors[index].data is not None]
    broadcast = all(tensor.shape[-3:-2] in ((), (1,)) for tensor in constants)
    return op.kind in _ROW_BY_ROW and broadcast and len({tensor.shape[1] for tensor in tensors}) == 1


def _activations(graph: Graph, op: Op) -> tuple[int, ...]:
    return tuple(index for index in op.inputs if index >= 0 and graph.tensors[index].data is None)


def _window(graph: Graph, op: Op, tensor: int, rows: range) -> tuple[range, int, int]:
    """The rows of an input that `rows` of the output need, and how many of padding above and below them."""
    if op.kind not in _WINDOWS or tensor != op.inputs[0]:
        return rows, 0, 0
    height = graph.tensors[op.inputs[0]].shape[1]
    stride, reach = int_option(op, "stride_h"), _reach(graph, op, 0)
    top = rows.start * stride - _padding(graph, op, 0)[0]
    bottom = top + (len(rows) - 1) * stride + reach
    return range(max(top, 0), min(bottom, height)), max(-top, 0), max(bottom - height, 0)


def _reach(graph: Graph, op: Op, axis: int) -> int:
    """How many rows (axis 0) or columns (1) a window spans."""
    initial, side = ("h", "height") if axis == 0 else ("w", "width")
    pooling = op.kind in _POOLING
    size = int_option(op, f"filter_{side}") if pooling else graph.tensors[op.inputs[1]].shape[1 + axis]
    return (size - 1) * (int_option(op, f"dilation_{initial}_factor") or 1) + 1


def _padding(graph: Graph, op: Op, axis: int) -> tuple[int, int]:
    """How many rows (axis 0) or columns (1) of padding there are before and after the input."""
    before, after = (("pad_top", "pad_bottom"), ("pad_left", "pad_right"))[axis]
    if op.options["padding"] != "SAME":
        return int_option(op, before), int_option(op, after)  # none if it is VALID
    size, steps = graph.tensors[op.inputs[0]].shape[1 + axis], graph.tensors[op.outputs[0]].shape[1 + axis]
    stride = int_option(op, ("stride_h", "stride_w")[axis])
    missing = max((steps - 1) * stride + _reach(graph, op, axis) - size, 0)
    return missing // 2, missing - missing // 2


@dataclass(frozen=True, eq=False)
class _Schedule:
    """Which rows each op makes in each stripe.

    `made[t][s]` are the rows of tensor t made in stripe s, `held[t]` the first that its buffer then holds;
    tensors in `whole` hold all.
    """

    program: Program
    ops: tuple[Op, ...]
    count: int
    made: dict[int, list[range]]
    held: dict[int, list[int]]
    whole: frozenset[int]

    def capacity(self, tensor: int) -> int:
        """The most rows that the buffer of `tensor` has to hold."""
        if tensor in self.whole:
            return self.program.graph.tensors[tensor].shape[1]
        return max(rows.stop - held for rows, held in zip(self.made[tensor], self.held[tensor], strict=True))

    def kept(self, tensor: int) -> list[tuple[int, int]]:
        """For each stripe, how many rows stay from the one before, and how many before them do not."""
        held = self.held[tensor]
        stays = zip(self.made[tensor][1:], pairwise(held), strict=True)
        return [(0, 0), *((rows.start - new, new - old) for rows, (old, new) in stays)]

    @property
    def carried(self) -> frozenset[int]:
        """The tensors whose bytes outlive a stripe."""
        return self.whole | {t for t in self.made if t not in self.whole and any(n for n, _ in self.kept(t))}

    @property
    def least_bytes(self) -> int:
        """About what the run needs at least, if its whole inputs and outputs share all the bytes they can."""
        size = {
            t: self.capacity(t) * row_bytes(self.program.graph.tensors[t])
            for t in self.whole | set(self.made)
        }
        carried = self.carried
        shared = max(sum(size[t] for t in self.whole if (t in self.made) == made) for made in (False, True))
        lasting = shared + sum(size[t] for t in carried - self.whole)
        scratch = {op.index: memory.scratch_bytes(steps) for op, steps in self.program.ops}
        return lasting + max(
            scratch[op.index] + sum(size[t] for t in set(_sides(self.program.graph, op)) - carried)
            for op in self.ops
        )


def row_bytes(tensor: Tensor) -> int:
    """The bytes of a row of an NHWC tensor."""
    return prod(tensor.shape[2:]) * tensor.dtype.bytes


def _schedule(program: Program, run: range, height: int) -> _Schedule | None:
    """The ops at positions `run`, in stripes that make `height` rows of the last; None if that is no good."""
    graph = program.graph
    ops = tuple(program.ops[position][0] for position in run)
    made_by = {op.outputs[0]: op for op in ops}
    sources = {t for op in ops for t in _activations(graph, op)} - set(made_by)
    if {program.memory[t] for t in sources} & {program.memory[t] for t in made_by}:
        return None
    outside = {t for n, (op, _) in enumerate(program.ops) if n not in run for t in op.inputs}
    shared = {both for t, root in program.memory.items() if t != root for both in (t, root)}
    outputs = {t for t in made_by if t in outside | shared | set(graph.outputs)}
    outputs.add(ops[-1].outputs[0])
    rows = graph.tensors[ops[-1].outputs[0]].shape[1]
    count = -(-rows // height)
    if count < 2:
        return None
    ends: dict[int, list[int]] = {}
    held: dict[int, list[int]] = {}
    for op in reversed(ops):
        target = op.outputs[0]
        readers = [reader for reader in ops if target in reader.inputs]
        limit = graph.tensors[target].shape[1]
        if op is ops[-1]:
            ends[target] = [min(rows, (s + 1) * height) for s in range(count)]
        elif readers:
            ends[target] = [
                max(
                    (
                        _window(graph, r, target, range(end))[0].stop
                        for r in readers
                        if (end := ends[r.outputs[0]][s])
                    ),
                    default=0,
                )
                for s in range(count)
            ]
        elif target in outputs:
            ends[target] = [limit * (s + 1) // count for s in range(count)]
        else:
            return None
        if target in outputs:
            ends[target][-1] = limit
        starts = [0, *ends[target][:-1]]
        held[target] = [
            min([start, *(_lowest(graph, r, target, [0, *ends[r.outputs[0]]], s) for r in readers)])
            for s, start in enumerate(starts)
        ]
    made = {t: [range(a, b) for a, b in pairwise([0, *ends[t]])] for t in ends}
    return _Schedule(program, ops, count, made, held, frozenset(outputs | sources))


def _lowest(graph: Graph, op: Op, tensor: int, made: Sequence[int], stripe: int) -> int:
    """The first row of an input that `op` needs from `stripe` on; `made` is how far it is before each."""
    if made[stripe] == made[-1]:
        return _NEVER
    return _window(graph, op, tensor, range(made[stripe], made[stripe] + 1))[0].start


@dataclass(frozen=True)
class _Piece:
    """What an op does in one stripe: rows of each input and of the output last, and where they begin."""

    stripe: int
    rows: tuple[int, ...]
    padding: tuple[int, int]
    offsets: tuple[int, ...]


def _cut(program: Program, schedule: _Schedule, suit: Suit) -> Program:
    """`program` with the ops of `schedule` in stripes."""
    tensors = list(program.graph.tensors)
    for t in schedule.made:
        tensors[t] = replace(tensors[t], shape=(1, schedule.capacity(t), *tensors[t].shape[2:]))
    slices = dict(program.slices)
    cut: dict[int, tuple[Step, ...]] = {}
    for op in schedule.ops:
        steps = list(_keeping(program.graph, schedule, op.outputs[0]))
        for stripes, first, pitches in _alike(_pieces(schedule, op)):
            sliced = {}
            for t, rows, offset, pitch in zip(
                _sides(program.graph, op), first.rows, first.offsets, pitches, strict=True
            ):
                sliced[t] = len(tensors)
                slices[len(tensors)] = Slice(t, offset, pitch)
                shape = (1, rows, *tensors[t].shape[2:])
                tensors.append(replace(tensors[t], index=len(tensors), shape=shape))
            graph = replace(program.graph, tensors=tuple(tensors))
            clone = _with_rows(program.graph, op, sliced, first.padding)
            lowered = lower_op(graph, clone)
            assert not isinstance(lowered, Alias)
            ((_, suited),) = suit(replace(program, graph=graph, ops=((clone, lowered),), slices=slices)).ops
            steps += [replace(step, stripes=stripes) for step in suited]
        cut[op.index] = tuple(steps)
    saved = {
        op.index: program.graph.tensors[op.outputs[0]].bytes - tensors[op.outputs[0]].bytes
        for op in schedule.ops
    }
    turns = Stripes(
        first=min(cut),
        last=max(cut),
        count=schedule.count,
        carried=schedule.carried,
        overlaps=tuple(_overlaps(schedule)),
        saved=saved,
    )
    return replace(
        program,
        graph=replace(program.graph, tensors=tuple(tensors)),
        ops=tuple((op, cut.get(op.index, steps)) for op, steps in program.ops),
        slices=slices,
        stripes=(*program.stripes, turns),
    )


def _sides(graph: Graph, op: Op) -> tuple[int, ...]:
    """The tensors that are cut to rows: the inputs that are no constants, once each, and the output."""
    return (*dict.fromkeys(_activations(graph, op)), op.outputs[0])


def _with_rows(graph: Graph, op: Op, sliced: dict[int, int], padding: tuple[int, int]) -> Op:
    """`op` of slices, with `padding` above and below."""
    inputs, outputs = (tuple(sliced.get(t, t) for t in side) for side in (op.inputs, op.outputs))
    if op.kind not in _WINDOWS:
        return replace(op, inputs=inputs, outputs=outputs)
    left, right = _padding(graph, op, 1)
    names = ("pad_top", "pad_bottom", "pad_left", "pad_right")
    explicit = dict(zip(names, (*padding, left, right), strict=True))
    options = {**op.options, **explicit, "padding": "EXPLICIT"}
    return replace(op, inputs=inputs, outputs=outputs, options=options)


def _pieces(schedule: _Schedule, op: Op) -> Iterator[_Piece]:
    graph = schedule.program.graph
    *inputs, target = _sides(graph, op)
    for number, made in enumerate(schedule.made[target]):
        if not made:
            continue
        windows = [_window(graph, op, t, made) for t in inputs]
        rows = [*(window for window, *_ in windows), made]
        padding = windows[0][1:] if windows else (0, 0)
        offsets = [
            (r.start - (0 if t in schedule.whole else schedule.held[t][number])) * row_bytes(graph.tensors[t])
            for t, r in zip((*inputs, target), rows, strict=True)
        ]
        yield _Piece(number, tuple(map(len, rows)), padding, tuple(offsets))


def _alike(pieces: Iterator[_Piece]) -> Iterator[tuple[range, _Piece, tuple[int, ...]]]:
    """Stripes that one kernel can do: which, the first, and how far each offset moves with a stripe."""
    groups: list[list[_Piece]] = []
    for piece in pieces:
        last = groups[-1] if groups else []
        same = bool(last) and (last[-1].rows, last[-1].padding) == (piece.rows, piece.padding)
        if same and last[-1].stripe + 1 == piece.stripe and len(set(_moves([*last[-2:], piece]))) == 1:
            last.append(piece)
        else:
            groups.append([piece])
    for group in groups:
        pitches = _moves([*group, group[0]])[0]
        yield range(group[0].stripe, group[-1].stripe + 1), group[0], pitches


def _moves(pieces: Sequence[_Piece]) -> list[tuple[int, ...]]:
    """How far every offset moves from each piece to the next."""
    return [
        tuple(after - before for before, after in zip(a.offsets, b.offsets, strict=True))
        for a, b in pairwise(pieces)
    ]


def _keeping(graph: Graph, schedule: _Schedule, tensor: int) -> Iterator[Step]:
    """The steps that move what stays of `tensor` to the front of its buffer."""
    if tensor in schedule.whole:
        return
    kept = schedule.kept(tensor)
    width = row_bytes(graph.tensors[tensor]) // graph.tensors[tensor].dtype.bytes
    for (rows, dropped), group in groupby(range(schedule.count), lambda number: kept[number]):
        if rows and dropped:
            numbers = list(group)
            params = {"kElements": rows * width, "kFrom": dropped * width}
            stripes = range(numbers[0], numbers[-1] + 1)
            yield Step("keep_rows", "shape.h", params, (Write(tensor),), stripes=stripes)


def _overlaps(schedule: _Schedule) -> Iterator[Overlap]:
    """How far each whole output of the run may run into each whole input, if that one dies with the run."""
    graph = schedule.program.graph
    for source in schedule.whole - set(schedule.made):
        for output in schedule.whole & set(schedule.made):
            first, end = [], []
            for number in range(schedule.count):
                for op in schedule.ops:
                    made = schedule.made[op.outputs[0]][number]
                    reads = bool(made) and source in op.inputs
                    window = _window(graph, op, source, made)[0] if reads else range(0)
                    first.append(window.start * row_bytes(graph.tensors[source]) if reads else _NEVER)
                    writes = op.outputs[0] == output
                    end.append(made.stop * row_bytes(graph.tensors[output]) if writes else 0)
            yield Overlap(source, output, overlap.of_copies(first, end))
