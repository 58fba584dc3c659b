"""Energy by a meter: a recording in a file, a PPK2 that is faked on its serial line, and what goes wrong."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from contextlib import closing
from pathlib import Path

import firmware_build
import numpy as np
import pytest
from fake_ppk2 import PER_COUNT, FakePpk2
from nightly import NIGHTLY
from recordings import as_csv, recording

from tinydeploy import verbs
from tinydeploy.boards import lookup
from tinydeploy.errors import DataError, TargetError, UsageError
from tinydeploy.meters import csv_recording, meters
from tinydeploy.meters.meter import Recording, energy

MOTION = Path(__file__).parents[2] / "models" / "motion"


def test_the_energy_is_that_of_the_windows() -> None:
    found = energy(recording(20), 20)
    assert found.uj == 30  # 30 mW for 1 ms
    assert found.low == pytest.approx(29.4) and found.high == pytest.approx(30.6)
    assert found.method == "measured by a meter, 20 inferences"


@pytest.mark.parametrize(
    ("made", "error", "words"),
    [
        (recording(7), TargetError, "has 7 inferences, and 20 were run"),
        (recording(21), TargetError, "has 21 inferences, and 20 were run"),
        (recording(0), DataError, "no edge of the trigger"),
        (recording(20, samples=5), DataError, "5 samples of an inference, and 10 are needed"),
        (dataclasses.replace(recording(20), seconds=np.zeros(2210)), DataError, "do not follow each other"),
        (
            Recording("a meter", np.arange(2.0), np.ones(2), np.array([False, True])),
            TargetError,
            "within an inference",
        ),
        (Recording("a meter", np.zeros(0), np.zeros(0), np.zeros(0, bool)), DataError, "do not follow"),
    ],
)
def test_a_recording_that_is_not_of_the_run_is_refused(
    made: Recording, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        energy(made, 20)


@pytest.mark.parametrize(
    "header",
    [
        "time_s,current_ma,voltage_v,trigger",
        "#time,current(mA),voltage,gpi0",
        "Timestamp(s),Main current (mA),Main voltage (V),D0",
    ],
)
def test_files_of_several_programs_are_read(tmp_path: Path, header: str) -> None:
    path = tmp_path / "rec.csv"
    path.write_text(as_csv(recording(3), header))
    assert energy(csv_recording.read(path), 3).uj == pytest.approx(30)


def test_a_file_without_voltage_is_read_with_one(tmp_path: Path) -> None:
    path = tmp_path / "ppk.csv"
    path.write_text(
        "Timestamp(ms),Current(uA),D0,D1\n"
        + "0,1000,0,1\n1,5000,1,1\n"
        + "".join(f"{2 + i},5000,1,1\n" for i in range(9))
        + "11,1000,0,1\n"
    )
    with closing(meters.opened(f"csv:{path}@3.0")) as meter:
        meter.start()
        assert energy(meter.stop(), 1).uj == pytest.approx(10e-3 * 5e-3 * 3.0 * 1e6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column of the time"),
        ("time,current,trigger\n", "no column of the voltage"),
        ("time,current,voltage\n", "no column of the trigger"),
        ("time,current,voltage,trigger\n", "has no samples"),
        ("time,current,voltage,trigger\n0,1,2,0\n1,x,2,0\n", r"rec.csv:3 is not all numbers"),
        ("time,current,voltage,trigger\n0,1,2\n", r"rec.csv:2 is not all numbers"),
        ("time,current,voltage,trigger\n0,nan,2,0\n", r"rec.csv:2 has a number that is not finite"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "rec.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        csv_recording.read(path)
    with pytest.raises(DataError, match=r"cannot read .*: No such file"):
        csv_recording.read(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("", "no meter ''"),
        ("joulescope", "no meter 'joulescope'"),
        ("csv:", "no meter 'csv:'"),
        ("csv:x@y", "'y' is no number of volts"),
        ("csv:x@-1", "'-1' is no number of volts"),
        ("ppk2:/dev/ttyACM1", "does not say at how many volts"),
    ],
)
def test_a_word_that_names_no_meter_is_refused(word: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        meters.check(word)


def test_a_ppk2_measures() -> None:
    with FakePpk2(pulses=5) as fake, closing(meters.opened(f"ppk2:{fake.port}@3.3")) as meter:
        meter.start()
        found = energy(meter.stop(), 5)
        assert fake.has_stopped.wait(10)
    assert found.uj == pytest.approx(50e-5 * 1000 * PER_COUNT * 3.3 * 1e6, rel=1e-3)
    assert found.method == "measured by PPK2 at 3.3 V, 5 inferences"


def test_a_ppk2_that_is_none_or_stops_is_told() -> None:
    with pytest.raises(TargetError, match="there is no PPK2 at /dev/nowhere"):
        meters.opened("ppk2:/dev/nowhere@3.3")
    with FakePpk2(pulses=2) as fake, closing(meters.opened(f"ppk2:{fake.port}@3.3")) as meter:
        meter.start()
        with pytest.raises(TargetError, match="has 2 inferences, and 5 were run"):
            energy(meter.stop(), 5)


PINS = [board.id for board in lookup.all_boards() if board.trigger is not None]


@pytest.mark.parametrize("board", PINS if NIGHTLY else ("nucleo_f446re", "nrf52840_dk"))
def test_a_firmware_with_a_trigger_compiles_and_drives_its_pin(board: str, tmp_path: Path) -> None:
    elf = firmware_build.for_board(tmp_path, board, "echo", link="uart", target="board", trigger=True)
    code = subprocess.run(["arm-none-eabi-objdump", "-d", elf], capture_output=True, text=True).stdout
    base = 0x4002 if board.startswith("nucleo") else 0x5000
    made = rf"\.word\s+0x{base:x}|movt\s+\w+, #{base}\b|mov\.w\s+\w+, #{base << 16}\b"
    assert re.search(made, code)


def test_a_meter_wants_a_board_with_a_pin() -> None:
    with pytest.raises(UsageError, match="a meter measures a board, and this runs in QEMU"):
        verbs.run(MOTION, meter="csv:rec.csv")
    with pytest.raises(UsageError, match=r"no pin of .* is known"):
        verbs.run(MOTION, board="netduinoplus2", port="/dev/null", meter="csv:rec.csv")
    with pytest.raises(UsageError, match="no meter 'x'"):
        verbs.run(MOTION, board="nucleo_f446re", port="/dev/null", meter="x")
