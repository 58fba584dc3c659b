"""The firmware's runtime on every board that QEMU stands in for, over every link."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import firmware_build
import pytest
from nightly import turn

from tinydeploy.boards import lookup
from tinydeploy.errors import (
    DeviceFaultError,
    DeviceStatusError,
    LinkTimeoutError,
    TargetDiedError,
    TargetError,
    ToolError,
    UsageError,
)
from tinydeploy.evaluate import arena_search
from tinydeploy.evaluate.arena_search import Outcome
from tinydeploy.firmware import elf
from tinydeploy.link.device import Device
from tinydeploy.targets.qemu import LINKS, QemuTarget
from tinydeploy.targets.target_registry import open_target

BOARDS = [board.id for board in lookup.all_boards() if "qemu" in board.emulation and board.kind == "bare"]
UART_BOARDS = ["mps2-an386", "netduinoplus2", "qemu-virt-rv32", "qemu-xtensa"]
ECHO_BYTES = 600
ECHO_ARENA = 2 * ECHO_BYTES
# The echo engine's orders.
FAULT, HANG, OVERRUN, OVERFLOW, WRITE_FLASH = 0xF0, 0xF1, 0xF4, 0xF5, 0xF6
STRAY_READ, STRAY_JUMP, UNALIGNED = 0xF7, 0xF8, 0xF9

Build = Callable[..., Path]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    @cache
    def once(board_id: str, engine: str, link: str = "pipe", arena_bytes: int | None = None) -> Path:
        folder = tmp_path_factory.mktemp("firmware")
        return firmware_build.for_board(folder, board_id, engine, link=link, arena_bytes=arena_bytes)

    return once


@contextmanager
def running(board_id: str, firmware: Path, link: str = "pipe", timeout: float = 20) -> Iterator[Device]:
    with open_target(lookup.board(board_id), firmware, link) as target:
        device = Device(target.start(), timeout=timeout)
        device.hello()
        yield device


def pattern(seed: int) -> bytes:
    return bytes((7 * index + seed) % 240 for index in range(ECHO_BYTES))


def order(first: int) -> bytes:
    return bytes([first]) + pattern(0)[1:]


def check_echo(board_id: str, firmware: Path, link: str) -> None:
    board = lookup.board(board_id)
    with running(board_id, firmware, link) as device:
        assert device.setup(ECHO_ARENA).output_bytes == (ECHO_BYTES,)
        counts = set()
        for earlier in range(4):
            device.write_input(0, pattern(earlier))
            counts.add(device.invoke())
            assert device.read_output(0) == bytes((byte + 1 + earlier) % 256 for byte in pattern(earlier))
        (count,) = counts
        device.write_input(0, pattern(0))
        assert abs(device.invoke(profile=True) - count) <= 16  # the engine's own tests of its hook
        copy, ten, thousand = device.op_counts()
        assert copy > ECHO_BYTES
        assert ten in range(10, 13)
        assert thousand in range(1000, 1004)
        stats = device.stats()
        assert 64 < stats.stack_bytes < board.stack_bytes
        assert stats.arena_touched_bytes == stats.arena_high_water_bytes == ECHO_ARENA
        assert not stats.arena_overrun
        assert stats.bad_frames == 0


@pytest.mark.parametrize("board_id", turn(BOARDS, *BOARDS[::2]))
def test_every_board_answers_over_the_pipe(build: Build, board_id: str) -> None:
    check_echo(board_id, build(board_id, "echo"), "pipe")


@pytest.mark.parametrize("link", turn(["uart", "uart-tcp"], "uart"))
@pytest.mark.parametrize("board_id", UART_BOARDS)
def test_the_uart_says_the_same(build: Build, board_id: str, link: str) -> None:
    check_echo(board_id, build(board_id, "echo", "uart"), link)


@pytest.mark.parametrize("board_id", UART_BOARDS)
def test_the_uart_comes_up_every_time(build: Build, board_id: str) -> None:
    """The host speaks while the firmware boots: whatever is lost or refused then must not hang the line."""
    for attempt in range(8):
        with running(board_id, build(board_id, "echo", "uart"), LINKS[1 + attempt % 2]) as device:
            device.setup(ECHO_ARENA)


@pytest.mark.parametrize("board_id", turn(BOARDS, *BOARDS[::2]))
def test_counts_are_exact(build: Build, board_id: str) -> None:
    """Two instructions a round, whichever the counter, and also where it wraps meanwhile."""
    rounds = (0, 1, 2, 1000, 5_000_000)
    seen = []
    with running(board_id, build(board_id, "spin")) as device:
        device.setup(64)
        for n in (*rounds, *rounds):
            device.write_input(0, struct.pack("<I", n))
            seen.append(device.invoke())
        device.write_input(0, bytes(4))
        device.invoke(profile=True)
        _, ten, thousand = device.op_counts()
    first, again = seen[: len(rounds)], seen[len(rounds) :]
    assert first == again
    assert [count - first[1] for count in first[1:]] == [2 * (n - 1) for n in rounds[1:]]
    assert first[0] < first[1] <= 16
    assert thousand - ten == 990
    assert ten in range(9, 12)


def test_counts_are_exact_beyond_the_counters_32_bits_on_xtensa(build: Build) -> None:
    """CCOUNT goes through them in 105 million instructions."""
    with running("qemu-xtensa", build("qemu-xtensa", "spin")) as device:
        device.setup(64)
        seen = []
        for n in (1, 60_000_000, 130_000_001, 60_000_003):
            device.write_input(0, struct.pack("<I", n))
            seen.append(device.invoke())
    assert [count - seen[0] for count in seen] == [0, 119_999_998, 260_000_000, 120_000_004]


@pytest.mark.parametrize("board_id", turn(BOARDS, *BOARDS[::2]))
def test_a_fault_names_its_place(build: Build, board_id: str) -> None:
    firmware = build(board_id, "echo")
    with running(board_id, firmware) as device:
        device.setup(ECHO_ARENA)
        device.write_input(0, order(FAULT))
        with pytest.raises(DeviceFaultError) as caught:
            device.invoke()
        assert "provoke_fault" in elf.locate(firmware, caught.value.pc)
        device.timeout = 0.5
        with pytest.raises(LinkTimeoutError) as silent:
            device.hello()
        assert "in an earlier session the core faulted" in silent.value.hint  # it says so until it is reset


@pytest.mark.parametrize("board_id", BOARDS)
def test_an_overflowing_stack_is_called_that(build: Build, board_id: str) -> None:
    with running(board_id, build(board_id, "echo")) as device:
        device.setup(ECHO_ARENA)
        device.write_input(0, order(OVERFLOW))
        with pytest.raises(DeviceFaultError, match="stack overflow"):
            device.invoke()


@pytest.mark.parametrize("board_id", [board for board in BOARDS if lookup.board(board).core.is_arm])
def test_a_stray_write_to_flash_faults(build: Build, board_id: str) -> None:
    with running(board_id, build(board_id, "echo")) as device:
        device.setup(ECHO_ARENA)
        device.write_input(0, order(WRITE_FLASH))
        with pytest.raises(DeviceFaultError, match="access"):
            device.invoke()


def test_an_unaligned_load_faults_on_xtensa(build: Build) -> None:
    with running("qemu-xtensa", build("qemu-xtensa", "echo")) as device:
        device.setup(ECHO_ARENA)
        device.write_input(0, order(UNALIGNED))
        with pytest.raises(DeviceFaultError, match=r"unaligned access \(address 0x[0-9a-f]+1\)"):
            device.invoke()


@pytest.mark.parametrize(("what", "message"), [(STRAY_READ, "access"), (STRAY_JUMP, "instruction fetch")])
def test_what_leads_nowhere_is_told_with_its_address_on_xtensa(build: Build, what: int, message: str) -> None:
    with running("qemu-xtensa", build("qemu-xtensa", "echo")) as device:
        device.setup(ECHO_ARENA)
        device.write_input(0, order(what))
        with pytest.raises(DeviceFaultError, match=message) as caught:
            device.invoke()
        assert "0x5ffffff" in caught.value.message


@pytest.mark.parametrize("link", LINKS)
def test_a_fault_is_reported_over_every_link(build: Build, link: str) -> None:
    with running("mps2-an386", build("mps2-an386", "echo", link.partition("-")[0]), link) as device:
        device.setup(ECHO_ARENA)
        device.write_input(0, order(FAULT))
        with pytest.raises(DeviceFaultError, match="undefined instruction"):
            device.invoke()


def test_writing_past_the_arena_shows(build: Build) -> None:
    for arena_bytes in (None, ECHO_ARENA):
        with running("mps2-an386", build("mps2-an386", "echo", arena_bytes=arena_bytes)) as device:
            device.setup(ECHO_ARENA)
            device.write_input(0, order(OVERRUN))
            device.invoke()
            assert device.stats().arena_overrun
            device.setup(ECHO_ARENA)
            assert not device.stats().arena_overrun


def test_a_planned_arena_is_all_there_is(build: Build) -> None:
    firmware = build("mps2-an386", "echo", arena_bytes=ECHO_ARENA)
    with open_target(lookup.board("mps2-an386"), firmware, "pipe") as target:
        device = Device(target.start())
        assert device.hello().arena_capacity == ECHO_ARENA
        with pytest.raises(DeviceStatusError, match="malformed"):
            device.setup(ECHO_ARENA + 1)


def test_a_hang_ends_at_the_deadline_and_the_target_goes_on(build: Build) -> None:
    with open_target(lookup.board("mps2-an386"), build("mps2-an386", "echo"), "pipe") as target:
        device = Device(target.start(), timeout=1)
        device.hello()
        device.setup(ECHO_ARENA)
        device.write_input(0, order(HANG))
        with pytest.raises(LinkTimeoutError):
            device.invoke()
        device = Device(target.reset())
        device.hello()
        device.setup(ECHO_ARENA)


@pytest.mark.parametrize("link", LINKS)
def test_qemu_killed_in_the_middle(build: Build, link: str) -> None:
    firmware = build("mps2-an386", "echo", link.partition("-")[0])
    with QemuTarget(lookup.board("mps2-an386"), firmware, link) as target:
        device = Device(target.start())
        device.hello()
        os.kill(its_qemu(os.getpid()), signal.SIGKILL)
        with pytest.raises(TargetDiedError, match="SIGKILL"):
            device.setup(ECHO_ARENA)


@pytest.mark.parametrize("link", LINKS)
def test_what_is_no_firmware_is_told_in_qemus_words(tmp_path: Path, link: str) -> None:
    broken = tmp_path / "broken.elf"
    with (
        QemuTarget(lookup.board("mps2-an386"), broken, link) as target,
        pytest.raises(TargetDiedError, match=r"broken\.elf"),
    ):
        Device(target.start()).hello()


def test_the_arena_search_against_an_adversary(build: Build) -> None:
    """Faults, hangs, failures and wrong outputs below the size that is needed; no probe takes a rebuild."""
    needs, sample = 20_000, bytes(range(8))
    seen = set()
    with open_target(lookup.board("mps2-an386"), build("mps2-an386", "adversary"), "pipe") as target:
        device = Device(target.start(), timeout=1)
        capacity = device.hello().arena_capacity

        def probe(size: int) -> Outcome:
            nonlocal device
            try:
                device.setup(size)
                device.write_input(0, sample)
                device.invoke()
                passed = device.read_output(0) == bytes(3 * byte for byte in sample)
            except DeviceStatusError as error:
                seen.add(type(error))
                return Outcome(size, False, error.message)
            except TargetError as error:
                seen.add(type(error))
                device = Device(target.reset(), timeout=1)
                device.hello()
                return Outcome(size, False, error.message)
            assert not device.stats().arena_overrun
            return Outcome(size, passed, "")

        found = arena_search.search(probe, capacity)
        assert (found.bytes, found.fails_at) == (needs, needs - 16)
        for eighths in range(8):
            assert not probe(needs * eighths // 8 // 16 * 16).passed
    assert seen == {DeviceFaultError, DeviceStatusError, LinkTimeoutError}


@pytest.mark.parametrize(
    ("arena_bytes", "region"), [(8192, "region `ram' overflowed by"), (None, "region `flash' overflowed by")]
)
def test_the_linker_holds_the_budgets(tmp_path: Path, arena_bytes: int | None, region: str) -> None:
    defines = () if arena_bytes else ("ECHO_FLASH_BYTES=0x20000",)
    with pytest.raises(firmware_build.BuildError, match=region):
        firmware_build.for_board(
            tmp_path, "stm32vldiscovery", "echo", arena_bytes=arena_bytes, defines=defines
        )


def test_names_that_are_not_known() -> None:
    board = lookup.board("mps2-an386")
    with pytest.raises(UsageError, match="usart") as caught:
        open_target(board, Path("x.elf"), "usart")
    assert "uart" in caught.value.hint


def test_a_missing_qemu_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ToolError) as caught:
        QemuTarget(lookup.board("qemu-virt-rv32"), tmp_path / "x.elf").start()
    assert "qemu-system-misc" in caught.value.hint


CHILD = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts with it ignored
from pathlib import Path
from tinydeploy.boards import lookup as boards
from tinydeploy.link.device import Device
from tinydeploy.targets.qemu import QemuTarget
with QemuTarget(boards.board("mps2-an386"), Path(sys.argv[1]), sys.argv[2]) as target:
    device = Device(target.start())
    device.hello()
    device.setup(1200)
    device.write_input(0, bytes([0xf1]))  # hangs
    print("ready", flush=True)
    device.timeout = 100
    device.invoke()
"""


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_qemu_outlives_us(build: Build, link: str, end: signal.Signals) -> None:
    firmware = build("mps2-an386", "echo", link.partition("-")[0])
    command = [sys.executable, "-c", CHILD, str(firmware), link]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        qemu = its_qemu(child.pid)
        child.send_signal(end)
        child.wait(20)
    waited_until = time.monotonic() + 20
    while is_running(qemu):
        assert time.monotonic() < waited_until, "QEMU goes on running"
        time.sleep(0.02)


def its_qemu(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    (child,) = [child for child in children if Path(f"/proc/{child}/comm").read_text().startswith("qemu")]
    return int(child)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
