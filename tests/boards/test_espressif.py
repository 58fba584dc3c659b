"""Bare firmware of Espressif's RISC-V chips: its image as the ROM reads it, and as it finds constants."""

from __future__ import annotations

import functools
import itertools
import operator
import re
import struct
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from model_builder import ModelBuilder
from nightly import turn

from tinydeploy import verbs
from tinydeploy.boards import lookup
from tinydeploy.boards.board import IMAGES, Board
from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.errors import FitError
from tinydeploy.evaluate.deployment import prepare
from tinydeploy.firmware import build
from tinydeploy.firmware.build import Firmware
from tinydeploy.firmware.elf import sizes as elf_sizes
from tinydeploy.host import paths
from tinydeploy.model.readers import tflite_model

ROOT = Path(__file__).resolve().parents[2]
VWW = ROOT.parent / "shared" / "models" / "mlperf-tiny" / "vww.tflite"
MODELS = {
    "digits": ROOT / "models" / "digits" / "digits.tflite",
    "mnist": ROOT / "models" / "mnist" / "mnist.tflite",
    "vww": VWW,
}
BOARD = "esp32-c3-devkitm-1"
CHIPS = {
    "esp32-c2-devkitm-1": (12, "ESP32-C2"),
    BOARD: (5, "ESP32-C3"),
    "esp32-h2-devkitm-1": (16, "ESP32-H2"),
}
"""What the header of an image calls the chip: esp_chip_id_t of ESP-IDF's esp_app_format.h."""
PORT = paths.FIRMWARE / "runtime" / "port"
PAGE = 0x1_0000


@dataclass(frozen=True)
class Segment:
    """What an image has for `address`, from `offset` of the file on."""

    address: int
    offset: int
    content: bytes


def segments(image: bytes, at: int, count: int | None) -> tuple[list[Segment], int]:
    """So many segments from `at` on, or all to the end; and where they end."""
    found = []
    while at < len(image) and (count is None or len(found) < count):
        address, length = struct.unpack_from("<II", image, at)
        found.append(Segment(address, at + 8, image[at + 8 : at + 8 + length]))
        at += 8 + length
    return found, at


@cache
def built(board: str, model: str) -> Firmware:
    job = prepare(tflite_model.load(MODELS[model]), board=board, target="board")
    return build.build(job.project(job.planned_bytes), job.board)


@dataclass(frozen=True)
class Made:
    """A firmware, and the board that it is for."""

    board: Board
    firmware: Firmware

    @property
    def path(self) -> Path:
        return self.firmware.elf.with_name("firmware.bin")

    @property
    def image(self) -> bytes:
        return self.path.read_bytes()

    def behind(self) -> list[Segment]:
        """The segments that the ROM leaves alone."""
        _, end = segments(self.image, 24, self.image[1])
        return segments(self.image, (end | 15) + 1, None)[0]


USUAL = [*((board, "digits") for board in CHIPS), *((BOARD, model) for model in MODELS)]


@pytest.fixture(params=turn([(board, model) for board in CHIPS for model in MODELS], *USUAL))
def made(request: pytest.FixtureRequest) -> Made:
    board, model = request.param
    if not MODELS[model].is_file():
        pytest.skip(f"{MODELS[model]} is not there")
    return Made(lookup.board(board), built(board, model))


def test_the_rom_finds_what_it_loads(made: Made) -> None:
    board, image = made.board, made.image
    offset = IMAGES[board.image].code_offset
    magic, count = image[0], image[1]
    (entry,) = struct.unpack_from("<I", image, 4)
    (chip,) = struct.unpack_from("<H", image, 12)
    assert (magic, chip) == (0xE9, CHIPS[board.id][0])
    assert image[23] == 0  # no hash, which would be of all segments
    loaded, end = segments(image, 24, count)
    ram = range(board.ram.origin, board.ram.origin + board.ram.bytes)
    instructions = range(ram.start + offset, ram.stop + offset)
    taken: list[range] = []
    for segment in loaded:
        assert segment.address in ram or segment.address in instructions
        start = segment.address - (0 if segment.address in ram else offset)
        taken.append(range(start, start + len(segment.content)))
        assert taken[-1].stop <= ram.stop
    in_order = sorted(taken, key=operator.attrgetter("start"))
    assert all(one.stop <= other.start for one, other in itertools.pairwise(in_order))
    code = next(
        segment for segment in loaded if segment.address <= entry < segment.address + len(segment.content)
    )
    assert code.address in instructions
    checksum = functools.reduce(operator.xor, b"".join(segment.content for segment in loaded), 0xEF)
    assert image[end | 15] == checksum
    assert len(image) <= board.flash.bytes + (512 << 10)


def test_code_and_data_share_the_ram(made: Made) -> None:
    board = made.board
    with made.firmware.elf.open("rb") as stream:
        elf = ELFFile(stream)
        places = {
            section.name: (section["sh_addr"], section["sh_size"])
            for section in elf.iter_sections()
            if section.name
        }
    code, size = places[".text"]
    assert places[".iram"] == (code - IMAGES[board.image].code_offset, size)
    (stack, under), (data, _), (bss, length) = (places[name] for name in (".stack", ".data", ".bss"))
    assert stack == board.ram.origin
    assert stack + under <= places[".iram"][0] < places[".iram"][0] + size <= min(data, bss)
    assert bss + length <= board.ram.origin + board.ram.bytes
    assert elf_sizes(made.firmware.elf).ram_bytes == bss + length - stack


def test_the_constants_lie_in_pages_of_their_own(made: Made) -> None:
    (constants,) = [segment for segment in made.behind() if segment.address == made.board.flash.origin]
    assert constants.offset % PAGE == constants.address % PAGE == 0
    with made.firmware.elf.open("rb") as stream:
        wanted = ELFFile(stream).get_section_by_name(".rodata").data()
    assert constants.content[: len(wanted)] == wanted
    assert not any(constants.content[len(wanted) :])


def test_start_up_needs_no_constant_before_they_are_mapped(made: Made, tmp_path: Path) -> None:
    sources = made.firmware.elf.parents[3] / "src"
    core = made.board.core
    for source in ("clock_espressif", "riscv"):
        compiled = tmp_path / f"{source}.o"
        options = [*core.flags, "-std=c++17", "-O2", "-ffreestanding", "-Wall", "-Wextra", "-Werror", "-c"]
        command = [
            f"{core.toolchain}g++",
            *options,
            f"{sources}/runtime/port/{source}.cpp",
            f"-I{sources}",
            "-o",
        ]
        subprocess.run([*command, str(compiled)], check=True, timeout=60)
        with compiled.open("rb") as stream:
            kept = [section for section in ELFFile(stream).iter_sections() if section["sh_size"]]
        assert not [section.name for section in kept if "rodata" in section.name]


def test_esptool_reads_the_image(made: Made) -> None:
    number, name = CHIPS[made.board.id]
    command = [sys.executable, "-m", "esptool", "--chip", made.board.image, "image-info", str(made.path)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "(valid)" in told and "invalid" not in told
    assert f"Chip ID: {number} ({name})" in told
    assert f"Flash freq: {IMAGES[made.board.image].flash_frequency}" in told


FINDER = """
#include <stdio.h>
#include <stdlib.h>
#include <vector>
#include "runtime/port/esp_image.h"

int main(int, char** arguments) {
  std::vector<uint8_t> image(4 << 20);
  const size_t bytes = fread(image.data(), 1, image.size(), stdin);
  const uint32_t limit = static_cast<uint32_t>(bytes) & ~3u;
  printf("%u", tinydeploy::segment_offset(image.data(), limit, strtoul(arguments[1], nullptr, 0)));
}
"""


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finder")
    (folder / "finder.cpp").write_text(FINDER)
    options = [
        "-std=c++17",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsanitize=address,undefined",
        f"-I{paths.FIRMWARE}",
    ]
    subprocess.run(["g++", *options, "finder.cpp", "-o", "finder"], cwd=folder, check=True, timeout=120)
    return folder / "finder"


def test_the_firmware_finds_its_constants_as_we_do(made: Made, finder: Path) -> None:
    def found(address: int, content: bytes) -> int:
        command = [str(finder), str(address)]
        return int(subprocess.run(command, input=content, capture_output=True, check=True, timeout=60).stdout)

    origin = made.board.flash.origin
    (wanted,) = [segment.offset for segment in made.behind() if segment.address == origin]
    assert found(origin, made.image) == wanted
    assert found(origin + 4, made.image) == 0
    assert found(origin, made.image[: wanted - 8]) == 0
    assert found(origin, bytes(64)) == 0


SOURCE = r"^// (?:\d+ [A-Z]|\d+\.\d|.*\b[a-z0-9_]+\.h\b)"
"""What a block of registers is from: a chapter of the manual, or a header."""


def test_a_chips_registers_stand_in_one_header() -> None:
    names: dict[str, set[str]] = {}
    for chip in IMAGES:
        header = (PORT / f"{chip}.h").read_text()
        names[chip] = {*re.findall(r"\b(k[A-Z]\w+) = ", header)}
        addresses = re.findall(r"\b0x(?:3f|40|60)[0-9a-f]{6}\b", header)
        assert len(addresses) == len({*addresses}) > 10
        for block in re.split(r"\n\n", header):
            if re.search(r"= 0x60[0-9a-f]{6};", block):
                assert re.search(SOURCE, block, re.MULTILINE), block
    for name in ("clock_espressif.cpp", "uart_espressif.cpp", "counter_mpccr.h", "esp_chip.h"):
        text = (PORT / name).read_text()
        assert not re.search(r"\b0x[346]0?[0-9a-f]{6}\b", text)
        used = names["esp32c3"] & {*re.findall(r"\bk[A-Z]\w+", text)}
        assert all(used <= known for known in names.values())


def test_what_runs_here_is_what_it_would_run(tmp_path: Path) -> None:
    """The stand-in has the same core, and so the same sources, compiler and flags: only drivers differ."""
    board, machine = lookup.board(BOARD), lookup.board("qemu-virt-rv32")
    assert (board.core, board.kind) == (machine.core, "bare")
    graph = tflite_model.load(MODELS["digits"])
    assert AotEngine().generate(graph, board).files == AotEngine().generate(graph, machine).files
    result, _ = verbs.run(MODELS["digits"], board=BOARD, samples=8, out=tmp_path)
    assert result.parity is not None
    assert result.parity.identical == result.parity.outputs > 0
    assert machine.name in result.target.note


def test_what_does_not_fit_is_told_before_a_build(tmp_path: Path) -> None:
    def model(name: str, depth: int, channels: int, rows: int) -> Path:
        made = ModelBuilder()
        x, y = made.tensor((rows, depth), scale=0.1), made.tensor((rows, channels), scale=0.1)
        weights = made.tensor((channels, depth), scale=0.1, data=[[1] * depth] * channels)
        made.op("FULLY_CONNECTED", [x, weights], [y])
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(made.build([x], [y]))
        return path

    with pytest.raises(FitError, match="constants take 4,"):
        verbs.build(model("constants", 2048, 2048, 1), board=BOARD)
    with pytest.raises(FitError, match="RAM"):
        verbs.build(model("tensors", 64, 8, 6000), board=BOARD)
