"""Random int8 nets of the kinds that a search goes through, several in one model; reproducible from a seed.

    bundle(seed, count)     .tflite bytes: `count` nets, each with an input and an output of its own

Images go through convolutions (plain, depthwise separable, residual, squeeze and excite), series through
convolutions of one row, vectors through dense layers. Weights are random, scales those of outputs that fit.
"""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np
from model_builder import ModelBuilder

Shape = tuple[int, ...]
_DEPTHS = (3, 4, 6, 8, 8, 10, 12, 16, 16, 20, 24, 24, 32, 32, 40, 48, 64)
_ACTIVATIONS = ("NONE", "RELU", "RELU", "RELU", "RELU6")
_MOST_MACS = 1_500_000  # of one layer: an emulator counts it in a moment


class _Net:
    """A net under construction: its last tensor, and that one's shape."""

    def __init__(self, model: ModelBuilder, random: Random, shape: Shape) -> None:
        self.model, self.random, self.shape = model, random, shape
        self.numbers = np.random.default_rng(random.getrandbits(32))
        self.scale, self.zero_point = 0.02, random.choice((-128, 0, 3))
        self.first = self.x = model.tensor(shape, scale=self.scale, zero_point=self.zero_point)

    def made(self, shape: Shape, scale: float, zero_point: int) -> int:
        self.x = self.model.tensor(shape, scale=scale, zero_point=zero_point)
        self.shape, self.scale, self.zero_point = shape, scale, zero_point
        return self.x

    def weighted(self, kind: str, kernel: Shape, axis: int, shape: Shape, **options: Any) -> None:
        """A layer with weights; the output's scale fits random ones."""
        channels = kernel[axis]
        length = math.prod(kernel) // channels
        per_channel = kind != "FULLY_CONNECTED"
        scale = 0.5 / math.sqrt(length) / 40
        scales = self.numbers.uniform(0.6 * scale, scale, channels) if per_channel else scale
        weights = np.clip(np.round(self.numbers.normal(0, 40, kernel)), -127, 127).astype(int)
        bias = self.numbers.integers(-2000, 2000, channels)
        kernel_index = self.model.tensor(kernel, scale=scales, axis=axis if per_channel else 0, data=weights)
        bias_index = self.model.tensor((channels,), "int32", scale=scales * np.float32(self.scale), data=bias)
        activation = options.pop("activation", None) or self.random.choice(_ACTIVATIONS)
        source = self.x
        zero_point = -128 if activation != "NONE" else self.random.choice((-7, 0, 12))
        y = self.made(shape, 6 / 255 if activation == "RELU6" else 0.02, zero_point)
        options |= {"fused_activation_function": activation}
        self.model.op(kind, [source, kernel_index, bias_index], [y], **options)

    def conv(
        self, size: tuple[int, int], stride: int, depth: int, padding: str, activation: str | None = None
    ) -> None:
        _, height, width, given = self.shape
        target = (
            1,
            *(_out(n, k, stride, padding) for n, k in zip((height, width), size, strict=True)),
            depth,
        )
        if min(target[1:3]) < 1 or math.prod(target) * given * size[0] * size[1] > _MOST_MACS:
            return
        self.weighted(
            "CONV_2D", (depth, *size, given), 0, target, stride_h=stride, stride_w=stride, padding=padding,
            dilation_h_factor=1, dilation_w_factor=1, activation=activation,
        )  # fmt: skip

    def depthwise(self, size: tuple[int, int], stride: int, padding: str) -> None:
        _, height, width, depth = self.shape
        target = (
            1,
            *(_out(n, k, stride, padding) for n, k in zip((height, width), size, strict=True)),
            depth,
        )
        if min(target[1:3]) < 1 or math.prod(target) * size[0] * size[1] > _MOST_MACS:
            return
        self.weighted(
            "DEPTHWISE_CONV_2D", (1, *size, depth), 3, target, stride_h=stride, stride_w=stride,
            padding=padding, depth_multiplier=1, dilation_h_factor=1, dilation_w_factor=1,
        )  # fmt: skip

    def residual(self, size: tuple[int, int]) -> None:
        before, shape, scale, zero_point = self.x, self.shape, self.scale, self.zero_point
        self.conv(size, 1, shape[3], "SAME")
        if self.random.random() < 0.5:
            self.conv((1, 1), 1, shape[3], "SAME")
        if self.x == before:
            return
        own = self.x
        y = self.made(shape, scale + 0.01, zero_point)
        activation = self.random.choice(("NONE", "RELU"))
        self.model.op("ADD", [before, own], [y], fused_activation_function=activation)

    def squeeze(self) -> None:
        """Squeeze and excite: a mean, two dense layers, a product with each channel."""
        before, shape, scale, zero_point = self.x, self.shape, self.scale, self.zero_point
        self.mean(keep=True)
        self.conv((1, 1), 1, max(2, shape[3] // 4), "SAME")
        self.conv((1, 1), 1, shape[3], "SAME")
        gate = self.x
        y = self.made((1, 1, 1, shape[3]), 1 / 256, -128)
        self.model.op("LOGISTIC", [gate], [y])
        product = self.made(shape, scale, zero_point)
        self.model.op("MUL", [before, y], [product])

    def pool(self, kind: str, size: tuple[int, int]) -> None:
        _, height, width, depth = self.shape
        target = (1, height // size[0], width // size[1], depth)
        if min(target[1:3]) < 1:
            return
        source = self.x
        y = self.made(target, self.scale, self.zero_point)
        self.model.op(
            kind, [source], [y], filter_height=size[0], filter_width=size[1], stride_h=size[0],
            stride_w=size[1], padding="VALID",
        )  # fmt: skip

    def activation(self) -> None:
        kind = self.random.choice(("HARD_SWISH", "LOGISTIC", "TANH"))
        source = self.x
        scale, zero = {"HARD_SWISH": (0.02, -110), "LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}[kind]
        self.model.op(kind, [source], [self.made(self.shape, scale, zero)])

    def concat(self) -> None:
        """Two convolutions side by side."""
        before, shape, scale, zero_point = self.x, self.shape, self.scale, self.zero_point
        parts = []
        for size in ((1, 1), (3, 3)):
            self.x, self.shape, self.scale, self.zero_point = before, shape, scale, zero_point
            self.conv(
                size if shape[1] > 1 else (1, size[1]), 1, self.random.choice((4, 8, 12)), "SAME", "RELU"
            )
            if self.x == before:
                return
            parts.append((self.x, self.shape, self.scale, self.zero_point))
        depth = sum(part[1][3] for part in parts)
        y = self.made((*shape[:3], depth), parts[0][2], parts[0][3])
        self.model.op("CONCATENATION", [part[0] for part in parts], [y], axis=3)

    def mean(self, keep: bool = False) -> None:
        source, depth = self.x, self.shape[3]
        y = self.made((1, 1, 1, depth) if keep else (1, depth), self.scale, self.zero_point)
        axes = self.model.tensor((2,), "int32", data=[1, 2])
        self.model.op("MEAN", [source, axes], [y], keep_dims=keep)

    def flatten(self) -> None:
        source = self.x
        y = self.made((1, math.prod(self.shape)), self.scale, self.zero_point)
        shape = self.model.tensor((2,), "int32", data=[1, -1])
        self.model.op("RESHAPE", [source, shape], [y], new_shape=[1, -1])

    def dense(self, units: int) -> None:
        if self.shape[1] * units <= 100_000:
            self.weighted("FULLY_CONNECTED", (units, self.shape[1]), 0, (1, units))

    def softmax(self) -> None:
        source = self.x
        self.model.op("SOFTMAX", [source], [self.made(self.shape, 1 / 256, -128)], beta=1.0)


def _out(size: int, kernel: int, stride: int, padding: str) -> int:
    return -(-size // stride) if padding == "SAME" else (size - kernel) // stride + 1


def _image(net: _Net, random: Random) -> None:
    def square(sizes: tuple[int, ...]) -> tuple[int, int]:
        side = random.choice(sizes)
        return (side, side)

    net.conv(square((3, 3, 5, 7)), random.choice((1, 2, 2)), random.choice(_DEPTHS[:10]), "SAME")
    for _ in range(random.randint(2, 6)):
        depth, stride = random.choice(_DEPTHS), random.choice((1, 1, 2))
        padding = random.choice(("SAME", "SAME", "VALID"))
        match random.randrange(12):
            case 0 | 1 | 2:
                net.conv(square((3, 3, 1, 5, 2)), stride, depth, padding)
            case 3 | 4 | 5 | 6:
                net.depthwise(square((3, 3, 3, 5)), stride, padding)
                net.conv((1, 1), 1, depth, "SAME")
            case 7:
                net.residual(square((3, 3, 1)))
            case 8:
                net.pool(random.choice(("MAX_POOL_2D", "AVERAGE_POOL_2D")), square((2, 2, 3)))
            case 9:
                net.activation()
            case 10:
                net.concat()
            case 11:
                net.squeeze()
    _head(net, random)


def _series(net: _Net, random: Random) -> None:
    for _ in range(random.randint(2, 4)):
        if random.random() < 0.25:
            net.pool(random.choice(("MAX_POOL_2D", "AVERAGE_POOL_2D")), (1, random.choice((2, 3, 4))))
        elif random.random() < 0.25:
            net.depthwise((1, random.choice((3, 5, 9))), 1, "SAME")
        else:
            size = (1, random.choice((1, 3, 3, 5, 7, 8)))
            net.conv(size, 1, random.choice(_DEPTHS), random.choice(("SAME", "VALID")))
    _head(net, random)


def _head(net: _Net, random: Random) -> None:
    if random.random() < 0.7:
        net.mean()
    else:
        net.pool("MAX_POOL_2D", (min(2, net.shape[1]), 2))
        net.flatten()
    _vector(net, random)


def _vector(net: _Net, random: Random) -> None:
    for _ in range(random.randint(0, 2)):
        net.dense(random.choice((*_DEPTHS, 96, 128)))
    net.dense(random.choice((2, 4, 5, 6, 7, 10, 12, 20)))
    net.softmax()


def bundle(seed: int, count: int) -> bytes:
    """`count` nets of the seeds from `seed` * 1000 on, side by side."""
    model = ModelBuilder("price")
    inputs, outputs = [], []
    for number in range(count):
        random = Random(seed * 1000 + number)
        kind = random.choice("iiiissv")
        if kind == "i":
            side = random.choice((8, 12, 16, 20, 24, 28, 32, 40, 49))
            net = _Net(
                model, random, (1, side, random.choice((side, side, 10)), random.choice((1, 1, 3, 3, 4)))
            )
            _image(net, random)
        elif kind == "s":
            net = _Net(
                model, random, (1, 1, random.choice((32, 60, 64, 128, 200)), random.choice((1, 3, 6, 9)))
            )
            _series(net, random)
        else:
            net = _Net(model, random, (1, random.choice((9, 14, 27, 64, 100, 128, 561, 640))))
            _vector(net, random)
        inputs.append(net.first)
        outputs.append(net.x)
    return model.build(inputs, outputs)
