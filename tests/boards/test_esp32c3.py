"""The ESP32-C3's bare firmware: its image as the chip's ROM reads it, and as it finds its constants there."""

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
from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.errors import FitError
from tinydeploy.evaluate.deployment import prepare
from tinydeploy.firmware import build
from tinydeploy.firmware.build import Firmware
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
PORT = paths.FIRMWARE / "runtime" / "port"
IRAM_FROM_DRAM = 0x70_0000
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
def built(model: str) -> Firmware:
    job = prepare(tflite_model.load(MODELS[model]), board=BOARD, target="board")
    return build.build(job.project(job.planned_bytes), job.board)


def image_of(firmware: Firmware) -> Path:
    return firmware.elf.with_name("firmware.bin")


@pytest.fixture(params=turn(["digits", "mnist", "vww"], "digits"))
def firmware(request: pytest.FixtureRequest) -> Firmware:
    model: str = request.param
    if not MODELS[model].is_file():
        pytest.skip(f"{MODELS[model]} is not there")
    return built(model)


def test_the_rom_finds_what_it_loads(firmware: Firmware) -> None:
    board, image = lookup.board(BOARD), image_of(firmware).read_bytes()
    magic, count = image[0], image[1]
    (entry,) = struct.unpack_from("<I", image, 4)
    (chip,) = struct.unpack_from("<H", image, 12)
    assert (magic, chip) == (0xE9, 5)
    assert image[23] == 0  # no hash, which would be of all segments
    loaded, end = segments(image, 24, count)
    ram = range(board.ram.origin, board.ram.origin + board.ram.bytes)
    instructions = range(ram.start + IRAM_FROM_DRAM, ram.stop + IRAM_FROM_DRAM)
    taken: list[range] = []
    for segment in loaded:
        assert segment.address in ram or segment.address in instructions
        start = segment.address - (IRAM_FROM_DRAM if segment.address in instructions else 0)
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
    assert len(image) <= 4 << 20


def test_the_constants_lie_in_pages_of_their_own(firmware: Firmware) -> None:
    board, image = lookup.board(BOARD), image_of(firmware).read_bytes()
    _, end = segments(image, 24, image[1])
    behind, _ = segments(image, (end | 15) + 1, None)
    (constants,) = [segment for segment in behind if segment.address == board.flash.origin]
    assert constants.offset % PAGE == constants.address % PAGE == 0
    with firmware.elf.open("rb") as stream:
        wanted = ELFFile(stream).get_section_by_name(".rodata").data()
    assert constants.content[: len(wanted)] == wanted
    assert not any(constants.content[len(wanted) :])


def test_esptool_reads_the_image(firmware: Firmware) -> None:
    command = [sys.executable, "-m", "esptool", "--chip", "esp32c3", "image-info", str(image_of(firmware))]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "(valid)" in told and "invalid" not in told
    assert re.search(r"Chip ID: 5 \(ESP32-C3\)", told)


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


def test_the_firmware_finds_its_constants_as_we_do(firmware: Firmware, finder: Path) -> None:
    image = image_of(firmware).read_bytes()
    _, end = segments(image, 24, image[1])
    behind, _ = segments(image, (end | 15) + 1, None)

    def found(address: int, content: bytes) -> int:
        command = [str(finder), str(address)]
        return int(subprocess.run(command, input=content, capture_output=True, check=True, timeout=60).stdout)

    origin = lookup.board(BOARD).flash.origin
    (wanted,) = [segment.offset for segment in behind if segment.address == origin]
    assert found(origin, image) == wanted
    assert found(origin + 4, image) == 0
    assert found(origin, image[: wanted - 8]) == 0
    assert found(origin, bytes(64)) == 0


def test_registers_stand_in_one_header() -> None:
    header = (PORT / "esp32c3.h").read_text()
    addresses = re.findall(r"\b0x(?:3f|40|60)[0-9a-f]{6}\b", header)
    assert len(addresses) == len({*addresses}) > 10
    for block in re.split(r"\n\n", header):
        if re.search(r"= 0x60[0-9a-f]{6};", block):
            assert re.search(r"^// (?:\d+ [A-Z]|\d+\.\d)", block, re.MULTILINE), (
                block
            )  # a chapter of the manual
    for name in ("clock_esp32c3.cpp", "uart_esp32c3.cpp", "counter_mpccr.h"):
        assert not re.search(r"\b0x[346]0?[0-9a-f]{6}\b", (PORT / name).read_text())


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
