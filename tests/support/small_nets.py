"""Small nets of the kinds that the example models leave out: int16 activations, states, residual blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from model_builder import ModelBuilder

Shape = tuple[int, ...]


def layers_16x8() -> bytes:
    """Layers of int16 of the MLPerf Tiny models' shapes, each with an input and an output of its own."""
    random = np.random.default_rng(1)
    model = ModelBuilder("16x8 layers")
    inputs, outputs = [], []

    def layer(kind: str, source: Shape, kernel: Shape, target: Shape, **options: object) -> None:
        axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
        channels, depth = kernel[axis], int(np.prod(kernel)) // kernel[axis]
        scales = random.uniform(0.002, 0.02, channels)
        bias = random.integers(-(10**5), 10**5, channels)
        weights = model.tensor(kernel, scale=scales, axis=axis, data=random.integers(-127, 128, kernel))
        inputs.append(model.tensor(source, "int16", scale=1.5e-4))
        outputs.append(model.tensor(target, "int16", scale=2e-4 * float(np.sqrt(depth))))
        given = [inputs[-1], weights, model.tensor((channels,), "int64", scale=scales * 1.5e-4, data=bias)]
        model.op(kind, given, [outputs[-1]], fused_activation_function="RELU", **options)

    one = {"stride_h": 1, "stride_w": 1, "padding": "SAME"}
    two = {"stride_h": 2, "stride_w": 2, "padding": "SAME"}
    layer("CONV_2D", (1, 16, 16, 16), (16, 3, 3, 16), (1, 16, 16, 16), **one)
    layer("CONV_2D", (1, 49, 10, 1), (64, 10, 4, 1), (1, 25, 5, 64), **two)
    layer("CONV_2D", (1, 25, 5, 64), (64, 1, 1, 64), (1, 25, 5, 64), **one)
    layer("DEPTHWISE_CONV_2D", (1, 25, 5, 64), (1, 3, 3, 64), (1, 25, 5, 64), depth_multiplier=1, **one)
    layer("FULLY_CONNECTED", (1, 640), (128, 640), (1, 128))
    return model.build(inputs, outputs)


def conv_16x8() -> bytes:
    """A classifier of int16 from input to output: convolutions, pooling, FULLY_CONNECTED, SOFTMAX."""
    random = np.random.default_rng(1)
    model = ModelBuilder("16x8")

    def weights(shape: tuple[int, ...], axis: int, depth: int) -> list[int]:
        channels = shape[axis]
        scales = random.uniform(0.002, 0.01, channels)
        kernel = model.tensor(shape, scale=scales, axis=axis, data=random.integers(-127, 128, shape))
        bias = random.integers(-(10**6), 10**6, channels) * depth
        return [kernel, model.tensor((channels,), "int64", scale=scales, data=bias)]

    x = model.tensor((1, 12, 10, 2), "int16", scale=1 / 32768, name="image")
    a = model.tensor((1, 6, 5, 8), "int16", scale=1e-4)
    b = model.tensor((1, 6, 5, 8), "int16", scale=2e-4)
    c = model.tensor((1, 6, 5, 8), "int16", scale=3e-4)
    d = model.tensor((1, 3, 2, 8), "int16", scale=3e-4)
    scores = model.tensor((1, 5), "int16", scale=4e-4)
    y = model.tensor((1, 5), "int16", scale=1 / 32768, name="probabilities")
    strides = {"stride_h": 2, "stride_w": 2}
    window = {"padding": "SAME", "fused_activation_function": "RELU"}
    ones = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
    model.op("CONV_2D", [x, *weights((8, 3, 3, 2), 0, 18)], [a], **{**ones, **strides}, **window)
    model.op(
        "DEPTHWISE_CONV_2D", [a, *weights((1, 3, 3, 8), 3, 9)], [b], depth_multiplier=1, **ones, **window
    )
    model.op("ADD", [a, b], [c])
    model.op("AVERAGE_POOL_2D", [c], [d], padding="VALID", filter_height=2, filter_width=2, **strides)
    model.op("FULLY_CONNECTED", [d, *weights((5, 48), 0, 48)], [scores])
    model.op("SOFTMAX", [scores], [y], beta=1.0)
    return model.build([x], [y])


def svdf() -> bytes:
    """Two SVDF layers, with states of int16 and of int8, and a classifier behind them."""
    random = np.random.default_rng(2)
    model = ModelBuilder("SVDF")

    def layer(x: int, depth: int, units: int, memory: int, state_type: str) -> int:
        rank, state_scale = 2, 2e-3 if state_type == "int16" else 0.1
        filters = rank * units
        features = random.integers(-127, 128, (filters, depth))
        times = random.integers(-127, 128, (filters, memory))
        bias = random.integers(-2000, 2000, units)
        zero_point = 0 if state_type == "int16" else 4
        inputs = [
            x,
            model.tensor((filters, depth), scale=0.01, data=features),
            model.tensor((filters, memory), state_type, scale=0.02, data=times),
            model.tensor((units,), "int32", scale=state_scale * 0.02, data=bias),
            model.tensor(
                (1, filters * memory), state_type, scale=state_scale, zero_point=zero_point, variable=True
            ),
        ]
        y = model.tensor((1, units), scale=0.3, zero_point=-5)
        model.op("SVDF", inputs, [y], rank=rank, fused_activation_function="RELU")
        return y

    x = model.tensor((1, 20), scale=0.05, zero_point=3, name="features")
    hidden = layer(layer(x, 20, 8, 6, "int16"), 8, 4, 5, "int8")
    y = model.tensor((1, 4), scale=1 / 256, zero_point=-128, name="probabilities")
    model.op("SOFTMAX", [hidden], [y], beta=1.0)
    return model.build([x], [y])


def streaming(initial: bool = True) -> bytes:
    """A window of the last frames in a variable, which slides by one frame with each inference."""
    random = np.random.default_rng(3)
    model = ModelBuilder("streaming")
    quantization = {"scale": 0.1, "zero_point": -7}
    x = model.tensor((1, 1, 6), name="frame", **quantization)

    def handle() -> int:
        index = model.tensor((), "resource")
        model.op("VAR_HANDLE", [], [index], shared_name="window")
        return index

    if initial:
        with model.subgraph() as initialiser:
            start = random.integers(-128, 128, (1, 3, 6))
            model.op("ASSIGN_VARIABLE", [handle(), model.tensor((1, 3, 6), data=start, **quantization)], [])
        model.op("CALL_ONCE", [], [], init_subgraph_index=initialiser)
    window = handle()
    before, after = (model.tensor((1, 3, 6), **quantization) for _ in range(2))
    four = model.tensor((1, 4, 6), **quantization)
    y = model.tensor((1, 2), scale=0.2)
    model.op("READ_VARIABLE", [window], [before])
    model.op("CONCATENATION", [before, x], [four], axis=1)
    bounds = [model.tensor((3,), "int32", data=values) for values in ((0, 1, 0), (1, 4, 6), (1, 1, 1))]
    model.op("STRIDED_SLICE", [four, *bounds], [after])
    model.op("ASSIGN_VARIABLE", [window, after], [])
    weights = model.tensor((2, 24), scale=0.02, data=random.integers(-127, 128, (2, 24)))
    model.op("FULLY_CONNECTED", [four, weights, -1], [y])
    return model.build([x], [y])


NETS = {"16x8": conv_16x8, "svdf": svdf, "streaming": streaming}


def residual(
    kind: str = "ADD",
    first: str = "partner",
    kernel: int = 3,
    how: str = "",
    dtype: str = "int8",
    activation: str = "NONE",
    shape: Sequence[int] = (1, 7, 9, 6),
    seed: int = 0,
) -> bytes:
    """What a convolution makes of a tensor and what else was made of it, added; `first` comes first."""
    random = np.random.default_rng(seed)
    model = ModelBuilder()
    zero_point = 0 if dtype == "int16" else -5
    x, partner, made, total, other = (
        model.tensor(shape, dtype, scale=float(random.uniform(0.05, 0.1)), zero_point=zero_point)
        for _ in range(5)
    )
    if how == "scale":  # no linear function does, see test_aot_ops
        scales = ((0.60341096, -37), (0.41206327, 28), (0.73532295, 35))
        partner, made, total = (model.tensor(shape, scale=s, zero_point=z) for s, z in scales)
    inputs = [x]
    if how == "constant":
        partner = model.tensor(shape, scale=0.1, data=random.integers(-128, 128, shape))
    elif how == "broadcast":
        partner = model.tensor((1, 1, 1, shape[3]), scale=0.1)
        inputs.append(partner)
    elif how == "input":
        partner = x
    else:
        model.op("ABS", [x], [partner])
    w_shape = (shape[3], kernel, kernel, 1 if how == "grouped" else shape[3])
    scales = list(random.uniform(0.002, 0.01, shape[3]))
    w = model.tensor(w_shape, scale=scales, axis=0, data=random.integers(-127, 128, w_shape))
    options = {"stride_h": 1, "stride_w": 1, "padding": "SAME"}
    model.op("CONV_2D", [x, w], [other if how == "later" else made], **options)
    if how == "later":
        model.op("ABS", [other], [made])
    operands = [partner, made] if first == "partner" else [made, partner]
    operands = [made, made] if how == "twice" else operands
    model.op(kind, operands, [total], fused_activation_function=activation)
    return model.build(inputs, [total, made] if how == "read" else [total])


def block(width: int = 18) -> bytes:
    """A residual block, and a layer of a quarter of its pixels."""
    random = np.random.default_rng(5)
    model = ModelBuilder()

    def conv(x: int, shape: tuple[int, ...], kernel: int, stride: int, depthwise: bool = False) -> int:
        channels = shape[3]
        w_shape = (1, kernel, kernel, channels) if depthwise else (channels, kernel, kernel, depth[x])
        w = model.tensor(w_shape, scale=0.01, data=random.integers(-127, 128, w_shape))
        y = model.tensor(shape, scale=0.1, zero_point=-3)
        depth[y] = channels
        options = {"depth_multiplier": 1} if depthwise else {}
        kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        model.op(kind, [x, w], [y], stride_h=stride, stride_w=stride, padding="SAME", **options)
        return y

    x = model.tensor((1, 29, width, 2), scale=0.1, zero_point=4)
    depth = {x: 2}
    first = conv(x, (1, 29, width, 8), 3, 1)
    middle = conv(first, (1, 29, width, 8), 3, 1, depthwise=True)
    total = model.tensor((1, 29, width, 8), scale=0.2, zero_point=-3)
    model.op("ADD", [first, middle], [total])
    depth[total] = 8
    y = conv(total, (1, 15, (width + 1) // 2, 4), 3, 2)
    return model.build([x], [y])


def keywords() -> bytes:
    """A classifier with the input and the classes of MLPerf Tiny's kws01: 490 features, 12 words."""
    return _classifier("keywords", 490, 12, 0.5847, 83, 4e-5)


def pictures() -> bytes:
    """The same with those of ic01: 32 x 32 pixels, 10 classes."""
    return _classifier("pictures", 32 * 32 * 3, 10, 1.0, -128, 1e-5)


def wake_words() -> bytes:
    """The same with those of sww01: the features of 30 frames of sound, 3 classes."""
    return _classifier("wake_words", 30 * 40, 3, 0.0037, -128, 0.05)


def _classifier(name: str, inputs: int, classes: int, scale: float, zero_point: int, step: float) -> bytes:
    random = np.random.default_rng(3)
    model = ModelBuilder(name)
    x = model.tensor((1, inputs), scale=scale, zero_point=zero_point, name="features")
    weights = model.tensor((classes, inputs), scale=step, data=random.integers(-127, 128, (classes, inputs)))
    bias = model.tensor((classes,), "int32", scale=scale * step, data=random.integers(-500, 500, classes))
    logits = model.tensor((1, classes), scale=0.1, zero_point=-5)
    y = model.tensor((1, classes), scale=1 / 256, zero_point=-128, name="words")
    model.op("FULLY_CONNECTED", [x, weights, bias], [logits])
    model.op("SOFTMAX", [logits], [y], beta=1.0)
    return model.build([x], [y])


def anomalies() -> bytes:
    """An autoencoder with the sizes of MLPerf Tiny's ad01: 640 numbers to 640, by way of eight."""
    random = np.random.default_rng(4)
    model = ModelBuilder("anomalies")
    x = model.tensor((1, 640), scale=0.391, zero_point=9, name="slices")
    code = model.tensor((1, 8), scale=0.5, zero_point=-3)
    y = model.tensor((1, 640), scale=0.3645, zero_point=14, name="again")
    for source, target, shape in ((x, code, (8, 640)), (code, y, (640, 8))):
        step = 0.004 if source == x else 0.01
        given = 0.391 if source == x else 0.5
        weights = model.tensor(shape, scale=step, data=random.integers(-127, 128, shape))
        bias = model.tensor(shape[:1], "int32", scale=step * given, data=random.integers(-90, 90, shape[0]))
        model.op("FULLY_CONNECTED", [source, weights, bias], [target])
    return model.build([x], [y])
