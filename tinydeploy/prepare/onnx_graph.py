"""An ONNX file as nodes, constants and values, with quantisation as its QDQ nodes say it.

Operators: https://onnx.ai/onnx/operators. The file is read by the package `onnx` alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinydeploy.errors import ModelError
from tinydeploy.host.interpreter import Array
from tinydeploy.prepare import extras

_SAME = ("Identity", "Dropout", "Cast")  # in inference, of float values
_MOST_FOLDED = 1 << 26  # elements of a constant that is computed


@dataclass(frozen=True)
class Scale:
    """A quantisation as ONNX has it: real = scale * (code - zero), of one scale, or along an axis."""

    scale: tuple[float, ...]
    zero: tuple[int, ...]
    axis: int = 0
    bits: int = 8

    def as_int8(self) -> tuple[float, int]:
        """Scale and zero point of int8 codes (int16 ones stay as they are); uint8 ones are shifted by 128."""
        return self.scale[0], self.zero[0]


@dataclass(frozen=True, eq=False)
class Constant:
    """Real values, and if the file holds them as integers, these and their quantisation."""

    real: Array
    codes: Array | None = None
    scale: Scale | None = None


@dataclass(frozen=True, eq=False)
class Node:
    """One operator that is left: constants and identities are gone."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[str, Any]


@dataclass(eq=False)
class OnnxGraph:
    """`shapes` are ONNX's, with a batch of 1; `scales` say how values are quantised, if the file does."""

    path: str
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Constant] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    scales: dict[str, Scale] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    @property
    def is_quantised(self) -> bool:
        """Whether the file says of any value how it is quantised."""
        return bool(self.scales)

    def uses(self) -> Counter[str]:
        """How often each value is read, by nodes or as an output."""
        return Counter(name for node in self.nodes for name in node.inputs) + Counter(self.outputs)

    def error(self, words: str, hint: str = "") -> ModelError:
        """An error that names the file."""
        return ModelError(f"{self.path}: {words}", hint)


def read(content: bytes, path: str) -> OnnxGraph:
    """The graph of an ONNX file. Raises ModelError, and ToolError without the package `onnx`."""
    extras.need("onnx")
    import onnx

    try:
        model = onnx.load_model_from_string(content)
        _check_domains(model, path)
        _fix_batch(model)
        model = onnx.shape_inference.infer_shapes(model, strict_mode=False, data_prop=True)
    except ModelError:
        raise
    except Exception as error:  # whatever a damaged file makes protobuf and onnx raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:150]
        raise ModelError(f"{path} cannot be read as an ONNX file: {reason}") from error
    return _Reader(model, path).graph


def _check_domains(model: Any, path: str) -> None:
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            fused = node.op_type.startswith("QLinear") or "microsoft" in node.domain
            hint = "export with QDQ nodes, not with fused ones" if fused else "write it by ordinary operators"
            raise ModelError(f"{path}: the operator {node.domain}.{node.op_type} is not ONNX's own", hint)


def _fix_batch(model: Any) -> None:
    """Sets what the inputs leave open to 1, and forgets shapes that were inferred with something else."""
    constants = {one.name for one in model.graph.initializer}
    for value in model.graph.input:
        if value.name not in constants:
            for extent in value.type.tensor_type.shape.dim:
                if not extent.HasField("dim_value") or extent.dim_value <= 0:
                    extent.Clear()
                    extent.dim_value = 1
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")


class _Reader:
    """Fills an OnnxGraph, node by node."""

    def __init__(self, model: Any, path: str) -> None:
        self.graph = OnnxGraph(path)
        self.same: dict[str, str] = {}  # values that are another by another name
        self.opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 1)
        graph = model.graph
        import onnx

        for one in graph.initializer:
            if one.data_location == onnx.TensorProto.EXTERNAL:
                raise self.graph.error(
                    "its weights lie in another file", "onnx.save(onnx.load(path), one_file)"
                )
            self.graph.constants[one.name] = _constant(onnx.numpy_helper.to_array(one))
        for value in (*graph.input, *graph.value_info, *graph.output):
            dims = value.type.tensor_type.shape.dim
            if value.type.tensor_type.HasField("shape"):
                self.graph.shapes[value.name] = tuple(extent.dim_value for extent in dims)
        self.graph.inputs = [one.name for one in graph.input if one.name not in self.graph.constants]
        for node in graph.node:
            self.add(node)
        self.graph.outputs = [self.of(one.name) for one in graph.output]
        for name in self.graph.outputs:
            if name in self.graph.constants:
                raise self.graph.error(f"its output {name} is a constant")

    def of(self, name: str) -> str:
        while name in self.same:
            name = self.same[name]
        return name

    def add(self, node: Any) -> None:
        import onnx

        inputs = [self.of(name) for name in node.input]
        options = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        kind = node.op_type
        if kind == "QuantizeLinear" and inputs[0] not in self.graph.constants:
            return self.quantized(inputs, node.output[0], options)
        if kind == "DequantizeLinear":
            return self.dequantized(inputs, node.output[0], options)
        if kind in _SAME and inputs[0] not in self.graph.constants:
            self.same[node.output[0]] = inputs[0]
            return None
        if all(name in self.graph.constants for name in inputs if name) and not self.folded(node, inputs):
            raise self.graph.error(f"the operator {kind} of constants cannot be computed")
        if all(name in self.graph.constants for name in inputs if name):
            return None
        if kind == "Shape":
            shape = self.graph.shapes.get(inputs[0], ())
            self.graph.constants[node.output[0]] = _constant(np.array(shape, np.int64))
            return None
        self.graph.nodes.append(Node(kind, node.name, tuple(inputs), tuple(node.output), options))
        return None

    def quantized(self, inputs: list[str], output: str, options: Mapping[str, Any]) -> None:
        """A value is quantised: it is the same from there on, or requantised if it was already otherwise."""
        scale = self.scale(inputs, options)
        known = self.graph.scales.get(inputs[0])
        if known is not None and known != scale:
            again = f"{output}_again"
            self.graph.nodes.append(Node("Requantize", output, (inputs[0],), (again,), {}))
            self.graph.shapes[again] = self.graph.shapes.get(inputs[0], ())
            self.graph.scales[again] = scale
            self.same[output] = again
            return
        self.graph.scales[inputs[0]] = scale
        self.same[output] = inputs[0]

    def scale(self, inputs: list[str], options: Mapping[str, Any]) -> Scale:
        """The quantisation of a value, in int8 or int16 codes."""
        if any(name and name not in self.graph.constants for name in inputs[1:]):
            raise self.graph.error(
                "a scale is computed by the model", "quantise statically, with calibration"
            )
        scales = np.atleast_1d(self.graph.constants[inputs[1]].real)
        zeros = (
            self.graph.constants[inputs[2]].real if len(inputs) > 2 and inputs[2] else np.zeros(1, np.uint8)
        )
        if len(scales) != 1:
            raise self.graph.error("an activation has a scale a channel", "quantise activations as a whole")
        kind = np.asarray(zeros).dtype
        if kind not in (np.uint8, np.int8, np.int16):
            raise self.graph.error(f"a value is quantised to {kind}", "int8, uint8 or int16 are wanted")
        zero = int(np.atleast_1d(zeros)[0]) - (128 if kind == np.uint8 else 0)
        return Scale((float(scales[0]),), (zero,), bits=16 if kind == np.int16 else 8)

    def dequantized(self, inputs: list[str], output: str, options: Mapping[str, Any]) -> None:
        if inputs[0] not in self.graph.constants:
            self.same[output] = inputs[0]
            return
        codes = self.graph.constants[inputs[0]].real
        scales = np.atleast_1d(self.graph.constants[inputs[1]].real).astype(np.float64)
        zeros = (
            self.graph.constants[inputs[2]].real
            if len(inputs) > 2 and inputs[2]
            else np.zeros(1, codes.dtype)
        )
        zeros = np.atleast_1d(zeros).astype(np.int64)
        axis = int(options.get("axis", 1)) % max(codes.ndim, 1)
        shape = [1] * codes.ndim
        if len(scales) > 1:
            shape[axis] = len(scales)
        real = (
            codes.astype(np.int64) - zeros.reshape(shape if len(zeros) > 1 else [1] * codes.ndim)
        ) * scales.reshape(shape)
        shift = 128 if codes.dtype == np.uint8 else 0
        bits = 8 * codes.dtype.itemsize
        kept = Scale(tuple(scales.tolist()), tuple((zeros - shift).tolist()), axis, bits)
        self.graph.constants[output] = Constant(real.astype(np.float32), codes.astype(np.int64) - shift, kept)

    def folded(self, node: Any, inputs: list[str]) -> bool:
        """Computes a node of constants, by onnx's own reference."""
        import onnx
        from onnx.reference import ReferenceEvaluator

        fresh = onnx.NodeProto()
        fresh.CopyFrom(node)
        del fresh.input[:]
        fresh.input.extend(inputs)
        values = {name: self.graph.constants[name].real for name in inputs if name}
        ins = [
            onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for name, v in values.items()
        ]
        outs = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output]
        graph = onnx.helper.make_graph([fresh], "constants", ins, outs)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", self.opset)])
        try:
            found = ReferenceEvaluator(model).run(None, values)
        except Exception:  # whatever an operator that it does not know makes it raise
            return False
        for name, value in zip(node.output, found, strict=True):
            if np.size(value) > _MOST_FOLDED:
                raise self.graph.error(f"the constant {name} is too large")
            self.graph.constants[name] = _constant(np.asarray(value))
        return True


def _constant(values: Array) -> Constant:
    return Constant(values.astype(np.float32) if values.dtype == np.float64 else values)


def without_batch_norm(graph: OnnxGraph) -> OnnxGraph:
    """BatchNormalization folded into the convolution or the Gemm before it, where it alone reads that."""
    uses, makers = graph.uses(), {name: node for node in graph.nodes for name in node.outputs}
    nodes = list(graph.nodes)
    for node in graph.nodes:
        maker = makers.get(node.inputs[0]) if node.kind == "BatchNormalization" else None
        alone = uses[node.inputs[0]] == 1 and node.inputs[0] not in graph.scales
        if maker is None or maker.kind not in ("Conv", "Gemm") or not alone:
            continue
        if any(name not in graph.constants for name in (*maker.inputs[1:], *node.inputs[1:]) if name):
            continue
        scale, bias, mean, variance = (
            graph.constants[name].real.astype(np.float64) for name in node.inputs[1:5]
        )
        factor = scale / np.sqrt(variance + float(node.options.get("epsilon", 1e-5)))
        weights = graph.constants[maker.inputs[1]].real
        by_row = maker.kind == "Conv" or int(maker.options.get("transB", 0))
        along = [-1] + [1] * (weights.ndim - 1) if by_row else [1, -1]
        old = graph.constants[maker.inputs[2]].real if len(maker.inputs) > 2 and maker.inputs[2] else 0.0
        names = tuple(f"{node.outputs[0]}_{part}" for part in ("weights", "bias"))
        graph.constants[names[0]] = Constant((weights * factor.reshape(along)).astype(np.float32))
        graph.constants[names[1]] = Constant(((old - mean) * factor + bias).astype(np.float32))
        nodes[nodes.index(maker)] = replace(maker, inputs=(maker.inputs[0], *names), outputs=node.outputs[:1])
        makers[node.outputs[0]] = nodes[nodes.index(next(n for n in nodes if n.outputs == node.outputs[:1]))]
        nodes.remove(node)
    graph.nodes = nodes
    return graph
