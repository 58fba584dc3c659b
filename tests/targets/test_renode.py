"""Renode as a target: the same firmware as in QEMU, and what can go wrong, each by its own name."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import firmware_build
import pytest
import renode_stub

from tinydeploy import verbs
from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board
from tinydeploy.errors import (
    DeviceFaultError,
    LinkTimeoutError,
    TargetDiedError,
    TargetError,
    ToolError,
    UsageError,
)
from tinydeploy.firmware import elf
from tinydeploy.link.device import Device
from tinydeploy.targets import renode
from tinydeploy.targets.renode import RenodeTarget, platform_description
from tinydeploy.targets.target_registry import KINDS, open_target

BOARDS = [board.id for board in lookup.all_boards() if "renode" in board.emulation]
FAULT, HANG, STRAY_READ, STRAY_JUMP = 0xF0, 0xF1, 0xF7, 0xF8  # the echo engine's orders
ECHO_BYTES = 600
DIGITS = Path(__file__).parents[2] / "models" / "digits" / "digits.tflite"

Build = Callable[..., Path]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    @cache
    def once(board_id: str, engine: str) -> Path:
        folder = tmp_path_factory.mktemp("firmware with a space")
        return firmware_build.for_board(folder, board_id, engine, link="uart", target="renode")

    return once


@contextmanager
def running(board_id: str, firmware: Path, timeout: float = 30) -> Iterator[Device]:
    with open_target(lookup.board(board_id), firmware, "uart", "renode") as target:
        device = Device(target.start(), timeout=timeout)
        device.hello()
        yield device


def ordered(device: Device, order: int) -> None:
    device.setup(2 * ECHO_BYTES)
    device.write_input(0, bytes([order]) + bytes(ECHO_BYTES - 1))


def with_platform(board_id: str, platform: str) -> Board:
    board = lookup.board(board_id)
    return dataclasses.replace(
        board, emulation={"renode": board.emulation["renode"] | {"platform": platform}}
    )


@pytest.mark.renode
@pytest.mark.parametrize("board_id", BOARDS)
def test_every_board_answers(build: Build, board_id: str) -> None:
    sent = bytes(index % 240 for index in range(ECHO_BYTES))
    with running(board_id, build(board_id, "echo")) as device:
        device.setup(2 * ECHO_BYTES)
        for earlier in range(3):
            device.write_input(0, sent)
            device.invoke()
            assert device.read_output(0) == bytes((byte + 1 + earlier) % 256 for byte in sent)
        assert device.stats().bad_frames == 0


@pytest.mark.renode
@pytest.mark.parametrize("board_id", ["disco_f407vg", "nucleo_f767zi", "hifive1"])
def test_counts_are_exact(build: Build, board_id: str) -> None:
    """Two instructions a round, and also where SysTick interrupts to count the wraps of the DWT's counter."""
    rounds = (1, 2, 1000, 10_000_000)
    with running(board_id, build(board_id, "spin")) as device:
        device.setup(64)
        seen = []
        for n in (*rounds, *rounds):
            device.write_input(0, struct.pack("<I", n))
            seen.append(device.invoke())
    assert seen[: len(rounds)] == seen[len(rounds) :]
    assert [count - seen[0] for count in seen[: len(rounds)]] == [2 * (n - 1) for n in rounds]


@pytest.mark.renode
@pytest.mark.parametrize("board_id", ["disco_f407vg", "hifive1"])
def test_a_fault_names_its_place(build: Build, board_id: str) -> None:
    firmware = build(board_id, "echo")
    with running(board_id, firmware) as device:
        ordered(device, FAULT)
        with pytest.raises(DeviceFaultError, match=r"undefined instruction|breakpoint") as caught:
            device.invoke()
        assert "provoke_fault" in elf.locate(firmware, caught.value.pc)


@pytest.mark.renode
@pytest.mark.parametrize("board_id", ["disco_f407vg", "hifive1"])
def test_a_stray_access_fails_though_renode_goes_on(build: Build, board_id: str) -> None:
    firmware = build(board_id, "echo")
    with running(board_id, firmware) as device:
        ordered(device, STRAY_READ)
        with pytest.raises(DeviceFaultError, match=r"reads 0x5ffffff0, where .* has nothing") as caught:
            device.invoke()
        assert "stray_read" in elf.locate(firmware, caught.value.pc)
        log = Path(caught.value.hint.split()[-1])
        assert "non existing peripheral" in log.read_text()
        log.unlink()


@pytest.mark.renode
@pytest.mark.parametrize(
    ("board_id", "words"), [("disco_f407vg", "may not be executed"), ("hifive1", "reads 0x5ffffff0")]
)
def test_a_jump_to_nowhere_fails_at_once(build: Build, board_id: str, words: str) -> None:
    """An Arm core has its memory protection to refuse it; else Renode logs it, and reads zeros."""
    with running(board_id, build(board_id, "echo")) as device:
        ordered(device, STRAY_JUMP)
        with pytest.raises(DeviceFaultError, match=words):
            device.invoke()


@pytest.mark.renode
def test_a_core_that_renode_stops(build: Build) -> None:
    """Without a vector table it starts at nowhere: nothing in the guest can report that."""
    board = lookup.board("disco_f407vg")
    board = dataclasses.replace(board, flash=dataclasses.replace(board.flash, origin=0x080F_0000))
    with (
        RenodeTarget(board, build("disco_f407vg", "echo")) as target,
        pytest.raises(DeviceFaultError, match=r"the core (stopped|does not start)"),
    ):
        Device(target.start(), timeout=20).hello()


@pytest.mark.renode
def test_a_silence_ends_at_the_deadline_and_the_target_goes_on(build: Build) -> None:
    with open_target(lookup.board("disco_f407vg"), build("disco_f407vg", "echo"), "uart", "renode") as target:
        device = Device(target.start(), timeout=3)
        device.hello()
        ordered(device, HANG)
        with pytest.raises(LinkTimeoutError):
            device.invoke()
        device = Device(target.reset(), timeout=30)
        device.hello()
        device.setup(2 * ECHO_BYTES)


@pytest.mark.renode
def test_renode_killed_in_the_middle(build: Build) -> None:
    with RenodeTarget(lookup.board("disco_f407vg"), build("disco_f407vg", "echo")) as target:
        device = Device(target.start())
        device.hello()
        for pid in descendants(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(TargetDiedError, match="Renode "):
            device.setup(2 * ECHO_BYTES)


@pytest.mark.renode
def test_what_is_no_platform_is_told_in_renodes_words(build: Build) -> None:
    board = with_platform("disco_f407vg", "platforms/boards/of_the_next_century.repl")
    with RenodeTarget(board, build("disco_f407vg", "echo")) as target:
        with pytest.raises(ToolError, match="of_the_next_century") as caught:
            target.start()
        assert descendants(os.getpid()) == []
    assert "all that Renode said is in" in caught.value.hint


@pytest.mark.renode
def test_what_is_no_firmware_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken.elf").write_text("no ELF")
    with (
        RenodeTarget(lookup.board("disco_f407vg"), tmp_path / "broken.elf") as target,
        pytest.raises(ToolError, match=r"broken\.elf|ELF"),
    ):
        target.start()


@pytest.mark.renode
def test_an_include_that_never_ends(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "board.repl")
    board = with_platform("disco_f407vg", str(tmp_path / "board.repl"))
    monkeypatch.setattr(renode, "_START_TIMEOUT", 10.0)
    with RenodeTarget(board, build("disco_f407vg", "echo")) as target:
        with pytest.raises(TargetError, match=r"has not loaded .* in 10 s"):
            target.start()
        assert descendants(os.getpid()) == []


CHILD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts with it ignored
from pathlib import Path
from tinydeploy.boards import lookup as boards
from tinydeploy.link.device import Device
from tinydeploy.targets.renode import RenodeTarget
with RenodeTarget(boards.board("disco_f407vg"), Path(sys.argv[1])) as target:
    device = Device(target.start())
    device.hello()
    device.setup(1200)
    device.write_input(0, bytes([0xf1]))  # hangs
    print("ready", flush=True)
    device.timeout = 100
    device.invoke()
"""


@pytest.mark.renode
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_renode_outlives_us(build: Build, end: signal.Signals) -> None:
    command = [sys.executable, "-c", CHILD, str(build("disco_f407vg", "echo"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        left = descendants(child.pid)
        assert left
        child.send_signal(end)
        child.wait(30)
    waited_until = time.monotonic() + 30
    while any(is_running(pid) for pid in left):
        assert time.monotonic() < waited_until, "Renode goes on running"
        time.sleep(0.05)


@pytest.mark.renode
@pytest.mark.parametrize("board_id", ["netduinoplus2", "disco_f407vg"])
def test_qemu_and_renode_agree(board_id: str, tmp_path: Path) -> None:
    """The same model on STM32F405 or F407: the same outputs, and as many instructions within 1 %."""
    results = [
        verbs.run(DIGITS, board=board, target=target, samples=3, out=tmp_path / target)[0]
        for board, target in (("netduinoplus2", "qemu"), (board_id, "renode"))
    ]
    in_qemu, in_renode = (result.instructions.median for result in results)
    assert abs(in_renode - in_qemu) <= in_qemu // 100
    for result in results:
        assert result.parity is not None
        assert result.parity.identical == result.parity.outputs > 0
    assert results[1].target.kind == "renode"
    assert results[1].target.version.startswith("Renode ")


@pytest.mark.renode
def test_the_suite_runs_as_it_is(tmp_path: Path) -> None:
    renode_test = Path(renode.program()).resolve().with_name("renode-test")
    for needed, missing in (
        (str(renode_test), "renode-test is not beside Renode"),
        ("robot", "no Robot Framework"),
    ):
        if shutil.which(needed) is None:
            pytest.skip(f"not run: {missing}")
    project = verbs.generate(
        DIGITS, tmp_path / "project", board="disco_f407vg", renode_test=True, max_instructions=10_000_000
    )
    subprocess.run(
        [sys.executable, "-m", "platformio", "run", "-e", "selftest"], cwd=project, check=True, timeout=240
    )

    def suite(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [renode_test, "tests/renode/selftest.robot", "--results-dir", tmp_path / "results", *options],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    done = suite()
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("OK") == 4, done.stdout
    tight = suite("--variable", "MAX_INSTRUCTIONS:1000")
    assert tight.returncode != 0
    assert "<= 1000" in tight.stdout


def descendants(pid: int) -> list[int]:
    """The processes that `pid` has started, and those that they have, of which Renode is one."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    found = [*children, *(below for child in children for below in descendants(child))]
    return [child for child in found if is_running(child)]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


# --- without Renode ------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["renode", "/nowhere/renode"])
def test_a_missing_renode_says_how_to_get_it(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("RENODE", named)
    with pytest.raises(ToolError, match=r"not installed|cannot be run") as caught:
        RenodeTarget(lookup.board("disco_f407vg"), Path("x.elf")).start()
    assert "renode.io" in caught.value.hint


def test_a_log_that_never_ends_hides_neither_an_answer_nor_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    checks: list[int] = []
    log = os.open("/dev/zero", os.O_RDONLY)  # always has more
    stream = renode._WatchedStream(
        ours.detach(), lambda: TargetDiedError("gone"), log, lambda: checks.append(len(os.read(log, 1)))
    )
    try:
        theirs.send(b"answer")
        assert stream.read(time.monotonic() + 30) == b"answer"
        assert checks == [1]  # what was said before the answer is looked at first
        assert stream.read(time.monotonic() + 0.1) == b""
    finally:
        stream.close()
        os.close(log)
        theirs.close()


@pytest.mark.parametrize("board_id", BOARDS)
def test_the_description_of_a_board(board_id: str) -> None:
    board = lookup.board(board_id)
    renode = KINDS["renode"].described(board)
    text = platform_description(board)
    assert text.startswith(f'using "{renode.platform}"')
    assert "http" not in text
    hz = f"{renode.mips}000000"
    assert text.count(f"{hz}\n") == (2 if board.core.is_arm else 0)  # SysTick's and the DWT's


def test_what_a_board_or_a_target_does_not_have() -> None:
    with pytest.raises(UsageError, match="no target 'renode'"):
        verbs.build(DIGITS, board="mps2-an386", target="renode")
    with pytest.raises(UsageError, match="cannot be made for the target"):
        verbs.generate(DIGITS, "x", board="netduinoplus2", target="qemu", renode_test=True)


def test_the_self_test_is_part_of_the_project(tmp_path: Path) -> None:
    project = verbs.generate(DIGITS, tmp_path / "project", board="nrf52840_dk", renode_test=True, samples=2)
    suite = (project / "tests/renode/selftest.robot").read_text()
    assert "sample 2 ok" in suite
    assert "sample 3" not in suite
    assert "sysbus.uart0" in suite
    assert (project / "tests/renode/board.repl").read_text() == platform_description(
        lookup.board("nrf52840_dk")
    )
    assert "gcc-arm-none-eabi" in (project / ".github/workflows/renode.yml").read_text()
    assert "kSamples = 2;" in (project / "src/selftest_data.cpp").read_text()


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("selftest") / "project"
    verbs.generate(DIGITS, folder, board="nrf52840_dk", renode_test=True, samples=2, max_instructions=5000)
    return folder / "tests/renode/selftest.robot"


ROBOT = shutil.which("robot")
BOOTED = ("tinydeploy: selftest of 2 samples",)
SAMPLES = ("tinydeploy: sample 1 ok", "tinydeploy: sample 2 ok")
PASSED = ("tinydeploy: instructions 5000", "tinydeploy: selftest passed")


@pytest.mark.skipif(ROBOT is None, reason="not run: no Robot Framework, pip install robotframework")
@pytest.mark.parametrize(
    ("said", "failing"),
    [
        ((*BOOTED, *SAMPLES, *PASSED), ""),
        ((), "Should Boot"),
        (
            (
                *BOOTED,
                SAMPLES[0],
                "tinydeploy: sample 2 wrong in 3 bytes",
                PASSED[0],
                "tinydeploy: selftest failed",
            ),
            "Should Infer Correctly",
        ),
        (
            (*BOOTED, SAMPLES[0], "", "tinydeploy: fault at 0x1234", "tinydeploy: selftest failed"),
            "Should Infer Correctly",
        ),
        ((*BOOTED, "tinydeploy: selftest failed: the arena is too small"), "Should Infer Correctly"),
        ((*BOOTED, SAMPLES[0]), "Should Infer Correctly"),
        (
            (*BOOTED, *SAMPLES, "tinydeploy: instructions 5001", PASSED[1]),
            "Should Stay Within Its Instruction Budget",
        ),
        (
            (*BOOTED, *SAMPLES, *PASSED, "log: non existing peripheral at 0x0"),
            "Should Touch Nothing That Is Not There",
        ),
        ((*BOOTED, SAMPLES[0], "log: CPU abort [PC=0x0]"), "Should Touch Nothing That Is Not There"),
    ],
)
def test_one_fault_fails_one_case(tmp_path: Path, suite: Path, said: tuple[str, ...], failing: str) -> None:
    """The suite, with a stand-in for Renode that says what a faulty firmware would make it say."""
    assert ROBOT is not None
    (tmp_path / "said").write_text("\n".join(said))
    (tmp_path / "renode.robot").write_text(
        f"*** Settings ***\nLibrary    {renode_stub.__file__}    {tmp_path}/said\n"
    )
    command = [ROBOT, "--variable", f"RENODEKEYWORDS:{tmp_path}/renode.robot", "--outputdir", tmp_path]
    done = subprocess.run([*command, suite], capture_output=True, text=True, timeout=100)
    cases = ElementTree.parse(tmp_path / "output.xml").getroot().iter("test")
    ended = [(case.get("name"), case.find("status").get("status")) for case in cases]  # type: ignore[union-attr]
    assert len(ended) == 4, done.stdout
    assert [case for case, how in ended if how == "FAIL"] == ([failing] if failing else []), done.stdout
    assert ("Should Boot", "PASS") in ended or failing == "Should Boot"
