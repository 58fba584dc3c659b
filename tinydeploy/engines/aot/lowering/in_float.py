"""Ops of two operands between DEQUANTIZE and QUANTIZE, as float_islands.py finds them: in float."""

from __future__ import annotations

from tinydeploy.engines.aot.ir import Step
from tinydeploy.engines.aot.kernels.elementwise_kernels import IN_FLOAT, InFloat
from tinydeploy.engines.aot.lowering import broadcasting
from tinydeploy.engines.aot.lowering.require import (
    fused_range,
    input_tensors,
    output_tensor,
    per_tensor,
    require_types,
)
from tinydeploy.engines.aot.own_ops import FloatOp
from tinydeploy.model.graph import DType, Graph, Quantization

# In the order of kernels/in_float.h: products, quotients, sums and comparisons, the same on every core.
KINDS = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "PRELU")


def lower(graph: Graph, op: FloatOp) -> tuple[Step, ...]:
    """The step of a QUANTIZE of one of KINDS, of int8, int16 or float constants."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_types((output,), DType.INT8, DType.INT16)
    a, b = (
        Quantization((1.0,), (0,)) if source.dtype is DType.FLOAT32 else per_tensor(source)
        for source in sources
    )
    target = per_tensor(output)
    params = InFloat(
        broadcasting.loops_of(graph, op),
        KINDS.index(op.function),
        *(a.scale, a.zero_point, b.scale, b.zero_point, target.scale, target.zero_point),
        *fused_range(op, output),
    )
    return (broadcasting.of_two(graph, op, IN_FLOAT, params),)
