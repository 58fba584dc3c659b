"""Ops of two operands between DEQUANTIZE and QUANTIZE, as float_islands.py finds them: in float."""

from __future__ import annotations

from tinydeploy.engines.aot.ir import Step
from tinydeploy.engines.aot.lowering import broadcasting
from tinydeploy.engines.aot.lowering.require import (
    fused_range,
    input_tensors,
    output_tensor,
    per_tensor,
    require_types,
)
from tinydeploy.model.graph import DType, Graph, Op, Quantization

# In the order of kernels/in_float.h: products, quotients, sums and comparisons, the same on every core.
KINDS = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "PRELU")


def lower(graph: Graph, op: Op) -> tuple[Step, ...]:
    """The step of a QUANTIZE whose option `float` is one of KINDS, of int8, int16 or float constants."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_types((output,), DType.INT8, DType.INT16)
    target = per_tensor(output)
    low, high = fused_range(op, output)
    params: broadcasting.Params = {"kOp": KINDS.index(str(op.options["float"]))}
    for name, source in zip("AB", sources, strict=True):
        real = Quantization((1.0,), (0,)) if source.dtype is DType.FLOAT32 else per_tensor(source)
        params |= {f"k{name}Scale": real.scale, f"k{name}ZeroPoint": real.zero_point}
    params |= {
        "kScale": target.scale,
        "kZeroPoint": target.zero_point,
        "kOutputMin": low,
        "kOutputMax": high,
    }
    return (broadcasting.of_two(graph, op, "in_float", "in_float.h", params),)
