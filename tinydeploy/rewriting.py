"""A model as a file of its own, as TFLite Micro has to be given it: what reading it has settled is written.

TFLite Micro prepares all subgraphs of a file, takes the shapes that it finds there, and has no kernels for
some of the ops that compute shapes. So there is one function with its initialisers, every shape is the one
that runs, and what was computed from constants is a constant.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np

from tinydeploy.errors import ModelError, ToolError
from tinydeploy.graph import Tensor


def rewrite(
    data: bytes, subgraphs: Sequence[int], tensors: Mapping[int, Tensor], left_out: Collection[int]
) -> bytes:
    """The file `data` with these `subgraphs` alone, the first of which is run.

    In that one `tensors`, by their indices, have new shapes or became constants, and the ops `left_out` are
    gone. Raises ToolError without the package that can write such files, ModelError if parts of the file that
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
        _settle(schema, model, subgraphs, tensors, left_out)
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


def _settle(
    schema: Any,
    model: Any,
    subgraphs: Sequence[int],
    tensors: Mapping[int, Tensor],
    left_out: Collection[int],
) -> None:
    main = model.subgraphs[0]
    for index, tensor in tensors.items():
        written = main.tensors[index]
        written.shape, written.shapeSignature = list(tensor.shape), None
        if tensor.data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(tensor.data.tobytes(), np.uint8)
            written.buffer = len(model.buffers)
            model.buffers.append(buffer)
    main.operators = [op for index, op in enumerate(main.operators) if index not in left_out]
    for op in main.operators:
        if isinstance(op.builtinOptions, schema.CallOnceOptionsT):
            op.builtinOptions.initSubgraphIndex = list(subgraphs).index(op.builtinOptions.initSubgraphIndex)
