"""Builds small .tflite models for the tests: tensors, ops, done.

model = ModelBuilder()
x = model.tensor((1, 8, 8, 3), "int8", scale=0.1, zero_point=-3)
y = model.tensor((1, 8, 8, 3), "int8", scale=0.05)
model.op("RELU", [x], [y])
blob = model.build(inputs=[x], outputs=[y])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

_OPTIONS = {
    "AVERAGE_POOL_2D": "Pool2D",
    "MAX_POOL_2D": "Pool2D",
    "MEAN": "Reducer",
    "SUM": "Reducer",
    "REDUCE_MAX": "Reducer",
    "REDUCE_MIN": "Reducer",
    "REDUCE_PROD": "Reducer",
    "BATCH_MATMUL": "BatchMatMul",
    "L2_NORMALIZATION": "L2Norm",
    "MINIMUM": "MaximumMinimum",
    "MAXIMUM": "MaximumMinimum",
    "PADV2": "PadV2",
    "SVDF": "SVDF",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
_ENUMS = {
    "fused_activation_function": schema.ActivationFunctionType,
    "padding": schema.Padding,
    "weights_format": schema.FullyConnectedOptionsWeightsFormat,
    "in_data_type": schema.TensorType,
    "out_data_type": schema.TensorType,
    "out_type": schema.TensorType,
    "quantized_bias_type": schema.TensorType,
    "mode": schema.MirrorPadMode,
}
Scales = float | Sequence[float]
ZeroPoints = int | Sequence[int]


def _camel(snake: str) -> str:
    head, *rest = snake.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _options(kind: str) -> str | None:
    words = (word if word == "2D" else word.capitalize() for word in kind.split("_"))
    table = _OPTIONS.get(kind, "".join(words)) + "Options"
    return table if hasattr(schema, f"{table}T") else None


class ModelBuilder:
    """A model under construction. `tensor` and `op` add to it, `build` packs it; a tensor is its index."""

    def __init__(self, description: str = "") -> None:
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.description = description
        self._model.operatorCodes = []
        self._model.buffers = [schema.BufferT()]  # the schema keeps buffer 0 empty
        self._graph = schema.SubGraphT()
        self._graph.tensors = []
        self._graph.operators = []
        self._model.subgraphs = [self._graph]

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str = "int8",
        *,
        scale: Scales | None = None,
        zero_point: ZeroPoints = 0,
        data: npt.ArrayLike | None = None,
        axis: int = 0,
        variable: bool = False,
        name: str | None = None,
        shape_signature: Sequence[int] | None = None,
    ) -> int:
        """Adds a tensor and returns its index. Lists of scales quantise per channel along `axis`."""
        tensor = schema.TensorT()
        tensor.name = f"t{len(self._graph.tensors)}" if name is None else name
        tensor.shape = list(shape)
        tensor.hasRank = True
        tensor.type = getattr(schema.TensorType, dtype.upper())
        tensor.isVariable = variable
        tensor.shapeSignature = None if shape_signature is None else list(shape_signature)
        if scale is not None:
            quantization = schema.QuantizationParametersT()
            quantization.scale = [float(value) for value in np.atleast_1d(np.asarray(scale, np.float32))]
            points = np.broadcast_to(np.asarray(zero_point, np.int64), len(quantization.scale))
            quantization.zeroPoint = [int(value) for value in points]
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        if data is not None:
            values = np.asarray(data, dtype="int8" if dtype == "int4" else dtype)
            assert values.size == np.prod(shape, dtype=int), f"{values.shape} is not {tuple(shape)}"
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            if dtype == "int4":  # two in a byte, the first in its low half
                low, high = np.append(buffer.data, np.zeros(values.size % 2, np.uint8)).reshape(-1, 2).T
                buffer.data = low & 15 | high << 4
            tensor.buffer = len(self._model.buffers)
            self._model.buffers.append(buffer)
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        *,
        version: int = 1,
        custom: bool = False,
        **options: Any,
    ) -> None:
        """Adds an op by its builtin name; an absent optional input is -1.

        Options go by the schema's names in snake case, enums by their names: padding="SAME".
        With `custom`, `kind` is a custom op's code.
        """
        operator = schema.OperatorT()
        operator.opcodeIndex = self._opcode(kind, version, custom)
        operator.inputs = list(inputs)
        operator.outputs = list(outputs)
        table = None if custom else _options(kind)
        if table is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            operator.builtinOptions = getattr(schema, f"{table}T")()
        for name, value in options.items():
            field = _camel(name)
            assert hasattr(operator.builtinOptions, field), f"{kind} has no option {name}"
            enum = _ENUMS.get(name)
            setattr(operator.builtinOptions, field, getattr(enum, value) if enum else value)
        self._graph.operators.append(operator)

    @contextmanager
    def subgraph(self) -> Iterator[int]:
        """While it lasts, tensors and ops go into another subgraph, without inputs and outputs: its index."""
        main, self._graph = self._graph, schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._graph.inputs, self._graph.outputs = [], []
        self._model.subgraphs.append(self._graph)
        yield len(self._model.subgraphs) - 1
        self._graph = main

    def _opcode(self, kind: str, version: int, custom: bool) -> int:
        code = schema.OperatorCodeT()
        code.version = version
        code.builtinCode = schema.BuiltinOperator.CUSTOM if custom else getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.customCode = kind if custom else None
        for index, known in enumerate(self._model.operatorCodes):
            if vars(known) == vars(code):
                return index
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1

    def signature(self, name: str, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """Makes the subgraph that tensors and ops go into a function of this name."""
        self._graph.inputs, self._graph.outputs = list(inputs), list(outputs)
        signature = schema.SignatureDefT()
        signature.signatureKey = name
        signature.subgraphIndex = self._model.subgraphs.index(self._graph)
        signature.inputs, signature.outputs = [], []
        self._model.signatureDefs = [*(self._model.signatureDefs or []), signature]

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The .tflite file, with these tensors as the graph's inputs and outputs."""
        self._graph.inputs = list(inputs)
        self._graph.outputs = list(outputs)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())
