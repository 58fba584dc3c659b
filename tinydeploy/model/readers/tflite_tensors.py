"""The tensors of one subgraph of a .tflite file: shapes, types, quantisation, and what constants hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.model.canonicalize.constant_folding import FIXED_SHAPE_HINT
from tinydeploy.model.graph import MAX_RANK, MAX_TENSOR_BYTES, DType, Quantization, Tensor
from tinydeploy.model.ops import catalogue
from tinydeploy.model.readers.tflite_checks import QUANTISE_HINT
from tinydeploy.model.readers.tflite_file import File
from tinydeploy.model.readers.tflite_options import enum

_LEAST_SCALE = float(np.finfo(np.float32).smallest_normal)
_ZEROS_HINT = (
    "convert with a representative_dataset for which no layer always gives zero, or leave that layer out; "
    "a recurrent layer whose state begins with zeros wants a fixed batch: tf.keras.Input(..., batch_size=1)"
)

Buffers = Sequence[npt.NDArray[np.uint8]]


class TensorReader:
    """Decodes the tensors of a subgraph, and says which of them an op may use."""

    def __init__(self, file: File, buffers: Buffers, subgraph: Any) -> None:
        """Reads them all. Raises ModelError."""
        self.file = file
        self.buffers = buffers
        self.other_types: dict[int, str] = {}  # tensors of types unknown here
        self.nibbles: set[int] = set()  # and those of four bits
        self.unpacked: dict[int, npt.NDArray[np.int8]] = {}  # what they hold, by buffer
        tables = file.tables("tensors", subgraph.TensorsLength(), subgraph.Tensors)
        self.tensors = tuple(self.tensor(i, table) for i, table in enumerate(tables))

    def tensor(self, index: int, table: Any) -> Tensor:
        """One tensor. Raises ModelError if no engine could have it."""
        name = self.file.text(table.Name())
        where = f"tensor {index} ({name})"
        type_name = enum("TensorType").get(table.Type(), str(table.Type()))
        if type_name == "RESOURCE":
            type_name = "INT32"  # a handle: tflite_variables.py makes it the variable
        if type_name == "INT4":
            self.nibbles.add(index)
            type_name = "INT8"
        if type_name not in DType.__members__:
            self.other_types[index] = f"{where} holds {type_name.lower()}, which is not supported"
            return Tensor(index, name, (), DType.INT32)  # no op may use it
        dtype = DType[type_name]
        extents = self.file.vector(table.ShapeAsNumpy())
        shape = tuple(int(extent) for extent in extents[: MAX_RANK + 1])
        if -1 in shape:
            raise self.file.error(f"{where} has a dynamic shape {list(shape)}", FIXED_SHAPE_HINT)
        if len(shape) > MAX_RANK or min(shape, default=0) < 0:
            raise self.file.error(f"{where} has an impossible shape of rank {extents.size}")
        if math.prod(shape) * dtype.bytes > MAX_TENSOR_BYTES:
            raise self.file.error(
                f"{where} has {math.prod(shape)} elements: too large", "no board could hold it"
            )
        if table.Sparsity() is not None:
            raise self.file.error(
                f"{where} is sparse", "convert without sparsity: weights must be stored densely"
            )
        if table.Buffer() >= len(self.buffers):
            raise self.file.error(f"{where} names buffer {table.Buffer()} of {len(self.buffers)}")
        raw = self.buffers[table.Buffer()]
        size = math.prod(shape) * dtype.bytes
        packed = (size + 1) // 2 if index in self.nibbles else size
        if raw.nbytes not in (0, packed):
            raise self.file.error(f"{where} has {raw.nbytes} bytes of data where its shape wants {packed}")
        is_constant = raw.nbytes > 0 or size == 0
        if is_constant and table.IsVariable():
            raise self.file.error(f"{where} is a variable with a constant value")
        return Tensor(
            index=index,
            name=name,
            shape=shape,
            dtype=dtype,
            quantization=self.quantization(where, table.Quantization(), shape, dtype),
            data=self.constant(index, table.Buffer(), raw, shape, dtype) if is_constant else None,
            is_variable=table.IsVariable(),
            is_open=bool((self.file.vector(table.ShapeSignatureAsNumpy()) < 0).any()),
            is_int4=index in self.nibbles,
        )

    def constant(
        self, index: int, buffer: int, raw: npt.NDArray[np.uint8], shape: tuple[int, ...], dtype: DType
    ) -> npt.NDArray[np.generic]:
        """What the constant tensor `index` holds; of two numbers in a byte the low one comes first."""
        if index not in self.nibbles:
            return raw.view(dtype.numpy.newbyteorder("<")).reshape(shape)
        if buffer not in self.unpacked:
            self.file.spend(raw.nbytes)
            pairs = np.stack([raw << 4, raw], axis=-1).view(np.int8)
            self.unpacked[buffer] = (pairs >> 4).reshape(-1)
        values = self.unpacked[buffer][: math.prod(shape)].reshape(shape)
        values.flags.writeable = False
        return values

    def quantization(
        self, where: str, table: Any, shape: tuple[int, ...], dtype: DType
    ) -> Quantization | None:
        """The quantisation in `table`; None if there is none."""
        if table is None:
            return None
        self.file.table(table)
        scales = self.file.vector(table.ScaleAsNumpy())
        zero_points = self.file.vector(table.ZeroPointAsNumpy())
        if table.DetailsType() != 0:
            raise self.file.error(f"{where} has a custom quantisation", "only affine quantisation can be run")
        if scales.size == 0:
            return None
        if scales.size != zero_points.size:
            raise self.file.error(f"{where} has {scales.size} scales but {zero_points.size} zero points")
        self.file.count("quantisation scales", scales.size)
        axis = int(table.QuantizedDimension())
        # Of a bias no kernel reads the quantisation. Its scale is a product that may have become 0, and
        # converters have left the weights' axis in it.
        is_bias = dtype in (DType.INT32, DType.INT64)
        if scales.size > 1 and not is_bias and not (0 <= axis < len(shape) and shape[axis] == scales.size):
            raise self.file.error(
                f"{where} has {scales.size} scales along axis {axis} of shape {list(shape)}"
            )
        # A layer whose output was always zero, and the weights and the bias that this output then meets.
        # A channel whose weights are all zero may have the scale 0.
        smallest = _LEAST_SCALE if scales.size == 1 and not is_bias else 0
        of_zeros = scales[np.isposinf(scales) | ((scales >= 0) & (scales < smallest))]
        if of_zeros.size:
            said = f"{where} has the scale {of_zeros[0]:.3g}: its converter saw nothing but zeros there"
            raise self.file.error(said, _ZEROS_HINT)
        if not (scales >= 0).all():
            raise self.file.error(
                f"{where} has a quantisation scale that is not a positive number", QUANTISE_HINT
            )
        if dtype in (DType.INT8, DType.UINT8, DType.INT16):
            limits = np.iinfo(dtype.value)
            if zero_points.min() < limits.min or zero_points.max() > limits.max:
                raise self.file.error(f"{where} has a zero point outside {dtype.value}", QUANTISE_HINT)
        return Quantization(tuple(scales.tolist()), tuple(zero_points.tolist()), axis)

    def indices(self, what: str, numbers: Any) -> tuple[int, ...]:
        """Indices of the model's inputs or outputs."""
        vector = self.file.vector(numbers)
        self.file.count("inputs and outputs", vector.size)
        found = tuple(vector.tolist())
        if not found:
            raise self.file.error(f"{what} are missing")
        if len(set(found)) != len(found):
            raise self.file.error(f"{what} name a tensor twice", "convert with distinct inputs and outputs")
        for index in found:
            if not 0 <= index < len(self.tensors):
                raise self.file.error(f"{what} name tensor {index} of {len(self.tensors)}")
            if index in self.other_types:
                raise self.file.error(self.other_types[index], "int8 models are wanted")
            if index in self.nibbles:
                raise self.file.error(f"{what} hold int4, which has no kernel", "int8 models are wanted")
            if self.tensors[index].elements == 0:
                raise self.file.error(f"{what} have an empty tensor", FIXED_SHAPE_HINT)
        return found

    def check_input(self, index: int, table: Any) -> None:
        """Refuses an input with another open extent than the batch."""
        signature = self.file.vector(table.ShapeSignatureAsNumpy())
        # Converters leave the batch open and write 1 in the shape, which is what runs.
        if signature.size and (signature[1:] < 0).any():
            where = f"input {index} ({self.tensors[index].name})"
            raise self.file.error(f"{where} has a dynamic shape {signature.tolist()}", FIXED_SHAPE_HINT)

    def check_types(self, where: str, kind: str, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        """Refuses an op with a tensor of a type unknown here, or with one of four bits that is no weight."""
        for index in (*inputs, *outputs):
            if index in self.other_types:
                hint = QUANTISE_HINT if "float" in self.other_types[index] else "int8 models are wanted"
                raise self.file.error(f"{where}: {self.other_types[index]}", hint)
            if index in self.nibbles and not _is_nibble_weights(kind, inputs, self.tensors, index):
                every = ", ".join(catalogue.kinds(lambda op: op.int4_weights))
                single = ", ".join(catalogue.kinds(lambda op: op.int4_weights == "one scale"))
                raise self.file.error(
                    f"{where}: tensor {index} ({self.tensors[index].name}) holds int4, which has no kernel",
                    f"int4 is for constant weights of {every} on int8, of {single} with one scale",
                )


def _is_nibble_weights(kind: str, inputs: tuple[int, ...], tensors: tuple[Tensor, ...], index: int) -> bool:
    """Whether TFLite Micro has a kernel that takes the four-bit tensor `index` as the op's weights."""
    scales = catalogue.of(kind).int4_weights
    if not scales or inputs[:2] != (inputs[0], index) or inputs.count(index) != 1:
        return False
    weights, source = tensors[index], tensors[inputs[0]]
    by_channel = weights.quantization is not None and weights.quantization.per_channel
    fits = not by_channel or scales == "per channel"
    return fits and inputs[0] >= 0 and weights.data is not None and source.dtype is DType.INT8
