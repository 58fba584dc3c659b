"""What a terminal, a pipe and a shell see: nothing cut, nothing padded, and help in no time."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import click.testing
import pytest

from tinydeploy import diagnosis, words
from tinydeploy.boards import lookup
from tinydeploy.cli import VERBS, terminal, tinydeploy
from tinydeploy.diagnosis import Finding
from tinydeploy.report import layout

REPO = Path(__file__).resolve().parents[2]
DIGITS = REPO / "models" / "digits"
RUN = "import sys; from tinydeploy.cli import main; sys.argv[0] = 'tinydeploy'; main()"


def called(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(REPO), **variables}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, cwd=REPO)


def at(width: int, renderable: object) -> list[str]:
    """What a terminal of this width would be sent."""
    console = terminal._Console()
    with console.capture() as captured:
        options = console.options.update(width=width)
        for segment in console.render(renderable, options):  # type: ignore[arg-type]
            console.print(segment.text, end="", soft_wrap=True)
    return captured.get().splitlines()


def test_the_default_board_is_one() -> None:
    assert lookup.board(words.DEFAULT_BOARD).id in lookup.ids()


def test_bare_is_help() -> None:
    done = called()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == called("--help").stdout
    assert all(f"  {verb} " in done.stdout and told.split()[0] in done.stdout for verb, told in VERBS.items())
    assert "..." not in done.stdout.partition("Commands:")[2]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_is_found_by_its_name(verb: str) -> None:
    command = tinydeploy.get_command(click.Context(tinydeploy), verb)
    assert command is not None and command.name == verb
    assert click.testing.CliRunner().invoke(tinydeploy, [verb, "--help"]).exit_code == 0


@pytest.mark.parametrize(
    "twice",
    [
        ("-b", "mps2-an385", "-b", "mps2-an386"),
        ("-b", "mps2-an385", "--board", "mps2-an386"),
        ("--samples", "1", "--samples=2"),
        ("--optimize", "ram", "--optimize", "ram"),
        ("-o", "a", "--out", "b"),
    ],
)
def test_what_is_given_twice_is_refused(twice: tuple[str, ...]) -> None:
    done = called("run", DIGITS, *twice)
    assert done.returncode == 2
    assert re.fullmatch(r"tinydeploy: \S+ is given twice: \S+ and \S+\n", done.stderr)


def test_what_is_given_empty_is_refused() -> None:
    for option in ("--data", "--baseline", "-b"):
        done = called("run", DIGITS, option, "")
        assert done.returncode == 2
        assert re.fullmatch(r"tinydeploy: \S+ is given an empty value( \(see .*\))?\n", done.stderr)


@pytest.mark.parametrize(
    ("typed", "position", "expected"),
    [
        ("tinydeploy in", 1, "inspect"),
        ("tinydeploy run m -b nucleo_f4", 4, "nucleo_f446re"),
        ("tinydeploy run m -e t", 4, "tflm"),
        ("tinydeploy run m --optimize s", 4, "speed"),
        ("tinydeploy run m --metric top", 4, "top1"),
        ("tinydeploy boards pic", 2, "pico"),
    ],
)
def test_a_shell_completes(typed: str, position: int, expected: str) -> None:
    done = called(_TINYDEPLOY_COMPLETE="bash_complete", COMP_WORDS=typed, COMP_CWORD=str(position))
    assert f"plain,{expected}" in done.stdout.splitlines()


def test_boards_by_words() -> None:
    names = {line.split()[0] for line in called("boards", "stm32", "m7").stdout.splitlines()[1:]}
    assert names == {board.id for board in lookup.select(["stm32", "m7"])}
    assert called("boards", "pico").stdout.startswith("Board ")
    assert called("boards", "rpi_pico").stdout == called("boards", "pico").stdout
    assert "no board is called 'zx81'" in called("boards", "zx81").stderr


@pytest.mark.parametrize("verb", [["boards"], ["inspect", DIGITS], ["boards", "pico"], ["doctor"], ["cache"]])
def test_a_pipe_gets_plain_text(verb: list[str | Path]) -> None:
    done = called(*verb, COLUMNS="40")
    assert "\x1b" not in done.stdout
    assert done.stdout == "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())
    assert len(done.stdout.splitlines()) < 80


def test_a_terminal_without_a_width_has_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "0")
    console = terminal._Console()
    console.file = io.StringIO()
    monkeypatch.setattr(console.file, "isatty", lambda: True)
    assert console.width == console.size.width == 80


def test_verbose_shows_commands_and_quiet_nothing(tmp_path: Path) -> None:
    done = called("build", DIGITS, "-v", TINYDEPLOY_CACHE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    shown = [line for line in done.stderr.splitlines() if line.startswith("+ ")]
    assert any("-m platformio run" in line for line in shown)
    assert any(re.match(r"\+ \S*arm-none-eabi-g\+\+ .* -c .*\.cpp", line) for line in shown)
    silent = called("-q", "build", DIGITS, TINYDEPLOY_CACHE=str(tmp_path))
    assert (silent.stderr, silent.returncode) == ("", 0)
    ran = called("run", DIGITS, "--samples", "1", "-v", "-o", tmp_path / "out")
    assert any("qemu-system-arm" in line for line in ran.stderr.splitlines())
    assert "exclude each other" in called("boards", "-q", "-v").stderr


def test_one_command_installs_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*packages: str, ok: bool = False) -> Finding:
        return Finding("it", "not there", ok, "something", "a way", True, packages)

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    found = (
        missing("apt", "gcc-arm-none-eabi"),
        missing("pip", "platformio<6.3,>=6.2"),
        missing(),
        missing("apt", "qemu-system-arm", ok=True),
        missing("apt", "qemu-system-misc"),
        missing("apt", "qemu-system-misc"),
    )
    assert diagnosis.install_all(found) == (
        "sudo apt-get install --no-install-recommends gcc-arm-none-eabi qemu-system-misc"
        f" && {sys.executable} -m pip install 'platformio<6.3,>=6.2'"
    )
    assert diagnosis.install_all((missing(), missing("apt", "g++", ok=True))) == ""
    assert diagnosis._requirement("scons").startswith("scons")


ROWS = [("a-very-long-name-of-a-board", "12", "some words that say what it is"), ("b", "1,234", "few")]
COLUMNS = (layout.Column("Name"), layout.Column("Bytes", right=True), layout.Column("What"))


@pytest.mark.parametrize("width", [20, 45, 60, 120])
def test_a_table_cuts_nothing(width: int) -> None:
    shown = "\n".join(at(width, layout.Columns(COLUMNS, ROWS, spare=(1,), prose=True)))
    assert all(word in shown for name, _, what in ROWS for word in (name, *what.split()))
    assert ("1,234" in shown) == (width >= 45)
    assert width < 45 or max(map(len, shown.splitlines())) <= width


def test_facts_wrap_at_words_and_keep_paths_whole() -> None:
    path = "/a folder/with/a/long/name/and a space.tflite"
    lines = [line.rstrip() for line in at(30, layout.Facts([("Path", (path, "again")), ("It", "is " * 20)]))]
    assert lines[0] == f"Path  {path}"
    assert lines[1] == "      again"
    assert all(len(line) <= 30 for line in lines[1:])
