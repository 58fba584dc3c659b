"""TILE, which TFLite Micro has not, as an op that it has."""

from __future__ import annotations

from collections.abc import Sequence

import native
import numpy as np
import pytest
from model_builder import ModelBuilder

from tinydeploy.engines.engine_registry import ENGINES
from tinydeploy.errors import ModelError
from tinydeploy.evaluate import board_checks
from tinydeploy.model.readers import tflite_model


def tile(
    shape: Sequence[int], times: Sequence[int], dtype: str = "int8", constant: bool = True, of: str = "int32"
) -> bytes:
    """The op, then one that computes, so that a graph of moves alone is not all that is seen."""
    model = ModelBuilder()
    scale = {"int8": 0.1, "int16": 0.001}[dtype]
    made = [n * m for n, m in zip(shape, times, strict=True)]
    x, y, z = (model.tensor(some, dtype, scale=scale) for some in (shape, made, made))
    how = model.tensor((len(times),), of, data=times if constant else None)
    model.op("TILE", [x, how], [y])
    model.op("RELU", [y], [z])
    return model.build([x] if constant else [x, how], [z])


WHOLE = (
    ((1, 6, 1, 6, 4), (1, 1, 2, 1, 1), "BROADCAST_TO"),  # Keras's UpSampling2D
    ((1, 8, 1, 4), (1, 1, 3, 1), "BROADCAST_TO"),  # and UpSampling1D
    ((1, 1, 18), (1, 3, 1), "BROADCAST_TO"),  # and RepeatVector
    ((1, 1, 1, 5), (1, 4, 3, 1), "BROADCAST_TO"),
    ((1, 2, 3), (1, 1, 1), "BROADCAST_TO"),
    ((1,), (40,), "BROADCAST_TO"),
    ((1, 5, 4), (1, 2, 1), "CONCATENATION"),
    ((2, 3, 4, 5), (1, 1, 1, 10), "CONCATENATION"),
    ((3, 2), (4, 1), "CONCATENATION"),
)


@pytest.mark.parametrize("dtype", ("int8", "int16"))
def test_it_moves_the_same(dtype: str) -> None:
    models = [tile(shape, times, dtype) for shape, times, _ in WHOLE]
    for blob, (_, times, kind) in zip(models, WHOLE, strict=True):
        graph = tflite_model.parse(blob, "tile.tflite")
        assert [op.kind for op in graph.ops] == [kind, "RELU"] and [edit.words for edit in graph.edits] == [
            f"TILE as {kind}"
        ]
        samples = native.random_samples(graph, 3)
        for sample, outputs in zip(samples, native.tflm(blob, samples), strict=True):
            assert np.array_equal(outputs[0], np.tile(np.maximum(sample[0], 0), times))
    native.assert_parity(models, samples=3, kernels=[native.PORTABLE])


def test_multiples_of_64_bits() -> None:
    graph = tflite_model.parse(tile((1, 1, 4), (1, 3, 1), of="int64"), "tile.tflite")
    assert graph.ops[0].kind == "BROADCAST_TO"


@pytest.mark.parametrize(
    ("shape", "times"), [((1, 2, 2), (1, 2, 2)), ((1, 2), (1, 11)), ((1, 1, 1, 1, 1, 2), (1, 2, 1, 1, 3, 1))]
)
@pytest.mark.parametrize("engine", ("aot", "tflm"))
def test_any_other_is_refused_with_what_to_write_instead(
    shape: tuple[int, ...], times: tuple[int, ...], engine: str
) -> None:
    graph = tflite_model.parse(tile(shape, times), "tile.tflite")
    assert graph.ops[0].kind == "TILE" and not graph.edits
    with pytest.raises(ModelError, match="TILE") as refused:
        board_checks.check_ops(graph, ENGINES[engine])
    assert refused.value.hint == board_checks.TILE_HINT


def test_a_multiple_that_is_computed_stays() -> None:
    graph = tflite_model.parse(tile((1, 1, 4), (1, 3, 1), constant=False), "tile.tflite")
    assert graph.ops[0].kind == "TILE"
