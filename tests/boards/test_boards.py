"""The boards' files, their two kinds, and the Arduino kind on the one board that can be emulated."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import firmware_build
import increment
import numpy as np
import pytest
import random_graphs
from model_builder import ModelBuilder
from nightly import NIGHTLY, turn

from tinydeploy import verbs
from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board
from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.errors import FitError, ToolError, UsageError
from tinydeploy.firmware import build, project
from tinydeploy.host import platformio
from tinydeploy.model.readers import tflite_model
from tinydeploy.targets.target_registry import choose_target, emulators

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import boards_doc

ROOT = Path(__file__).parents[2]
ALL = lookup.all_boards()
BARE = [board for board in ALL if board.kind == "bare" and "qemu" not in board.emulation]
DOWNLOADING = [board for board in ALL if board.downloads]


def needs(program: str, package: str) -> None:
    """Skips the test, saying what it lacks."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: apt-get install {package}")


def named(board: Board) -> str:
    return board.id


def hello_world() -> bytes:
    """A regression of one number by three layers, as small as models get."""
    model, random = ModelBuilder(), np.random.default_rng(1)
    x = last = model.tensor((1, 1), scale=0.0246, zero_point=-128)
    for inputs, units in ((1, 16), (16, 16), (16, 1)):
        weights = model.tensor((units, inputs), scale=0.01, data=random.integers(-127, 128, (units, inputs)))
        bias = model.tensor((units,), "int32", scale=0.0002, data=random.integers(-500, 500, units))
        y = model.tensor((1, units), scale=0.03, zero_point=-128 if units > 1 else 4)
        relu = "RELU" if units > 1 else "NONE"
        model.op("FULLY_CONNECTED", [last, weights, bias], [y], fused_activation_function=relu)
        last = y
    return model.build(inputs=[x], outputs=[last])


def test_there_are_thirty_boards_of_both_kinds() -> None:
    assert len(ALL) >= 30
    assert {board.kind for board in ALL} == {"bare", "arduino"}


def test_every_name_means_one_board() -> None:
    ids = {board.id for board in ALL}
    aliases = [alias for board in ALL for alias in board.aliases]
    assert len(aliases) == len(set(aliases))
    assert not ids & set(aliases)
    for board in ALL:
        assert all(lookup.board(name) is board for name in (board.id, *board.aliases))
        assert lookup.board(board.platformio).platformio == board.platformio


def test_what_is_emulated_has_an_emulator() -> None:
    for board in ALL:
        assert board.verified == "emulated" or not choose_target(board, None, stand_ins=False).is_emulator
        assert board.verified != "emulated" or emulators(board)
    assert all(board.verified == "generated" for board in DOWNLOADING)


def test_the_document_says_what_the_files_say() -> None:
    assert (ROOT / "docs/boards.md").read_text() == boards_doc.page(), (
        "python scripts/boards_doc.py > docs/boards.md"
    )


@pytest.mark.parametrize(
    "line, problem",
    [
        ('verified = "hardware"', "hardware"),
        ("[clock]\ndriver = 'stm32f4'\nhse_hz = 8_000_000", "valid"),
        ("[arduino]\nplatform = 'espressif32'", "valid"),
        ("[usb]\nids = ['0483']", "0483"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, line: str, problem: str) -> None:
    text = (ROOT / "boards/nucleo_f446re.toml").read_text()
    key = line.split(" =")[0].split("\n")[0]
    kept = [part for part in text.split("\n\n") if not part.startswith(key)]
    lines = [old for old in "\n\n".join(kept).splitlines() if not old.startswith(key)]
    head = line.startswith("[")
    whole = "\n".join([*lines, line] if head else [line, *lines])
    (tmp_path / "wrong.toml").write_text(whole)
    with pytest.raises(UsageError, match=problem):
        lookup.all_boards(tmp_path)


@pytest.mark.parametrize("board", BARE if NIGHTLY else BARE[::3], ids=named)
def test_a_bare_board_compiles_without_a_warning(tmp_path: Path, board: Board) -> None:
    needs(f"{board.core.toolchain}gcc", "gcc-arm-none-eabi gcc-riscv64-unknown-elf")
    assert firmware_build.for_board(tmp_path, board.id, "echo", link="uart").is_file()


def test_platformio_reads_the_project_of_an_arduino_board(tmp_path: Path) -> None:
    for board in DOWNLOADING if NIGHTLY else DOWNLOADING[::3]:
        made = increment.make(board.id, link="uart")
        assert "src/runtime/port/arduino.cpp" in made.files
        assert not any(path.startswith(("platforms/", "boards/")) for path in made.files)
        assert "src/runtime/main.cpp" not in made.files  # the core has one
        folder = project.write(made, tmp_path / board.id)
        command = [sys.executable, "-m", "platformio", "project", "config", "--json-output"]
        done = subprocess.run(
            command,
            cwd=folder,
            env=platformio.environment(tmp_path),
            capture_output=True,
            check=True,
            timeout=60,
        )
        options = {name: dict(pairs) for name, pairs in json.loads(done.stdout)}[f"env:{board.platformio}"]
        assert (options["platform"], options["board"]) == (board.downloads, board.platformio)
        assert options["framework"] == ["arduino"]


LX7 = ("LOOPS", "SEXT", "CLAMPS", "MINMAX", "NSA", "MUL16", "MUL32", "MUL32_HIGH", "DIV32", "FP")
CONFIGURED = {"xtensa-lx6": (*LX7, "MAC16"), "xtensa-lx7": LX7}
"""What core-isa.h of the toolchains says that ESP32 and S3 have of Xtensa's options; an S2 has no FP."""


def for_xtensa(board_id: str, folder: Path) -> list[str]:
    """The sources of a project for the board, and how its framework compiles them, as far as our GCC goes."""
    board = lookup.board(board_id)
    needs("xtensa-lx106-elf-g++", "gcc-xtensa-lx106")
    graph = tflite_model.load(ROOT / "models/motion/motion.tflite")
    made = project.generate(graph, board, AotEngine().generate(graph, board), "uart", 4096)
    project.write_files(made, folder)
    header = folder / "toolchain/xtensa/config/core-isa.h"
    header.parent.mkdir(parents=True)
    header.write_text("".join(f"#define XCHAL_HAVE_{name} 1\n" for name in CONFIGURED[board.core.id]))
    options = (
        "-mlongcalls -mtext-section-literals -ffunction-sections -fdata-sections -fstrict-volatile-bitfields"
    )
    options += " -std=gnu++17 -O2 -ffreestanding -fno-exceptions -fno-rtti -Wall -Wextra -Werror"
    places = ("src", "src/runtime", "toolchain")
    return ["xtensa-lx106-elf-g++", *options.split(), *(f"-I{folder / place}" for place in places)]


@pytest.mark.parametrize("board_id", ["esp32dev", "esp32-s2-saola-1", "esp32-s3-devkitc-1"])
def test_an_esp32_takes_what_its_core_has(tmp_path: Path, board_id: str) -> None:
    """Not its own compiler, which Debian has not, but the ESP8266's: it knows fewer instructions."""
    command = for_xtensa(board_id, tmp_path)
    model = [*command, "-S", str(tmp_path / "src/model/src/motion.cpp"), "-o", str(tmp_path / "model.s")]
    subprocess.run(model, check=True, timeout=120)
    code = (tmp_path / "model.s").read_text()
    assert "clamps\t" in code or "clamps " in code
    assert "__muldi3" in code  # MULSH, where the compiler has it
    files = [*tmp_path.glob("src/model/src/motion_data.cpp"), *tmp_path.glob("src/runtime/*.cpp")]
    assert len(files) > 4
    linked = ["-nostdlib", "-r", "-o", str(tmp_path / "linked.o")]
    subprocess.run([*command, *linked, *map(str, files)], check=True, timeout=120)


# Any board of PlatformIO's


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A platform in the user's PlatformIO folder, with one board."""
    folder = tmp_path / "core/platforms/acme"
    (folder / "boards").mkdir(parents=True)
    (folder / "platform.json").write_text('{"name": "acme", "version": "1.2.3"}')
    board = {
        "name": "Acme One",
        "build": {"cpu": "cortex-m4", "mcu": "acme1", "f_cpu": "80000000L", "hwids": [["0x2341", "0x005A"]]},
        "frameworks": ["arduino", "zephyr"],
        "upload": {"maximum_size": 262144, "maximum_ram_size": 65536},
    }
    (folder / "boards/acme_one.json").write_text(json.dumps(board))
    monkeypatch.setenv("PLATFORMIO_CORE_DIR", str(tmp_path / "core"))
    return folder


def test_a_board_of_an_installed_platform(platform: Path) -> None:
    board = lookup.board("pio:acme_one")
    assert (board.kind, board.downloads, board.core.id) == ("arduino", "acme@1.2.3", "cortex-m4f")
    assert (board.clock_hz, board.flash.bytes, board.ram.bytes) == (80_000_000, 262144, 65536)
    assert board.usb_ids == ("2341:005a",)
    assert b"platform = acme@1.2.3" in increment.make("pio:acme_one").files["platformio.ini"]


@pytest.mark.parametrize(
    ("mcu", "partitions", "flash", "ram"),
    [
        ("esp32", None, 0x14_0000, 124_580),
        ("esp32", "huge_app.csv", 0x30_0000, 124_580),
        ("esp32s3", "default_8MB.csv", 0x33_0000, 327_680),
        ("esp32c3", "a_table_of_ones_own.csv", 0x14_0000, 321_296),
    ],
)
def test_an_esp32_has_what_is_left_to_an_application(
    platform: Path, mcu: str, partitions: str | None, flash: int, ram: int
) -> None:
    path = platform / "boards/acme_one.json"
    found = json.loads(path.read_text())
    found["build"] = {"mcu": mcu, "f_cpu": "160000000L"}
    if partitions is not None:
        found["build"]["arduino"] = {"partitions": partitions}
    found["upload"] = {"maximum_size": 8 << 20, "maximum_ram_size": 327_680}
    path.write_text(json.dumps(found))
    board = lookup.board("pio:acme_one")
    assert (board.flash.bytes, board.ram.bytes) == (flash, ram)


@pytest.mark.parametrize("name", ["pio:unheard_of", "pio:../../acme/boards/acme_one", "pio:", "pio:*"])
def test_a_board_of_no_installed_platform(platform: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no platform that PlatformIO has installed"):
        lookup.board(name)


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"frameworks": ["zephyr"]}, "no Arduino core"),
        ({"upload": {}}, "cannot be read"),
        ({"build": {"cpu": "z80", "mcu": "z80", "f_cpu": "1L"}}, "does not know: z80"),
    ],
)
def test_a_board_that_cannot_be_built_on(platform: Path, changes: dict[str, object], problem: str) -> None:
    path = platform / "boards/acme_one.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UsageError, match=problem):
        lookup.board("pio:acme_one")


def test_a_platform_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What PlatformIO says without its registry, which takes it a minute to find out."""
    monkeypatch.setenv("TINYDEPLOY_CACHE", str(tmp_path))

    def refused(folder: Path, log: Path, timeout: float, *options: str) -> int:
        log.write_text("Platform Manager: Installing …\nHTTPClientError: \n")
        return 1

    monkeypatch.setattr(platformio, "run_platformio", refused)
    with pytest.raises(ToolError, match=r"has no platform espressif32@\S+ here, and cannot get it"):
        build.build(increment.make("esp32dev"), lookup.board("esp32dev"))


# The Arduino Mega 2560: where an int has 16 bits, and flash is another address space


ARITHMETIC = [
    "ARG_MAX",
    "BATCH_MATMUL",
    "CAST",
    "GATHER",
    "L2_NORMALIZATION",
    "LESS",
    "PRELU",
    "RESIZE_BILINEAR",
]
ARITHMETIC += ["SQUARED_DIFFERENCE", "SUM", "TRANSPOSE_CONV"]


@pytest.fixture
def mega(tmp_path: Path) -> Path:
    needs("avr-gcc", "gcc-avr")
    needs("qemu-system-avr", "qemu-system-misc")
    if not Path("/usr/share/arduino/hardware/arduino/avr").is_dir():
        pytest.skip("the Arduino core is not installed: apt-get install arduino-core-avr")
    return tmp_path


ON_AN_ARDUINO_CORE = {
    "hello_world": hello_world(),
    "softmax": random_graphs.make(1, "SOFTMAX"),
    "lstm": random_graphs.make(1, "UNIDIRECTIONAL_SEQUENCE_LSTM"),
    "arithmetic": random_graphs.together(60, ARITHMETIC),
    "motion": (ROOT / "models/motion/motion.tflite").read_bytes(),
}


@pytest.mark.parametrize("name", turn([*ON_AN_ARDUINO_CORE], "hello_world", "arithmetic"))
def test_a_model_on_an_arduino_core(mega: Path, name: str) -> None:
    (mega / "model.tflite").write_bytes(ON_AN_ARDUINO_CORE[name])
    result, _ = verbs.run(mega / "model.tflite", board="megaatmega2560", samples=8, out=mega / "out")
    assert result.parity is not None
    assert result.parity.identical == result.parity.outputs > 0
    assert 0 < result.stack_bytes < result.stack_budget
    assert any("cannot count" in warning for warning in result.warnings)


def test_a_model_too_large_for_an_arduino_core(mega: Path) -> None:
    with pytest.raises(
        FitError, match=r"the firmware needs [\d,]+ bytes of RAM, and megaatmega2560 has 7,680"
    ):
        verbs.build(ROOT / "models/digits", board="megaatmega2560")
