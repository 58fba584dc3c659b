"""What `generate` writes is for the board, and every path and every command in its README is true."""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from nightly import NIGHTLY
from pty_board import BOARD, PtyBoard

from tinydeploy import verbs
from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board
from tinydeploy.cli import tinydeploy as command_line
from tinydeploy.errors import UsageError
from tinydeploy.evaluate.deployment import prepare
from tinydeploy.firmware.project import Project
from tinydeploy.host import tools
from tinydeploy.model.readers import tflite_model
from tinydeploy.targets.target_registry import choose_target

ROOT = Path(__file__).resolve().parents[2]
MOTION = ROOT / "models" / "motion"
ALL = lookup.all_boards()
EMULATED = [board for board in ALL if "qemu" in board.emulation]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def named(board: Board) -> str:
    return board.id


def made(board: Board, target: str | None = None) -> Project:
    """The project that `generate` writes for the board."""
    graph = tflite_model.load(MOTION / "motion.tflite")
    options = {"target": target} if target else {}
    job = prepare(graph, for_board=True, board=board.id, **options)  # type: ignore[typeddict-item]
    return job.project(job.planned_bytes)


def readme(project: Project) -> str:
    return project.files["README.md"].decode()


def commands(text: str) -> list[list[str]]:
    """The lines of a document's code blocks, and its inline commands, as words."""
    blocks = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(
        r"`((?:pio|apt-get|tinydeploy) [^`]*)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    )
    return [shlex.split(line) for line in [*"".join(blocks).splitlines(), *inline]]


def is_known(words: list[str], project: Project, board: Board) -> bool:
    """Whether a command of a README's is one, with options that its program has."""
    program, *rest = words
    if program == "tinydeploy":
        verb = command_line.get_command(click.Context(command_line), rest[0])
        assert verb is not None, rest[0]
        known = {option for parameter in verb.params for option in parameter.opts}
        return {word for word in rest if word.startswith("-")} <= known
    if program == "pip":
        return rest[0] == "install" and rest[1].startswith("platformio")
    if program == "apt-get":
        return rest[0] == "install" and rest[-1] == tools.package(f"{board.core.toolchain}gcc")
    if program == "pio":
        return rest[:2] in (["run"], ["run", "-t"], ["device", "monitor"])
    emulator = {f"qemu-system-{board.emulation.get('qemu', {}).get('system')}", "renode"}
    return program in emulator


@pytest.mark.parametrize("target", [None, "qemu", "renode"])
def test_a_readme_names_what_is_there(target: str | None) -> None:
    for board in ALL:
        if target is not None and target not in board.emulation:
            continue
        project = made(board, target)
        text = readme(project)
        built = f".pio/build/{board.platformio}/firmware.elf"
        places = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
        assert {"src/model/", "src/runtime/", "src/board.h"} <= set(places)
        for place in places:
            assert any(path.startswith(place.rstrip("*")) for path in project.files), (board.id, place)
        for path in project.files:  # and nothing is left out
            top = path.split("/")[0]
            assert "/" not in path or top == "src" or any(place.startswith(top) for place in places), path
        assert built in text
        assert ("downloads nothing" in text) != bool(board.downloads)
        assert not board.downloads or board.downloads in text
        said = commands(text)
        assert len(said) >= 4, board.id
        for words in said:
            assert is_known(words, project, board), (board.id, words)
            for word in words:
                if "/" in word and "://" not in word and not word.startswith("-"):
                    assert word == built or word in project.files, (board.id, word)
        assert ("-t upload" in text) == (choose_target(board, target, for_board=True).name == "board")


@pytest.mark.parametrize("board", ALL, ids=named)
def test_what_is_generated_is_for_the_board_where_there_is_one(board: Board) -> None:
    header = made(board).files["src/board.h"].decode()
    counts = "TINYDEPLOY_COUNTS_INSTRUCTIONS 0" in header
    assert counts == (not board.only_emulated)
    if board.kind == "bare":
        assert ("TINYDEPLOY_LINK_UART" in header) == counts
        driver = choose_target(board, "board" if counts else "qemu").counting(board).counter.driver
        assert f"TINYDEPLOY_COUNTER_{driver.upper().replace('-', '_')} 1" in header


def test_a_board_that_there_is_only_in_an_emulator_says_so(tmp_path: Path) -> None:
    for board in ALL:
        assert ("not on hardware" in readme(made(board))) == board.only_emulated
    said: list[str] = []
    verbs.generate(MOTION, tmp_path / "emulator", board="nucleo_g071rb", notice=said.append)
    verbs.generate(MOTION, tmp_path / "board", board=BOARD, notice=said.append)
    assert len(said) == 1
    assert "nucleo_g071rb is an emulator's board" in said[0]
    with pytest.raises(UsageError, match="no target 'board'"):
        verbs.generate(MOTION, tmp_path / "none", board="nucleo_g071rb", target="board")
    with pytest.raises(UsageError, match="no target 'board'"):
        verbs.run(MOTION, board="mps2-an386", port="/dev/null", out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def shell(line: str, folder: Path, path: str, timeout: float = 200) -> subprocess.CompletedProcess[str]:
    environment = ENVIRONMENT | {"PATH": path}
    return subprocess.run(
        line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout
    )


@pytest.fixture
def programs(tmp_path: Path) -> str:
    """A PATH on which tinydeploy is this one, and pio this environment's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, module in (("tinydeploy", "tinydeploy"), ("pio", "platformio")):
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_the_commands_for_ones_own_board(tmp_path: Path, programs: str) -> None:
    """README's, as they stand but for the port; where a probe would be needed, one flashes QEMU."""
    text = (ROOT / "README.md").read_text()
    lines = [line for line in re.findall(r"^(?:tinydeploy|cd) .*$", text, re.MULTILINE) if "netduino" in line]
    flash, run, generate = lines
    assert (flash.split()[1], run.split()[1], generate.split()[1]) == ("flash", "run", "generate")
    (tmp_path / "models").symlink_to(ROOT / "models")
    with PtyBoard(tmp_path) as board:
        probe = tmp_path / "bin" / "openocd"
        probe.write_text(
            "#!/bin/sh\n"
            f'elf=$(echo "$*" | sed -E "s/.*program [{{]?([^ }}]*)[}}]? verify.*/\\1/")\n'
            f"exec {sys.executable} {ROOT}/tests/support/pty_board.py {tmp_path} $elf\n"
        )
        probe.chmod(0o755)
        for line in (flash, run + " --samples 3 --json"):
            done = shell(line.replace("/dev/ttyACM0", str(board.port)), tmp_path, programs)
            assert done.returncode == 0, done.stderr
        assert '"cycles"' in done.stdout
        assert board.uploads == 2
        assert shell(generate, tmp_path, programs).returncode == 0
        build = re.search(r"^cd firmware && (pio run)$", text, re.MULTILINE)
        assert build
        # The generated project builds, uploads itself, and is then measured as it is.
        for line in (build[1], "pio run -t upload"):
            done = shell(line, tmp_path / "firmware", programs)
            assert done.returncode == 0, done.stdout + done.stderr
        assert board.uploads == 3
        measure = f"tinydeploy run models/mnist -b {BOARD} --port {board.port} --no-upload --samples 3"
        done = shell(measure, tmp_path, programs)
        assert done.returncode == 0, done.stderr
        other = measure.replace("mnist", "motion")
        assert "the device runs the model with SHA-256" in shell(other, tmp_path, programs).stderr
        assert board.uploads == 3


@pytest.mark.parametrize(
    "board", [board for board in EMULATED if NIGHTLY or board.id in ("mps2-an386", "hifive1")], ids=named
)
def test_the_emulators_command_starts_a_firmware_that_answers(
    tmp_path: Path, programs: str, board: Board
) -> None:
    """A person presses Enter, types a word, presses a control key: each time one line says what it is."""
    if shutil.which(f"{board.core.toolchain}gcc") is None:
        pytest.skip(f"not run: no {board.core.toolchain}gcc")
    folder = verbs.generate(ROOT / "models" / "digits", tmp_path / "project", board=board.id, target="qemu")
    done = shell("pio run", folder, programs, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    (words,) = [
        words for words in commands((folder / "README.md").read_text()) if words[0].startswith("qemu")
    ]
    answer = f"tinydeploy: digits.tflite on {board.id}. "
    with subprocess.Popen(
        words, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as qemu:
        assert qemu.stdin is not None
        try:
            for typed in (b"\n", b"\r\n", b"hello\r", b"\x03\n\n"):
                qemu.stdin.write(typed)
                line = line_of(qemu)
                assert line.startswith(answer), (typed, line)
                assert f"tinydeploy run digits.tflite -b {board.id} --target qemu" in line
        finally:
            qemu.kill()


def line_of(process: subprocess.Popen[bytes]) -> str:
    """The next line that the process writes."""
    assert process.stdout is not None
    said, deadline = b"", time.monotonic() + 60
    while not said.endswith(b"\n"):
        assert select.select([process.stdout], [], [], deadline - time.monotonic())[0], said
        byte = process.stdout.read(1)
        assert byte, said
        said += byte
    return said.decode()
