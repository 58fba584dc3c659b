"""A float model as the others here have it: a .tflite that LiteRT runs, its graph, its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import ModelError
from tinydeploy.model.graph import DType, Graph, Op
from tinydeploy.model.readers import tflite_model

Array = npt.NDArray[Any]

LAYERS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}
"""Ops with weights, and the axis of their output channels."""


@dataclass(frozen=True, eq=False)
class FloatModel:
    """`content` is the .tflite with batch 1 and a name for each tensor; `note` says how it came to be."""

    path: str
    content: bytes
    graph: Graph
    note: str = ""

    @classmethod
    def parse(cls, content: bytes, path: str, note: str = "") -> FloatModel:
        """Raises ModelError for a file that is no float model."""
        graph = tflite_model.parse(content, path, may_be_float=True)
        computed = {graph.tensors[i].dtype for op in graph.running for i in op.outputs}
        if DType.INT8 in computed or DType.INT16 in computed:
            raise ModelError(f"{path} is quantised already", "tinydeploy run takes it as it is")
        if DType.FLOAT32 not in computed:
            raise ModelError(f"{path} computes nothing in float32, so there is nothing to quantise")
        if any(op.kind.startswith("CUSTOM") for op in graph.running):
            kinds = sorted({op.kind.removeprefix("CUSTOM:") for op in graph.running if "CUSTOM" in op.kind})
            raise ModelError(
                f"{path} has ops of its own, which nothing here can quantise: {', '.join(kinds)}",
                "write them with ordinary layers, and convert again",
            )
        return cls(path, content, graph, note)

    @property
    def layers(self) -> tuple[Op, ...]:
        """The ops with constant weights, in order."""
        return tuple(
            op
            for op in self.graph.running
            if op.kind in LAYERS and self.graph.tensors[op.inputs[1]].data is not None
        )

    def name(self, op: Op) -> str:
        """The op's name: that of what it makes."""
        return self.graph.tensors[op.outputs[0]].name

    def weights(self, op: Op) -> Array:
        """Float32 weights, and below by bias() its bias."""
        return np.asarray(self.graph.tensors[op.inputs[1]].data)

    def bias(self, op: Op) -> Array | None:
        """The op's bias [channels]; None without one."""
        index = op.inputs[2] if len(op.inputs) > 2 else -1
        return None if index < 0 else np.asarray(self.graph.tensors[index].data)

    def replaced(self, constants: dict[int, Array]) -> FloatModel:
        """The same with other values in these constants, which must be as large and used by one op alone."""
        content = bytearray(self.content)
        base = np.frombuffer(self.content, np.uint8).__array_interface__["data"][0]
        for index, values in constants.items():
            old = self.graph.tensors[index].data
            assert old is not None and old.shape == values.shape
            start = old.__array_interface__["data"][0] - base
            assert 0 <= start <= len(content) - old.nbytes, "constants are views of the file"
            content[start : start + old.nbytes] = np.ascontiguousarray(values, old.dtype).tobytes()
        return FloatModel.parse(bytes(content), self.path, self.note)

    def is_own(self, index: int) -> bool:
        """Whether one op alone reads a constant, and no other constant shares its bytes."""
        tensor = self.graph.tensors[index]
        readers = sum(op.inputs.count(index) for op in self.graph.running)
        if tensor.data is None or readers != 1:
            return False
        place = tensor.data.__array_interface__["data"][0]
        base = np.frombuffer(self.content, np.uint8).__array_interface__["data"][0]
        if not base <= place < base + len(self.content):
            return False
        same = [
            other
            for other in self.graph.tensors
            if other.data is not None and other.data.__array_interface__["data"][0] == place
        ]
        return len(same) == 1
