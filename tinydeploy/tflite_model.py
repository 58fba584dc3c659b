"""Reads a .tflite file into a Graph, and refuses what no engine could run, before anything is built.

The file is untrusted. The schema package reads fields without verifying offsets, so every table's vtable
is checked first, every vector is read through numpy (which checks its bounds), and what is decoded may
not be larger than the file itself, which bounds time and memory even if parts of the file overlap.
Layout: https://flatbuffers.dev/internals/ and tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tflite
from flatbuffers.number_types import Int8Flags, Int32Flags

from tinydeploy import dilation, folding, foreign, resource_variables, rewriting, signatures, tiles
from tinydeploy.errors import ModelError
from tinydeploy.folding import FIXED_SHAPE_HINT
from tinydeploy.graph import (
    MAX_RANK,
    MAX_STEP,
    MAX_TENSOR_BYTES,
    DType,
    Graph,
    Op,
    OptionValue,
    Quantization,
    Tensor,
)
from tinydeploy.tflite_options import EMPTY_TABLE, ENUM_FIELDS, OPTIONS, OPTIONS_NEEDED, enum, fields

MAX_FILE_BYTES = 256 << 20

QUANTISE_HINT = (
    "quantise it to int8: converter.optimizations = [tf.lite.Optimize.DEFAULT]; "
    "converter.representative_dataset = samples; "
    "converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]; "
    "converter.inference_input_type = converter.inference_output_type = tf.int8"
)
DAMAGED_HINT = "the file is damaged or was cut short; convert or download it again"
VARIABLES_HINT = "state is a tf.Variable that one function reads and assigns, initialised with a constant"

_WITH_GAPS = ("UNIDIRECTIONAL_SEQUENCE_LSTM",)  # ops whose leading inputs may be left out
_WITHOUT_OUTPUT = ("ASSIGN_VARIABLE", "CALL_ONCE")
_WITH_NIBBLES = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")  # as TFLite Micro has kernels for

# Ranks of the leading inputs, which everything downstream relies on.
_RANKS = {
    "CONV_2D": (4, 4),
    "DEPTHWISE_CONV_2D": (4, 4),
    "AVERAGE_POOL_2D": (4,),
    "MAX_POOL_2D": (4,),
    "FULLY_CONNECTED": (None, 2),
    "RESIZE_NEAREST_NEIGHBOR": (4,),
    "SVDF": (2, 2, 2),
    "RESIZE_BILINEAR": (4,),
    "TRANSPOSE_CONV": (1, 4, 4),
    "BATCH_MATMUL": (None, None),
    "GATHER": (None, None),
    "ARG_MAX": (None, None),
    "ARG_MIN": (None, None),
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS"), (None,)),
    **dict.fromkeys(("ADD", "SUB", "MUL", "PAD", "PADV2"), (None, None)),
    "EMBEDDING_LOOKUP": (None, None),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (3, *(2,) * 8),
}

# And of the first output.
_OUTPUT_RANKS = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "AVERAGE_POOL_2D", "MAX_POOL_2D"), 4),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), 4),
    "SVDF": 2,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 3,
}


def load(path: Path | str, signature: str | None = None) -> Graph:
    """Reads and checks the model at `path`: its first signature, or the one named.

    Raises ModelError if it cannot be used.
    """
    file = Path(path)
    try:
        if not file.exists():
            raise ModelError(f"no such model file: {file}")
        if file.is_dir() and (known := foreign.folder(file)):
            raise ModelError(*known)
        if not file.is_file():
            raise ModelError(f"{file} is not a file")
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ModelError(f"{file} is larger than {MAX_FILE_BYTES >> 20} MB: no microcontroller's model")
        data = file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(f"cannot read {file}: {reason}") from error
    return parse(data, str(path), signature)


def parse(data: bytes, path: str, signature: str | None = None) -> Graph:
    """The graph in the bytes of a .tflite file; `path` is for messages only. Raises ModelError.

    `signature` names one of several functions in the file. Constants are read-only, shaped like their
    tensors, and views of `data` but for those of four bits, which become int8, and those computed here.
    """
    if not data:
        raise ModelError(f"{path} is empty", DAMAGED_HINT)
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise ModelError(*foreign.data(data, path))
    try:
        graph = _Reader(data, path).graph(signature)
    except (struct.error, ValueError, TypeError, IndexError, OverflowError) as error:
        raise ModelError(f"{path} is cut short or damaged: offsets point outside it", DAMAGED_HINT) from error
    _check_types(graph)
    return graph


def _printable(raw: bytes | None, limit: int = 120) -> str:
    """A name from the file as one harmless line."""
    text = (raw or b"")[: 4 * limit].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:limit]


class _Reader:
    """Decodes one file. Errors of struct and numpy are left to parse()."""

    def __init__(self, data: bytes, path: str) -> None:
        self.data = data
        self.path = path
        self.budget = len(data)
        self.other_types: dict[int, str] = {}  # of the subgraph being read: tensors of types unknown here
        self.nibbles: set[int] = set()  # and those of four bits
        self.unpacked: dict[int, npt.NDArray[np.int8]] = {}  # what they hold, by buffer

    def error(self, message: str, hint: str = DAMAGED_HINT) -> ModelError:
        return ModelError(f"{self.path}: {message}", hint)

    def spend(self, bytes_read: int) -> None:
        self.budget -= bytes_read
        if self.budget < 0:
            raise self.error("parts of the file overlap")

    def table(self, table: Any) -> Any:
        """`table`, after checking that it and its vtable lie inside the file."""
        if table is None:
            raise self.error("a required part is missing")
        position: int = table._tab.Pos
        (to_vtable,) = struct.unpack_from("<i", self.data, position)
        vtable = position - to_vtable
        if vtable < 0:
            raise self.error("an offset points outside the file")
        vtable_bytes, table_bytes = struct.unpack_from("<HH", self.data, vtable)
        end = max(vtable + vtable_bytes, position + table_bytes)
        if vtable_bytes < 4 or end > len(self.data):
            raise self.error("an offset points outside the file")
        return table

    def tables(self, length: int, item: Callable[[int], Any]) -> Iterator[Any]:
        """The tables of a vector. One takes 8 bytes or more with its offset."""
        self.spend(8 * length)
        return (self.table(item(i)) for i in range(length))

    def vector(self, numbers: Any) -> npt.NDArray[Any]:
        """A vector of numbers as numpy gives it; the accessors return 0 for an absent one."""
        if not isinstance(numbers, np.ndarray):
            return np.zeros(0, np.int32)
        self.spend(numbers.nbytes)
        return numbers

    def text(self, raw: bytes | None) -> str:
        self.spend(len(raw or b""))
        return _printable(raw)

    def graph(self, signature: str | None) -> Graph:
        model = self.table(tflite.Model.GetRootAs(self.data, 0))
        if model.Version() != 3:
            raise self.error(f"schema version {model.Version()} is unknown", "version 3 is wanted")
        codes = [self.op_kind(code) for code in self.tables(model.OperatorCodesLength(), model.OperatorCodes)]
        buffers = [self.buffer(buffer) for buffer in self.tables(model.BuffersLength(), model.Buffers)]
        subgraphs = list(self.tables(model.SubgraphsLength(), model.Subgraphs))
        if not subgraphs:
            raise self.error("it has no subgraph: there is nothing to run")
        defined = self.tables(model.SignatureDefsLength(), model.SignatureDefs)
        known = [(self.text(table.SignatureKey()), table.SubgraphIndex()) for table in defined]
        name, chosen = signatures.choose(self.path, known, len(subgraphs), signature)
        table = subgraphs[chosen]
        main = self.subgraph(table, codes, buffers)
        inputs = self.indices("the model's inputs", table.InputsAsNumpy(), main[0])
        outputs = self.indices("the model's outputs", table.OutputsAsNumpy(), main[0])
        for index in inputs:
            self.check_input(main[0][index], table.Tensors(index))
        called = signatures.called(main[1])
        initialisers = {
            i: self.subgraph(subgraphs[i], codes, buffers)
            for i in called
            if i < len(subgraphs) and i != chosen
        }
        tensors, ops = resource_variables.resolve(
            main, initialisers, lambda text: self.error(text, VARIABLES_HINT)
        )
        kept = chosen, *initialisers
        graph = Graph(
            path=self.path,
            file=self.data,
            description=self.text(model.Description()),
            tensors=tensors,
            ops=ops,
            inputs=inputs,
            outputs=outputs,
            signature=name if len(known) > 1 else "",
        )
        _check_dataflow(graph)
        settled = tiles.settle(dilation.merge(folding.fold(graph)))
        change = rewriting.Change.between(graph, settled)
        if kept == tuple(range(len(subgraphs))) and not change:
            return settled
        return replace(settled, rewritten=partial(rewriting.rewrite, self.data, kept, change))

    def subgraph(
        self, table: Any, codes: list[tuple[str, int]], buffers: list[npt.NDArray[np.uint8]]
    ) -> resource_variables.Subgraph:
        self.other_types, self.nibbles = {}, set()
        operators = list(self.tables(table.OperatorsLength(), table.Operators))
        self.check_kinds(operators, codes)
        tables = self.tables(table.TensorsLength(), table.Tensors)
        tensors = tuple(self.tensor(i, tensor, buffers) for i, tensor in enumerate(tables))
        return tensors, tuple(self.op(i, op, codes, tensors) for i, op in enumerate(operators))

    def check_kinds(self, operators: list[Any], codes: list[tuple[str, int]]) -> None:
        """Refuses ops that say what file this is, before whatever else is odd about it."""
        for index, op in enumerate(operators):
            kind = codes[op.OpcodeIndex()][0] if op.OpcodeIndex() < len(codes) else ""
            if known := foreign.op(kind):
                raise self.error(f"op {index} is {known[0]}", known[1])

    def op_kind(self, code: Any) -> tuple[str, int]:
        """The op's name and version. Codes above 126 do not fit the older field of one byte.

        Some converters fill in one field alone, and an absent one reads as 0. The schema package's own
        accessor does not know that.
        """
        older, newer = code._tab.Offset(4), code._tab.Offset(10)
        number = max(
            code._tab.Get(Int8Flags, older + code._tab.Pos) if older else 0,
            code._tab.Get(Int32Flags, newer + code._tab.Pos) if newer else 0,
        )
        kind = enum("BuiltinOperator").get(number)
        if kind is None:
            raise self.error(f"operator code {number} is unknown", DAMAGED_HINT)
        if kind == "CUSTOM":
            kind += ":" + re.sub(r"[^A-Za-z0-9_.]", "_", self.text(code.CustomCode()))
        return kind, int(code.Version())

    def buffer(self, buffer: Any) -> npt.NDArray[np.uint8]:
        if buffer.Offset() > 1 or buffer.Size() > 1:
            raise self.error("constants lie outside the flatbuffer", "such files are over 2 GB")
        raw = buffer.DataAsNumpy()  # not decoded but viewed, so it costs nothing
        return raw if isinstance(raw, np.ndarray) else np.zeros(0, np.uint8)

    def tensor(self, index: int, table: Any, buffers: list[npt.NDArray[np.uint8]]) -> Tensor:
        name = self.text(table.Name())
        where = f"tensor {index} ({name})"
        type_name = enum("TensorType").get(table.Type(), str(table.Type()))
        if type_name == "RESOURCE":
            type_name = "INT32"  # a handle: resource_variables.py makes it the variable
        if type_name == "INT4":
            self.nibbles.add(index)
            type_name = "INT8"
        if type_name not in DType.__members__:
            self.other_types[index] = f"{where} holds {type_name.lower()}, which is not supported"
            return Tensor(index, name, (), DType.INT32)  # no op may use it
        dtype = DType[type_name]
        shape = tuple(int(extent) for extent in self.vector(table.ShapeAsNumpy()))
        if -1 in shape:
            raise self.error(f"{where} has a dynamic shape {list(shape)}", FIXED_SHAPE_HINT)
        if len(shape) > MAX_RANK or min(shape, default=0) < 0:
            raise self.error(f"{where} has an impossible shape of rank {len(shape)}")
        if math.prod(shape) * dtype.bytes > MAX_TENSOR_BYTES:
            raise self.error(f"{where} has {math.prod(shape)} elements: too large", "no board could hold it")
        if table.Sparsity() is not None:
            raise self.error(f"{where} is sparse", "convert without sparsity: weights must be stored densely")
        if table.Buffer() >= len(buffers):
            raise self.error(f"{where} names buffer {table.Buffer()} of {len(buffers)}")
        raw = buffers[table.Buffer()]
        size = math.prod(shape) * dtype.bytes
        packed = (size + 1) // 2 if index in self.nibbles else size
        if raw.nbytes not in (0, packed):
            raise self.error(f"{where} has {raw.nbytes} bytes of data where its shape wants {packed}")
        is_constant = raw.nbytes > 0 or size == 0
        if is_constant and table.IsVariable():
            raise self.error(f"{where} is a variable with a constant value")
        return Tensor(
            index=index,
            name=name,
            shape=shape,
            dtype=dtype,
            quantization=self.quantization(where, table.Quantization(), shape, dtype),
            data=self.constant(index, table.Buffer(), raw, shape, dtype) if is_constant else None,
            is_variable=table.IsVariable(),
            is_open=bool((self.vector(table.ShapeSignatureAsNumpy()) < 0).any()),
            is_int4=index in self.nibbles,
        )

    def constant(
        self, index: int, buffer: int, raw: npt.NDArray[np.uint8], shape: tuple[int, ...], dtype: DType
    ) -> npt.NDArray[np.generic]:
        """What the constant tensor `index` holds; of two numbers in a byte the low one comes first."""
        if index not in self.nibbles:
            return raw.view(dtype.numpy.newbyteorder("<")).reshape(shape)
        if buffer not in self.unpacked:
            self.spend(raw.nbytes)
            pairs = np.stack([raw << 4, raw], axis=-1).view(np.int8)
            self.unpacked[buffer] = (pairs >> 4).reshape(-1)
        values = self.unpacked[buffer][: math.prod(shape)].reshape(shape)
        values.flags.writeable = False
        return values

    def quantization(
        self, where: str, table: Any, shape: tuple[int, ...], dtype: DType
    ) -> Quantization | None:
        if table is None:
            return None
        self.table(table)
        scales = self.vector(table.ScaleAsNumpy())
        zero_points = self.vector(table.ZeroPointAsNumpy())
        if table.DetailsType() != 0:
            raise self.error(f"{where} has a custom quantisation", "only affine quantisation can be run")
        if scales.size == 0:
            return None
        if scales.size != zero_points.size:
            raise self.error(f"{where} has {scales.size} scales but {zero_points.size} zero points")
        axis = int(table.QuantizedDimension())
        # Of a bias no kernel reads the quantisation. Its scale is a product that may have become 0, and
        # converters have left the weights' axis in it.
        is_bias = dtype in (DType.INT32, DType.INT64)
        if scales.size > 1 and not is_bias and not (0 <= axis < len(shape) and shape[axis] == scales.size):
            raise self.error(f"{where} has {scales.size} scales along axis {axis} of shape {list(shape)}")
        # A channel whose weights are all zero may have the scale 0.
        too_small = scales < 0 if is_bias or scales.size > 1 else scales <= 0
        if not np.isfinite(scales).all() or too_small.any():
            raise self.error(f"{where} has a quantisation scale that is not a positive number", QUANTISE_HINT)
        if dtype in (DType.INT8, DType.UINT8, DType.INT16):
            limits = np.iinfo(dtype.value)
            if zero_points.min() < limits.min or zero_points.max() > limits.max:
                raise self.error(f"{where} has a zero point outside {dtype.value}", QUANTISE_HINT)
        return Quantization(tuple(scales.tolist()), tuple(zero_points.tolist()), axis)

    def indices(self, what: str, numbers: Any, tensors: tuple[Tensor, ...]) -> tuple[int, ...]:
        """Indices of the model's inputs or outputs."""
        found = tuple(self.vector(numbers).tolist())
        if not found:
            raise self.error(f"{what} are missing")
        if len(set(found)) != len(found):
            raise self.error(f"{what} name a tensor twice", "convert with distinct inputs and outputs")
        for index in found:
            if not 0 <= index < len(tensors):
                raise self.error(f"{what} name tensor {index} of {len(tensors)}")
            if index in self.other_types:
                raise self.error(self.other_types[index], "int8 models are wanted")
            if index in self.nibbles:
                raise self.error(f"{what} hold int4, which has no kernel", "int8 models are wanted")
            if tensors[index].elements == 0:
                raise self.error(f"{what} have an empty tensor", FIXED_SHAPE_HINT)
        return found

    def check_input(self, tensor: Tensor, table: Any) -> None:
        signature = self.vector(table.ShapeSignatureAsNumpy())
        # Converters leave the batch open and write 1 in the shape, which is what runs.
        if signature.size and (signature[1:] < 0).any():
            where = f"input {tensor.index} ({tensor.name})"
            raise self.error(f"{where} has a dynamic shape {signature.tolist()}", FIXED_SHAPE_HINT)

    def op(self, index: int, table: Any, codes: list[tuple[str, int]], tensors: tuple[Tensor, ...]) -> Op:
        if table.OpcodeIndex() >= len(codes):
            raise self.error(f"op {index} names operator code {table.OpcodeIndex()} of {len(codes)}")
        kind, version = codes[table.OpcodeIndex()]
        where = f"op {index} ({kind})"
        inputs = tuple(self.vector(table.InputsAsNumpy()).tolist())
        outputs = tuple(self.vector(table.OutputsAsNumpy()).tolist())
        for tensor in (*(i for i in inputs if i != -1), *outputs):
            if not 0 <= tensor < len(tensors):
                raise self.error(f"{where} names tensor {tensor} of {len(tensors)}")
        self.check_types(where, kind, inputs, outputs, tensors)
        if not outputs and kind not in _WITHOUT_OUTPUT:
            raise self.error(f"{where} has no output")
        ranks = _RANKS.get(kind, ())
        if len(inputs) < len(ranks):
            raise self.error(f"{where} has {len(inputs)} inputs where {len(ranks)} are needed")
        for position, rank in enumerate(ranks):
            if inputs[position] < 0 and kind not in _WITH_GAPS:
                raise self.error(f"{where}: input {position} is missing")
            if rank is None or inputs[position] < 0:
                continue
            operand = tensors[inputs[position]]
            if len(operand.shape) != rank or operand.elements == 0:
                raise self.error(
                    f"{where}: input {position} has shape {list(operand.shape)} "
                    f"where rank {rank} and some elements are needed"
                )
        rank = _OUTPUT_RANKS.get(kind)
        if rank is not None and len(tensors[outputs[0]].shape) != rank:
            shape = list(tensors[outputs[0]].shape)
            raise self.error(f"{where}: its output has shape {shape} where rank {rank} is needed")
        return Op(index, kind, inputs, outputs, self.options(where, kind, table), version)

    def check_types(
        self,
        where: str,
        kind: str,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        tensors: tuple[Tensor, ...],
    ) -> None:
        """Refuses an op with a tensor of a type unknown here, or with one of four bits that is no weight."""
        for index in (*inputs, *outputs):
            if index in self.other_types:
                hint = QUANTISE_HINT if "float" in self.other_types[index] else "int8 models are wanted"
                raise self.error(f"{where}: {self.other_types[index]}", hint)
            if index in self.nibbles and not _is_nibble_weights(kind, inputs, tensors, index):
                raise self.error(
                    f"{where}: tensor {index} ({tensors[index].name}) holds int4, which has no kernel",
                    f"int4 is for constant weights of {', '.join(_WITH_NIBBLES)} on int8, of FULLY_CONNECTED "
                    "with one scale",
                )

    def options(self, where: str, kind: str, table: Any) -> dict[str, OptionValue]:
        name = enum("BuiltinOptions").get(table.BuiltinOptionsType())
        wanted = OPTIONS.get(kind, name)
        if name is None or (name not in ("NONE", wanted)):
            raise self.error(f"{where} has the options of another op")
        if wanted is None or wanted == "NONE":
            return {}
        options = getattr(tflite, wanted)()
        union = None if name == "NONE" else table.BuiltinOptions()
        if union is None and kind in OPTIONS_NEEDED:
            raise self.error(f"{where} has no options, and cannot be run without them")
        if union is None:
            options.Init(EMPTY_TABLE, 4)
        else:
            options.Init(self.data, union.Pos)
            self.table(options)
        values: dict[str, OptionValue] = {}
        for accessor, field, is_vector in fields(wanted):
            value = getattr(options, accessor)()
            if is_vector:
                values[field] = tuple(self.vector(value).tolist())
            elif field in ENUM_FIELDS:
                choices = enum(ENUM_FIELDS[field])
                if value not in choices:
                    raise self.error(f"{where} has the unknown {field} {value}")
                values[field] = choices[value]
            elif isinstance(value, bytes):
                self.spend(len(value))
                values[field] = value.decode("utf-8", "replace")
            elif isinstance(value, bool | int | float):
                if isinstance(value, float) and not math.isfinite(value):
                    raise self.error(f"{where} has the {field} {value}")
                if field.startswith(("stride_", "dilation_", "filter_")) and not 1 <= value <= MAX_STEP:
                    raise self.error(f"{where} has the {field} {value}")
                values[field] = value
        return values


def _is_nibble_weights(kind: str, inputs: tuple[int, ...], tensors: tuple[Tensor, ...], index: int) -> bool:
    """Whether TFLite Micro has a kernel that takes the four-bit tensor `index` as the op's weights."""
    if kind not in _WITH_NIBBLES or inputs[:2] != (inputs[0], index) or inputs.count(index) != 1:
        return False
    weights, source = tensors[index], tensors[inputs[0]]
    by_channel = weights.quantization is not None and weights.quantization.per_channel
    fits = not by_channel or kind != "FULLY_CONNECTED"
    return fits and inputs[0] >= 0 and weights.data is not None and source.dtype is DType.INT8


def _check_dataflow(graph: Graph) -> None:
    """Each tensor is written once, before it is read, and by something that may write it."""

    def error(message: str) -> ModelError:
        return ModelError(f"{graph.path}: {message}", DAMAGED_HINT)

    if not graph.ops:
        raise error("the model has no ops")
    written = {t.index for t in graph.tensors if t.data is not None or t.is_variable}
    for index in graph.inputs:
        if index in written:
            raise error(f"input {index} is a constant or a variable")
    written.update(graph.inputs)
    computed: set[int] = set()
    for op in graph.ops:
        for index in op.inputs:
            # Accelerators' custom ops have inputs that are their working memory; no engine runs such ops.
            if index >= 0 and index not in written and not op.kind.startswith("CUSTOM:"):
                raise error(f"op {op.index} ({op.kind}) reads tensor {index} before anything writes it")
        if op.kind == "VAR_HANDLE":
            continue
        for index in op.outputs:
            if index in written:
                raise error(f"op {op.index} ({op.kind}) writes tensor {index}, which has a value already")
            if graph.tensors[index].elements == 0:
                raise error(f"op {op.index} ({op.kind}) writes tensor {index}, which is empty")
            written.add(index)
            computed.add(index)
    for index in graph.outputs:
        if index not in computed:
            raise error(f"output {index} is not computed by any op")


def _check_types(graph: Graph) -> None:
    """Float only at the edges or between integers, where it is the engines' to judge; uint8 at the edges."""
    computed = {graph.tensors[i].dtype for op in graph.ops for i in op.outputs}
    partly_quantised = DType.INT8 in computed or DType.INT16 in computed
    for op in graph.running:
        inputs = {i for i in op.inputs if i >= 0}
        types = {graph.tensors[i].dtype for i in (*inputs, *op.outputs)}
        at_edge = (op.kind == "QUANTIZE" and inputs <= {*graph.inputs}) or (
            op.kind in ("QUANTIZE", "DEQUANTIZE") and {*op.outputs} <= {*graph.outputs}
        )
        if at_edge or op.kind.startswith("CUSTOM:"):
            continue
        where = f"op {op.index} ({op.kind})"
        if DType.FLOAT32 in types and not partly_quantised:
            kind = _kind_of_float(graph)
            raise ModelError(f"{graph.path} is {kind}: {where} computes in float32", QUANTISE_HINT)
        if DType.UINT8 in types:
            raise ModelError(
                f"{graph.path} is a uint8 model of the older kind: {where} computes in uint8", QUANTISE_HINT
            )


def _kind_of_float(graph: Graph) -> str:
    """What a model is that computes in float32: by all its ops, as converters leave small layers alone."""
    read = {graph.tensors[i] for op in graph.ops for i in op.inputs if i >= 0}
    if any(tensor.data is not None and tensor.dtype is DType.INT8 for tensor in read):
        return "a dynamic-range model (int8 weights, float arithmetic)"
    return "a float model"
