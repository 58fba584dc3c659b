"""The rewriter of .tflite files: a model as TFLite Micro has to be given it, with what was settled.

TFLite Micro prepares all subgraphs of a file, takes the shapes that it finds there, and has no kernels for
some of the ops that compute shapes. So there is one function with its initialisers, every shape is the one
that runs, what was computed from constants is a constant, and ops that became others are these.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import flatbuffers
import numpy as np

from tinydeploy.errors import ModelError, ToolError
from tinydeploy.model.graph import Graph, Op, Tensor
from tinydeploy.model.readers.tflite_options import ENUM_FIELDS, OPTIONS


@dataclass(frozen=True)
class Change:
    """What settling a graph changed of it.

    `tensors` have new shapes, became constants, or are new constants behind those of the file; `ops` are
    other ops than in the file; those `left_out`, by index, do not run. It is false if nothing changed.
    """

    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    left_out: frozenset[int]

    @classmethod
    def between(cls, read: Graph, settled: Graph) -> Change:
        """What `settled` has that `read` has not."""
        tensors = zip_longest(read.tensors, settled.tensors)
        return cls(
            tuple(after for before, after in tensors if after is not before),
            tuple(after for before, after in zip(read.ops, settled.ops, strict=True) if after is not before),
            settled.folded,
        )

    def __bool__(self) -> bool:
        return bool(self.tensors or self.ops or self.left_out)


def rewrite(data: bytes, subgraphs: Sequence[int], change: Change) -> bytes:
    """The file `data` with these `subgraphs` alone, the first of which is run, and changed so.

    Raises ToolError without the package that can write such files, ModelError if parts of the file that
    the reader does not look at are damaged.
    """
    try:
        from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema
    except ImportError as error:
        raise ToolError(
            "this model has to be written anew for TFLite Micro, which takes the package tflite-micro",
            "pip install tflite-micro (wheels: Linux x86-64), or take --engine aot, which needs no such file",
        ) from error
    try:
        model = _parts(schema, data, subgraphs)
        _settle(schema, model, subgraphs, change)
        builder = flatbuffers.Builder(len(data))
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    except (struct.error, ValueError, TypeError, IndexError, OverflowError) as error:
        raise ModelError("the model cannot be written anew for TFLite Micro: it is damaged") from error
    return bytes(builder.Output())


def _parts(schema: Any, data: bytes, subgraphs: Sequence[int]) -> Any:
    """What there is to keep of the file, as the schema's objects."""
    source, model = schema.Model.GetRootAsModel(data, 0), schema.ModelT()
    model.version, model.description = source.Version(), source.Description()
    model.subgraphs = [schema.SubGraphT.InitFromObj(source.Subgraphs(index)) for index in subgraphs]
    model.buffers = [schema.BufferT.InitFromObj(source.Buffers(i)) for i in range(source.BuffersLength())]
    model.operatorCodes = [
        schema.OperatorCodeT.InitFromObj(source.OperatorCodes(i)) for i in range(source.OperatorCodesLength())
    ]
    return model


def _settle(schema: Any, model: Any, subgraphs: Sequence[int], change: Change) -> None:
    main = model.subgraphs[0]
    for tensor in change.tensors:
        if tensor.index == len(main.tensors):
            written = schema.TensorT()
            written.name, written.hasRank = tensor.name, True
            written.type = getattr(schema.TensorType, tensor.dtype.name)
            main.tensors.append(written)
        written = main.tensors[tensor.index]
        written.shape, written.shapeSignature = list(tensor.shape), None
        if tensor.data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(tensor.data.tobytes(), np.uint8)
            written.buffer = len(model.buffers)
            model.buffers.append(buffer)
    for op in change.ops:
        if op.index not in change.left_out:
            _set_op(schema, model, main.operators[op.index], op)
    main.operators = [op for index, op in enumerate(main.operators) if index not in change.left_out]
    for op in main.operators:
        if isinstance(op.builtinOptions, schema.CallOnceOptionsT):
            op.builtinOptions.initSubgraphIndex = list(subgraphs).index(op.builtinOptions.initSubgraphIndex)


def _set_op(schema: Any, model: Any, written: Any, op: Op) -> None:
    """Makes `written` the op `op`, with its options alone."""
    written.opcodeIndex = _code(schema, model, op)
    written.inputs, written.outputs = list(op.inputs), list(op.outputs)
    written.builtinOptionsType, written.builtinOptions = schema.BuiltinOptions.NONE, None
    if op.options:
        table = OPTIONS[op.kind]
        written.builtinOptionsType = getattr(schema.BuiltinOptions, table)
        written.builtinOptions = getattr(schema, f"{table}T")()
    for name, value in op.options.items():
        first, *rest = name.split("_")
        number = getattr(getattr(schema, ENUM_FIELDS[name]), str(value)) if name in ENUM_FIELDS else value
        setattr(written.builtinOptions, first + "".join(word.capitalize() for word in rest), number)


def _code(schema: Any, model: Any, op: Op) -> int:
    """The number of the op's kind in the file, where it is added if it is not there."""
    number = getattr(schema.BuiltinOperator, op.kind)
    for index, known in enumerate(model.operatorCodes):
        if max(known.builtinCode, known.deprecatedBuiltinCode) == number:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), op.version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
