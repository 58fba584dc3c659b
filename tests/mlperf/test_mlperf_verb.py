"""The verb mlperf on an emulated core; data sets that cannot be used; what is written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import small_nets
from test_mlperf_device import GRAPH, KWS

from tinydeploy import verbs
from tinydeploy.errors import DataError, ModelError, UsageError
from tinydeploy.firmware import mlperf_tiny
from tinydeploy.firmware.mlperf_tiny import BENCHMARKS, Benchmark
from tinydeploy.link.mlperf_device import Inferred
from tinydeploy.mlperf import benchmark_runs, datasets, mlperf_verb, submission
from tinydeploy.mlperf.benchmark_runs import Answer
from tinydeploy.mlperf.datasets import Entry
from tinydeploy.model.readers import tflite_model

AD = next(one for one in BENCHMARKS if one.id == "ad01")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "keywords.tflite"
    path.write_bytes(small_nets.keywords())
    return path


def test_a_core_takes_part(model: Path, tmp_path: Path) -> None:
    """Real firmware, in QEMU: results are TFLite Micro's, and the folder is a submission's."""
    figures, folder = mlperf_verb.mlperf(model, tmp_path / "out", samples=12, seconds=0.01)
    assert figures.benchmark == "kws01" and figures.made_up and figures.top1 is None and figures.auc is None
    assert figures.differing == 0 and figures.samples == 12
    assert figures.inferences_per_second and figures.window_us and figures.window_us >= 10_000
    assert figures.long_enough is False and "not a measurement of a board" in figures.microsecond
    assert json.loads((folder / "mlperf.json").read_text()) == figures.to_json()
    place = folder / "open" / "tinydeploy" / "results" / "mps2-an386-qemu" / "kws"
    for mode, count in (("performance", 5), ("accuracy", 12)):
        assert {path.name for path in (place / mode).iterdir()} == {"log.txt", "results.txt", "results.json"}
        assert len(json.loads((place / mode / "results.json").read_text())) == count
    told = json.loads((folder / "open" / "tinydeploy" / "systems" / "mps2-an386-qemu.json").read_text())
    # A checker finds the line that it wants, and whoever reads it what it is not.
    text = (place / "accuracy" / "results.txt").read_text()
    assert re.fullmatch(r".* Top[- ]1%?\s?[:=] ([\d\.]+).*", text.splitlines()[0])
    assert all(line.endswith("(of made-up data: this is no accuracy)") for line in text.splitlines())
    assert told["Status"] == "rdi" and "emulated by QEMU" in told["Hardware Notes"]
    # An inference is instructions / 25 MHz: the windows' figure is within a hundredth of that of `infer 1 0`.
    accuracy = json.loads((place / "accuracy" / "results.json").read_text())
    once = np.median([each["infer"]["elapsed_time"] for each in accuracy])
    assert 1e6 / figures.inferences_per_second == pytest.approx(once, rel=0.02)


@pytest.mark.parametrize(
    ("board", "command"),
    [
        ("mps2-an386", "mlperf keywords.tflite -b mps2-an386 --target qemu"),
        ("nucleo_f446re", "mlperf keywords.tflite -b nucleo_f446re --port auto --no-upload"),
    ],
)
def test_a_project_of_the_application_says_how_it_is_used(
    model: Path, tmp_path: Path, board: str, command: str
) -> None:
    folder = verbs.generate(model, tmp_path / "project", board=board, app="mlperf-tiny")
    text = (folder / "README.md").read_text()
    assert command in text and "type name%" in text and "press Enter" not in text
    assert (
        "src/mlperf_tiny_model.h" in text
        and "TINYDEPLOY_MLPERF_TINY 1" in (folder / "src/board.h").read_text()
    )
    with pytest.raises(UsageError, match="there is no application 'x'"):
        verbs.generate(model, tmp_path / "other", app="x")


def test_a_project_in_energy_mode_is_for_a_board_with_a_pin(model: Path, tmp_path: Path) -> None:
    app = "mlperf-tiny-energy"
    folder = verbs.generate(model, tmp_path / "project", board="nucleo_f446re", app=app)
    text = (folder / "README.md").read_text()
    assert "at 9600 baud" in text and "trigger at PA8" in text and "--no-upload" not in text
    assert "monitor_speed = 9600" in (folder / "platformio.ini").read_text()
    assert "TINYDEPLOY_TRIGGER_STM32" in (folder / "src/board.h").read_text()
    with pytest.raises(UsageError, match=r"no pin of .* is known"):
        verbs.generate(model, tmp_path / "other", board="netduinoplus2", app=app)
    with pytest.raises(UsageError, match="energy is measured on a board, and this is for QEMU"):
        verbs.generate(model, tmp_path / "other", board="nucleo_f446re", target="qemu", app=app)


def data_set(folder: Path, truth: str, content: bytes = bytes(490)) -> Path:
    (folder / "kws01").mkdir(parents=True)
    (folder / "kws01" / "y_labels.csv").write_text(truth)
    (folder / "kws01" / "a.bin").write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("truth", "content", "words"),
    [
        ("", bytes(490), "names no files"),
        ("a.bin\n", bytes(490), "y_labels.csv:1 is not"),
        ("a.bin,12,yes\n", bytes(490), "y_labels.csv:1 is not"),
        ("a.bin,12,3\na.bin,12,12\n", bytes(490), "y_labels.csv:2: there is no class 12"),
        ("b.bin,12,3\n", bytes(490), "cannot read .*b.bin: No such file"),
        ("a.bin,12,3\n", bytes(491), "a.bin has 491 bytes, and a sample of kws01 has 490"),
        ("a.bin,12,3\n", b"", "a.bin has 0 bytes"),
    ],
)
def test_what_is_wrong_with_a_data_set_is_one_line(
    tmp_path: Path, truth: str, content: bytes, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        datasets.read(data_set(tmp_path, truth, content), KWS)


def test_a_data_set_is_the_runner_s(tmp_path: Path) -> None:
    found = datasets.read(data_set(tmp_path, "a.bin, 12, 3\n\na.bin,12,4\n"), KWS)
    assert [(entry.file, entry.label) for entry in found.entries] == [("a.bin", 3), ("a.bin", 4)]
    assert len(datasets.read(tmp_path, KWS, 1).entries) == 1 and not found.is_made_up
    with pytest.raises(DataError, match="cannot read"):
        datasets.read(tmp_path / "nowhere", KWS)
    for benchmark in BENCHMARKS:  # what is made up can be read back
        made = datasets.made_up(benchmark, 3)
        datasets.write(made, tmp_path / benchmark.data_folder, benchmark)
        assert datasets.read(tmp_path, benchmark).entries == made.entries
        assert {entry.label for entry in made.entries} == {*range(benchmark.classes)}


def test_an_anomaly_s_file_is_windows(tmp_path: Path) -> None:
    (tmp_path / "y_labels.csv").write_text("a.bin,2,1,2560,512\n")
    (tmp_path / "a.bin").write_bytes(np.arange(640 + 2 * 128 + 5, dtype="<f4").tobytes())
    (entry,) = datasets.read(tmp_path, AD).entries
    assert [np.frombuffer(sample, "<f4")[0] for sample in entry.samples] == [0, 128, 256]


def answer(label: int, *results: float) -> Answer:
    return Answer(Entry(f"{label}.bin", label, (b"",)), (Inferred(0, 1, results),))


def test_accuracy_is_as_scikit_learn_has_it() -> None:
    # sklearn.metrics.roc_auc_score of these, with multi_class="ovr" for the three classes.
    two = [answer(0, 0.8, 0.2), answer(1, 0.6, 0.4), answer(1, 0.1, 0.9), answer(0, 0.5, 0.5)]
    assert benchmark_runs.auc(two) == 0.75 and benchmark_runs.top1(two) == 75
    one = [answer(0, 3.0), answer(1, 9.0), answer(0, 4.0), answer(1, 3.5)]
    assert benchmark_runs.auc(one) == 0.75
    three = [answer(0, 5, 3, 2), answer(1, 0.4, 0.5, 0.1), answer(2, 0.3, 0.3, 0.4), answer(2, 0.5, 0.3, 0.2)]
    assert benchmark_runs.auc(three) == pytest.approx((5 / 6 + 1 + 7 / 8) / 3)
    assert benchmark_runs.auc(three[:2]) is None  # a class has no sample
    text = submission.accuracy(AD, one)["results.txt"].decode()
    assert re.fullmatch(r".* AUC\s?[:=] ([\d\.]+).*", text.strip()) and "Top" not in text


def test_benchmarks_are_known_by_their_sizes() -> None:
    ids = [one.id for one in BENCHMARKS]
    assert len({*ids}) == len(ids) and KWS.id == "kws01"
    with pytest.raises(UsageError, match=r"the model \(\d+ -> \d+\) takes part in no benchmark"):
        mlperf_tiny.benchmark_of(
            tflite_model.load(Path(__file__).parents[2] / "models" / "digits" / "digits.tflite")
        )
    assert mlperf_tiny.application(GRAPH).facts["sent"] == "int8_t"


def test_a_model_of_other_types_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = tflite_model.parse(small_nets.conv_16x8(), "x.tflite")
    monkeypatch.setattr(
        mlperf_tiny, "benchmark_of", lambda _: Benchmark("own", "own", "", 1, "int8_t", 1, "top1", 1)
    )
    with pytest.raises(ModelError, match="the model's input is of int16, and own is of 8-bit integers"):
        mlperf_tiny.application(graph)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "energy"}, "there is no mode 'energy'"),
        ({"runner": "models"}, "does not hold MLPerf Tiny's runner"),
        ({"data": "models"}, "cannot read models/y_labels.csv"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_at_once(
    model: Path, options: dict[str, str], words: str
) -> None:
    with pytest.raises((UsageError, DataError), match=words):
        mlperf_verb.mlperf(model, **options)  # type: ignore[arg-type]
