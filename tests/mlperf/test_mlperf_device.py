"""The firmware that speaks MLPerf Tiny's protocol, and its client, by what the official runner has said."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import firmware_build
import numpy as np
import pytest
import small_nets
from hypothesis import given, settings
from hypothesis import strategies as st
from nightly import NIGHTLY

from tinydeploy.boards import lookup
from tinydeploy.errors import (
    DeviceFaultError,
    DeviceStatusError,
    LinkCorruptError,
    LinkTimeoutError,
    WrongFirmwareError,
)
from tinydeploy.firmware import mlperf_tiny
from tinydeploy.link.mlperf_device import Inferred, MlperfDevice
from tinydeploy.mlperf import benchmark_runs, datasets, submission
from tinydeploy.mlperf.benchmark_runs import Answer
from tinydeploy.mlperf.datasets import DataSet, Entry
from tinydeploy.model.readers import tflite_model
from tinydeploy.progress import silent

GRAPH = tflite_model.parse(small_nets.keywords(), "keywords.tflite")
KWS = mlperf_tiny.benchmark_of(GRAPH)
SESSION = Path(__file__).with_name("official_session.txt")
BOOT = ("m-timestamp-mode-performance", "m-init-done", "m-ready")

RECORDED = {"performance": 2356.036, "accuracy": [0.0, 0.447]}
"""What the official runner wrote to its results.txt: the median throughput; Top 1% and AUC."""

Exchange = tuple[str, list[str]]


def recorded(mode: str) -> list[Exchange]:
    """What the official runner sent in a mode, each with what the device answered."""
    section = SESSION.read_text().partition(f"## {mode}\n")[2].partition("\n##")[0]
    exchanges: list[Exchange] = []
    for line in section.splitlines():
        if line.startswith("> "):
            exchanges.append((line[2:], []))
        else:
            exchanges[-1][1].append(line[2:])
    return exchanges


class Tape:
    """A stream that answers each command as it was recorded, and keeps what was sent."""

    def __init__(self, exchanges: list[Exchange]) -> None:
        self._left = [("%", ["e-[Empty command]"]), *exchanges]
        self.sent: list[str] = []
        self._answer = b""

    def write(self, data: bytes, deadline: float) -> None:
        self.sent.append(data.decode())
        command, answer = self._left.pop(0)
        assert self.sent[-1] == command
        self._answer += "".join(f"{line}\r\n" for line in [*answer, "m-ready"]).encode()

    def read(self, deadline: float) -> bytes:
        answer, self._answer = self._answer, b""
        return answer

    def close(self) -> None:
        pass


def data_of(exchanges: list[Exchange]) -> DataSet:
    """The samples that were sent."""
    samples = [""]
    for command, answer in exchanges:
        if found := re.fullmatch(r"db ([0-9a-f]{2,})%", command):
            samples[-1] += found[1]
        if answer == ["m-load-done"]:
            samples.append("")
    files = [bytes.fromhex(sample) for sample in samples[:-1]]
    return DataSet(tuple(Entry(f"{i}.bin", i % 12, (file,)) for i, file in enumerate(files)))


def test_the_client_says_what_the_official_runner_says() -> None:
    exchanges = recorded("performance")
    data, tape = data_of(exchanges), Tape(exchanges)
    device = MlperfDevice(tape, 1.0)
    assert device.greet().model == "kws01"
    (words,) = {command for command, _ in exchanges if command.startswith("infer")}
    count, warmups = map(int, words.rstrip("%").split()[1:])
    windows = [benchmark_runs.window(device, entry, count, warmups, 1.0) for entry in data.entries]
    assert tape.sent[1:] == [command for command, _ in exchanges] and len(windows) == 5
    assert round(benchmark_runs.median_throughput(windows), 3) == RECORDED["performance"]
    text = submission.performance(windows, 2.2)["results.txt"].decode()
    assert "Median throughput" not in text and "shorter than the rules' 10 s" in text


def test_the_client_finds_the_accuracy_that_the_official_runner_found() -> None:
    exchanges = recorded("accuracy")
    data, tape = data_of(exchanges), Tape(exchanges)
    device = MlperfDevice(tape, 1.0)
    device.greet()
    answers = benchmark_runs.answers(device, KWS, data, silent)
    assert tape.sent[1:] == [command for command, _ in exchanges] and len(answers) == 12
    text = submission.accuracy(KWS, answers)["results.txt"].decode()
    assert [float(figure) for figure in re.findall(r"[\d.]+$", text, re.M)] == RECORDED["accuracy"]
    assert benchmark_runs.disagreeing(GRAPH, KWS, answers) == 0


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return firmware_build.model_for_host(
        tmp_path_factory.mktemp("mlperf"), GRAPH, mlperf_tiny.application(GRAPH)
    )


def said(program: Path, commands: bytes) -> list[str]:
    """All that the firmware, as a process, says to these bytes."""
    done = subprocess.run([program], input=commands, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout.decode("ascii").split("\r\n")[:-1]


def test_the_firmware_answers_the_official_runner_as_recorded(program: Path) -> None:
    for mode in ("performance", "accuracy"):
        exchanges = recorded(mode)
        lines = iter(said(program, "".join(command for command, _ in exchanges).encode()))
        for expected in BOOT[:1] + BOOT[1:]:
            assert next(line for line in lines if not line.startswith("m-lap")) == expected
        for command, answer in exchanges:
            for line in [*answer, "m-ready"]:
                found = next(lines)
                # The clock and the build are not the same.
                assert re.sub(r"(lap-us|tinydeploy)-\w+", r"\1", found) == re.sub(
                    r"(lap-us|tinydeploy)-\w+", r"\1", line
                ), command


@pytest.mark.parametrize("net", [small_nets.pictures, small_nets.anomalies])
def test_pixels_and_real_numbers_become_what_the_model_takes(
    net: Callable[[], bytes], tmp_path: Path
) -> None:
    graph = tflite_model.parse(net(), f"{net.__name__}.tflite")
    benchmark = mlperf_tiny.benchmark_of(graph)
    made = firmware_build.model_for_host(tmp_path, graph, mlperf_tiny.application(graph))
    data = datasets.made_up(benchmark)
    if benchmark.is_real:  # and some that the type does not hold, in a sample of their own
        far = np.array([1e30, -1e30, 51.2, -53.6, 0.1955] * 128, "<f4").tobytes()
        data = DataSet((*data.entries, Entry("far.bin", 1, (far,))))
    commands = [
        line
        for sample in data.samples
        for line in (f"db load {len(sample)}", *(f"db {part.hex()}" for part in chunks(sample)), "infer 1 0")
    ]
    lines = said(made, "%".join([*commands, ""]).encode())
    results = [tuple(map(float, line[11:-1].split(","))) for line in lines if line.startswith("m-results")]
    found = [
        Answer(Entry("", 0, (sample,)), (Inferred(0, 1, scores),))
        for sample, scores in zip(data.samples, results, strict=True)
        if scores != (4e6,)  # more than the device tells
    ]
    assert len(found) in (24, 25) and len({*results}) > 12
    assert benchmark_runs.disagreeing(graph, benchmark, found) == 0


def chunks(sample: bytes) -> list[bytes]:
    return [sample[at : at + 31] for at in range(0, len(sample), 31)]


BOARDS = ("nucleo_f446re", "hifive1-revb")
BARE = [board.id for board in lookup.all_boards() if board.kind == "bare" and "qemu" not in board.emulation]


@pytest.mark.parametrize("board", BARE if NIGHTLY else BOARDS)
def test_a_board_s_firmware_compiles_without_a_warning(board: str, tmp_path: Path) -> None:
    graph = tflite_model.parse(small_nets.anomalies(), "anomalies.tflite")
    app = mlperf_tiny.application(graph)
    assert firmware_build.for_board(tmp_path, board, "echo", link="uart", target="board", app=app).is_file()


def test_in_energy_mode_a_pin_says_what_time_it_is(tmp_path: Path) -> None:
    """As its runner wants it: no times in words, and a UART that takes little of the energy."""
    app = mlperf_tiny.application(GRAPH, mlperf_tiny.ENERGY_APP)
    made = firmware_build.model_for_host(tmp_path, GRAPH, app)
    load = "".join(f"db {'00' * 35}%" for _ in range(14))
    lines = said(made, f"timestamp%db load 490%{load}infer 2 1%".encode())
    assert lines[0] == "m-timestamp-mode-energy"
    assert [line for line in lines if "infer" in line] == ["m-infer-start-2", "m-infer-done"]
    assert any(line.startswith("m-results-[") for line in lines) and not any("lap" in line for line in lines)
    elf = firmware_build.for_board(
        tmp_path / "board", "nucleo_f446re", "echo", link="uart", target="board", trigger=True, app=app
    )
    assert elf.is_file() and "kUartBaud = 9600" in (tmp_path / "board" / "board.h").read_text()


def test_a_stream_s_firmware_compiles_for_a_core_without_an_fpu(tmp_path: Path) -> None:
    app = mlperf_tiny.application(tflite_model.parse(small_nets.wake_words(), "wake_words.tflite"))
    assert firmware_build.for_board(tmp_path, "qemu-virt-rv32", "echo", app=app).is_file()


COMMANDS = st.one_of(
    st.sampled_from(
        [
            b"",
            b"name",
            b"profile",
            b"help",
            b"timestamp",
            b"results",
            b"db",
            b"db load",
            b"db print 490",
            b"infer 2 1",
        ]
    ),
    st.builds(lambda n: b"db load %d" % n, st.integers(-3, 10**11)),
    st.builds(lambda n, m: b"db print %d %d" % (n, m), st.integers(-1, 600), st.integers(-1, 600)),
    st.builds(
        lambda n, w: b"infer %s %s" % (n, w),
        st.sampled_from([b"0", b"1", b"-1", b"x", b"9999999999"]),
        st.sampled_from([b"", b"0", b"-2", b"1x"]),
    ),
    st.builds(lambda data: b"db " + data.hex().encode(), st.binary(max_size=38)),
    st.binary(max_size=200).map(lambda data: data.replace(b"%", b"")),
    st.binary(max_size=60).map(lambda data: b"db " + data.replace(b"%", b"")),
)


@settings(max_examples=400 if NIGHTLY else 60, deadline=None)
@given(st.lists(COMMANDS, max_size=30))
def test_every_command_has_one_answer_whatever_it_is(program: Path, commands: list[bytes]) -> None:
    lines = said(program, b"%".join([*commands, b"name"]) + b"%")
    assert lines.count("m-ready") == len(commands) + 2  # the first is the boot's
    assert lines[-1] == "m-ready" and lines[-2].startswith("m-name-dut-[tinydeploy-")
    assert lines.count("e-[The command is longer than 80 bytes]") == sum(
        len(command.translate(None, b"\r\n")) > 80 for command in commands
    )


def answers_to(program: Path, *commands: str) -> list[list[str]]:
    """What the firmware says to each command."""
    lines = said(program, "".join(f"{command}%" for command in commands).encode())
    text = "\n".join(lines).split("m-ready")
    return [part.strip("\n").split("\n") for part in text[1:-1]]


def test_what_is_wrong_with_a_command_is_said(program: Path) -> None:
    sample = "00" * 30
    found = answers_to(
        program, "infer 1 0", "results", "db ff", "db load 0", "db load 491", "db load 40", f"db {sample}",
        "db f", "db zz00", "db print 3 29", f"db {sample}", "db 00", "infer 1 0", "what is this", "infer 0",
    )  # fmt: skip
    assert [lines[0] for lines in found] == [
        "e-[The input is not loaded]",
        "e-[There is no result yet]",
        "e-[Command 'db load' comes first]",
        "e-[Command 'db load' must be >0 bytes]",
        "e-[The buffer is smaller than 491]",
        "m-[Expecting 40 bytes]",
        "",
        "e-[Insufficent number of hex digits]",
        "e-[Invalid hex digits zz00]",
        "m-buffer-00-00-00",
        "m-load-done",
        "e-[Command 'db load' comes first]",
        "e-[The input is not loaded]",
        "e-[Unknown command: what]",
        "e-[Inference iterations must be >0]",
    ]


@contextmanager
def answering(*answers: str) -> Iterator[MlperfDevice]:
    """A device that answers each command with the next of these, whatever it is; then it says nothing."""

    class Stub:
        def __init__(self) -> None:
            self.left = [*answers]
            self.out = b""

        def write(self, data: bytes, deadline: float) -> None:
            self.out += self.left.pop(0).encode() if self.left else b""

        def read(self, deadline: float) -> bytes:
            out, self.out = self.out, b""
            return out

    yield MlperfDevice(Stub(), 0.05)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ("", LinkTimeoutError, "does not answer"),
        ("m-results-[1]\r\n", LinkTimeoutError, "does not answer"),
        ("m-ready\r\n", LinkCorruptError, "no m-results"),
        ("m-results-[1,x]\r\nm-ready\r\n", LinkCorruptError, "no numbers"),
        (
            "m-lap-us-9\r\nm-lap-us-3\r\nm-infer-done\r\nm-results-[1]\r\nm-ready\r\n",
            LinkCorruptError,
            "no time",
        ),
        ("e-[The inference failed]\r\nm-ready\r\n", DeviceStatusError, "The inference failed"),
        ("m-warmup-done\r\ne-[Fault at 0x1234]\r\n", DeviceFaultError, "0x00001234"),
        ("x" * 2_000_000, LinkCorruptError, "no lines"),
    ],
)
def test_an_answer_that_is_none_is_one_error(answer: str, error: type[Exception], words: str) -> None:
    with answering(answer) as device, pytest.raises(error, match=words):
        device.infer(1, 0)


def test_a_device_that_speaks_otherwise_is_known_by_it() -> None:
    with (
        answering("hello\r\n", "hello\r\n") as device,
        pytest.raises(WrongFirmwareError, match="does not speak"),
    ):
        device.greet()
    incomplete = ("m-ready\r\n", "m-name-dut-[x]\r\nm-ready\r\n", "m-profile-[]\r\nm-ready\r\n")
    with answering(*incomplete) as device, pytest.raises(LinkCorruptError, match="no m-model"):
        device.greet()


def test_one_that_was_busy_when_it_was_greeted_is_understood() -> None:
    late = "m-results-[1]\r\nm-ready\r\nm-ready\r\n"
    ok = ("m-name-dut-[x]\r\nm-ready\r\n", "m-profile-[p]\r\nm-model-[kws01]\r\nm-ready\r\n")
    with answering(late, *ok) as device:
        assert device.greet().model == "kws01"
