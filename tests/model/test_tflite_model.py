"""The model file is untrusted: what is not a clean, quantised, static model is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import flatbuffers
import native
import numpy as np
import pytest
import tflite
from hypothesis import given, settings
from hypothesis import strategies as st
from model_builder import ModelBuilder
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tinydeploy.errors import ModelError
from tinydeploy.model.graph import DType
from tinydeploy.model.readers import tflite_model

MODELS = Path(__file__).resolve().parents[3] / "shared" / "models" / "mlperf-tiny"
needs_models = pytest.mark.skipif(not MODELS.is_dir(), reason=f"the MLPerf Tiny models are not in {MODELS}")


def conv_model() -> bytes:
    """CONV_2D with per-channel weights, SOFTMAX, RESHAPE: small, with every kind of vector in it."""
    model = ModelBuilder("a test")
    x = model.tensor((1, 4, 4, 2), scale=0.5, zero_point=-3, name="image")
    weights = model.tensor(
        (3, 3, 3, 2), data=np.arange(54).reshape(3, 3, 3, 2), scale=[0.1, 0.2, 0.3], axis=0, name="weights"
    )
    bias = model.tensor((3,), "int32", data=[1, -2, 3], scale=[0.05, 0.1, 0.15])
    y = model.tensor((1, 2, 2, 3), scale=0.25)
    flat = model.tensor((1, 12), scale=0.25)
    shape = model.tensor((2,), "int32", data=[1, 12])
    probabilities = model.tensor((1, 12), scale=1 / 256, zero_point=-128)
    model.op(
        "CONV_2D",
        [x, weights, bias],
        [y],
        padding="VALID",
        stride_h=1,
        stride_w=1,
        dilation_h_factor=1,
        dilation_w_factor=1,
        fused_activation_function="RELU6",
        version=3,
    )
    model.op("RESHAPE", [y, shape], [flat], new_shape=[1, 12])
    model.op("SOFTMAX", [flat], [probabilities], beta=1.0)
    return model.build([x], [probabilities])


CONV = conv_model()


def edited(edit: Callable[[Any], None], blob: bytes = CONV) -> bytes:
    """`blob` with `edit` applied to its schema object."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(blob, 0))
    edit(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def refusal(blob: bytes) -> ModelError:
    with pytest.raises(ModelError) as caught:
        tflite_model.parse(blob, "m.tflite")
    assert "\n" not in caught.value.message
    assert "m.tflite" in caught.value.message
    assert caught.value.hint
    return caught.value


# What a good file gives


def test_tensors_ops_and_options() -> None:
    graph = tflite_model.parse(CONV, "m.tflite")
    assert [op.kind for op in graph.ops] == ["CONV_2D", "RESHAPE", "SOFTMAX"]
    assert graph.ops[0].options == {
        "padding": "VALID",
        "stride_h": 1,
        "stride_w": 1,
        "dilation_h_factor": 1,
        "dilation_w_factor": 1,
        "fused_activation_function": "RELU6",
        "quantized_bias_type": "FLOAT32",
    }
    assert graph.ops[0].version == 3
    assert graph.ops[1].options == {"new_shape": (1, 12)}
    assert graph.ops[2].options == {"beta": 1.0}
    image, weights = graph.tensors[0], graph.tensors[1]
    assert (image.name, image.shape, image.dtype, image.data) == ("image", (1, 4, 4, 2), DType.INT8, None)
    assert image.quantization is not None and weights.quantization is not None
    assert (image.quantization.scale, image.quantization.zero_point) == (0.5, -3)
    assert weights.quantization.per_channel and weights.quantization.axis == 0
    assert weights.quantization.scales == tuple(np.float32([0.1, 0.2, 0.3]).tolist())
    assert weights.data is not None and not weights.data.flags.writeable
    np.testing.assert_array_equal(weights.data, np.arange(54, dtype=np.int8).reshape(3, 3, 3, 2))
    assert graph.macs == 12 * 18
    assert graph.constant_bytes == 54 + 12 + 8
    assert (graph.description, graph.inputs, graph.outputs) == ("a test", (0,), (6,))


@needs_models
@pytest.mark.parametrize(
    ("name", "ops", "macs"),
    [("kws", 13, 2_656_768), ("vww", 31, 7_489_664), ("ic", 16, 12_501_632), ("ad", 10, 264_192)],
)
def test_real_models(name: str, ops: int, macs: int) -> None:
    graph = tflite_model.load(MODELS / f"{name}.tflite")
    assert (len(graph.ops), graph.macs) == (ops, macs)


def test_options_left_out_are_the_schemas_defaults() -> None:
    def drop(model: Any) -> None:
        model.subgraphs[0].operators[0].builtinOptionsType = 0
        model.subgraphs[0].operators[0].builtinOptions = None

    with pytest.raises(ModelError, match="stride_h 0"):
        tflite_model.parse(edited(drop), "m.tflite")

    def drop_softmax(model: Any) -> None:
        model.subgraphs[0].operators[2].builtinOptionsType = 0
        model.subgraphs[0].operators[2].builtinOptions = None

    assert tflite_model.parse(edited(drop_softmax), "m.tflite").ops[2].options == {"beta": 0.0}


def test_both_generations_of_operator_codes() -> None:
    def old(model: Any) -> None:
        for code in model.operatorCodes:
            code.deprecatedBuiltinCode, code.builtinCode = code.builtinCode, 0

    assert tflite_model.parse(edited(old), "m").ops[0].kind == "CONV_2D"


_CODES = sorted((v, k) for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int) and v < 127)


@pytest.mark.parametrize("fields", ["old", "new", "both"])
def test_every_code_in_either_field(fields: str) -> None:
    """Some converters fill in one field of the two; an absent one reads as 0, which is ADD."""
    model = ModelBuilder()
    x, y = model.tensor((1, 4), scale=1.0), model.tensor((1, 4), scale=1.0)
    model.op("RELU", [x], [y])
    blob = model.build([x], [y])
    kinds = {}
    for number, name in _CODES:

        def set_code(built: Any, number: int = number) -> None:
            (code,) = built.operatorCodes
            code.deprecatedBuiltinCode = 0 if fields == "new" else number
            code.builtinCode = 0 if fields == "old" else number

        reader = tflite_model._Reader(edited(set_code, blob), "m.tflite")
        kinds[name] = reader.op_kind(tflite.Model.GetRootAs(reader.file.data, 0).OperatorCodes(0))[0].split(
            ":"
        )[0]
    assert kinds == {name: name for _, name in _CODES}


@pytest.mark.parametrize(("shape", "hint"), [((), "fixed shapes"), ((1, 4), "contradicts itself")])
def test_a_shape_that_is_not_known_is_told_from_one_that_is_wrong(shape: tuple[int, ...], hint: str) -> None:
    model = ModelBuilder()
    x, y = model.tensor((1, 4, 4, 1), scale=0.1), model.tensor(shape, scale=0.1)
    model.op("AVERAGE_POOL_2D", [x], [y], filter_height=2, filter_width=2, stride_h=1, stride_w=1)
    with pytest.raises(ModelError, match=r"its output has shape .* where rank 4 is needed") as refused:
        tflite_model.parse(model.build([x], [y]), "m.tflite")
    assert refused.value.hint is not None and hint in refused.value.hint


@pytest.mark.parametrize(("old", "new"), [(127, 152), (0, 152), (-1, 9), (9, -1), (3, 9), (9, 3)])
def test_the_larger_of_two_codes_counts(old: int, new: int) -> None:
    def set_code(built: Any) -> None:
        built.operatorCodes[0].deprecatedBuiltinCode, built.operatorCodes[0].builtinCode = old, new

    reader = tflite_model._Reader(edited(set_code), "m.tflite")
    kind, _ = reader.op_kind(tflite.Model.GetRootAs(reader.file.data, 0).OperatorCodes(0))
    assert getattr(schema.BuiltinOperator, kind) == max(old, new)


@pytest.mark.parametrize("kind", ["MAXIMUM", "FULLY_CONNECTED", "SOFTMAX"])
def test_tflite_micro_reads_a_code_of_the_newer_field_alone_as_well(kind: str) -> None:
    def newer(built: Any) -> None:
        for code in built.operatorCodes:
            code.deprecatedBuiltinCode = 0

    model = ModelBuilder()
    x, y = model.tensor((1, 4), scale=0.1), model.tensor((1, 4), scale=1 / 256, zero_point=-128)
    inputs = {"SOFTMAX": [x], "MAXIMUM": [x, x]}.get(kind)
    weights = np.arange(16).reshape(4, 4)
    options = {"beta": 1.0} if kind == "SOFTMAX" else {}
    model.op(kind, inputs or [x, model.tensor((4, 4), scale=0.1, data=weights)], [y], **options)
    native.assert_parity([edited(newer, model.build([x], [y]))], kernels=[native.PORTABLE])


# Weights of four bits


def int4(kind: str, shape: tuple[int, ...], x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> bytes:
    """A layer with weights of four bits, all sixteen values among them."""
    random = np.random.default_rng(len(shape))
    weights = random.integers(-8, 8, shape)
    weights.reshape(-1)[:2] = -8, 7
    channels = shape[3] if kind == "DEPTHWISE_CONV_2D" else shape[0]
    axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
    model = ModelBuilder()
    x = model.tensor(x_shape, scale=0.05, zero_point=3)
    scales = list(random.uniform(0.01, 0.05, channels)) if len(shape) == 4 else 0.04
    w = model.tensor(shape, "int4", scale=scales, axis=axis, data=weights)
    bias = model.tensor(
        (channels,), "int32", scale=[0.002] * channels, data=random.integers(-50, 50, channels)
    )
    y = model.tensor(y_shape, scale=0.1)
    options: dict[str, Any] = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    options |= {"depth_multiplier": 1} if axis else {}
    model.op(kind, [x, w, bias], [y], **(options if len(shape) == 4 else {}))
    return model.build([x], [y])


INT4 = [
    int4("FULLY_CONNECTED", (6, 8), (1, 8), (1, 6)),
    int4("FULLY_CONNECTED", (3, 7), (2, 7), (2, 3)),
    int4("CONV_2D", (3, 3, 3, 1), (1, 5, 4, 1), (1, 5, 4, 3)),
    int4("CONV_2D", (4, 1, 1, 6), (1, 5, 4, 6), (1, 5, 4, 4)),
    int4("DEPTHWISE_CONV_2D", (1, 3, 3, 3), (1, 5, 4, 3), (1, 5, 4, 3)),
]


def test_weights_of_four_bits_run_as_tflite_micro_runs_them() -> None:
    native.assert_parity(INT4, kernels=[native.PORTABLE])


def test_weights_of_four_bits_are_read_as_eight() -> None:
    graph = tflite_model.parse(INT4[1], "m.tflite")
    weights = graph.tensors[1]
    assert weights.dtype is DType.INT8 and weights.data is not None and weights.bytes == 21
    assert weights.data.reshape(-1)[:2].tolist() == [-8, 7] and not weights.data.flags.writeable
    assert graph.content == INT4[1]


def test_four_bits_that_have_no_kernel() -> None:
    model = ModelBuilder()
    x, w, y = model.tensor((1, 4), scale=0.1), model.tensor((4,), "int4", data=[1] * 4, scale=0.1), 2
    model.tensor((1, 4), scale=0.1)
    model.op("ADD", [x, w], [y])
    assert "holds int4" in refusal(model.build([x], [y])).message
    model = ModelBuilder()
    x = model.tensor((1, 8), "int16", scale=0.1)
    w, y = model.tensor((2, 8), "int4", data=[1] * 16, scale=0.1), model.tensor((1, 2), "int16", scale=0.1)
    model.op("FULLY_CONNECTED", [x, w], [y])
    assert "holds int4" in refusal(model.build([x], [y])).message
    by_channel = _quantization(1, scale=[0.1] * 6, zeroPoint=[0] * 6)
    assert "holds int4" in refusal(edited(by_channel, INT4[0])).message
    error = refusal(edited(_tensor(1, shape=[6, 9]), INT4[0]))
    assert "24 bytes of data where its shape wants 27" in error.message


def test_names_are_harmless() -> None:
    def rename(model: Any) -> None:
        model.subgraphs[0].tensors[0].name = b"\xff*/\n\x1b[31m" + b"x" * 9999
        model.operatorCodes[2].builtinCode = schema.BuiltinOperator.CUSTOM
        model.operatorCodes[2].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        model.operatorCodes[2].customCode = b'Evil"\n#include'

    graph = tflite_model.parse(edited(rename), "m.tflite")
    assert graph.tensors[0].name.isprintable() and len(graph.tensors[0].name) <= 120
    assert graph.ops[2].kind == "CUSTOM:Evil___include"


def test_an_open_batch_is_the_one_of_the_shape() -> None:
    def open_batch(model: Any) -> None:
        model.subgraphs[0].tensors[0].shapeSignature = [-1, 4, 4, 2]

    assert tflite_model.parse(edited(open_batch), "m.tflite").tensors[0].shape == (1, 4, 4, 2)


def test_float_at_the_edges() -> None:
    model = ModelBuilder()
    x = model.tensor((1, 4), "float32")
    q = model.tensor((1, 4), scale=0.1)
    r = model.tensor((1, 4), scale=0.1)
    y = model.tensor((1, 4), "float32")
    model.op("QUANTIZE", [x], [q])
    model.op("RELU", [q], [r])
    model.op("DEQUANTIZE", [r], [y])
    assert tflite_model.parse(model.build([x], [y]), "m").tensors[x].dtype is DType.FLOAT32


def test_uint8_at_the_edges() -> None:
    model = ModelBuilder()
    x = model.tensor((1, 4), "uint8", scale=0.1, zero_point=128)
    q = model.tensor((1, 4), scale=0.1)
    y = model.tensor((1, 4), "uint8", scale=0.1)
    model.op("QUANTIZE", [x], [q])
    model.op("QUANTIZE", [q], [y])
    assert tflite_model.parse(model.build([x], [y]), "m").tensors[x].dtype is DType.UINT8


def test_a_biass_quantisation_is_not_read() -> None:
    def edit(model: Any) -> None:
        quantization = model.subgraphs[0].tensors[2].quantization
        quantization.scale, quantization.quantizedDimension = [0.0, 0.1, 0.2], 3

    assert tflite_model.parse(edited(edit), "m.tflite").ops[0].kind == "CONV_2D"


def test_a_channel_of_zeros() -> None:
    def edit(model: Any) -> None:
        model.subgraphs[0].tensors[1].quantization.scale = [0.1, 0.0, 0.3]

    weights = tflite_model.parse(edited(edit), "m.tflite").tensors[1]
    assert weights.quantization is not None and weights.quantization.scales[1] == 0


def test_a_custom_ops_working_memory() -> None:
    model = ModelBuilder()
    x, memory, y = (model.tensor((1, 4), scale=1.0) for _ in range(3))
    model.op("npu-2", [x, memory], [y], custom=True)
    assert tflite_model.parse(model.build([x], [y]), "m").ops[0].kind == "CUSTOM:npu_2"


# What is refused


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "absent.tflite", "no such model file"),
        (tmp_path, "is not a file"),
        (Path("/dev/zero"), "is not a file"),
        (tmp_path / ("n" * 5000), "cannot read"),
        (tmp_path / "nul\0byte", "cannot read|no such"),
    ):
        with pytest.raises(ModelError, match=message):
            tflite_model.load(path)


def test_empty_and_foreign_files() -> None:
    assert "is empty" in refusal(b"").message
    for blob in (b"\x7fELF", b"PK\x03\x04" * 100, b"\0" * 1000, b"TFL3" * 2):
        message = refusal(blob).message
        assert "not a TFLite file" in message or "damaged" in message


def _tensor(index: int, **changes: Any) -> Callable[[Any], None]:
    def edit(model: Any) -> None:
        for name, value in changes.items():
            setattr(model.subgraphs[0].tensors[index], name, value)

    return edit


def _op(index: int, **changes: Any) -> Callable[[Any], None]:
    def edit(model: Any) -> None:
        for name, value in changes.items():
            setattr(model.subgraphs[0].operators[index], name, value)

    return edit


def _option(index: int, **changes: Any) -> Callable[[Any], None]:
    def edit(model: Any) -> None:
        for name, value in changes.items():
            setattr(model.subgraphs[0].operators[index].builtinOptions, name, value)

    return edit


def _graph(**changes: Any) -> Callable[[Any], None]:
    def edit(model: Any) -> None:
        for name, value in changes.items():
            setattr(model.subgraphs[0], name, value)

    return edit


def _model(**changes: Any) -> Callable[[Any], None]:
    def edit(model: Any) -> None:
        for name, value in changes.items():
            setattr(model, name, value)

    return edit


def _quantization(index: int, **changes: Any) -> Callable[[Any], None]:
    def edit(model: Any) -> None:
        for name, value in changes.items():
            setattr(model.subgraphs[0].tensors[index].quantization, name, value)

    return edit


def _add_bits_to_opcode(model: Any) -> None:
    model.operatorCodes[0].builtinCode = 9999


INT8, INT32 = schema.TensorType.INT8, schema.TensorType.INT32


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_model(version=2), "schema version 2"),
        (_model(subgraphs=[]), "no subgraph"),
        (_add_bits_to_opcode, "operator code 9999 is unknown"),
        (_graph(inputs=[]), "inputs are missing"),
        (_graph(outputs=[]), "outputs are missing"),
        (_graph(inputs=[0, 0]), "inputs name a tensor twice"),
        (_graph(outputs=[6, 6]), "outputs name a tensor twice"),
        (_graph(inputs=[99]), "inputs name tensor 99 of 7"),
        (_graph(outputs=[-1]), "outputs name tensor -1 of 7"),
        (_graph(inputs=[0, 1]), "input 1 is a constant"),
        (_graph(outputs=[0]), "output 0 is not computed"),
        (_graph(operators=[]), "no ops"),
        (_tensor(0, shape=[-1, 4, 4, 2]), "dynamic shape"),
        (_tensor(0, shapeSignature=[1, -1, 4, 2]), "dynamic shape"),
        (_tensor(0, shape=[1, 4, 4, -2]), "impossible shape"),
        (_tensor(0, shape=[1] * 9), "impossible shape"),
        (_tensor(0, shape=[2**30, 2**30, 2**30, 2**30]), "too large"),
        (_tensor(0, shape=[1, 4, 4, 0]), "rank 4 and some elements are needed"),
        (_tensor(3, shape=[1, 0, 2, 3]), "has a value already"),
        (_tensor(1, shape=[0, 3, 3, 2], buffer=0, quantization=None), "rank 4 and some elements are needed"),
        (_tensor(0, shape=[4, 4]), "rank 4"),
        (_tensor(0, type=schema.TensorType.STRING), "holds string"),
        (_tensor(1, type=schema.TensorType.INT4), "54 bytes of data where its shape wants 27"),
        (_tensor(0, type=schema.TensorType.INT4), "holds int4"),
        (_tensor(1, type=schema.TensorType.FLOAT16), "holds float16"),
        (_tensor(0, type=99), "holds 99"),
        (_tensor(0, buffer=99), "names buffer 99 of"),
        (_tensor(1, shape=[3, 3, 3, 3]), "54 bytes of data where its shape wants 81"),
        (_tensor(1, isVariable=True), "variable with a constant value"),
        (_tensor(1, sparsity=schema.SparsityParametersT()), "is sparse"),
        (_quantization(0, scale=[0.0]), "scale that is not a positive"),
        (_quantization(1, scale=[0.1, -0.1, 0.1]), "scale that is not a positive"),
        (_quantization(0, scale=[-1.0]), "scale that is not a positive"),
        (_quantization(0, scale=[float("nan")]), "scale that is not a positive"),
        (_quantization(0, scale=[float("inf")]), "scale that is not a positive"),
        (_quantization(0, zeroPoint=[128]), "zero point outside int8"),
        (_quantization(0, zeroPoint=[0, 0]), "1 scales but 2 zero points"),
        (_quantization(1, zeroPoint=[]), "3 scales but 0 zero points"),
        (_quantization(1, quantizedDimension=3), "3 scales along axis 3"),
        (_quantization(1, quantizedDimension=-1), "3 scales along axis -1"),
        (_quantization(1, quantizedDimension=9), "3 scales along axis 9"),
        (_op(0, opcodeIndex=99), "operator code 99 of 3"),
        (_op(0, inputs=[0]), "1 inputs where 2 are needed"),
        (_op(0, inputs=[0, -1, 2]), "input 1 is missing"),
        (_op(0, inputs=[0, 99, 2]), "names tensor 99 of 7"),
        (_op(0, inputs=[0, -2, 2]), "names tensor -2 of 7"),
        (_op(0, outputs=[]), "has no output"),
        (_op(0, outputs=[-1]), "names tensor -1 of 7"),
        (_op(0, outputs=[0]), "writes tensor 0, which has a value already"),
        (_op(0, outputs=[1]), "writes tensor 1, which has a value already"),
        (_op(2, outputs=[3]), "writes tensor 3, which has a value already"),
        (_tensor(3, shape=[]), r"its output has shape \[\] where rank 4"),
        (_op(0, inputs=[6, 1, 2]), r"input 0 has shape \[1, 12\]"),
        (_op(1, inputs=[6, 5]), "reads tensor 6 before anything writes it"),
        (_op(0, builtinOptionsType=200), "options of another op"),
        (_op(0, builtinOptionsType=schema.BuiltinOptions.SoftmaxOptions), "options of another op"),
        (_option(0, strideH=0), "stride_h 0"),
        (_option(0, strideW=-1), "stride_w -1"),
        (_option(0, dilationHFactor=1 << 30), "dilation_h_factor"),
        (_option(0, padding=7), "unknown padding 7"),
        (_option(0, fusedActivationFunction=77), "unknown fused_activation_function 77"),
        (_option(2, beta=float("nan")), "beta nan"),
    ],
)
def test_refusals(edit: Callable[[Any], None], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        tflite_model.parse(edited(edit), "m.tflite")
    refusal(edited(edit))


def test_float_and_dynamic_range_models() -> None:
    model = ModelBuilder()
    x, y = model.tensor((1, 4), "float32"), model.tensor((1, 2), "float32")
    weights = model.tensor((2, 4), "float32", data=np.ones((2, 4)))
    model.op("FULLY_CONNECTED", [x, weights, -1], [y])
    error = refusal(model.build([x], [y]))
    assert "a float model" in error.message and "quantise it to int8" in error.hint

    model = ModelBuilder()
    x, y = model.tensor((1, 4), "float32"), model.tensor((1, 2), "float32")
    weights = model.tensor((2, 4), data=np.ones((2, 4)), scale=0.1)
    model.op("FULLY_CONNECTED", [x, weights, -1], [y])
    error = refusal(model.build([x], [y]))
    assert "dynamic-range" in error.message and "quantise it to int8" in error.hint

    model = ModelBuilder()  # a first layer too small to be worth it: the second tells what it is
    x, h, y = (
        model.tensor((1, 4), "float32"),
        model.tensor((1, 4), "float32"),
        model.tensor((1, 2), "float32"),
    )
    model.op("FULLY_CONNECTED", [x, model.tensor((4, 4), "float32", data=np.ones((4, 4))), -1], [h])
    model.op("FULLY_CONNECTED", [h, model.tensor((2, 4), data=np.ones((2, 4)), scale=0.1), -1], [y])
    assert "dynamic-range" in refusal(model.build([x], [y])).message

    model = ModelBuilder()  # what the converter does with an op that it cannot quantise
    x, f = model.tensor((1, 4), scale=0.1), model.tensor((1, 4), "float32")
    g, y = model.tensor((1, 4), "float32"), model.tensor((1, 4), scale=0.1)
    model.op("DEQUANTIZE", [x], [f])
    model.op("SIN", [f], [g])
    model.op("QUANTIZE", [g], [y])
    tflite_model.parse(model.build([x], [y]), "model")  # which engine can run it is not asked here


def test_uint8_models() -> None:
    model = ModelBuilder()
    x, y = (model.tensor((1, 4), "uint8", scale=0.1) for _ in range(2))
    model.op("RELU", [x], [y])
    error = refusal(model.build([x], [y]))
    assert "uint8 model of the older kind" in error.message and "quantise it to int8" in error.hint


def test_constants_outside_the_file() -> None:
    def outside(model: Any) -> None:
        model.buffers[1].offset, model.buffers[1].size = 4096, 54

    assert "outside the flatbuffer" in refusal(edited(outside)).message


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 0x10000000, 100_000])
def test_a_vector_that_claims_to_be_huge(length: int) -> None:
    shape = np.array([4, 1, 4, 4, 2], "<i4").tobytes()
    assert CONV.count(shape) == 1
    started = monotonic()
    refusal(CONV.replace(shape, np.array([length, 1, 4, 4, 2], "<u4").tobytes()))
    assert monotonic() - started < 60  # not a measurement: reading it all would take gigabytes


# Damage


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_damage_is_refused_or_harmless(data: st.DataObject) -> None:
    blob = bytearray(CONV)
    for _ in range(data.draw(st.integers(1, 6), label="edits")):
        at = data.draw(st.integers(0, len(blob) - 4), label="at")
        word = data.draw(
            st.sampled_from([0, 1, 4, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(blob)])
            | st.integers(0, 2**32 - 1),
            label="word",
        )
        width = data.draw(st.sampled_from([1, 2, 4]), label="width")
        blob[at : at + width] = (word & ((1 << 8 * width) - 1)).to_bytes(width, "little")
    try:
        graph = tflite_model.parse(bytes(blob), "m.tflite")
    except ModelError as error:
        assert "\n" not in error.message
    else:
        assert graph.macs >= 0 and graph.constant_bytes >= 0


@given(st.integers(0, len(CONV) - 1))
def test_a_file_cut_short_is_refused(size: int) -> None:
    refusal(CONV[:size])


@needs_models
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damage_to_a_real_model(data: st.DataObject) -> None:
    blob = bytearray((MODELS / "kws.tflite").read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        blob[data.draw(st.integers(8, len(blob) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del blob[data.draw(st.integers(8, len(blob) - 1)) :]
    try:
        graph = tflite_model.parse(bytes(blob), "m.tflite")
    except ModelError as error:
        assert "\n" not in error.message
    else:
        assert len(graph.ops) > 0
