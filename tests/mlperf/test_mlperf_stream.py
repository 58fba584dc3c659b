"""The streaming wake word: features on the device, what the official runner hears, sound of no use."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import firmware_build
import numpy as np
import pytest
import small_nets

from tinydeploy.cli import verb_mlperf
from tinydeploy.errors import DataError, DeviceStatusError, LinkCorruptError
from tinydeploy.firmware import log_mel, mlperf_tiny
from tinydeploy.link.mlperf_device import Heard, MlperfDevice
from tinydeploy.mlperf import mlperf_verb, sound, stream_runs, submission
from tinydeploy.mlperf.interface_board import InterfaceBoard
from tinydeploy.mlperf.sound import Recording
from tinydeploy.mlperf.stream_runs import Counts, Listening
from tinydeploy.model.readers import tflite_model
from tinydeploy.progress import silent

GRAPH = tflite_model.parse(small_nets.wake_words(), "wake_words.tflite")
SESSION = Path(__file__).with_name("official_stream.txt")
WORDS = ((0.3, 0.5), (1.7, 1.85))

RECORDED = Counts(1, 1, 0)
"""What the official runner wrote to its results.txt of that session."""

NOISE = replace(sound.made_up(2.0)[0], file="noise.wav", words=WORDS, is_made_up=False)


class Process:
    """A stream to a firmware that is a process."""

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def write(self, data: bytes, deadline: float) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def read(self, deadline: float) -> bytes:
        assert self.process.stdout is not None
        ready = select.select([self.process.stdout], [], [], 0.1)[0]
        return os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stream")
    return firmware_build.model_for_host(folder, GRAPH, mlperf_tiny.application(GRAPH))


@pytest.fixture
def device(program: Path) -> Iterator[MlperfDevice]:
    stream = Process(program)
    found = MlperfDevice(stream, 20.0)
    assert found.greet().model == "sww01"
    yield found
    stream.close()


def tones() -> Recording:
    """Silence, full scale, a sweep, and steps: what a float32 may get wrong."""
    at = np.arange(20 * log_mel.STRIDE) / log_mel.RATE
    parts = [
        np.zeros(3000),
        32767 * np.sign(np.sin(2 * np.pi * 997 * at[:3000])),
        20000 * np.sin(2 * np.pi * (20 + 6000 * at) * at),
        np.full(1500, -32768.0),
        np.sin(2 * np.pi * 440 * at[:3000]),
    ]
    return Recording("tones.wav", np.concatenate(parts).astype(np.int16), ())


def test_the_device_makes_the_features_of_float64(device: MlperfDevice) -> None:
    heard = [stream_runs.listen(device, one, silent) for one in (NOISE, tones())]
    assert [len(each.frames) for each in heard] == [62, 40]
    assert stream_runs.furthest_feature(GRAPH, heard) <= 1
    assert stream_runs.disagreeing(GRAPH, heard) == 0
    features = np.array([frame.features for frame in heard[1].frames])
    assert features.min() == -128 and features.max() == 127  # silence, and more than the type holds
    # Both begin anew: of the second the first frame is silent, whatever was before.
    assert [each.frames[0].is_detection for each in heard] == [True, True]
    assert (features[0] == -128).all()


def test_features_are_those_of_their_definition() -> None:
    """A constant has no part in any band; a tone is loudest in the band that is around it."""
    flat = log_mel.features(np.full(4 * log_mel.STRIDE, 20, np.int16))
    assert flat.shape == (4, 40) and (flat[2:] == 0).all()
    at = np.arange(4 * log_mel.STRIDE) / log_mel.RATE
    tone = log_mel.features((9000 * np.sin(2 * np.pi * 1000 * at)).astype(np.int16))
    edges = 700 * np.expm1(np.linspace(0, np.log1p(8000 / 700), 42))
    assert abs(edges[1 + tone[3].argmax()] - 1000) < 100
    # A sine of amplitude a has the power a^2 N / 4 at its frequency; the window takes 0.54^2 of it, and
    # pre-emphasis what it is at a sixteenth of the rate.
    emphasis = abs(1 - (1 - 2**-5) * np.exp(-2j * np.pi / 16))
    loudest = 20 * np.log10(9000 / 32768 * 1024**0.5 / 2 * 0.54 * emphasis)
    assert tone[3].max() == pytest.approx((loudest + 52) / 64, abs=0.06)


def test_a_frame_that_is_not_whole_is_refused(device: MlperfDevice) -> None:
    with pytest.raises(DeviceStatusError, match="The frame is not loaded"):
        device.command("extract_uart_stream")
    device.command("db load 1024")
    assert device.command("db " + "01" * 512) == ["Received command: db " + "01" * 512, "512 bytes received"]
    with pytest.raises(DeviceStatusError, match="The frame is not loaded"):
        device.command("extract_uart_stream")
    device.load(b"\1\2" * 100)  # the last of a file may be shorter
    assert len(device.command("extract_uart_stream")) == 6


def played(device: MlperfDevice, commands: list[str]) -> Iterator[list[str]]:
    """What the board answers to each command, over its pseudo-terminal."""
    with InterfaceBoard(device, [NOISE], silent) as board:
        port = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
        try:
            for command in commands:
                os.write(port, command.encode())
                text = b""
                while text.count(b"m-ready") < (2 if command.startswith("dut") else 1):
                    assert select.select([port], [], [], 30)[0] and board.error is None
                    text += os.read(port, 1 << 16)
                yield text.decode().split("\r\n")[:-1]
        finally:
            os.close(port)


def test_the_board_answers_the_official_runner_as_recorded(device: MlperfDevice) -> None:
    exchanges: list[tuple[str, list[str]]] = []
    for line in SESSION.read_text().splitlines()[2:]:
        if line.startswith("> "):
            exchanges.append((line[2:], []))
        else:
            exchanges[-1][1].append(line[2:])
    answers = list(played(device, [command for command, _ in exchanges]))

    def without_times(lines: list[str]) -> list[str]:
        return [re.sub(r"^\d+,|\d+, |tinydeploy-\w{16}", "#", line) for line in lines]

    for (command, expected), found in zip(exchanges, answers, strict=True):
        assert without_times(found) == without_times(expected), command
    (detections,) = (lines for command, lines in exchanges if command.startswith("print_detections"))
    times = [int(line.rstrip(",")) for line in detections[1:-1]]
    assert stream_runs.judged(times, NOISE) == RECORDED
    assert stream_runs.listen(device, NOISE, silent).counts == RECORDED


def test_a_board_without_the_file_or_the_command_says_so(device: MlperfDevice) -> None:
    answers = [*played(device, ["play x.wav%", "ls%", "nothing%", "print_detections%"])]
    assert "Error playing file" in answers[0][0] and answers[1] == ["noise.wav", "m-ready"]
    assert answers[2:] == [["m-ready"], ["Detection Timestamps (ms)", "m-ready"]]


def test_detections_are_judged_as_the_runner_judges_them() -> None:
    """By streaming_ww_utils.calc_detection_stats of the runner, of the same numbers."""
    recording = replace(NOISE, words=((1.0, 1.5), (4.0, 4.5), (9.0, 9.5)))
    times = [100, 1200, 1300, 3590, 4700, 6700, 7000, 7690, 8900, 20000, 20900, 21050]
    assert stream_runs.judged(times, recording) == Counts(2, 1, 4)
    assert stream_runs.judged([100], recording) == Counts(0, 3, 0)


def test_a_core_listens(tmp_path: Path) -> None:
    model = tmp_path / "wake_words.tflite"
    model.write_bytes(small_nets.wake_words())
    figures, folder = mlperf_verb.mlperf(model, tmp_path / "out", seconds=0.3)
    assert figures.benchmark == "sww01" and figures.made_up and figures.hits is None
    assert (figures.samples, figures.differing) == (9, 0) and figures.furthest_feature in (0, 1)
    assert figures.duty_cycle and figures.keeps_up is None and figures.target_met is None
    assert figures.inferences_per_second == pytest.approx(1 / 0.032 / figures.duty_cycle)
    place = folder / "open/tinydeploy/results/mps2-an386-qemu/sww"
    assert [path.name for path in place.iterdir()] == ["performance"]
    text = (place / "performance/results.txt").read_text()
    # As the benchmark's submission_checker.py reads it, and a word beside what is no accuracy.
    assert re.search(
        r"Accuracy: ([\d]+) True positives, ([\d]+) False negatives, ([\d]+) False positives", text
    )
    assert re.search(r"Estimated throughput:\s*([\d\.]+) inf\./sec\..*", text)
    assert re.search(r"Average duty cycle:\s*([\d\.]+)", text)
    assert "positives (of made-up data: this is no accuracy)\n" in text
    (found,) = json.loads((place / "performance/results.json").read_text())
    assert found["infer"]["wav_file"] == "made_up.wav" and len(found["activations"]) == 9


def heard(recording: Recording, took_us: int, *detections: int) -> Listening:
    frames = len(recording.frames)
    made = (Heard(0, took_us, (), (0,), index in (0, *detections)) for index in range(frames))
    return Listening(recording, tuple(made))


def test_what_was_heard_is_written_as_the_runner_writes_it() -> None:
    text = submission.stream([heard(NOISE, 8000, 54)])["results.txt"].decode()
    assert text.splitlines() == [
        "Accuracy: 1 True positives, 1 False negatives, 0 False positives",
        "Average duty cycle: 0.25",
        "Average period: 0.032 s",
        "Estimated throughput: 125.0 inf./sec.",
    ]
    assert submission.words_read_back({"results.txt": text.encode()}) == RECORDED


def test_a_board_that_is_too_slow_or_hears_otherwise_fails() -> None:
    good = submission.Figures(
        "sww01", "m.tflite", "", "b", "board", "aot", "counted on the board", False, None,
        31.25, samples=9, differing=0, duty_cycle=0.5, keeps_up=True, hits=45, missed=5, wrong=8,
        furthest_feature=1, target_met=True,
    )  # fmt: skip
    told = dict(verb_mlperf._facts(good))
    assert told["Duty cycle"] == ("50.0 %", "✓ no frame takes longer than its 32 ms")
    assert told["Wake words"] == ("45 heard, 5 missed, 8 wrong", "✓ the target is met")
    assert told["Features"][0] == "✓ at most 1 off" and [*verb_mlperf._failures(good)] == []
    bad = replace(good, keeps_up=False, furthest_feature=2, target_met=False, differing=1)
    assert dict(verb_mlperf._facts(bad))["Duty cycle"][1].startswith("✗ frames take longer")
    assert len([*verb_mlperf._failures(bad)]) == 4


def test_a_device_that_does_not_listen_is_known_by_it() -> None:
    class Deaf(MlperfDevice):
        def hear(self, frame: bytes) -> Heard:
            return Heard(0, 1, (0,) * 39, (0,), True)

    with pytest.raises(LinkCorruptError, match="does not listen"):
        stream_runs.play(Deaf(None, 1.0), NOISE, silent)  # type: ignore[arg-type]


def truth(folder: Path, text: str, channels: int = 1, rate: int = 16000, count: int = 2048) -> Path:
    folder.mkdir(exist_ok=True)
    with wave.open(str(folder / "a.wav"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.arange(count * channels, dtype="<i2").tobytes())
    (folder / "sww_short_test.json").write_text(text)
    return folder


ONE = '[{"wav_file": "a.wav", "detection_windows": [[0.01, 0.02]]}]'


def test_sound_is_the_runner_s(tmp_path: Path) -> None:
    (found,) = sound.read(truth(tmp_path / "a", ONE, channels=2))
    assert (found.sound == np.arange(0, 4096, 2)).all() and found.words == ((0.01, 0.02),)
    assert len(found.frames) == 4 and found.truth["length_sec"] == 0.128 and not found.is_made_up
    assert sound.read(tmp_path / "a" / "sww_short_test.json", 1)[0].file == "a.wav"


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("", {}, "sww_short_test.json is not a truth file in JSON"),
        ("{}", {}, "is not a list of WAV files"),
        ('[{"wav_file": "a.wav"}]', {}, "entry 1 has no wav_file with detection_windows"),
        ('[{"wav_file": "a.wav", "detection_windows": [[2, 1]]}]', {}, "entry 1 has no"),
        ('[{"wav_file": "a.wav", "detection_windows": [7]}]', {}, "entry 1 has no"),
        ("[7]", {}, "entry 1 has no"),
        (
            '[{"wav_file": "b.wav", "detection_windows": []}]',
            {},
            "b.wav cannot be read as a WAV file: No such",
        ),
        (ONE, {"rate": 8000}, "has 16 bits a sample at 8,000 Hz, and 16 at 16,000 are wanted"),
        (ONE, {"count": 1000}, "has 1,000 samples: too few"),
    ],
)
def test_sound_that_cannot_be_used_is_one_line(
    tmp_path: Path, text: str, options: dict[str, int], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        sound.read(truth(tmp_path / "a", text, **options))


def test_a_folder_without_a_truth_file_names_the_official_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*sww_long_test\.json: No such file"):
        sound.read(tmp_path)
