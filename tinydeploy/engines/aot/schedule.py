"""When a run of ops makes what: a few rows of every tensor at a time, perhaps of a patch of its columns.

A stripe makes the rows that the later ops then need and that no stripe before has made, so stripes compute
nothing twice: of a tensor inside the run, rows that a later window still needs stay. Patches are what
MCUNetV2 (Lin et al., 2021, https://arxiv.org/abs/2110.15352) runs a network's first layers in: each is done
for itself, so what the windows of two patches share is computed in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod

from tinydeploy.engines.aot import memory, overlap
from tinydeploy.engines.aot.checks import int_option
from tinydeploy.engines.aot.lower import Program
from tinydeploy.engines.aot.program import Overlap
from tinydeploy.graph import Graph, Op

ROWS, COLUMNS = 1, 2  # axes of an NHWC tensor

_POOLING = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
WINDOWS = ("CONV_2D", "DEPTHWISE_CONV_2D", *_POOLING)
_PIXEL_BY_PIXEL = (
    *("ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM", "SOFTMAX", "QUANTIZE", "DEQUANTIZE"),
    *("RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH"),
)
_NEVER = 1 << 40  # behind every byte


def goes_by(axis: int, graph: Graph, op: Op) -> bool:
    """Whether each step of the output along `axis` comes from some of each input that is no constant."""
    tensors = [graph.tensors[index] for index in (*activations(graph, op), *op.outputs)]
    if len(op.outputs) != 1 or any(len(t.shape) != 4 or t.shape[0] != 1 or t.is_variable for t in tensors):
        return False
    if op.kind in WINDOWS:
        return activations(graph, op) == (op.inputs[0], *op.inputs[3:])  # the last is an addend
    constants = [graph.tensors[index] for index in op.inputs if graph.tensors[index].data is not None]
    broadcast = all(tensor.shape[axis - 4 : axis - 3] in ((), (1,)) for tensor in constants)
    return op.kind in _PIXEL_BY_PIXEL and broadcast and len({tensor.shape[axis] for tensor in tensors}) == 1


def activations(graph: Graph, op: Op) -> tuple[int, ...]:
    """The inputs that are no constants, as often as they are read."""
    return tuple(index for index in op.inputs if index >= 0 and graph.tensors[index].data is None)


def sides(graph: Graph, op: Op) -> tuple[int, ...]:
    """The tensors that are cut: the inputs that are no constants, once each, and the output."""
    return (*dict.fromkeys(activations(graph, op)), op.outputs[0])


def _window(graph: Graph, op: Op, tensor: int, axis: int, made: range) -> tuple[range, int, int]:
    """What of an input is needed for `made` of the output, and how much padding before and after it."""
    size, start, stop = graph.tensors[tensor].shape[axis], made.start, made.stop
    if op.kind in WINDOWS and tensor == op.inputs[0]:
        stride = int_option(op, ("stride_h", "stride_w")[axis - ROWS])
        start = made.start * stride - _padding(graph, op, axis)
        stop = start + (len(made) - 1) * stride + _reach(graph, op, axis)
    needed = range(max(start, 0), min(stop, size))
    if axis == COLUMNS and len(made) == graph.tensors[op.outputs[0]].shape[axis]:
        needed = range(size)  # whole rows: they may be broadcast, or end with some that no window reaches
    return needed, max(-start, 0), max(stop - size, 0)


def _reach(graph: Graph, op: Op, axis: int) -> int:
    """How many rows or columns a window spans."""
    initial, side = ("h", "height") if axis == ROWS else ("w", "width")
    size = (
        int_option(op, f"filter_{side}") if op.kind in _POOLING else graph.tensors[op.inputs[1]].shape[axis]
    )
    return (size - 1) * (int_option(op, f"dilation_{initial}_factor") or 1) + 1


def _padding(graph: Graph, op: Op, axis: int) -> int:
    """How many rows or columns of padding there are before the input."""
    if op.options["padding"] != "SAME":
        return int_option(op, ("pad_top", "pad_left")[axis - ROWS])  # none if it is VALID
    size, steps = graph.tensors[op.inputs[0]].shape[axis], graph.tensors[op.outputs[0]].shape[axis]
    stride = int_option(op, ("stride_h", "stride_w")[axis - ROWS])
    return max((steps - 1) * stride + _reach(graph, op, axis) - size, 0) // 2


@dataclass(frozen=True)
class Part:
    """What an op reads or makes of a tensor in one turn: `rows` times `columns` pixels.

    They begin at pixel `first` of the tensor's buffer, and each row is `pitch` pixels behind the one before.
    """

    rows: int
    columns: int
    first: int
    pitch: int

    @property
    def is_torn(self) -> bool:
        """Whether there are other pixels between its rows."""
        return self.rows > 1 and self.columns != self.pitch


@dataclass(frozen=True)
class Turn:
    """What an op does in one turn: the parts of its `sides`, and the padding around its input.

    `padding` is above, below, left and right.
    """

    number: int
    parts: tuple[Part, ...]
    padding: tuple[int, int, int, int]

    @property
    def shape(self) -> tuple[object, ...]:
        """All but where the parts begin."""
        return self.padding, *((part.rows, part.columns, part.pitch) for part in self.parts)


@dataclass(frozen=True, eq=False)
class Schedule:
    """What each op makes in each turn: a turn is a stripe of a patch, and all stripes of a patch come first.

    `rows[t][s]` are the rows of tensor t made in stripe s, and `held[t][s]` the first that its buffer then
    holds; `columns[t][p]` are the columns made in patch p. Tensors in `whole` are held as they are.
    """

    program: Program
    ops: tuple[Op, ...]
    rows: Mapping[int, Sequence[range]]
    held: Mapping[int, Sequence[int]]
    columns: Mapping[int, Sequence[range]]
    whole: frozenset[int]

    @property
    def stripes(self) -> int:
        """How many there are in a patch."""
        return len(self.rows[self.ops[-1].outputs[0]])

    @property
    def patches(self) -> int:
        """How many there are, side by side."""
        return len(self.columns[self.ops[-1].outputs[0]])

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Of the buffer of `tensor`: the most rows and columns that it has to hold."""
        shape = self.program.graph.tensors[tensor].shape
        if tensor in self.whole:
            return shape
        rows = max(made.stop - held for made, held in zip(self.rows[tensor], self.held[tensor], strict=True))
        return (1, rows, max(map(len, self.columns[tensor])), shape[3])

    def kept(self, tensor: int) -> list[tuple[int, int]]:
        """For each stripe, how many rows stay from the one before, and how many before them do not."""
        held = self.held[tensor]
        stays = zip(self.rows[tensor][1:], pairwise(held), strict=True)
        return [(0, 0), *((rows.start - new, new - old) for rows, (old, new) in stays)]

    @property
    def carried(self) -> frozenset[int]:
        """The tensors whose bytes outlive a turn."""
        return self.whole | {t for t in self.rows if t not in self.whole and any(n for n, _ in self.kept(t))}

    @property
    def least_bytes(self) -> int:
        """About what the run needs at least: in one patch, its whole inputs and outputs may share bytes."""
        graph = self.program.graph
        size = {t: prod(self.shape(t)) * graph.tensors[t].dtype.bytes for t in self.whole | self.rows.keys()}
        whole = [sum(size[t] for t in self.whole if (t in self.rows) == made) for made in (False, True)]
        carried = self.carried
        lasting = max(whole) if self.patches == 1 else sum(whole)
        lasting += sum(size[t] for t in carried - self.whole)
        scratch = {op.index: memory.scratch_bytes(steps) for op, steps in self.program.ops}
        return lasting + max(
            scratch[op.index] + sum(size[t] for t in set(sides(graph, op)) - carried) for op in self.ops
        )

    def turns(self, op: Op) -> Iterator[Turn]:
        """What `op` does, turn by turn."""
        graph = self.program.graph
        *inputs, target = sides(graph, op)
        for number, (patch, stripe) in enumerate(product(range(self.patches), range(self.stripes))):
            made = self.rows[target][stripe], self.columns[target][patch]
            if not made[0]:
                continue
            rows = [_window(graph, op, t, ROWS, made[0]) for t in inputs]
            columns = [_window(graph, op, t, COLUMNS, made[1]) for t in inputs]
            parts = [
                self._part(t, r, c, stripe, patch)
                for t, (r, *_), (c, *_) in zip(inputs, rows, columns, strict=True)
            ]
            parts.append(self._part(target, *made, stripe, patch))
            padding = (*rows[0][1:], *columns[0][1:]) if inputs else (0, 0, 0, 0)
            yield Turn(number, tuple(parts), padding)

    def _part(self, tensor: int, rows: range, columns: range, stripe: int, patch: int) -> Part:
        full = self.program.graph.tensors[tensor]
        is_whole = tensor in self.whole
        above = 0 if is_whole else self.held[tensor][stripe]
        held = range(full.shape[COLUMNS]) if is_whole else self.columns[tensor][patch]
        first = (rows.start - above) * len(held) + columns.start - held.start
        return Part(len(rows), len(columns), first, len(held))

    def again(self, tensor: int) -> int:
        """How many elements of `tensor` are computed once more, as two patches need them."""
        columns = self.columns[tensor]
        twice = sum(map(len, columns)) - (max(c.stop for c in columns) - min(c.start for c in columns))
        return self.rows[tensor][-1].stop * twice * self.program.graph.tensors[tensor].shape[3]

    def overlaps(self) -> Iterator[Overlap]:
        """How far each whole output may run into each whole input, if that one dies with the run."""
        graph = self.program.graph
        for source, output in product(self.whole - self.rows.keys(), self.whole & self.rows.keys()):
            pitches = {t: graph.tensors[t].bytes // graph.tensors[t].shape[ROWS] for t in (source, output)}
            first, end = [], []
            for stripe, op in product([*range(self.stripes)] * self.patches, self.ops):
                made = self.rows[op.outputs[0]][stripe]
                reads = bool(made) and source in op.inputs
                window = _window(graph, op, source, ROWS, made)[0] if reads else range(0)
                first.append(window.start * pitches[source] if reads else _NEVER)
                end.append(made.stop * pitches[output] if op.outputs[0] == output else 0)
            yield Overlap(source, output, overlap.of_copies(first, end))


def schedule(program: Program, run: range, height: int, patches: int = 1) -> Schedule | None:
    """The ops at positions `run`, in stripes of `height` rows of the last one's output; None if that fails.

    Each of the `patches` has its share of the output's columns. Ops have to go by rows, and by columns if
    there are several patches.
    """
    graph = program.graph
    ops = tuple(program.ops[position][0] for position in run)
    made_by = {op.outputs[0]: op for op in ops}
    sources = {t for op in ops for t in activations(graph, op)} - set(made_by)
    if {program.memory[t] for t in sources} & {program.memory[t] for t in made_by}:
        return None
    outside = {t for n, (op, _) in enumerate(program.ops) if n not in run for t in op.inputs}
    shared = {both for t, root in program.memory.items() if t != root for both in (t, root)}
    outputs = {t for t in made_by if t in outside | shared | set(graph.outputs)}
    outputs.add(ops[-1].outputs[0])
    rows = graph.tensors[ops[-1].outputs[0]].shape[ROWS]
    stripes = -(-rows // height)
    if stripes * patches < 2 or (patches > 1 and not all(goes_by(COLUMNS, graph, op) for op in ops)):
        return None
    if patches > min(graph.tensors[t].shape[COLUMNS] for t in outputs):
        return None
    ends: dict[int, list[int]] = {}
    held: dict[int, list[int]] = {}
    for op in reversed(ops):
        target = op.outputs[0]
        readers = [reader for reader in ops if target in reader.inputs]
        limit = graph.tensors[target].shape[ROWS]
        if op is ops[-1]:
            ends[target] = [min(rows, (s + 1) * height) for s in range(stripes)]
        elif readers:
            ends[target] = [
                max(
                    (
                        _window(graph, r, target, ROWS, range(end))[0].stop
                        for r in readers
                        if (end := ends[r.outputs[0]][s])
                    ),
                    default=0,
                )
                for s in range(stripes)
            ]
        elif target in outputs:
            ends[target] = [limit * (s + 1) // stripes for s in range(stripes)]
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
    return Schedule(
        program, ops, made, held, _columns(graph, ops, outputs, patches), frozenset(outputs | sources)
    )


def _columns(graph: Graph, ops: Sequence[Op], outputs: set[int], patches: int) -> dict[int, list[range]]:
    """The columns of each op's output that each patch makes: all that its later ops need.

    Those in `outputs`, which are needed afterwards, share out all their columns.
    """
    columns: dict[int, list[range]] = {}
    for op in reversed(ops):
        (target,) = op.outputs
        width = graph.tensors[target].shape[COLUMNS]
        columns[target] = []
        for patch in range(patches):
            needed = [
                _window(graph, reader, target, COLUMNS, columns[reader.outputs[0]][patch])[0]
                for reader in ops
                if target in reader.inputs
            ]
            if target in outputs or patches == 1:
                needed.append(range(width * patch // patches, width * (patch + 1) // patches))
            columns[target].append(range(min(w.start for w in needed), max(w.stop for w in needed)))
    return columns


def _lowest(graph: Graph, op: Op, tensor: int, made: Sequence[int], stripe: int) -> int:
    """The first row of an input that `op` needs from `stripe` on; `made` is how far it is before each."""
    if made[stripe] == made[-1]:
        return _NEVER
    return _window(graph, op, tensor, ROWS, range(made[stripe], made[stripe] + 1))[0].start
