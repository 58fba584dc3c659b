"""What reaches a terminal is one line, and steers nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from rich.table import Table
from rich.text import Text

from tinydeploy.cli import options, terminal
from tinydeploy.errors import DataError, ToolError, UsageError
from tinydeploy.evaluate import deployment
from tinydeploy.model import samples
from tinydeploy.model.readers import npz, tflite_model
from tinydeploy.targets import qemu

NASTY = "[bold]a\x1b[2J\x1b]0;title\x07\u202eb\x9b31m[/bold] :smile:"
ESCAPED = "[bold]a\ufffd[2J\ufffd]0;title\ufffd\ufffdb\ufffd31m[/bold] :smile:"
REPO = Path(__file__).resolve().parents[2]


def run(
    program: str, *arguments: str, stdout: int = subprocess.PIPE, **variables: str
) -> tuple[int, str, str]:
    command = [sys.executable, "-c", program, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPO), **variables}
    done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, env=environment, timeout=120)
    return done.returncode, (done.stdout or b"").decode(), done.stderr.decode()


@pytest.mark.parametrize("wrapped", [str, Text])
def test_names_are_shown_literally(wrapped: type[str] | type[Text]) -> None:
    table = Table(box=None, show_header=False)
    table.add_row(wrapped(NASTY), wrapped("2"))
    for renderable in (wrapped(NASTY), table):
        with terminal.stdout.capture() as captured:
            terminal.stdout.print(renderable)
        # Rich drops a few of them by itself.
        assert captured.get().replace("\ufffd", "").split("  ")[0].strip() == ESCAPED.replace("\ufffd", "")
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", captured.get())


NET = """
import sys, click
from tinydeploy.cli.shell import guarded
@click.command()
def command():
    {}
sys.argv[1:] = []
guarded(command)
"""


@pytest.mark.parametrize(
    "fault",
    [
        "raise OverflowError('too\\nlarge \\x1b[31m')",
        "f = lambda: f(); f()",
        "open('a' * 300)",
        "'\\udcff'.encode()",
        "raise MemoryError",
    ],
)
def test_what_nobody_answers_is_one_line_and_a_trace_in_a_file(tmp_path: Path, fault: str) -> None:
    code, out, err = run(NET.format(fault), TINYDEPLOY_CACHE=str(tmp_path))
    assert (code, out) == (3, "")
    assert re.fullmatch(
        r"tinydeploy: an error of tinydeploy's own: \w+Error.* \(please report it, with .*\)\n", err
    )
    assert "\x1b" not in err
    (trace,) = (tmp_path / "traces").iterdir()
    assert str(trace) in err
    assert "Traceback" in trace.read_text()


def test_a_trace_that_the_cache_cannot_hold_lies_in_the_temporary_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, _, err = run(NET.format("1 / 0"), TINYDEPLOY_CACHE=str(tmp_path / "file"), TMPDIR=str(tmp_path))
    assert code == 3
    (trace,) = tmp_path.glob("tinydeploy-*.txt")
    assert str(trace) in err


VERB = "import sys; from tinydeploy.cli import main; sys.argv[0] = 'tinydeploy'; main()"


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_a_full_disk_behind_the_output(json: list[str]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        code, _, err = run(VERB, "boards", "mps2-an386", *json, stdout=full)
    finally:
        os.close(full)
    assert (code, err) == (2, "tinydeploy: cannot write the output: No space left on device\n")


@pytest.mark.parametrize("verb", [["boards", "mps2-an386"], ["inspect", str(REPO / "models" / "digits")]])
def test_a_terminal_that_knows_ascii_alone(verb: list[str]) -> None:
    poor = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code, out, err = run(VERB, *verb, **poor)
    assert (code, err) == (0, "")
    assert out.isascii()
    code, _, err = run(VERB, "inspect", os.fsdecode(b"\xff\x1b[31m"), **poor)
    assert code == 2
    assert err.startswith("tinydeploy: no such file: ")
    assert "\x1b" not in err


@pytest.mark.parametrize("given", ["inf", "nan", "-1", "0", "1e30", "1e999"])
def test_a_timeout_is_a_time_that_can_be_waited(given: str) -> None:
    with pytest.raises(click.BadParameter):
        options.Seconds().convert(given, None, None)
    assert options.Seconds().convert("0.5", None, None) == 0.5


def test_too_many_samples_are_refused_before_they_are_made() -> None:
    graph = tflite_model.load(REPO / "models" / "mnist" / "mnist.tflite")
    with pytest.raises(DataError, match="would not fit into memory"):
        samples.random(graph, 10**30, 1)


@pytest.mark.parametrize("name", [300 * "a", "a\0b"])
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(UsageError):
        deployment.model_path(name)
    with pytest.raises(DataError):
        npz.read(Path(name), ["x"])


def test_a_tool_that_says_nothing_of_its_version(tmp_path: Path) -> None:
    silent = tmp_path / "qemu"
    silent.write_text("#!/bin/sh\n")
    silent.chmod(0o755)
    with pytest.raises(ToolError, match="--version says nothing"):
        qemu.version(str(silent))
