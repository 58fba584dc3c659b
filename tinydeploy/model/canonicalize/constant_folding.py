"""Constant folding: shapes, and what is computed from them, settled once when a file is read.

A converter that leaves the batch open writes ops that compute shapes while the model runs (SHAPE,
STRIDED_SLICE, PACK …), and shapes in which 1 stands for what it does not know. The file's inputs have a
batch of 1, and here all else follows from them: a shape that the file leaves open becomes the one that runs,
and the outputs of each op whose inputs are constants, or that asks for nothing but a shape, become constants.

The file is untrusted. All that is read and made for it counts against a bound, before it is. Kinds and
options that are not known in constant_ops.py stay ops.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from tinydeploy.errors import ModelError
from tinydeploy.model.canonicalize import constant_moves  # noqa: F401, registers its own
from tinydeploy.model.canonicalize.constant_ops import FOLDERS, OF_SHAPES, Array, Call, UnknownError
from tinydeploy.model.canonicalize.shape_inference import infer
from tinydeploy.model.graph import MAX_RANK, MAX_TENSOR_BYTES, Graph, Op, Tensor

MAX_BYTES = 16 << 20  # that all folded ops of a model may read and make
CONTRADICTION_HINT = "the file contradicts itself; convert it again"
FIXED_SHAPE_HINT = "convert with fixed shapes: tf.keras.Input(shape, batch_size=1)"


def fold(graph: Graph) -> Graph:
    """`graph` with every shape and all that follows from constants settled, and the ops for that in `folded`.

    Raises ModelError, naming the op, where a value does not fit what the file says of its tensor, and where a
    shape hangs on what is only known at run time.
    """
    tensors = list(graph.tensors)
    folded = set[int]()
    room = MAX_BYTES
    for op in graph.ops:
        if min(op.inputs[:1], default=-1) < 0:
            continue
        call = _call(op, tensors)
        try:
            _settle_shapes(call, graph, tensors)
            call = _call(op, tensors)
            work = sum(tensor.bytes for tensor in (*call.inputs, *call.outputs))
            if not _is_known(call) or work > room:
                continue
            results = _evaluate(call)
        except UnknownError:
            continue
        except (ValueError, IndexError, TypeError, OverflowError, ArithmeticError) as error:
            is_open = any(tensor.is_open for tensor in (*call.inputs, *call.outputs))
            raise ModelError(
                f"{graph.path}: the shape of what op {op.index} ({op.kind}) makes is not known: {error}"
                if is_open
                else f"{graph.path}: op {op.index} ({op.kind}) cannot be computed at conversion: {error}",
                FIXED_SHAPE_HINT if is_open else CONTRADICTION_HINT,
            ) from error
        room -= work
        folded.add(op.index)
        for output, result in zip(call.outputs, results, strict=True):
            result.flags.writeable = False
            tensors[output.index] = replace(output, data=result)
    return replace(graph, tensors=tuple(tensors), folded=frozenset(folded))


def _call(op: Op, tensors: list[Tensor]) -> Call:
    """The op with its tensors as they are by now."""
    given = tuple(tensors[index] for index in op.inputs if index >= 0)
    return Call(op, given, tuple(tensors[index] for index in op.outputs))


def _settle_shapes(call: Call, graph: Graph, tensors: list[Tensor]) -> None:
    """Gives the outputs whose shape the file leaves open the shape that follows from the inputs.

    Raises ValueError if it cannot be known.
    """
    if not any(output.is_open for output in call.outputs):
        return
    shapes = infer(call)
    if shapes is None:
        inputs = [tensor for tensor in call.inputs if tensor.shape != graph.tensors[tensor.index].shape]
        if inputs:
            raise ValueError(f"it hangs on tensor {inputs[0].index}, whose shape the file does not have")
        return
    for output, shape in zip(call.outputs, shapes, strict=True):
        if not output.is_open or shape == output.shape:
            continue
        if min(shape, default=1) <= 0 or len(shape) > MAX_RANK:
            raise ValueError(f"it would be {list(shape)}")
        if prod(shape) * output.dtype.bytes > MAX_TENSOR_BYTES:
            raise ValueError(f"{list(shape)} is too large")
        tensors[output.index] = replace(output, shape=shape)


def _is_known(call: Call) -> bool:
    """Whether the op can be computed from what the file holds."""
    if call.op.kind not in FOLDERS or len(call.inputs) != len(call.op.inputs):
        return False
    known = call.op.kind in OF_SHAPES or all(tensor.data is not None for tensor in call.inputs)
    return known and not any(output.is_variable for output in call.outputs)


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
