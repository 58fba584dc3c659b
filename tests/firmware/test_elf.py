from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import increment
import pytest
from elftools.elf.elffile import ELFFile

from tinydeploy.boards import lookup
from tinydeploy.firmware import build, elf
from tinydeploy.firmware.build import Firmware

EXTRA = """
uint8_t big_table[5000] = {1, 2, 3};
namespace tinydeploy { namespace { template <int kWidth> struct Params {}; } }
namespace tinydeploy { namespace {
template <typename P>
[[gnu::noinline, gnu::used]] int scaled(const int8_t* from, int32_t by) { return from[by] * 3; }
template int scaled<Params<7>>(const int8_t*, int32_t);
struct Reader { Reader() { asm volatile("" ::"r"(big_table), "r"(&scaled<Params<7>>)); } } reader;
} }
"""
ARENA = 3000


@pytest.fixture(scope="module", params=["mps2-an386", "qemu-virt-rv32"])
def firmware(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firmware]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYDEPLOY_CACHE", str(tmp_path_factory.mktemp("cache")))
        made = increment.make(request.param, arena=ARENA, extra=EXTRA)
        yield build.build(made, lookup.board(request.param))


def symbol(path: Path, part: str) -> tuple[int, int]:
    """Address and size of the one symbol whose (mangled) name contains `part`."""
    with path.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        (found,) = [entry for entry in table.iter_symbols() if part in entry.name]
        return found["st_value"], found["st_size"]


def test_flash_is_what_a_programmer_would_write(firmware: Firmware, tmp_path: Path) -> None:
    image = tmp_path / "image.bin"
    tool = firmware.compiler.split("gcc")[0] + "objcopy"
    subprocess.run([tool, "-O", "binary", str(firmware.elf), str(image)], check=True, timeout=20)
    assert firmware.sizes.flash_bytes == image.stat().st_size
    assert firmware.sizes.flash_bytes == firmware.sizes.model_flash_bytes + firmware.sizes.runtime_flash_bytes
    assert firmware.sizes.model_flash_bytes == 8


def test_ram_holds_stack_data_and_arena(firmware: Firmware) -> None:
    start = symbol(firmware.elf, "__stack_start")[0]
    end = symbol(firmware.elf, "__bss_end")[0]
    assert firmware.sizes.ram_bytes == end - start
    assert firmware.sizes.ram_bytes > 8192 + ARENA + 5000


def test_the_largest_symbols(firmware: Firmware) -> None:
    largest = firmware.sizes.largest_symbols
    assert len(largest) == 10
    assert [entry.bytes for entry in largest] == sorted((entry.bytes for entry in largest), reverse=True)
    regions = {entry.name: (entry.bytes, entry.region) for entry in largest}
    assert regions["big_table"] == (5000, "ram")
    assert any(region == "flash" for _, region in regions.values())
    assert not any(name.startswith("_Z") for name in regions)


def test_an_address_is_located(firmware: Firmware) -> None:
    text = (increment.APP / "engine.cpp").read_text() + EXTRA
    line = next(number for number, row in enumerate(text.splitlines(), 1) if "int scaled(" in row)
    address, size = symbol(firmware.elf, "scaled")
    function = "tinydeploy::scaled<tinydeploy::Params<7> >"
    assert elf.locate(firmware.elf, address) == f"{function} (src/model.cpp:{line})"
    assert elf.locate(firmware.elf, (address & ~1) + (size - 1 & ~1)) == f"{function} (src/model.cpp:{line})"


def test_an_address_outside_the_program(firmware: Firmware) -> None:
    assert elf.locate(firmware.elf, 0xE000E000) == "0xe000e000"
