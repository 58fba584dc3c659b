"""DIV of int8: every pair of integers as TFLite Micro divides them on this machine."""

from __future__ import annotations

import native
import numpy as np
import pytest
from model_builder import ModelBuilder

from tinydeploy.engines.aot.pipeline import AotEngine, lower
from tinydeploy.model.readers import tflite_model

ALL_INT8 = np.arange(-128, 128).astype(np.int8)
CASES = 30 * native.FACTOR


def quotients(ends: list[tuple[float, int]], divisors: native.Array, activation: str = "NONE") -> bytes:
    """All of int8 over the divisors, [256, divisors].

    `ends` are the scales and zero points of both and of the output.
    """
    model = ModelBuilder()
    a = model.tensor((256, 1), scale=ends[0][0], zero_point=ends[0][1])
    b = model.tensor((divisors.size,), scale=ends[1][0], zero_point=ends[1][1], data=divisors)
    y = model.tensor((256, divisors.size), scale=ends[2][0], zero_point=ends[2][1])
    model.op("DIV", [a, b], [y], fused_activation_function=activation)
    return model.build([a], [y])


def random_ends(random: np.random.Generator) -> list[tuple[float, int]]:
    a, b = 10 ** random.uniform(-4, 1, 2)
    scales = [a, b, a / b * 10 ** random.uniform(-4, 3)]
    points = [int(random.choice([-128, 0, 127, random.integers(-128, 128)])) for _ in range(3)]
    return [(float(np.float32(scale)), point) for scale, point in zip(scales, points, strict=True)]


def test_every_pair_equals_tflite_micro() -> None:
    random = np.random.default_rng(0)
    cases = [random_ends(random) for _ in range(CASES)]
    # Softsign, and quotients so coarse or so fine that TFLite Micro's shifts go beyond a word.
    cases.append([(0.02, 3), (0.03, -128), (1 / 128, 0)])
    cases += [[(0.1, 0), (0.1, -128), (1.0, -7)], [(1.0, 0), (1e-3, 0), (1e-3, 0)]]
    activations = random.choice(["NONE", "RELU", "RELU6"], len(cases)).tolist()
    blobs = [
        quotients(ends, np.setdiff1d(ALL_INT8, ends[1][1]), activation)
        for ends, activation in zip(cases, activations, strict=True)
    ]
    graphs = [tflite_model.parse(blob, f"{ends}") for blob, ends in zip(blobs, cases, strict=True)]
    sample = [[ALL_INT8.reshape(256, 1)]]
    for compiled, blob in zip(native.compile_all(graphs), blobs, strict=True):
        (theirs,) = native.tflm(blob, sample)[0]
        np.testing.assert_array_equal(compiled.run(sample)[0][0], theirs, compiled.graph.path)


def test_what_is_divided_by_zero_is_as_large_as_can_be() -> None:
    # TFLite Micro takes the reciprocal of zero, which is undefined.
    graph = tflite_model.parse(quotients([(0.1, 3), (0.1, 5), (0.1, -7)], np.array([5, 6])), "model")
    (compiled,) = native.compile_all([graph], sanitize=True)
    (found,) = compiled.run([[ALL_INT8.reshape(256, 1)]])[0]
    assert found[:, 0].tolist() == [-128] * 131 + [-7] + [127] * 124


@pytest.mark.parametrize(("divisors", "kernel"), [([7], "lookup"), ([7, 9], "divide_broadcast")])
def test_by_one_number_it_is_a_table(divisors: list[int], kernel: str) -> None:
    blob = quotients([(0.1, 3), (0.1, 5), (0.1, -7)], np.array(divisors))
    program, refusals = lower(tflite_model.parse(blob, "model"))
    assert not refusals
    assert [step.kernel.name for _, steps in program.ops for step in steps] == [kernel]
    native.assert_parity([blob], kernels=(native.PORTABLE,))


def test_scales_too_far_apart_are_refused() -> None:
    blob = quotients([(1e6, 0), (1e-3, 0), (1e-3, 0)], np.array([7, 9]))
    (refusal,) = AotEngine().refusals(tflite_model.parse(blob, "model"))
    assert "too far apart" in refusal.reason
