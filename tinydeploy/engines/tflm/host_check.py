"""Refusals of the tflm engine: what TFLite Micro says on this machine, and what it does not notice."""

from __future__ import annotations

from math import prod

import numpy as np

from tinydeploy.engines.engine import Refusal
from tinydeploy.host import reference
from tinydeploy.model.canonicalize.constant_ops import Call, ContradictionError
from tinydeploy.model.canonicalize.shape_inference import infer
from tinydeploy.model.graph import DType, Graph, Op, Tensor
from tinydeploy.model.ops import catalogue

_MOST_BYTES = 1 << 28  # of the inputs together: what is tried here fills them


def refusals(graph: Graph) -> tuple[Refusal, ...]:
    """Every op that speaks against running `graph` with TFLite Micro; empty if none does.

    An op that a program cannot register is refused by name, and one that contradicts itself, or whose output
    has not the shape that follows from its inputs, for TFLite Micro computes something else then. What is
    left, TFLite Micro's interpreter on this machine allocates and runs once, and its objection is passed on,
    if it is installed there (`asked`).
    """
    unknown = (op for op in graph.running if not catalogue.of(op.kind).resolver)
    found = [Refusal(op.index, "TFLite Micro has no kernel") for op in unknown]
    found = found or [Refusal(op.index, why) for op in graph.running if (why := _mismatch(graph, op))]
    if found or not asked():
        return tuple(found)
    size = sum(graph.tensors[index].bytes for index in graph.inputs)
    if size > _MOST_BYTES:
        return (Refusal(-1, f"its inputs take {size:,} bytes, and {_MOST_BYTES:,} are tried at the most"),)
    objection = reference.objection(graph.content, [_sample(graph.tensors[i])[None] for i in graph.inputs])
    if objection is None:
        return ()
    # TFLite Micro counts the ops that are left in the file that it is given.
    named = ((number, op.index) for number, op in enumerate(graph.running) if op.kind == objection.kind)
    numbers = [index for number, index in named if objection.number in (None, number)]
    return (Refusal(numbers[0] if numbers else -1, f"TFLite Micro: {objection.reason}"),)


def _mismatch(graph: Graph, op: Op) -> str:
    """Why the op cannot be, or its outputs not have the sizes that the file gives them; empty if they can.

    TFLite Micro believes the file, and computes a part of what the op is, or reads what is not there.
    """
    inputs = tuple(graph.tensors[index] for index in op.inputs if index >= 0)
    outputs = tuple(graph.tensors[index] for index in op.outputs)
    try:
        shapes = infer(Call(op, inputs, outputs)) or ()
    except ContradictionError as error:
        return str(error)
    except (ValueError, IndexError, TypeError, ArithmeticError):
        return ""  # TFLite Micro may see more in it
    for output, shape in zip(outputs, shapes, strict=False):
        if prod(shape) != output.elements:
            return f"its output is {list(output.shape)} in the file, which should be {list(shape)}"
    return ""


def asked() -> bool:
    """Whether TFLite Micro itself is asked."""
    return reference.available()


def _sample(tensor: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """Ones, which no op divides by zero with; positions (integers without a scale) are zero."""
    zero = tensor.quantization.zero_point if tensor.quantization else -1
    integer = tensor.dtype not in (DType.FLOAT32, DType.BOOL)
    value = min(zero + 1, np.iinfo(tensor.dtype.value).max) if integer else 1
    return np.full(tensor.shape, value, tensor.dtype.numpy)
