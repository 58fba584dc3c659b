"""Small float models, with data that they label themselves: the float model is always right."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from model_builder import ModelBuilder

from tinydeploy.prepare.float_host import FloatHost

Array = npt.NDArray[Any]
CLASSES = 4
SHAPE = (1, 12, 12, 1)
_ONE = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1, "padding": "SAME"}
_TWO = _ONE | {"stride_h": 2, "stride_w": 2}


class _Layers:
    """A float model under construction, of seeded random weights."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.model = ModelBuilder("float")

    def constant(self, *shape: int, spread: float = 0.3) -> int:
        return self.model.tensor(
            shape, "float32", data=self.random.normal(0, spread, shape).astype(np.float32)
        )

    def float(self, *shape: int, name: str) -> int:
        return self.model.tensor(shape, "float32", name=name)


def classifier(seed: int = 0, *, unequal: bool = False, activation: str = "RELU") -> bytes:
    """Convolution, depthwise convolution, pooling, FULLY_CONNECTED, SOFTMAX; all classes are as common.

    `unequal` makes channels of the first layer differ by 200 times, which the next layer takes back.
    """
    even = np.zeros(CLASSES, np.float32)
    x = images(200)
    host = FloatHost()
    for _ in range(30):
        found = host.run(_classifier(seed, unequal, activation, even), [x[:, None]])[0].reshape(-1, CLASSES)
        share = np.bincount(found.argmax(axis=1), minlength=CLASSES) / len(x)
        even -= (0.5 * (share - 1 / CLASSES)).astype(np.float32)
    return _classifier(seed, unequal, activation, even)


def _classifier(seed: int, unequal: bool, activation: str, bias: Array) -> bytes:
    net = _Layers(seed)
    model, fused = net.model, {"fused_activation_function": activation}
    factors = np.geomspace(0.05, 10, 8).astype(np.float32) if unequal else np.ones(8, np.float32)
    first = net.random.normal(0, 0.4, (8, 3, 3, 1)).astype(np.float32) * factors[:, None, None, None]
    second = net.random.normal(0, 0.4, (1, 3, 3, 8)).astype(np.float32) / factors
    x, y = net.float(*SHAPE, name="image"), net.float(1, CLASSES, name="probabilities")
    a, b = net.float(1, 6, 6, 8, name="conv"), net.float(1, 6, 6, 8, name="depthwise")
    pooled, flat = net.float(1, 3, 3, 8, name="pool"), net.float(1, 72, name="flat")
    scores = net.float(1, CLASSES, name="dense")
    weights = model.tensor(first.shape, "float32", data=first)
    depthwise = model.tensor(second.shape, "float32", data=second)
    model.op("CONV_2D", [x, weights, net.constant(8, spread=0.05)], [a], **_TWO, **fused)
    given = [a, depthwise, net.constant(8, spread=0.1)]
    model.op("DEPTHWISE_CONV_2D", given, [b], depth_multiplier=1, **_ONE, **fused)
    window = {"filter_height": 2, "filter_width": 2, "stride_h": 2, "stride_w": 2}
    model.op("AVERAGE_POOL_2D", [b], [pooled], padding="VALID", **window)
    to = model.tensor((2,), "int32", data=np.array([1, 72], np.int32))
    model.op("RESHAPE", [pooled, to], [flat], new_shape=[1, 72])
    model.op(
        "FULLY_CONNECTED",
        [flat, net.constant(CLASSES, 72), model.tensor((CLASSES,), "float32", data=bias)],
        [scores],
    )
    model.op("SOFTMAX", [scores], [y], beta=1.0)
    return model.build([x], [y])


def images(count: int, seed: int = 1) -> Array:
    """Images [count, 12, 12, 1] from 0 to 1 that differ enough to be of several classes."""
    random = np.random.default_rng(seed)
    coarse = np.kron(random.random((count, 3, 3, 1)), np.ones((1, 4, 4, 1)))
    return np.clip(coarse + random.normal(0, 0.1, coarse.shape), 0, 1).astype(np.float32)


def labelled(model: bytes, count: int, seed: int = 1) -> tuple[Array, Array]:
    """Images, and the classes that the float model gives them, as LiteRT runs it."""
    x = images(count, seed)
    host = FloatHost()
    return x, host.run(model, [x[:, None]])[0].reshape(count, -1).argmax(axis=1)
