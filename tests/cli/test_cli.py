"""The command line as a user meets it: exit codes, one line for a mistake, and nothing left behind."""

import html
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_builder import ModelBuilder
from nightly import turn
from small_nets import block, residual

from tinydeploy.engines.aot.pipeline import GOALS

REPO = Path(__file__).resolve().parents[2]
MNIST = REPO / "models" / "mnist"
LABELLED = MNIST / "test.npz"
MANIFEST = "tinydeploy-files.json"


def tinydeploy(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tinydeploy", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPO), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def is_one_clear_line(done: subprocess.CompletedProcess[str], pattern: str, code: int = 2) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert re.search(pattern, done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("tinydeploy: ")


def small_model(folder: Path) -> Path:
    builder = ModelBuilder()
    source = builder.tensor((1, 4), "int8", scale=0.5, zero_point=0)
    result = builder.tensor((1, 4), "int8", scale=0.5, zero_point=0)
    builder.op("RELU", [source], [result])
    path = folder / "relu.tflite"
    path.write_bytes(builder.build(inputs=[source], outputs=[result]))
    return path


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (["run", "nothing.tflite"], "no such file: nothing.tflite"),
        (["run", "empty"], "empty holds no .tflite files"),
        (["run", "text.tflite"], "not a TFLite file"),
        (["run", MNIST, "-b", "mps2-an38"], "unknown board 'mps2-an38'.*did you mean"),
        (["run", MNIST, "-e", "aott"], "unknown engine 'aott'.*did you mean aot"),
        (["run", MNIST, "--link", "usb"], "--link"),
        (["run", MNIST, "--samples", "0"], "--samples"),
        (["run", MNIST, "--data", "nothing.npz"], "nothing.npz"),
        (["run", MNIST, "--data", "shape.npz"], "shape"),
        (["run", MNIST, "--data", "type.npz"], "int16|int32"),
        (["run", MNIST, "-o", "text.tflite/out"], "text.tflite"),
        (["run", MNIST, "--bord", "x"], "--bord"),
        (["generate", MNIST], "name it with -o"),
        (["generate", MNIST, "-o", "text.tflite"], "text.tflite is a file"),
        (["arena", "text.tflite", "--on", "host"], "not a TFLite file"),
        (["boards", "zx81"], "no board is called 'zx81'"),
        (["run", MNIST, "--data", "."], "is a folder with neither images nor WAV files .data are an .npz"),
        (
            ["run", MNIST, "--data", "a.csv"],
            "a.csv has 2 columns of features, and the model takes .1, 28, 28, 1.",
        ),
        (["run", MNIST, "--data", LABELLED, "--metric", "best"], "unknown metric 'best' .known: top1,"),
        (["run", MNIST, "--output", "7"], "no output '7' .it has 0 "),
        (["xyz"], "there is no command 'xyz' .commands: doctor, "),
        (["runs"], "there is no command 'runs' .did you mean run"),
    ],
)
def test_a_mistake_is_one_line_with_exit_code_2(tmp_path: Path, arguments: list[str], pattern: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tflite").write_text("this is not a model")
    np.savez(tmp_path / "shape.npz", x=np.zeros((4, 27, 27), np.float32), y=np.zeros(4, np.int64))
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    np.savez(tmp_path / "type.npz", x=np.zeros((4, 28, 28), np.int32), y=np.zeros(4, np.int64))
    before = sorted(tmp_path.rglob("*"))
    is_one_clear_line(tinydeploy(*arguments, cwd=tmp_path), pattern)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_missing_toolchain_names_its_package(tmp_path: Path) -> None:
    done = tinydeploy("run", MNIST, "--samples", "1", cwd=tmp_path, PATH=str(tmp_path))
    is_one_clear_line(done, "arm-none-eabi-gcc.*apt-get install .*gcc-arm-none-eabi", code=3)
    told = failure_in(tmp_path / "tinydeploy-out" / "mnist-mps2-an386-1_samples")
    assert (told["kind"], told["phase"], told["done"], told["log"]) == ("ToolError", "build", {}, "")


def failure_in(folder: Path) -> dict[str, Any]:
    """What a run that failed has left, which is no result; its page names the error."""
    assert {path.name for path in folder.iterdir()} == {"failed.json", "report.html", MANIFEST}
    told: dict[str, Any] = json.loads((folder / "failed.json").read_text())
    assert html.escape(told["message"], quote=False) in html.unescape((folder / "report.html").read_text())
    assert "result" not in told["schema"]
    return told


def test_a_model_too_large_for_the_board_is_refused_before_a_build(tmp_path: Path) -> None:
    done = tinydeploy(
        "build", MNIST, "-b", "stm32vldiscovery", cwd=tmp_path, TINYDEPLOY_CACHE=str(tmp_path / "c")
    )
    is_one_clear_line(done, "stm32vldiscovery has [0-9,]+")


def test_a_typo_in_the_file_is_named(tmp_path: Path) -> None:
    small_model(tmp_path)
    (tmp_path / "tinydeploy.toml").write_text('bord = "mps2-an386"\n')
    is_one_clear_line(
        tinydeploy("build", "relu.tflite", cwd=tmp_path), "unknown key 'bord'.*did you mean 'board'"
    )


def test_flags_beat_the_file(tmp_path: Path) -> None:
    model = small_model(tmp_path)
    (tmp_path / "tinydeploy.toml").write_text('board = "mps2-an385"\nsamples = 3\nout = "there"\n')
    done = tinydeploy("run", model, "-b", "mps2-an386", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["board"]["id"] == "mps2-an386"
    assert result["counted"][0]["spread"]["runs"] == 3
    assert (tmp_path / "there" / "report.html").is_file()
    assert json.loads((tmp_path / "there" / "result.json").read_text()) == result


@pytest.mark.parametrize("verb", [["boards"], ["boards", "mps2-an386"], ["doctor"], ["inspect", MNIST]])
def test_json_is_all_there_is_on_stdout(tmp_path: Path, verb: list[str]) -> None:
    done = tinydeploy(*verb, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)


def test_people_get_tables(tmp_path: Path) -> None:
    assert "mps2-an386" in tinydeploy("boards", cwd=tmp_path).stdout
    assert "Cortex-M0+" in tinydeploy("boards", "nucleo_g071rb", cwd=tmp_path).stdout
    assert "DEPTHWISE_CONV_2D" in tinydeploy("inspect", MNIST, cwd=tmp_path).stdout
    assert "platformio" in tinydeploy("doctor", cwd=tmp_path).stdout


def test_inspect_says_what_is_done_together(tmp_path: Path) -> None:
    """A convolution and an ADD: one kernel for some goals and on some cores, two for others."""
    model = tmp_path / "residual.tflite"
    model.write_bytes(residual())

    def told(*options: str) -> str:
        done = tinydeploy("inspect", model, *options, cwd=tmp_path, COLUMNS="120")
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert re.search(r"^ *2 +with the op before.* = +apart +=", told(), re.MULTILINE)
    assert re.search(r"^ *2 +add_linear .* joined +joined +joined", told("--optimize", "size"), re.MULTILINE)
    for board, alone in (("mps2-an386", {"size"}), ("qemu-virt-rv32", set()), ("mps3-an547", {*GOALS})):
        _, _, addition = json.loads(told("-b", board, "--json"))["ops"]
        assert {*addition["layers"]} == alone


def test_inspect_says_what_is_done_in_patches(tmp_path: Path) -> None:
    model = tmp_path / "block.tflite"
    model.write_bytes(block())
    done = tinydeploy("inspect", model, "--optimize", "ram", cwd=tmp_path, COLUMNS="200")
    assert re.search(
        r"Stripes +15 turns of a few rows in each of 4 patches side by side: op 0, 1, 2, 3; "
        r"12,064 bytes of their outputs are never held, 3,480 outputs are computed twice",
        done.stdout,
    )


def test_generate_then_again(tmp_path: Path) -> None:
    model = small_model(tmp_path)
    for _ in range(2):
        done = tinydeploy("generate", model, "-o", "project", "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "project" / "platformio.ini").is_file()
    (tmp_path / "project" / "src" / "mine.cpp").write_text("// mine\n")
    is_one_clear_line(
        tinydeploy("generate", model, "-o", "project", cwd=tmp_path), "work of yours: src/mine.cpp"
    )


def children_of(process: subprocess.Popen[str]) -> set[int]:
    """Every living process in the tree below `process`, itself included."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(entry.parent.name)] = int(fields[1])
    found = {process.pid}
    while grown := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= grown
    return found & parents.keys()


@pytest.mark.parametrize("number", turn([signal.SIGINT, signal.SIGTERM], signal.SIGINT))
@pytest.mark.parametrize("program", ["platformio", "qemu-system-arm", "tinydeploy.host.reference"])
def test_an_interrupt_at_any_stage_leaves_nothing(
    tmp_path: Path, number: signal.Signals, program: str
) -> None:
    np.savez(tmp_path / "many.npz", x=np.zeros((4000, 28, 28), np.float32), y=np.zeros(4000, np.int64))
    process = subprocess.Popen(
        [sys.executable, "-m", "tinydeploy", "run", str(MNIST), "--data", "many.npz"]
        + (["--samples", "40"] if program == "tinydeploy.host.reference" else []),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO), "TINYDEPLOY_CACHE": str(tmp_path / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    family: set[int] = set()
    try:
        give_up = time.monotonic() + 120
        while not any(program in command_line(pid) for pid in family - {process.pid}):
            assert process.poll() is None and time.monotonic() < give_up, f"{program} never ran"
            time.sleep(0.01)
            family = children_of(process)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert stdout == ""
    assert stderr.splitlines() == ["tinydeploy: interrupted"]
    give_up = time.monotonic() + 20  # killed, but perhaps not yet gone
    while left := [pid for pid in family if command_line(pid)]:
        assert time.monotonic() < give_up, left
        time.sleep(0.01)
    assert not (tmp_path / "tinydeploy-out").exists()


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def test_an_emulator_that_is_killed_is_an_error_of_its_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "many.npz", x=np.zeros((4000, 28, 28), np.float32), y=np.zeros(4000, np.int64))
    process = subprocess.Popen(
        [sys.executable, "-m", "tinydeploy", "run", str(MNIST), "--data", "many.npz"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        give_up = time.monotonic() + 120
        emulators: list[int] = []
        while not emulators:
            assert process.poll() is None and time.monotonic() < give_up
            emulators = [pid for pid in children_of(process) if command_line(pid).startswith("/usr/bin/qemu")]
        os.kill(emulators[0], signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 3
    assert stdout == ""
    assert stderr.startswith("tinydeploy: QEMU was ended by signal SIGKILL")
    assert len(stderr.splitlines()) == 1
    told = failure_in(tmp_path / "tinydeploy-out" / "mnist-mps2-an386-many")
    assert (told["kind"], told["phase"], [*told["done"]]) == ("TargetDiedError", "target", ["build"])
    assert Path(told["log"]).is_file()
