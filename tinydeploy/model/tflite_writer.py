"""Writes small .tflite files, for TFLite Micro to compute something on the host.

Layout: tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
import tflite

from tinydeploy.model.graph import DType, OptionValue


class Writer:
    """A model under construction: `tensor` and `op` add to it, `model` gives the file."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(1024)
        self._tensors: list[int] = []
        self._ops: list[int] = []
        self._kinds: list[str] = []
        self._buffers: list[int] = [self._table("Buffer")]  # the schema keeps buffer 0 empty

    def tensor(
        self,
        shape: Sequence[int],
        dtype: DType,
        quantization: tuple[float, int] | tuple[Sequence[float], int, int] | None = None,
        data: bytes = b"",
        name: str = "",
    ) -> int:
        """The index of a new tensor; `data` makes it a constant.

        `quantization` is scale and zero point; or scales, the zero point of all, and the axis they go along.
        """
        parameters = None
        if quantization is not None:
            scales = quantization[0] if isinstance(quantization[0], Sequence) else [quantization[0]]
            vectors = (
                self._vector(scales, np.float32),
                self._vector([quantization[1]] * len(scales), np.int64),
            )
            along = {"QuantizedDimension": quantization[2]} if len(quantization) > 2 else {}
            parameters = self._table(
                "QuantizationParameters", Scale=vectors[0], ZeroPoint=vectors[1], **along
            )
        buffer = 0
        if data:
            buffer = len(self._buffers)
            values = self._aligned(data)
            self._buffers.append(self._table("Buffer", Data=values))
        fields = {"Shape": self._vector(shape), "Type": getattr(tflite.TensorType, dtype.name)}
        given = {} if parameters is None else {"Quantization": parameters}
        if name:
            given["Name"] = self._builder.CreateString(name)
        self._tensors.append(self._table("Tensor", **fields, Buffer=buffer, **given))
        return len(self._tensors) - 1

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: tuple[str, Mapping[str, OptionValue]] | None = None,
    ) -> None:
        """A new op; `options` are the name of their table, and its fields by their accessors' names."""
        fields: dict[str, Any] = {"Inputs": self._vector(inputs), "Outputs": self._vector(outputs)}
        if options is not None:
            table, values = options
            fields["BuiltinOptions"] = self._table(table, **values)
            fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, table)
        if kind not in self._kinds:
            self._kinds.append(kind)
        self._ops.append(self._table("Operator", OpcodeIndex=self._kinds.index(kind), **fields))

    def model(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file, with these tensors as the model's inputs and outputs."""
        numbers = [getattr(tflite.BuiltinOperator, kind) for kind in self._kinds]
        codes = [
            self._table("OperatorCode", DeprecatedBuiltinCode=min(n, 127), BuiltinCode=n, Version=1)
            for n in numbers
        ]
        graph = self._table(
            "SubGraph",
            Tensors=self._offsets(self._tensors),
            Operators=self._offsets(self._ops),
            Inputs=self._vector(inputs),
            Outputs=self._vector(outputs),
        )
        root = self._table(
            "Model",
            Version=3,
            OperatorCodes=self._offsets(codes),
            Subgraphs=self._offsets([graph]),
            Buffers=self._offsets(self._buffers),
        )
        self._builder.Finish(root, file_identifier=b"TFL3")
        return bytes(self._builder.Output())

    def _table(self, name: str, **fields: Any) -> int:
        getattr(tflite, f"{name}Start")(self._builder)
        for field, value in fields.items():
            getattr(tflite, f"{name}Add{field}")(self._builder, value)
        return int(getattr(tflite, f"{name}End")(self._builder))

    def _aligned(self, data: bytes) -> int:
        """A vector of bytes that begins at a multiple of 16, as the schema wants of constants."""
        self._builder.StartVector(1, len(data), 16)
        self._builder.head -= len(data)
        self._builder.Bytes[self._builder.head : self._builder.head + len(data)] = data
        return int(self._builder.EndVector())

    def _vector(self, numbers: Sequence[float], dtype: type[np.generic] = np.int32) -> int:
        return int(self._builder.CreateNumpyVector(np.array(numbers, dtype)))

    def _offsets(self, offsets: Sequence[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())
