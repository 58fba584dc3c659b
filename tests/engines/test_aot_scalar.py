"""The kernels for cores that multiply one pair of numbers at a time, on those cores and in their corners."""

from __future__ import annotations

from pathlib import Path

import native
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from model_builder import ModelBuilder
from nightly import NIGHTLY

from tinydeploy import verbs
from tinydeploy.engines.aot.arithmetic import packed_weights
from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.model.readers import tflite_model

CORES = ("mps2-an385", "qemu-cortex-m0plus", "qemu-virt-rv32", "qemu-xtensa")
# (height, width, depth, channels, kernel, stride): every rest of the blocks of channels and pixels.
CONVOLUTIONS = (
    *((5, 5, 3, 5, 3, 1), (4, 7, 4, 8, 3, 2), (1, 3, 9, 7, 1, 1), (3, 2, 5, 1, 1, 1), (6, 1, 2, 18, 2, 1)),
    *((2, 2, 17, 3, 2, 1), (4, 4, 8, 16, 1, 1), (3, 3, 1, 6, 3, 2), (5, 3, 31, 4, 1, 2)),
)
# (height, width, depth, multiplier, kernel, stride)
DEPTHWISE = (
    *((5, 9, 3, 1, 3, 1), (4, 4, 2, 2, 3, 2), (1, 1, 5, 1, 3, 1), (3, 2, 4, 1, 5, 1), (6, 13, 1, 3, 2, 1)),
    *((2, 6, 7, 1, 4, 2), (3, 17, 2, 1, 1, 1), (7, 5, 2, 1, 3, 3)),
)
# (batches, depth, channels)
ROWS = (
    *(
        (1, 13, 17),
        (1, 8, 8),
        (1, 3, 5),
        (3, 6, 10),
        (5, 21, 4),
        (1, 64, 16),
        (1, 67, 27),
        (1, 1, 4),
    ),
    *((1, 100, 12), (1, 79, 9), (1, 16, 31)),
)


def layers(seed: int) -> bytes:
    """One model of all these layers side by side, some with weights and zero points at their limits."""
    random = np.random.default_rng(seed)
    model = ModelBuilder()
    inputs, outputs = [], []

    def add(
        kind: str, x: tuple[int, ...], w: tuple[int, ...], y: tuple[int, ...], axis: int, **options: object
    ) -> None:
        channels, depth = w[axis], int(np.prod(w)) // w[axis]
        weights = random.choice([-128, 127], w) if random.random() < 0.3 else random.integers(-128, 128, w)
        if random.random() < 0.5:  # few large ones, or none
            weights //= 1 << random.integers(0, 8, w)
        scales = np.float32(10 ** random.uniform(-2, 0, channels if random.random() < 0.7 else 1))
        zero_points = random.choice([-128, 0, 127, int(random.integers(-128, 128))], 2).tolist()
        spread = 2.0 ** random.choice([5, 7, 8, 12])
        source = model.tensor(x, scale=0.05, zero_point=zero_points[0])
        kernel = model.tensor(w, scale=scales.tolist(), axis=axis, data=weights)
        values = random.integers(-9999, 9999, channels)
        bias = model.tensor((channels,), "int32", scale=(np.float32(0.05) * scales).tolist(), data=values)
        scale = 0.05 * float(scales.mean()) * 74 * 74 * depth**0.5 / spread
        target = model.tensor(y, scale=scale, zero_point=zero_points[1])
        activation = str(random.choice(["NONE", "RELU", "RELU6"]))
        model.op(kind, [source, kernel, bias], [target], fused_activation_function=activation, **options)
        inputs.append(source)
        outputs.append(target)

    for height, width, depth, channels, kernel, stride in CONVOLUTIONS:
        size = (-(-height // stride), -(-width // stride))
        options = {"stride_h": stride, "stride_w": stride, "padding": "SAME"}
        shapes = (1, height, width, depth), (channels, kernel, kernel, depth), (1, *size, channels)
        add("CONV_2D", *shapes, axis=0, **options)
    for height, width, depth, multiplier, kernel, stride in DEPTHWISE:
        size = (-(-height // stride), -(-width // stride))
        options = {"stride_h": stride, "stride_w": stride, "padding": "SAME", "depth_multiplier": multiplier}
        channels = depth * multiplier
        shapes = (1, height, width, depth), (1, kernel, kernel, channels), (1, *size, channels)
        add("DEPTHWISE_CONV_2D", *shapes, axis=3, **options)
    for batches, depth, channels in ROWS:
        add("FULLY_CONNECTED", (batches, depth), (channels, depth), (batches, channels), axis=0)
    scales = random.uniform(0.02, 0.1, 3)
    a, b, y = (
        model.tensor((7, 9), scale=float(scale), zero_point=int(random.integers(-128, 128)))
        for scale in scales
    )
    model.op("ADD", [a, b], [y])
    return model.build([*inputs, a, b], [*outputs, y])


@pytest.mark.skipif(not NIGHTLY, reason="a large program a core: in make nightly")
@pytest.mark.parametrize("board", CORES)
def test_every_rest_of_the_blocks_on_the_emulated_core(board: str, tmp_path: Path) -> None:
    path = tmp_path / "layers.tflite"
    path.write_bytes(layers(0))
    result, _ = verbs.run(path, board=board, samples=12, out=tmp_path / "out")
    assert result.parity is not None
    assert result.parity.identical == result.parity.outputs > 0


@pytest.mark.skipif(not NIGHTLY, reason="another program a core, of the same layers: in make nightly")
def test_every_rest_of_the_blocks_natively() -> None:
    native.assert_parity([layers(seed) for seed in range(40)], samples=6, kernels=native.SCALAR)


@pytest.mark.skipif(not NIGHTLY, reason="half a minute for one program: in make nightly")
def test_sanitizers_find_nothing() -> None:
    models = [layers(seed) for seed in range(100, 103 if NIGHTLY else 101)]
    native.assert_parity(models, sanitize=True, kernels=native.SCALAR if NIGHTLY else native.SCALAR[:1])


@pytest.mark.parametrize("board", native.SCALAR, ids=lambda board: board.id)
def test_the_kernels_are_chosen(board: native.Board) -> None:
    sources = AotEngine().generate(tflite_model.parse(layers(0), "model"), board)
    kernels = {layer.kernel.split()[0].rpartition("_")[2] for layer in sources.layers}
    assert kernels <= {"scalar", "packed", "linear"}


@given(
    arrays.arrays(np.int8, st.tuples(st.integers(1, 9), st.integers(1, 300))),
    st.integers(2, 16),
    st.integers(1, 3),
)
def test_what_large_weights_lose_is_listed(weights: npt.NDArray[np.int8], run: int, block: int) -> None:
    excess = packed_weights.excess(weights, run)
    kept = weights.astype(int) - excess
    for start in range(0, weights.shape[1], run):
        assert np.abs(kept[:, start : start + run]).sum(axis=1).max() <= 255
    found = np.zeros_like(weights)
    entries = iter(packed_weights.by_position(excess, block).tolist())
    for start in range(0, len(weights) if excess.any() else 0, block):
        position = -1
        while (further := next(entries)) != 0:
            position += further
            for channel in range(start, min(start + block, len(weights))):
                found[channel, position] = np.uint8(next(entries)).view(np.int8)
    assert np.array_equal(found, excess)
    found[:] = 0
    words = iter(packed_weights.by_channel(excess, block).tolist())
    for start in range(0, len(weights) if excess.any() else 0, block):
        while (word := next(words)) != 0:
            found[start + (word >> 8 & 7), word >> 11] = np.uint8(word & 255).view(np.int8)
    assert np.array_equal(found, excess)
