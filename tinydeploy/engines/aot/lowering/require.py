"""Refusals: what a lowering asks of an op. A no is an UnsupportedError with the reason."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.arithmetic.fixed_point import (
    MAX_LEFT_SHIFT,
    activation_range,
    quantize_multiplier,
    reduce_multiplier,
)
from tinydeploy.model.canonicalize.constant_ops import Call, ContradictionError
from tinydeploy.model.canonicalize.shape_inference import infer
from tinydeploy.model.graph import DType, Graph, Op, Quantization, Tensor

_BIAS_APART = 0.02  # of the output's scale


def require(condition: bool, reason: str) -> None:
    """Raises UnsupportedError(reason) unless `condition` holds."""
    if not condition:
        raise UnsupportedError(reason)


def input_tensors(graph: Graph, op: Op, *counts: int) -> tuple[Tensor, ...]:
    """All inputs of an op that has none to leave out; `counts` are how many it may have, if that is fixed."""
    require(not counts or len(op.inputs) in counts, f"it has {len(op.inputs)} inputs")
    require(all(index >= 0 for index in op.inputs), "an input is missing")
    return tuple(graph.tensors[index] for index in op.inputs)


def output_tensor(graph: Graph, op: Op) -> Tensor:
    """The only output of an op."""
    require(len(op.outputs) == 1, f"it has {len(op.outputs)} outputs")
    return graph.tensors[op.outputs[0]]


def require_types(tensors: tuple[Tensor, ...], *allowed: DType) -> None:
    """All `tensors` have one and the same type, one of `allowed`."""
    for tensor in tensors:
        names = " or ".join(dtype.value for dtype in allowed)
        require(tensor.dtype in allowed, f"it takes {names} tensors, not {tensor.dtype.value}")
    require(len({tensor.dtype for tensor in tensors}) == 1, "its tensors differ in type")


def require_same_size(a: Tensor, b: Tensor) -> None:
    """Both tensors have the same number of elements."""
    require(a.elements == b.elements, f"its output has {b.elements} elements for an input of {a.elements}")


def require_same_shape(a: Tensor, b: Tensor) -> None:
    """Both tensors have the same shape."""
    require(a.shape == b.shape, f"its output has the shape {list(b.shape)} for an input of {list(a.shape)}")


def require_inferred_shape(graph: Graph, op: Op) -> None:
    """The only output has the shape that follows from the inputs, some of which may have to be constants."""
    output = output_tensor(graph, op)
    try:
        shapes = infer(Call(op, input_tensors(graph, op), (output,)))
    except ContradictionError as error:
        raise UnsupportedError(str(error)) from error
    for shape in shapes or ():
        require(shape == output.shape, f"its output has the shape {list(output.shape)}, not {list(shape)}")


def per_tensor(tensor: Tensor) -> Quantization:
    """The tensor's quantisation, which has to have one scale and one zero point."""
    found = tensor.quantization
    if found is None:
        raise UnsupportedError("a tensor has no quantisation")
    require(not found.per_channel, "an activation is quantised per channel")
    return found


def require_symmetric(tensor: Tensor) -> Quantization:
    """The quantisation of an int16 tensor, which TFLite wants around zero."""
    found = per_tensor(tensor)
    require(found.zero_point == 0, f"an int16 tensor has the zero point {found.zero_point}, not 0")
    return found


def require_same_quantization(source: Tensor, output: Tensor) -> None:
    """Both tensors have the same scale and zero point."""
    a, b = per_tensor(source), per_tensor(output)
    same = (a.scale, a.zero_point) == (b.scale, b.zero_point)
    require(same, "its input and output are quantised differently")


def require_bias_scale(graph: Graph, op: Op) -> None:
    """The bias of a FULLY_CONNECTED with one scale for all weights is in units of the products.

    TFLite Micro, which adds it to their sum as it is, refuses the op if one unit would be out by more than a
    fiftieth of the output's step (GetQuantizedConvolutionMultipler in its kernel_util.cc).
    """
    source, weights, *rest = (graph.tensors[index] for index in op.inputs if index >= 0)
    if not rest or weights.quantization is None or weights.quantization.per_channel:
        return
    product = per_tensor(source).scale * weights.quantization.scale
    scale = rest[0].quantization.scale if rest[0].quantization else 0.0
    apart = abs(product - scale) / per_tensor(output_tensor(graph, op)).scale
    require(
        apart <= _BIAS_APART,
        f"its bias has the scale {scale:.3g} where input and weights make {product:.3g}, and TFLite Micro "
        "refuses that",
    )


def rescaling(factor: float) -> tuple[int, int]:
    """Multiplier and shift of a factor between scales, if the kernels can shift that far."""
    multiplier, shift = quantize_multiplier(factor)
    require(shift <= MAX_LEFT_SHIFT, f"its scales are too far apart (factor {factor:.3g})")
    return multiplier, shift


def wide_rescaling(multiplier: int, shift: int) -> tuple[int, int]:
    """The multiplier and the right shift for sums of 64 bits, from those for sums of 32."""
    require(shift < 8, f"its scales are too far apart for sums of 64 bits (factor 2**{shift})")
    return reduce_multiplier(multiplier, shift)


def require_wide_sums(
    bias: npt.NDArray[np.int64], weights: npt.NDArray[np.int8], axes: int | tuple[int, ...]
) -> None:
    """No sum over `axes` of the weights times int16, and its bias, has more bits than TFLite scales: 48."""
    products = np.abs(weights.astype(np.float64)).sum(axis=axes) * 2**15
    largest = float((np.abs(bias.astype(np.float64)) + products).max())
    require(largest < 2**47, "its bias is too large for the fixed-point arithmetic")


def type_range(tensor: Tensor) -> tuple[int, int]:
    """The smallest and the largest integer of the tensor's type."""
    limits = np.iinfo(tensor.dtype.value)
    return int(limits.min), int(limits.max)


def fused_range(op: Op, output: Tensor) -> tuple[int, int]:
    """What the op's fused activation lets through, in the output's integers."""
    activation = str(op.options.get("fused_activation_function", "NONE"))
    try:
        return activation_range(activation, output)
    except KeyError:
        raise UnsupportedError(f"the fused activation {activation} is not supported") from None


def constant_ints(
    graph: Graph, op: Op, position: int, what: str, types: tuple[DType, ...] = (DType.INT32,)
) -> tuple[int, ...]:
    """The values of input `position`, a constant row (or a number) of one of `types`: the op's `what`."""
    shape = graph.tensors[op.inputs[position]].shape
    require(len(shape) <= 1, f"its {what} has the shape {list(shape)}")
    return _constant_values(graph, op, position, what, types)


def constant_pairs(
    graph: Graph, op: Op, position: int, what: str, types: tuple[DType, ...] = (DType.INT32,)
) -> tuple[tuple[int, int], ...]:
    """The same of a constant of the shape [n, 2], such as what is padded before and after along each axis."""
    shape = graph.tensors[op.inputs[position]].shape
    require(len(shape) == 2 and shape[1] == 2, f"its {what} have the shape {list(shape)}")
    flat = _constant_values(graph, op, position, what, types)
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def _constant_values(
    graph: Graph, op: Op, position: int, what: str, types: tuple[DType, ...]
) -> tuple[int, ...]:
    tensor = graph.tensors[op.inputs[position]]
    if tensor.data is None:
        raise UnsupportedError(f"its {what} is computed at run time")
    names = " or ".join(dtype.value for dtype in types)
    require(tensor.dtype in types, f"its {what} is {tensor.dtype.value}, not {names}")
    return tuple(int(value) for value in tensor.data.reshape(-1))


def constant_int(
    graph: Graph, op: Op, position: int, what: str, types: tuple[DType, ...] = (DType.INT32,)
) -> int:
    """The one value of input `position`, a constant as for `constant_ints`."""
    values = constant_ints(graph, op, position, what, types)
    require(len(values) == 1, f"its {what} has {len(values)} values, not 1")
    return values[0]


def positive_axis(axis: int, rank: int) -> int:
    """An axis counted from the front; negative ones count from the back."""
    require(-rank <= axis < rank, f"axis {axis} is out of range for {rank} dimensions")
    return axis % rank


def int_option(op: Op, name: str) -> int:
    """An integer option (a bool is one), 0 if the model leaves it out."""
    value = op.options.get(name, 0)
    assert isinstance(value, int)
    return value


def float_option(op: Op, name: str) -> float:
    """A real option, 0.0 if the model leaves it out."""
    value = op.options.get(name, 0.0)
    assert isinstance(value, float)
    return value


class UnsupportedError(Exception):
    """Raised by a lowering: this op, as it stands in the graph, cannot be compiled. The text says why."""
