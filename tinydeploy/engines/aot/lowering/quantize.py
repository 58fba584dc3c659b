"""Lowering of QUANTIZE (from float, or between integer quantisations), DEQUANTIZE and CAST."""

from __future__ import annotations

import numpy as np

from tinydeploy.engines.aot.arithmetic import tables
from tinydeploy.engines.aot.arithmetic.fixed_point import multiply_by_quantized_multiplier
from tinydeploy.engines.aot.ir import Alias, Step, Write, operand
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    input_tensors,
    output_tensor,
    per_tensor,
    require,
    require_same_size,
    require_types,
    rescaling,
)
from tinydeploy.engines.aot.lowering.table_lookup import lookup
from tinydeploy.engines.aot.memory import input_overlap
from tinydeploy.model.graph import DType, Graph, Op

_TARGETS = {
    DType.FLOAT32: (DType.INT8, DType.INT16),
    DType.INT8: (DType.INT8, DType.UINT8, DType.INT16, DType.INT32),
    DType.UINT8: (DType.INT8,),
    DType.INT16: (DType.INT8, DType.INT16, DType.INT32),
    DType.INT32: (DType.INT8, DType.INT16),
}


@lowers("QUANTIZE")
def lower_quantize(graph: Graph, op: Op) -> tuple[Step, ...] | Alias:
    """QUANTIZE: an 8-bit input goes through a table, if that changes anything; others through arithmetic."""
    (source,) = input_tensors(graph, op, 1)
    output = output_tensor(graph, op)
    require(
        output.dtype in _TARGETS.get(source.dtype, ()),
        f"it cannot turn {source.dtype.value} into {output.dtype.value}",
    )
    require_same_size(source, output)
    target = per_tensor(output)
    limits = np.iinfo(output.dtype.value)
    ends: dict[str, int | float | bool] = {"kOutputMin": int(limits.min), "kOutputMax": int(limits.max)}
    size: dict[str, int | float | bool] = {"kElements": output.elements}
    args = (operand(graph, op, 0, "input"), Write(output.index))
    if source.dtype is DType.FLOAT32:
        params = size | {"kScale": target.scale, "kZeroPoint": target.zero_point} | ends
        return (Step("quantize", "quantize.h", params, args, input_overlap.in_place(graph, args)),)

    origin = per_tensor(source)
    multiplier, shift = rescaling(origin.scale / target.scale)
    if source.dtype.bytes == 1:
        values = tables.INT8 if source.dtype is DType.INT8 else tables.UINT8
        scaled = multiply_by_quantized_multiplier(values - origin.zero_point, multiplier, shift)
        table = np.clip(scaled.astype(np.int64) + target.zero_point, limits.min, limits.max)
        if source.dtype is output.dtype and np.array_equal(table, values) and not source.is_variable:
            return Alias(source.index, output.index)
        return (lookup(graph, op, tables.by_bits(table) if source.dtype is DType.INT8 else table),)
    params = size | {
        "kInputZeroPoint": origin.zero_point,
        "kMultiplier": multiplier,
        "kShift": shift,
        "kOutputZeroPoint": target.zero_point,
    }
    return (Step("rescale", "quantize.h", params | ends, args, input_overlap.in_place(graph, args)),)


@lowers("DEQUANTIZE")
def lower_dequantize(graph: Graph, op: Op) -> tuple[Step, ...]:
    """DEQUANTIZE to float."""
    (source,) = input_tensors(graph, op, 1)
    output = output_tensor(graph, op)
    require_types((source,), DType.INT8, DType.UINT8, DType.INT16)
    require_types((output,), DType.FLOAT32)
    require_same_size(source, output)
    origin = per_tensor(source)
    params = {"kElements": output.elements, "kScale": origin.scale, "kZeroPoint": origin.zero_point}
    args = (operand(graph, op, 0, "input"), Write(output.index))
    return (Step("dequantize", "quantize.h", params, args, input_overlap.in_place(graph, args)),)


@lowers("CAST")
def lower_cast(graph: Graph, op: Op) -> tuple[Step, ...] | Alias:
    """CAST between integers, and from bool; values beyond the output's range wrap around."""
    (source,), output = input_tensors(graph, op, 1), output_tensor(graph, op)
    integers = (DType.INT8, DType.INT16, DType.INT32)
    require_types((source,), *integers, DType.BOOL)
    require_types((output,), *integers)
    require_same_size(source, output)
    if source.dtype.bytes == output.dtype.bytes and not source.is_variable:
        return Alias(source.index, output.index)
    args = (operand(graph, op, 0, "input"), Write(output.index))
    overlaps = input_overlap.in_place(graph, args)
    return (Step("cast", "quantize.h", {"kElements": output.elements}, args, overlaps),)
