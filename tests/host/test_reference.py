"""The host reference: batches, state, failures of the interpreter that must not be ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_builder import ModelBuilder

from tinydeploy.errors import ModelError, ToolError
from tinydeploy.host import interpreter, reference
from tinydeploy.host.reference import Reference

MODELS = Path(__file__).resolve().parents[3] / "shared" / "models" / "mlperf-tiny"
needs_models = pytest.mark.skipif(not MODELS.is_dir(), reason=f"the MLPerf Tiny models are not in {MODELS}")


def relu_model() -> bytes:
    model = ModelBuilder()
    x, y = model.tensor((1, 4), scale=1.0), model.tensor((1, 4), scale=1.0)
    model.op("RELU", [x], [y])
    return model.build([x], [y])


def add_and_sub_model() -> bytes:
    model = ModelBuilder()
    a, b, total, difference = (model.tensor((1, 3), scale=1.0) for _ in range(4))
    model.op("ADD", [a, b], [total])
    model.op("SUB", [a, b], [difference])
    return model.build([a, b], [total, difference])


def test_a_batch() -> None:
    x = np.array([[[-1, 2, -3, 4]], [[5, -6, 7, -8]]], np.int8)
    with Reference(relu_model()) as host:
        assert host.version.startswith("tflite-micro 0.dev")
        (y,) = host.run([x])
        np.testing.assert_array_equal(y, np.maximum(x, 0))
        (again,) = host.run([x[:1]])
        np.testing.assert_array_equal(again, y[:1])


def test_several_inputs_and_outputs() -> None:
    a, b = np.array([[[1, 2, 3]]], np.int8), np.array([[[10, 20, 30]]], np.int8)
    with Reference(add_and_sub_model()) as host:
        total, difference = host.run([a, b])
    np.testing.assert_array_equal(total, a + b)
    np.testing.assert_array_equal(difference, a - b)


def test_an_op_that_tflite_micro_does_not_have() -> None:
    model = ModelBuilder()
    x, y = model.tensor((1, 4), scale=1.0), model.tensor((1, 4), scale=1.0)
    model.op("UNIQUE", [x], [y])
    with Reference(model.build([x], [y])) as host, pytest.raises(ModelError) as caught:
        host.run([np.zeros((1, 1, 4), np.int8)])
    assert (
        "TFLite Micro cannot run the model: Didn't find op for builtin opcode 'UNIQUE'"
        in caught.value.message
    )
    assert "\n" not in caught.value.message


def test_a_file_that_crashes_the_interpreter() -> None:
    blob = bytearray(relu_model())
    blob[8:] = b"\xff" * (len(blob) - 8)
    with Reference(bytes(blob)) as host, pytest.raises(ModelError, match="cannot run the model"):
        host.run([np.zeros((1, 1, 4), np.int8)])


def test_a_missing_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "available", lambda: False)
    with pytest.raises(ToolError) as caught:
        Reference(relu_model())
    assert "tflite-micro is not installed" in caught.value.message
    assert "pip install tflite-micro" in caught.value.hint


def test_no_process_outlives_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with Reference(relu_model()) as host:
        host.run([np.zeros((1, 1, 4), np.int8)])
        child = host._child.process
        assert child is not None
        monkeypatch.setattr(interpreter, "receive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            host.run([np.zeros((1, 1, 4), np.int8)])
        assert child.poll() is not None


def test_a_hang_ends_at_the_deadline() -> None:
    with Reference(relu_model()) as host:
        host.run([np.zeros((1, 1, 4), np.int8)])
        child = host._child.process
        assert child is not None
        assert not host.arena_passes(1 << 20, [np.zeros((100_000, 1, 4), np.int8)], timeout=1e-6)
        assert child.poll() is not None
        assert host.arena_passes(1 << 20, [np.zeros((1, 1, 4), np.int8)])


def test_arena_probes() -> None:
    x = [np.zeros((1, 1, 4), np.int8)]
    with Reference(relu_model()) as host:
        verdicts = [host.arena_passes(size, x) for size in range(0, 4096, 256)]
    assert verdicts == sorted(verdicts)  # fails up to a size, passes from there
    assert not verdicts[0] and verdicts[-1]


@needs_models
def test_arena_probes_survive_crashes() -> None:
    """With some sizes below what it needs, TFLite Micro crashes on this model instead of refusing."""
    x = [np.random.default_rng(0).integers(-128, 128, (1, 1, 49, 10, 1), np.int8)]
    with Reference((MODELS / "kws.tflite").read_bytes()) as host:
        assert host.arena_passes(1 << 16, x)
        for size in (0, 128, 464, 9056, 16384):
            assert not host.arena_passes(size, x)
        assert host.arena_passes(1 << 16, x)


@needs_models
@pytest.mark.parametrize(
    ("name", "shape"),
    [("kws", (1, 49, 10, 1)), ("vww", (1, 96, 96, 3)), ("ic", (1, 32, 32, 3)), ("ad", (1, 640))],
)
def test_real_models(name: str, shape: tuple[int, ...]) -> None:
    from tflite_micro import runtime

    model = (MODELS / f"{name}.tflite").read_bytes()
    x = np.random.default_rng(1).integers(-128, 128, (3, *shape), np.int8)
    with Reference(model) as host:
        (y,) = host.run([x])
    direct = runtime.Interpreter.from_bytes(model)
    for sample, output in zip(x, y, strict=True):
        direct.set_input(sample, 0)
        direct.invoke()
        np.testing.assert_array_equal(direct.get_output(0), output)
