"""Values that follow from the file alone, computed once when it is read: shapes, and what is made of them.

A converter that leaves the batch open writes ops that compute shapes while the model runs (SHAPE,
STRIDED_SLICE, PACK …), though every tensor's shape stands in the file. Here the outputs of each op whose
inputs are constants, or that asks for nothing but a shape, become constants.

The file is untrusted. All that is read and made for it counts against a bound, before it is. Kinds and
options that are not known in host_ops.py stay ops.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinydeploy.errors import ModelError
from tinydeploy.graph import Graph, Op, Tensor
from tinydeploy.host_ops import FOLDERS, OF_SHAPES, Array, Call, UnknownError

MAX_BYTES = 16 << 20  # that all folded ops of a model may read and make
FIXED_SHAPE_HINT = "convert with fixed shapes: tf.keras.Input(shape, batch_size=1)"

# Which input of an op is its output's shape.
_SHAPE_INPUTS = {"RESHAPE": 1, "TRANSPOSE_CONV": 0, "BROADCAST_TO": 1, "FILL": 0}


def fold(graph: Graph) -> Graph:
    """`graph` with all that can be computed as constants, and the ops that made them in `folded`.

    Raises ModelError, naming the op, where a value does not fit what the file says of its tensor, and where a
    shape hangs on what is only known at run time.
    """
    tensors = list(graph.tensors)
    folded = set[int]()
    room = MAX_BYTES
    for op in graph.ops:
        call = _call(op, tensors)
        if call is None:
            continue
        work = sum(tensor.bytes for tensor in (*call.inputs, *call.outputs) if tensor.elements)
        work -= sum(tensor.bytes for tensor in call.inputs) if op.kind in OF_SHAPES else 0
        if work > room:
            continue
        try:
            results = _evaluate(call)
        except UnknownError:
            continue
        except (ValueError, IndexError, TypeError, OverflowError, ArithmeticError) as error:
            is_open = any(tensor.is_open for tensor in (*call.inputs, *call.outputs))
            raise ModelError(
                f"{graph.path}: op {op.index} ({op.kind}) cannot be computed at conversion: {error}",
                FIXED_SHAPE_HINT if is_open else "the file contradicts itself; convert it again",
            ) from error
        room -= work
        folded.add(op.index)
        for output, result in zip(call.outputs, results, strict=True):
            result.flags.writeable = False
            tensors[output.index] = replace(output, data=result)
    known = replace(graph, tensors=tuple(tensors), folded=frozenset(folded))
    _check_shapes(known)
    return known


def _call(op: Op, tensors: list[Tensor]) -> Call | None:
    """What there is to compute; None if the op is not known or its inputs are not."""
    if op.kind not in FOLDERS or min(op.inputs, default=-1) < 0:
        return None
    call = Call(op, tuple(tensors[i] for i in op.inputs), tuple(tensors[i] for i in op.outputs))
    known = op.kind in OF_SHAPES or all(tensor.data is not None for tensor in call.inputs)
    return call if known and not any(output.is_variable for output in call.outputs) else None


def _check_shapes(graph: Graph) -> None:
    """No op makes a tensor whose shape is known at run time alone: the file's shape is then a stand-in."""
    for op in graph.running:
        position = _SHAPE_INPUTS.get(op.kind)
        if position is None or len(op.inputs) <= position:
            continue
        output, shape = graph.tensors[op.outputs[0]], op.inputs[position]
        computed = shape >= 0 and graph.tensors[shape].data is None
        source = graph.tensors[op.inputs[0]]
        misfit = op.kind == "RESHAPE" and source.elements != output.elements
        if output.is_open and (computed or misfit):
            raise ModelError(
                f"{graph.path}: op {op.index} ({op.kind}) makes tensor {output.index} ({output.name}), whose "
                "shape is only known at run time",
                FIXED_SHAPE_HINT,
            )


def _evaluate(call: Call) -> tuple[Array, ...]:
    """The outputs, each of the shape and the type that the file says."""
    with np.errstate(all="ignore"):
        made = FOLDERS[call.op.kind](call)
    results = made if isinstance(made, tuple) else (made,)
    if len(results) != len(call.outputs):
        raise ValueError(f"it makes {len(results)} tensors where the file says {len(call.outputs)}")
    checked = []
    for result, output in zip(results, call.outputs, strict=True):
        if result.shape != output.shape:
            raise ValueError(f"it makes {list(result.shape)} where the file says {list(output.shape)}")
        if result.dtype.newbyteorder("=") != output.dtype.numpy:
            raise ValueError(f"it makes {result.dtype.name} where the file says {output.dtype.value}")
        checked.append(np.asarray(result, output.dtype.numpy, order="C"))
    return tuple(checked)
