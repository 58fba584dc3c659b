"""ESP32 boards by their Arduino core: sources that compile for Xtensa, and an arena in PSRAM."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tinydeploy import verbs
from tinydeploy.boards import lookup
from tinydeploy.boards.board import Psram
from tinydeploy.errors import FitError, UsageError
from tinydeploy.evaluate import board_checks
from tinydeploy.evaluate.deployment import prepare
from tinydeploy.firmware import project
from tinydeploy.model.readers import tflite_model

MOTION = Path(__file__).resolve().parents[2] / "models" / "motion" / "motion.tflite"
BOARD = "seeed_xiao_esp32s3"
CORE = {
    "Arduino.h": """#pragma once
#include <stddef.h>
#include <stdint.h>
struct Stream {
  void begin(unsigned long);
  int available();
  int read();
  void flush();
  size_t write(const uint8_t*, size_t);
};
extern Stream Serial;
struct Chip { uint32_t getCycleCount(); };
extern Chip ESP;
uint32_t getCpuFrequencyMhz();
unsigned long micros();
void yield();
""",
    "esp_heap_caps.h": """#pragma once
#include <stddef.h>
#include <stdint.h>
#define MALLOC_CAP_SPIRAM (1 << 10)
extern "C" void* heap_caps_aligned_alloc(size_t alignment, size_t size, uint32_t caps);
""",
}
"""What of the core's headers is used, as its documentation declares it."""
FLAGS = (
    *(
        "-mlongcalls",
        "-ffunction-sections",
        "-fdata-sections",
        "-fstrict-volatile-bitfields",
        "-fno-exceptions",
    ),
    *("-fno-rtti", "-std=gnu++17", "-O2", "-Wall", "-Wextra", "-Werror", "-DARDUINO=10812", "-DESP32"),
    "-ffreestanding",  # no C library is here for this compiler
)


def tree(folder: Path, board: str, **options: str) -> Path:
    job = prepare(tflite_model.load(MOTION), board=board, for_board=True, **options)  # type: ignore[arg-type]
    project.write_files(job.project(job.planned_bytes), folder)
    for name, text in CORE.items():
        (folder / "core" / name).parent.mkdir(exist_ok=True)
        (folder / "core" / name).write_text(text)
    return folder


@pytest.mark.parametrize("arena", ["sram", "psram"])
def test_the_sources_compile_for_xtensa(tmp_path: Path, arena: str) -> None:
    compiler = shutil.which("xtensa-lx106-elf-g++")
    assert compiler, "apt-get install gcc-xtensa-lx106"
    folder = tree(tmp_path, BOARD, arena=arena)
    sources = sorted((folder / "src").rglob("*.cpp"))
    assert {"arena.cpp", "arduino.cpp", "model.cpp"} <= {path.name for path in sources}
    objects = []
    for number, source in enumerate(sources):
        objects.append(folder / f"{number}.o")
        places = [f"-I{folder / 'src'}", f"-I{folder / 'src' / 'runtime'}", f"-I{folder / 'core'}"]
        subprocess.run([compiler, *FLAGS, *places, "-c", source, "-o", objects[-1]], check=True, timeout=120)
    names = subprocess.run(
        ["xtensa-lx106-elf-nm", *objects], capture_output=True, text=True, check=True
    ).stdout
    assert ("U heap_caps_aligned_alloc" in names) == (arena == "psram")


USE = """
#include <stdio.h>
#include <stdlib.h>
#include "runtime/arena.h"

bool is_there;
void* tinydeploy::arena::from_psram(size_t bytes, size_t alignment) {
  return is_there ? aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment) : nullptr;
}

int main(int count, char**) {
  using namespace tinydeploy;
  is_there = count > 1;
  printf("%u ", arena::capacity());
  arena::paint(512);
  if (is_there) arena::begin()[100] ^= 1;
  const arena::Usage usage = arena::usage();
  printf("%d %u %d", arena::begin() != nullptr, usage.touched_bytes, usage.overrun);
}
"""


def test_an_arena_in_psram_and_a_module_without_any(tmp_path: Path) -> None:
    folder = tree(tmp_path, BOARD, arena="psram")
    (folder / "use.cpp").write_text(USE)
    sources = [folder / "use.cpp", folder / "src" / "runtime" / "arena.cpp"]
    options = [
        "-std=c++17",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsanitize=address,undefined",
        f"-I{folder / 'src'}",
    ]
    subprocess.run(["g++", *options, *sources, "-o", folder / "use"], check=True, timeout=120)

    def said(*words: str) -> str:
        done = subprocess.run(
            [folder / "use", *words], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    job = prepare(tflite_model.load(MOTION), board=BOARD, for_board=True)
    assert said() == "0 0 0 0"
    assert said("there") == f"{job.planned_bytes} 1 4 0"


def test_what_psram_costs_is_said(tmp_path: Path) -> None:
    told: list[str] = []
    verbs.generate(MOTION, tmp_path / "made", notice=told.append, board=BOARD, arena="psram")
    assert any("at most 160 MB/s where the chip's own RAM gives 960" in line for line in told)
    assert "PSRAM" in (tmp_path / "made" / "README.md").read_text()
    assert "PSRAM" not in (tree(tmp_path / "plain", BOARD) / "README.md").read_text()


@pytest.mark.parametrize("board", ["esp32dev", "mps2-an386", "esp32-c3-devkitm-1"])
def test_boards_without_psram_refuse_it_in_a_line(board: str) -> None:
    with pytest.raises(UsageError, match=f"^{board} has no PSRAM for the arena$") as told:
        prepare(tflite_model.load(MOTION), board=board, arena="psram")
    assert BOARD in told.value.hint
    with pytest.raises(UsageError, match="cannot be in 'flash'"):
        prepare(tflite_model.load(MOTION), board=BOARD, arena="flash")


def test_an_arena_too_large_for_ram_may_fit_psram() -> None:
    board = lookup.board(BOARD)
    with pytest.raises(FitError, match="RAM besides its stack") as told:
        board_checks.check_arena(1 << 20, board)
    assert "--arena psram" in told.value.hint
    placed = prepare(tflite_model.load(MOTION), board=BOARD, for_board=True, arena="psram").board
    board_checks.check_arena(1 << 20, placed)
    with pytest.raises(FitError, match="PSRAM for it"):
        board_checks.check_arena(8 << 20, placed)


@pytest.mark.parametrize(
    ("build", "psram"),
    [
        ({"extra_flags": "-DARDUINO_X -DBOARD_HAS_PSRAM"}, Psram(2 << 20, 4)),
        ({"extra_flags": ["-DBOARD_HAS_PSRAM"], "arduino": {"memory_type": "qio_opi"}}, Psram(8 << 20, 8)),
        ({"extra_flags": ["-DBOARD_HAS_PSRAM"], "arduino": {"memory_type": "qio_qspi"}}, Psram(2 << 20, 4)),
        ({"extra_flags": ["-DARDUINO_X"]}, None),
        ({}, None),
    ],
)
def test_psram_of_platformios_boards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: dict[str, object], psram: Psram | None
) -> None:
    folder = tmp_path / "platforms" / "espressif32"
    (folder / "boards").mkdir(parents=True)
    (folder / "platform.json").write_text(json.dumps({"name": "espressif32", "version": "6.13.0"}))
    manifest = {
        "name": "One",
        "frameworks": ["arduino"],
        "build": {"mcu": "esp32s3", "f_cpu": "240000000L", **build},
        "upload": {"maximum_size": 8 << 20, "maximum_ram_size": 327680},
    }
    (folder / "boards" / "one.json").write_text(json.dumps(manifest))
    monkeypatch.setenv("PLATFORMIO_CORE_DIR", str(tmp_path))
    assert lookup.board("pio:one").psram == psram
