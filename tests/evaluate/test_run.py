"""The whole way on real targets: PlatformIO builds, QEMU runs, TFLite Micro on the host judges."""

import dataclasses
import json
from itertools import product
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import random_graphs
import small_nets
from model_builder import ModelBuilder
from nightly import NIGHTLY, turn

from tinydeploy import verbs
from tinydeploy.boards.lookup import all_boards
from tinydeploy.errors import DataError, FitError, UsageError
from tinydeploy.firmware import build as builder
from tinydeploy.host import platformio
from tinydeploy.results.result import Result, schema

REPO = Path(__file__).resolve().parents[2]
MODELS = REPO / "models"
MLPERF_TINY = REPO.parent / "shared" / "models" / "mlperf-tiny"
CORES = (
    *("mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547", "mps2-an385"),
    *("qemu-virt-rv32", "qemu-xtensa"),
)
ALL_KINDS = ("mps2-an386", "mps2-an385", "qemu-virt-rv32")


def is_identical(result: Result) -> None:
    assert result.parity is not None
    assert result.parity.identical == result.parity.outputs > 0
    assert result.parity.off_by_one == result.parity.worse == 0
    # LiteRT may not run what TFLite Micro does, or see it otherwise, and a few samples lack some classes:
    # that is not the firmware's.
    others = ("LiteRT", "have no samples")
    assert not [warning for warning in result.warnings if not any(other in warning for other in others)]


@pytest.fixture(scope="module")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    out = tmp_path_factory.mktemp("out") / "mnist"
    return verbs.run(MODELS / "mnist", data=MODELS / "mnist" / "test.npz", out=out)


def test_a_thousand_digits(mnist: tuple[Result, Path]) -> None:
    result, _ = mnist
    is_identical(result)
    assert result.accuracy is not None and result.parity is not None
    assert result.accuracy.samples == result.parity.samples == 1000
    assert result.accuracy.value == result.accuracy.reference > 0.98
    assert result.parity.top1_agreement == 1.0
    assert result.model.file_bytes < 60_000


def test_the_result_is_what_the_schema_says(mnist: tuple[Result, Path]) -> None:
    result, folder = mnist
    written = json.loads((folder / "result.json").read_text())
    assert written == result.to_json()
    jsonschema.validate(written, schema())
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["report.html", "result.json", "tinydeploy-files.json"]


@pytest.mark.parametrize("model", turn(["digits", "motion", "mnist"], "digits"))
def test_labelled_data_on_xtensa(tmp_path: Path, model: str) -> None:
    folder = MODELS / model
    file = folder / f"{model}.tflite"
    result, _ = verbs.run(file, board="qemu-xtensa", data=folder / "test.npz", out=tmp_path)
    is_identical(result)
    assert result.accuracy is not None
    assert result.accuracy.value == result.accuracy.reference
    assert "windowed ABI" in result.target.note  # what it does not stand for


def test_its_figures_belong_together(mnist: tuple[Result, Path]) -> None:
    result, _ = mnist
    built, spread = result.build, result.instructions
    assert built.flash_bytes == built.model_flash_bytes + built.runtime_flash_bytes
    assert built.ram_bytes >= result.arena.bytes + result.stack_budget
    assert 0 < result.stack_bytes < result.stack_budget
    assert result.arena.touched_bytes is not None and result.arena.touched_bytes <= result.arena.bytes
    assert spread.min <= spread.median <= spread.p95 <= spread.p99 <= spread.max
    assert sum(op.macs for op in result.per_op) == result.model.macs
    # What the ops take is what an inference takes, but for the calls between them.
    assert sum(op.instructions for op in result.per_op) == pytest.approx(spread.median, rel=0.001)


def test_the_same_figure_twice_and_nothing_compiled_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def figures() -> Result:
        return verbs.run(MODELS / "digits", board="stm32vldiscovery", samples=5, out=tmp_path)[0]

    first = figures()

    def no_build(*arguments: object, **keywords: object) -> None:
        raise AssertionError("PlatformIO was started")

    monkeypatch.setattr(platformio, "run_platformio", no_build)
    second = figures()
    assert first.instructions == second.instructions
    assert first.per_op == second.per_op
    assert first.stack_bytes == second.stack_bytes


EMULATED = [board.id for board in all_boards() if "qemu" in board.emulation and board.kind == "bare"]
SMALL = ("stm32vldiscovery", "hifive1")


@pytest.mark.parametrize("board", turn(EMULATED, *SMALL))
def test_a_small_model_fits_every_board(tmp_path: Path, board: str) -> None:
    result, _ = verbs.run(
        MODELS / "digits", board=board, data=MODELS / "digits" / "test.npz", samples=20, out=tmp_path
    )
    is_identical(result)
    assert result.build.flash_bytes <= result.build.flash_budget
    assert result.build.ram_bytes <= result.build.ram_budget


@pytest.mark.parametrize("link", turn(["uart", "uart-tcp"], "uart"))
@pytest.mark.parametrize("board", turn(["netduinoplus2", "mps2-an386", "qemu-virt-rv32"], "netduinoplus2"))
def test_the_uart_gives_the_same_figures_as_the_pipe(tmp_path: Path, board: str, link: str) -> None:
    by_pipe, _ = verbs.run(MODELS / "digits", board=board, samples=3, out=tmp_path)
    by_uart, _ = verbs.run(MODELS / "digits", board=board, samples=3, link=link, out=tmp_path)
    is_identical(by_uart)
    assert by_uart.instructions == by_pipe.instructions


@pytest.mark.parametrize("model", ["motion.tflite", "motion_lstm.tflite"])
def test_motion(tmp_path: Path, model: str) -> None:
    folder = MODELS / "motion"
    result, _ = verbs.run(folder / model, data=folder / "test.npz", out=tmp_path)
    is_identical(result)
    assert result.accuracy is not None
    assert result.accuracy.value == result.accuracy.reference


@pytest.mark.parametrize("board", turn(["mps2-an386", "qemu-virt-rv32", "qemu-xtensa"], "mps2-an386"))
@pytest.mark.parametrize("net", small_nets.NETS)
def test_int16_and_states(tmp_path: Path, net: str, board: str) -> None:
    model = tmp_path / f"{net}.tflite"
    model.write_bytes(small_nets.NETS[net]())
    result, _ = verbs.run(model, board=board, samples=12, out=tmp_path / "out")
    is_identical(result)
    assert sum(op.macs for op in result.per_op) == result.model.macs > 0
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def test_floats_for_an_input_of_int16(tmp_path: Path) -> None:
    model, data = tmp_path / "16x8.tflite", tmp_path / "x.npz"
    model.write_bytes(small_nets.conv_16x8())
    random = np.random.default_rng(0)
    np.savez(data, x=random.uniform(-1, 1, (10, 12, 10, 2)).astype(np.float32), y=random.integers(0, 5, 10))
    result, _ = verbs.run(model, data=data, out=tmp_path / "out")
    assert result.accuracy is not None and result.accuracy.metric == "top1"
    is_identical(dataclasses.replace(result, warnings=()))  # of a net of random weights
    assert {*result.warnings} == {*result.accuracy.doubts}
    assert result.accuracy.value == result.accuracy.reference


LARGEST_ARENAS = {"ad": 1_300, "ic": 36_000, "kws": 14_000, "vww": 46_000}  # bytes


@pytest.mark.skipif(not MLPERF_TINY.is_dir(), reason=f"the MLPerf Tiny models are not at {MLPERF_TINY}")
@pytest.mark.parametrize(
    ("model", "board"),
    turn(
        [*product(("ad", "ic", "kws", "vww"), CORES)],
        *(("kws", "mps2-an386"), ("kws", "qemu-virt-rv32"), ("ad", "mps3-an547"), ("ad", "qemu-xtensa")),
    ),
)
def test_mlperf_tiny_is_identical_on_every_core(tmp_path: Path, model: str, board: str) -> None:
    result, _ = verbs.run(MLPERF_TINY / f"{model}.tflite", board=board, samples=16, out=tmp_path)
    is_identical(result)
    assert result.arena.lower_bound is not None
    assert result.arena.lower_bound <= result.arena.bytes <= LARGEST_ARENAS[model]


@pytest.mark.parametrize("board", turn([*ALL_KINDS, "qemu-xtensa"], ALL_KINDS[0]))
def test_every_kind_of_op_is_identical_on_an_emulated_core(tmp_path: Path, board: str) -> None:
    kinds = list(random_graphs.KINDS)
    for third in range(3 if NIGHTLY else 1):  # the link carries up to 61 inputs and outputs
        model = tmp_path / f"kinds{third}.tflite"
        model.write_bytes(random_graphs.together(third, kinds[third::3]))
        result, _ = verbs.run(model, board=board, samples=4, out=tmp_path / "out")
        wanted = {kind for both in kinds[third::3] for kind in both.split(", ")}
        assert {info.op for info in result.model.ops} >= wanted  # a variable takes several
        is_identical(result)


def test_labels_may_be_values(tmp_path: Path) -> None:
    data = tmp_path / "values.npz"
    np.savez(data, x=np.zeros((3, 8, 8), np.float32), y=np.full((3, 10), 0.1, np.float32))
    result, _ = verbs.run(MODELS / "digits", data=data, out=tmp_path / "out")
    assert result.accuracy is not None and result.accuracy.metric == "mae"
    assert result.accuracy.value == result.accuracy.reference
    assert any("range" in warning or "codes" in warning for warning in result.warnings)


def test_bad_data_is_refused_before_a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "build", None)
    np.savez(tmp_path / "bad.npz", x=np.zeros((3, 8, 8), np.float32), y=np.array([0, 1, 10]))
    with pytest.raises(DataError):
        verbs.run(MODELS / "digits", data=tmp_path / "bad.npz", out=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.npz"]


def test_a_metric_needs_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "build", None)
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 8, 8), np.float32))
    model = tmp_path / "digits.tflite"  # without the tinydeploy.toml, which names data
    model.write_bytes((MODELS / "digits" / "digits.tflite").read_bytes())
    with pytest.raises(UsageError, match="needs labels"):
        verbs.run(model, metric="top1")
    with pytest.raises(DataError, match="holds no y"):
        verbs.run(model, data=tmp_path / "x.npz", threshold=0.4)


def test_what_does_not_fit_is_an_error_with_both_sizes(tmp_path: Path) -> None:
    with pytest.raises(
        FitError, match=r"arena takes [0-9],[0-9]{3} bytes, and stm32vldiscovery has 6,656 .*RAM"
    ):
        verbs.build(MODELS / "mnist", board="stm32vldiscovery")
    builder = ModelBuilder()
    source, result = (builder.tensor((1, 6500), "int8", scale=0.5, zero_point=0) for _ in range(2))
    builder.op("ABS", [source], [result])  # in place: the arena just fits, but not beside the rest
    model = tmp_path / "abs.tflite"
    model.write_bytes(builder.build(inputs=[source], outputs=[result]))
    with pytest.raises(FitError, match=r"needs 1[0-9],[0-9]{3} bytes of RAM, and stm32vldiscovery has 8,192"):
        verbs.build(model, board="stm32vldiscovery")


def test_without_a_reference_there_is_no_parity_and_the_result_says_why(tmp_path: Path) -> None:
    builder = ModelBuilder()
    source, result = (builder.tensor((1, 8), "int8", scale=0.5, zero_point=0) for _ in range(2))
    builder.op("RELU_N1_TO_1", [source], [result])  # TFLite Micro has no kernel for it
    model = tmp_path / "relu.tflite"
    model.write_bytes(builder.build(inputs=[source], outputs=[result]))
    found, _ = verbs.run(model, samples=2, out=tmp_path / "out")
    assert found.parity is None
    assert any(warning.startswith("there is no reference to compare with") for warning in found.warnings)


@pytest.mark.parametrize("board", turn(["mps2-an386", "qemu-virt-rv32", "nucleo_g071rb"], "qemu-virt-rv32"))
def test_the_stack_of_each_op_is_what_the_painted_stack_shows(board: str, tmp_path: Path) -> None:
    # What an inference takes beside its deepest op is the shell, the same whatever the model is.
    shells = []
    for model in ("mnist", "motion"):
        result, _ = verbs.run(MODELS / model, board=board, samples=2, out=tmp_path / model)
        stacks = [cost.stack_bytes for cost in result.per_op if cost.stack_bytes is not None]
        assert len(stacks) == len(result.per_op)
        assert max(stacks) > 0
        shells.append(result.stack_bytes - max(stacks))
    assert 64 < min(shells) <= max(shells) < min(shells) + 32


def test_a_class_number_is_a_prediction_and_a_bool_an_output(tmp_path: Path) -> None:
    builder = ModelBuilder()
    source = builder.tensor((1, 4), "int8", scale=0.5)
    limit = builder.tensor((), "int8", scale=0.5, data=40)
    axis = builder.tensor((1,), "int32", data=[-1])
    number, flags = builder.tensor((1,), "int32"), builder.tensor((1, 4), "bool")
    builder.op("ARG_MAX", [source, axis], [number])
    builder.op("GREATER", [source, limit], [flags])
    model, data = tmp_path / "class.tflite", tmp_path / "data.npz"
    model.write_bytes(builder.build(inputs=[source], outputs=[number, flags]))
    x = np.array([[9, 1, 50, 3], [-9, 127, 0, 1], [2, 2, 2, 2], [0, 0, 0, -128]], np.int8)
    np.savez(data, x=x, y=np.array([2, 1, 0, 3]))
    for board in ("mps2-an386", "qemu-virt-rv32"):
        result, _ = verbs.run(model, data=data, board=board, out=tmp_path / board)
        is_identical(result)
        assert result.accuracy is not None and result.parity is not None
        assert (result.accuracy.metric, result.accuracy.value, result.accuracy.reference) == (
            "top1",
            0.75,
            0.75,
        )
        assert [row.samples for row in result.accuracy.per_class] == [1, 1, 1, 1]
        assert (result.parity.outputs, result.parity.top1_agreement) == (4 * 5, 1.0)
        assert "top-1" in (tmp_path / board / "report.html").read_text().lower()
    result, _ = verbs.run(model, samples=5, out=tmp_path / "random")
    assert result.parity is not None and result.parity.top1_agreement == 1.0
