"""A board on a serial port, by the real command line: flashed, run, and everything that goes wrong there."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serial
from nightly import turn
from pty_board import BOARD, PtyBoard
from recordings import as_csv, recording

from tinydeploy import verbs
from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board, Trigger
from tinydeploy.errors import TargetError, UsageError
from tinydeploy.evaluate import config
from tinydeploy.evaluate.deployment import prepare
from tinydeploy.evaluate.metering import INFERENCES
from tinydeploy.link.channel import SerialStream
from tinydeploy.model.readers import tflite_model
from tinydeploy.progress import silent
from tinydeploy.report import console, facts, html
from tinydeploy.results.result import Result, schema
from tinydeploy.targets import ports
from tinydeploy.targets.ports import AUTO, Port

REPO = Path(__file__).resolve().parents[2]
MOTION, DIGITS = REPO / "models" / "motion", REPO / "models" / "digits"
SAMPLES = 3
MHZ = 168
EXACT = ("accuracy", "parity", "arena")


@pytest.fixture
def board(tmp_path: Path) -> Iterator[PtyBoard]:
    with PtyBoard(tmp_path) as plugged:
        yield plugged


def tinydeploy(
    verb: str, model: Path, board: PtyBoard, *options: str, timeout: float = 20
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tinydeploy", verb, str(model), "-b", BOARD, "--port", str(board.port)]
    command += ["--upload-command", board.upload_command, "--timeout", str(timeout), *options]
    return subprocess.run(
        command,
        cwd=board.port.parent,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=200,
    )


def run(board: PtyBoard, timeout: float = 20) -> subprocess.CompletedProcess[str]:
    return tinydeploy("run", MOTION, board, "--samples", str(SAMPLES), "--json", timeout=timeout)


def fails(done: subprocess.CompletedProcess[str], pattern: str) -> None:
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert re.search(pattern, done.stderr), done.stderr


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The same run in the emulator, whose figures a board behind a port has to have too."""
    folder = tmp_path_factory.mktemp("emulated")
    file = config.load(MOTION / "motion.tflite")
    options: dict[str, Any] = {
        "data": file.data,
        "labels": file.labels,
        "samples": SAMPLES,
        "link": "uart",
        "out": folder,
    }
    return verbs.run(MOTION, board=BOARD, **options)[0]


@pytest.fixture(scope="session")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run in which nothing goes wrong: its result.json."""
    with PtyBoard(tmp_path_factory.mktemp("board")) as board:
        done = run(board)
        assert (board.uploads, board.resets) == (1, 1)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def check(done: subprocess.CompletedProcess[str], figures: dict[str, Any]) -> None:
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    for same in EXACT:
        assert result[same] == figures[same], same
    near_cycles(result["counted"], figures["counted"])
    for cost, expected in zip(result["per_op"], figures["per_op"], strict=True):
        near_cycles(cost["counted"], expected["counted"])


def near_cycles(ours: list[Any], theirs: list[Any]) -> None:
    """Equal but for where between two ticks of the counter a measurement begins and ends; no instructions."""
    assert [count["unit"] for count in ours] == ["cycles", "microseconds"]
    (cycles, times), expected = (count["spread"] for count in ours), theirs[0]["spread"]
    assert cycles.keys() == times.keys() == expected.keys()
    for key in cycles.keys() - {"runs"}:
        assert expected[key] > 0 and abs(cycles[key] - expected[key]) <= 4, (cycles, expected)
        assert times[key] == round(cycles[key] / MHZ, 3)


def test_the_board_gives_the_emulators_figures(figures: dict[str, Any], emulated: Result) -> None:
    assert figures["target"]["kind"] == "board"
    assert figures["target"]["note"] == ""
    expected = emulated.to_json()
    for same in EXACT:
        assert figures[same] == expected[same], same
    # QEMU's clocks go a nanosecond forward with each instruction.
    time_us = figures["counted"][1]["spread"]["median"]
    assert time_us == pytest.approx(expected["counted"][0]["spread"]["median"] / 1000, rel=0.01)


def test_flash(board: PtyBoard) -> None:
    done = tinydeploy("flash", MOTION, board)
    assert done.returncode == 0, done.stderr
    assert re.search(r"ttyACM0 runs motion\.tflite with the aot engine", " ".join(done.stdout.split()))
    flashed = json.loads(tinydeploy("flash", MOTION, board, "--json").stdout)
    assert flashed["firmware"]["cached"]
    assert flashed["greeting"]["ops"] == 6


def test_a_reset_on_opening_and_a_boot_log(board: PtyBoard, figures: dict[str, Any]) -> None:
    board.resets_on_open = True
    board.boot_log = b"ets Jun  8 2016 00:22:57\r\nrst:0x1 (POWERON_RESET)\r\n\0\xff" + bytes(range(256))
    check(run(board), figures)
    assert board.resets > board.uploads


def test_a_port_that_comes_back_under_its_name(board: PtyBoard, figures: dict[str, Any]) -> None:
    board.vanishes = True
    check(run(board), figures)


def every(step: int, damage: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Damages the piece of traffic in which each `step`th byte comes, however small the pieces are."""
    count = 0

    def pass_on(data: bytes) -> bytes:
        nonlocal count
        before, count = count, count + len(data)
        return damage(data) if count // step > before // step else data

    return pass_on


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "lost": lambda data: b"",
    "doubled": lambda data: data + data,
    "cut": lambda data: data[: len(data) // 2],
    "flipped": lambda data: bytes([data[0] ^ 4]) + data[1:],
}


@pytest.mark.parametrize("how", turn([*DAMAGE], "flipped"))
def test_damaged_traffic_changes_no_figure(board: PtyBoard, figures: dict[str, Any], how: str) -> None:
    board.to_device, board.to_host = every(1009, DAMAGE[how]), every(151, DAMAGE[how])
    check(run(board), figures)


@pytest.mark.parametrize("said", turn([30, 300, 600], 300))
def test_unplugged_in_the_middle(board: PtyBoard, said: int) -> None:
    board.unplug_after = said
    fails(run(board), r"ttyACM0 went away .*unplugged")
    assert [path.name for path in board.port.parent.glob("tinydeploy-out/*/*.json")].count("result.json") == 0


def test_unplugged_before(board: PtyBoard) -> None:
    board.port.rename(board.port.with_name("ttyACM1"))
    try:
        fails(run(board), "there is no port .*ttyACM0")
    finally:
        board.port.with_name("ttyACM1").rename(board.port)
    assert board.uploads == 0


def test_garbage_of_a_wrong_baud_rate(board: PtyBoard) -> None:
    board.to_host = lambda data: bytes(0x80 | byte * 37 % 128 for byte in data)
    fails(run(board, timeout=2), "no intact answer to HELLO within 2 s.*wrong baud rate.*115200")


def test_silence(board: PtyBoard) -> None:
    board.to_host = lambda data: b""
    fails(run(board, timeout=2), "did not answer HELLO within 2 s.*port")


def test_text_in_place_of_a_greeting(board: PtyBoard) -> None:
    board.to_host = lambda data: b"*** Booting Zephyr OS ***\r\nHello World\r\n"
    fails(run(board, timeout=2), "did not answer HELLO within 2 s; it says “.*Booting Zephyr")


def test_another_model_is_still_in_flash(board: PtyBoard) -> None:
    assert tinydeploy("flash", DIGITS, board).returncode == 0
    board.ignores_uploads = True
    fails(run(board), "the device runs the model with SHA-256")


def test_an_older_build_of_the_same_model_is_still_in_flash(board: PtyBoard) -> None:
    job = prepare(tflite_model.load(MOTION / "motion.tflite"), board=BOARD, link="uart", target="board")
    assert job.planned_bytes is not None
    older = job.build(job.planned_bytes + 16, silent)
    shutil.copy(older.elf, board.flash)
    board.ignores_uploads = True
    fails(run(board), f"the device runs another build of this model, {older.build_id}, not .*again")


def test_a_silent_upload_tool_that_does_nothing_on_an_empty_board(board: PtyBoard) -> None:
    board.ignores_uploads = True
    fails(run(board, timeout=2), "did not answer HELLO")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("no-such-tool $SOURCE", "no-such-tool"),
        (
            f"{sys.executable} {REPO}/tests/support/pty_board.py /nowhere $SOURCE",
            "Error: no probe is connected",
        ),
    ],
)
def test_an_upload_that_fails_names_its_log(board: PtyBoard, command: str, reason: str) -> None:
    board.upload_command = command
    done = run(board)
    fails(done, f"the upload failed: .*{reason}")
    log = re.search(r"its output is in (\S+\.log)\b", done.stderr)
    assert log
    assert reason in Path(log[1]).read_text()


def test_a_bare_board_needs_a_program_that_flashes_it(board: PtyBoard, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tinydeploy",
        "flash",
        str(MOTION),
        "-b",
        BOARD,
        "--port",
        str(board.port),
    ]
    tools = tmp_path / "openocd"
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    kept = [folder for folder in environment["PATH"].split(":") if not (Path(folder) / "openocd").exists()]
    environment["PATH"] = ":".join(folder for folder in kept if not (Path(folder) / "st-flash").exists())
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    fails(done, "the upload failed: Error: .* it needs openocd or st-flash")

    # With one on PATH it is called with the board's scripts and the firmware.
    tools.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\nexit 1\n')
    tools.chmod(0o755)
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    fails(done, "the upload failed")
    called = (tmp_path / "called").read_text()
    assert re.search(r"-f interface/stlink.cfg -f target/stm32f4x.cfg -c program \{.*\.elf\} verify", called)


def test_a_busy_port(board: PtyBoard) -> None:
    held = SerialStream(str(board.port))
    try:
        fails(run(board), "another program has .*ttyACM0 open")
    finally:
        held.close()
    assert board.uploads == 0


def test_no_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    name = os.ttyname(theirs)
    monkeypatch.setattr(serial.serialposix.os, "open", refuse)
    with pytest.raises(TargetError, match="no permission to open") as caught:
        SerialStream(name)
    assert "dialout" in caught.value.hint
    os.close(ours)
    os.close(theirs)


def test_not_a_port(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    with pytest.raises(TargetError, match="file is not a serial port"):
        SerialStream(str(file))


class TestWhichPort:
    STLINK = Port("/dev/ttyACM0", "0483:374b", "066DFF", "STM32 STLink")
    OTHER_STLINK = Port("/dev/ttyACM1", "0483:374b", "0669FF", "STM32 STLink")
    MODEM = Port("/dev/ttyUSB0", "12d1:1001", "", "Modem")
    BOARD: Board = dataclasses.replace(lookup.board(BOARD), usb_ids=("0483:374b",))

    def find(self, wanted: str, *here: Port, board: Board = BOARD) -> Port:
        return ports.find(wanted, board, lambda: here)

    def test_the_only_one_with_the_boards_usb_ids(self) -> None:
        assert self.find(AUTO, self.MODEM, self.STLINK) == self.STLINK

    def test_several_are_a_choice_for_the_user(self) -> None:
        with pytest.raises(UsageError, match="2 ports could be") as caught:
            self.find(AUTO, self.STLINK, self.OTHER_STLINK, self.MODEM)
        assert caught.value.hint == (
            "name one with --port: /dev/ttyACM0 (STM32 STLink, serial 066DFF), "
            "/dev/ttyACM1 (STM32 STLink, serial 0669FF)"
        )

    def test_by_serial_number(self) -> None:
        assert self.find("0669FF", self.STLINK, self.OTHER_STLINK) == self.OTHER_STLINK

    def test_by_name(self, tmp_path: Path) -> None:
        assert self.find("/dev/ttyACM0", self.STLINK) == self.STLINK
        assert self.find(str(tmp_path), self.STLINK) == Port(str(tmp_path))
        assert self.find("socket://host:7000").name == "socket://host:7000"

    def test_none(self) -> None:
        with pytest.raises(TargetError, match="no port of the board Netduino") as caught:
            self.find(AUTO, self.MODEM)
        assert "/dev/ttyUSB0 (Modem)" in caught.value.hint
        with pytest.raises(TargetError, match="there is no port /dev/ttyACM7") as caught:
            self.find("/dev/ttyACM7")
        assert "no USB serial port" in caught.value.hint

    def test_a_board_without_known_usb_ids_may_be_any(self) -> None:
        unknown = dataclasses.replace(self.BOARD, usb_ids=())
        assert self.find(AUTO, self.MODEM, board=unknown) == self.MODEM

    def test_a_port_that_is_renamed_is_found_again(self) -> None:
        moved = dataclasses.replace(self.STLINK, name="/dev/ttyACM5")
        assert ports.again(self.STLINK, lambda: (self.OTHER_STLINK, moved)) == moved
        assert ports.again(self.STLINK, lambda: (self.OTHER_STLINK,)) == self.STLINK
        assert ports.again(self.MODEM, lambda: (self.STLINK,)) == self.MODEM

    def test_a_clones_bridge_is_the_boards(self) -> None:
        for bridge in ("1a86:7523", "1a86:55d4", "10c4:ea60", "0403:6001"):
            clone = Port("/dev/ttyUSB0", bridge)
            for board in ("esp32dev", "megaatmega2560", "netduinoplus2"):
                assert not self.find(AUTO, self.MODEM, clone, board=lookup.board(board)).note
        for probe in ("0483:374b", "0483:374e"):
            assert self.find(AUTO, Port("x", probe), board=lookup.board("nucleo_h753zi")).name == "x"

    def test_the_only_common_bridge_is_taken_and_said(self) -> None:
        bridge = Port("/dev/ttyUSB1", "1a86:7523")
        taken = self.find(AUTO, self.MODEM, bridge)
        assert taken == bridge
        assert "only ch340 bridge" in str(taken)
        with pytest.raises(UsageError, match="2 ports could be"):
            self.find(AUTO, bridge, Port("/dev/ttyUSB2", "10c4:ea60"))

    @pytest.mark.parametrize("board", ["pico", "teensy41", "adafruit_feather_nrf52840", "uno_r4_minima"])
    def test_a_board_in_its_bootloader_is_due(self, board: str) -> None:
        device = lookup.board(board)
        bridge = Port("/dev/ttyUSB1", "1a86:7523")  # not its own
        assert self.find(AUTO, bridge, board=device) == Port("")
        assert self.find("/dev/ttyACM0", board=device).is_due
        due = self.find("E6614", board=device)
        assert (due.name, due.serial_number, due.is_due) == ("", "E6614", True)
        app = Port("/dev/ttyACM4", device.usb_ids[0], "E6614")
        other = dataclasses.replace(app, name="/dev/ttyACM3", serial_number="E1111")
        here = (bridge, other, app)
        assert ports.again(due, lambda: here, device.usb_ids) == app
        assert ports.again(Port(""), lambda: here, device.usb_ids, others=(other,)) == app
        assert ports.again(Port(""), lambda: here, device.usb_ids) == Port("")

    def test_the_same_serial_number_twice(self) -> None:
        first, second = Port("/dev/ttyUSB0", "10c4:ea60", "0001"), Port("/dev/ttyUSB1", "10c4:ea60", "0001")
        with pytest.raises(UsageError, match="2 ports have the serial number 0001"):
            self.find("0001", first, second)
        assert ports.again(second, lambda: (first, second)) == second


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"board": "disco_f407vg", "target": "board"}, "no port of the board"),
        ({"board": "disco_f407vg", "target": "renode", "link": "pipe"}, "no link 'pipe' to Renode"),
        ({"board": "disco_f407vg", "target": "board", "link": "pipe"}, "no link 'pipe' to ST STM32F4"),
        ({"board": "megaatmega2560", "link": "pipe"}, "no link 'pipe' to Arduino"),
        ({"board": BOARD, "target": "renode", "link": "uart-tcp"}, "is QEMU's"),
        ({"board": BOARD, "no_upload": True}, "--no-upload is for a board"),
        ({"board": BOARD, "upload_command": "x"}, "--upload-command is for a board"),
        ({"board": BOARD, "port": "/dev/null", "rts": "up"}, "RTS cannot be 'up'"),
        ({"board": BOARD, "port": "socket://h:1", "dtr": "on"}, "no line DTR"),
        ({"board": BOARD, "port": "/dev/null", "target": "qemu"}, "is at no port"),
    ],
)
def test_what_means_nothing_to_the_target_is_refused(
    options: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports.list_ports, "comports", lambda: [])
    graph = tflite_model.load(MOTION / "motion.tflite")
    with pytest.raises((UsageError, TargetError), match=words) as caught:
        prepare(graph, **options).connected()
    assert caught.value.hint


def test_the_file_may_describe_both_a_board_and_an_emulator() -> None:
    file = config.Config(board=BOARD, port="/dev/ttyACM0", upload_command="x", link="pipe", rts="off")
    keys = ("board", "target", "link", "port", "upload_command", "rts")
    qemu = {"board": BOARD, "target": "qemu", "link": "pipe"}
    assert config.settled(file, {"target": "qemu"}, keys) == qemu
    assert "link" not in config.settled(file, {"port": "/dev/ttyUSB0"}, keys)
    alone = dataclasses.replace(file, port=None)
    assert config.settled(alone, {}, keys) == {"board": BOARD, "link": "pipe"}


def test_a_board_in_its_bootloader_is_uploaded_to_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = dataclasses.replace(lookup.board(BOARD), id="real-board", emulation={}, bootloader="press it")
    monkeypatch.setattr(lookup, "board", lambda board_id: real)
    board = PtyBoard(tmp_path)
    board.in_bootloader = True
    with board:
        flashed = verbs.flash(
            MOTION, board="real-board", port=str(board.port), upload_command=board.upload_command
        )
        assert flashed.port.name == str(board.port)
        assert board.uploads == 1


def test_a_board_that_nothing_emulates_gives_cycles_and_time(
    board: PtyBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its firmware counts cycles of the board's clock; that an emulator runs it here, it cannot know."""
    trigger = Trigger("stm32", "PA8", "made up: its pin is nowhere, and so is the recording's meter")
    real = dataclasses.replace(lookup.board(BOARD), id="real-board", emulation={}, trigger=trigger)
    recorded = tmp_path / "rec.csv"
    recorded.write_text(as_csv(recording(INFERENCES)))
    known = lookup.board
    monkeypatch.setattr(lookup, "board", lambda name: real if name == real.id else known(name))
    result, _ = verbs.run(
        MOTION,
        board="real-board",
        port=str(board.port),
        upload_command=board.upload_command,
        samples=SAMPLES,
        out=tmp_path / "out",
        meter=f"csv:{recorded}",
    )
    assert result.instructions is None
    assert result.cycles is not None
    assert result.time_us is not None
    assert result.time_us.median == round(result.cycles.median / MHZ, 3)
    assert all(
        cost.instructions is None and cost.time_us == round(cost.count / MHZ, 3) for cost in result.per_op
    )
    plain = json.loads((tmp_path / "out" / "result.json").read_text())
    assert plain == result.to_json()
    assert [count["unit"] for count in plain["counted"]] == ["cycles", "microseconds"]
    assert schema()
    assert "Instructions" not in html.render(result)
    assert "Time per inference" in html.render(result)
    assert console.summary(result)
    assert np.isfinite(result.time_us.p99)
    # The estimate is of the board's clock and flash; QEMU lets each instruction take 0.168 of its cycles.
    time = result.estimate
    assert time is not None and time.measured_excess is not None
    assert time.measured_excess == pytest.approx(result.time_us.median / 1e3 / time.ms - 1, abs=1e-4)
    assert time.measured_excess < -0.5 and plain["estimate"]["measured_excess"] == time.measured_excess
    said = f"the board took {-time.measured_excess:.1%} shorter, outside the interval"
    assert said in html.render(result)
    assert any(said in fact.detail for fact in facts.facts(result))
    assert all(cost.estimate for cost in result.per_op if cost.count)
    assert result.measured_energy is not None and plain["measured_energy"]["uj"] == pytest.approx(30)
    assert f"measured by rec.csv, {INFERENCES} inferences" in html.render(result)
