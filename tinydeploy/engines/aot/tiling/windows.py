"""Windows: how ops go through their inputs along rows and columns, or pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.engines.aot.lowering.require import int_option
from tinydeploy.model.graph import Graph, Op

ROWS, COLUMNS = 1, 2  # axes of an NHWC tensor

_POOLING = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
WINDOWS = ("CONV_2D", "DEPTHWISE_CONV_2D", *_POOLING)
_PIXEL_BY_PIXEL = (
    *("ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM", "SOFTMAX", "QUANTIZE", "DEQUANTIZE"),
    *("RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH"),
)


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


@dataclass(frozen=True)
class Window:
    """Along one axis: for each of its `steps` an op needs `reach` of the input's `size`, every `stride`.

    The first needs `before` of padding. For all steps it needs the whole input if `takes_all`: that may be
    broadcast, or end with some that no window reaches.
    """

    size: int
    steps: int
    stride: int
    before: int
    reach: int
    takes_all: bool

    def needed(self, made: range) -> tuple[range, int, int]:
        """What of the input is needed for `made` of the output, and how much padding before and after it."""
        start = made.start * self.stride - self.before
        stop = start + (len(made) - 1) * self.stride + self.reach
        needed = range(max(start, 0), min(stop, self.size))
        if self.takes_all and len(made) == self.steps:
            needed = range(self.size)
        return needed, max(-start, 0), max(stop - self.size, 0)


def window_of(graph: Graph, op: Op, tensor: int, axis: int) -> Window:
    """How `op` goes through its input `tensor` along `axis`."""
    size, steps = graph.tensors[tensor].shape[axis], graph.tensors[op.outputs[0]].shape[axis]
    if op.kind not in WINDOWS or tensor != op.inputs[0]:
        return Window(size, steps, 1, 0, 1, axis == COLUMNS)
    stride = int_option(op, ("stride_h", "stride_w")[axis - ROWS])
    return Window(size, steps, stride, _padding(graph, op, axis), _reach(graph, op, axis), axis == COLUMNS)


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
