"""The ELF file of a linked firmware: sizes, the compiler's flags, and where in the source an address is."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from tinydeploy.host import memo
from tinydeploy.results.setting import Symbol

# elftools is loaded where a firmware is read: of one that was read before, all is kept.
if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import Section
    from elftools.elf.sections import Symbol as ElfSymbol

_LARGEST = 10
_BETWEEN_MEMORIES = 1 << 23  # bytes, at the least
_AT_ONCE = 2000  # addresses in one command line
_TOOL_TIMEOUT = 20.0  # seconds
_TOOLS = {
    "EM_ARM": "arm-none-eabi-",
    "EM_RISCV": "riscv64-unknown-elf-",
    "EM_AVR": "avr-",
    "EM_XTENSA": "xtensa-lx106-elf-",
}
_FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
_JUMP = re.compile(r"^\s*[0-9a-f]+:\t([a-z][a-z0-9.]*)\s.*<([^>+]+)>$")


@dataclass(frozen=True)
class Sizes:
    """What the firmware takes: flash is the model's and the runtime's; RAM includes arena and stack."""

    flash_bytes: int
    ram_bytes: int
    model_flash_bytes: int
    runtime_flash_bytes: int
    largest_symbols: tuple[Symbol, ...]


_Parameters = ParamSpec("_Parameters")
_Found = TypeVar("_Found")


def _once(function: Callable[_Parameters, _Found]) -> Callable[_Parameters, _Found]:
    """The function of a firmware's path, not asked twice of one content; what is empty is not kept."""

    @functools.wraps(function)
    def asked(*arguments: _Parameters.args, **keywords: _Parameters.kwargs) -> _Found:
        path, *others = map(str, arguments)
        with Path(path).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        key = f"{_program()} {function.__name__} {others} {keywords} {content}"
        if found := memo.read(key):
            value = json.loads(found)
            known: Any = tuple(value) if isinstance(value, list) else value
            return cast(_Found, known)
        answer = function(*arguments, **keywords)
        if answer:
            memo.write(key, json.dumps(answer).encode())
        return answer

    return asked


@functools.cache
def _program() -> str:
    """What reads the firmware, by its content."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[ELFFile]:
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as stream:
        yield ELFFile(stream)


def sizes(path: Path) -> Sizes:
    """What the firmware takes of the board's memories, gaps for alignment included.

    Initialised data count twice: their values lie in flash until start-up copies them to RAM. The model's
    share of flash is what the linker put between __model_start and __model_end.
    """
    found = _sizes(path)
    return Sizes(
        found["flash"],
        found["ram"],
        found["model"],
        found["flash"] - found["model"],
        tuple(Symbol(*symbol) for symbol in found["largest"]),
    )


@_once
def _sizes(path: Path) -> Mapping[str, Any]:
    from elftools.elf.constants import SH_FLAGS

    with _opened(path) as elf:
        flash = [
            (segment["p_paddr"], segment["p_paddr"] + segment["p_filesz"])
            for segment in elf.iter_segments("PT_LOAD")
            if segment["p_filesz"]
        ]
        writable = [section for section in _allocated(elf) if section["sh_flags"] & SH_FLAGS.SHF_WRITE]
        ram = [(section["sh_addr"], section["sh_addr"] + section["sh_size"]) for section in writable]
        symbols = _symbols(elf)
        values = {symbol.name: symbol["st_value"] for symbol in symbols}
        model = values.get("__model_end", 0) - values.get("__model_start", 0)
        regions = {section.name: "ram" if section in writable else "flash" for section in _allocated(elf)}
        by_size = sorted(
            (symbol for symbol in symbols if isinstance(symbol["st_shndx"], int) and symbol["st_size"]),
            key=lambda symbol: (-symbol["st_size"], symbol.name),
        )[:_LARGEST]
        names = _demangled(elf, [symbol.name for symbol in by_size])
        largest = [
            (name, symbol["st_size"], regions[elf.get_section(symbol["st_shndx"]).name])
            for name, symbol in zip(names, by_size, strict=True)
        ]
    return {
        "flash": sum(map(_extent, _memories(flash))),
        "ram": _extent(ram),
        "model": model,
        "largest": largest,
    }


@_once
def unit_bytes(path: Path, source: str) -> int:
    """The flash that one source file takes: its functions, inline ones included, and its own constants.

    Functions are known by the debug information, constants by the symbol table, where local symbols follow
    their file's name.
    """
    from elftools.dwarf.ranges import RangeEntry
    from elftools.elf.constants import SH_FLAGS

    with _opened(path) as elf:
        code = 0
        if elf.has_dwarf_info():
            lists: Any = elf.get_dwarf_info().range_lists()
            for unit in elf.get_dwarf_info().iter_CUs():
                top = unit.get_top_DIE()
                name = top.attributes.get("DW_AT_name")
                ranges = top.attributes.get("DW_AT_ranges")
                if name is None or ranges is None or not name.value.decode().endswith(source):
                    continue
                for entry in lists.get_range_list_at_offset(ranges.value, cu=unit):
                    if isinstance(entry, RangeEntry) and entry.begin_offset > 0:
                        code += entry.end_offset - entry.begin_offset
        here, data = False, 0
        for symbol in _symbols(elf):
            kind, place = symbol["st_info"]["type"], symbol["st_shndx"]
            if kind == "STT_FILE":
                here = symbol.name == Path(source).name
            elif here and symbol["st_info"]["bind"] == "STB_LOCAL" and kind == "STT_OBJECT":
                writable = elf.get_section(place)["sh_flags"] & SH_FLAGS.SHF_WRITE
                data += 0 if writable else symbol["st_size"]
    return code + data


def functions(path: Path) -> frozenset[str]:
    """The names of all functions in the firmware, as the linker knows them."""
    with _opened(path) as elf:
        return frozenset(
            symbol.name for symbol in _symbols(elf) if symbol["st_info"]["type"] == "STT_FUNC" and symbol.name
        )


@_once
def stack_use(path: Path) -> Mapping[str, int]:
    """How many bytes of stack each C++ function takes at most, with all that it calls, by its readable name.

    From the frame sizes in the debug information and the calls in the disassembly; empty if the firmware's
    own tools cannot give them. Calls through pointers, and the compiler's assembly functions, count nothing.
    """
    from elftools.dwarf.callframe import FDE

    with _opened(path) as elf:
        if not elf.has_dwarf_info() or not elf.get_dwarf_info().has_CFI():
            return {}
        places: dict[int, list[str]] = {}
        for symbol in _symbols(elf):
            if symbol["st_info"]["type"] == "STT_FUNC":
                places.setdefault(symbol["st_value"] & ~1, []).append(symbol.name)
        frames: dict[str, int] = {}
        for entry in elf.get_dwarf_info().CFI_entries():
            if isinstance(entry, FDE):
                bytes_ = max((row["cfa"].offset or 0 for row in entry.get_decoded().table), default=0)
                frames |= dict.fromkeys(places.get(entry["initial_location"], ()), bytes_)
        calls = _calls(_binutil(elf, "objdump", "-d", "--no-show-raw-insn", str(path)))
        if not calls:
            return {}
        found: dict[str, int] = {}

        def deepest(name: str) -> int:
            if name not in found:
                found[name] = frames.get(name, 0)  # what a recursion comes back to
                for callee, returns in calls.get(name, ()):
                    below = found[name] if callee == name else deepest(callee)
                    found[name] = max(found[name], below + (frames.get(name, 0) if returns else 0))
            return found[name]

        functions = [name for name in calls if name in frames]
        return dict(zip(_demangled(elf, functions), map(deepest, functions), strict=True))


def _calls(disassembly: str) -> dict[str, set[tuple[str, bool]]]:
    """Per function of the disassembly, the others that it calls, or (False) jumps to as its last act."""
    calls: dict[str, set[tuple[str, bool]]] = {}
    name = ""
    for line in disassembly.splitlines():
        if label := _FUNCTION.match(line):
            name = label[1]
            calls[name] = set()
        elif (jump := _JUMP.match(line)) and jump[2] != name:
            calls[name].add((jump[2], jump[1] in ("bl", "blx", "jal", "call", "rcall", "call0")))
    return calls


@_once
def compile_flags(path: Path, source: str = "") -> tuple[str, ...]:
    """The options that GCC says it compiled the firmware's C++ with, from the debug information.

    They are those of the first unit whose path holds `source`. Definitions (-D) are not among them.
    """
    with _opened(path) as elf:
        if elf.has_dwarf_info():
            for unit in elf.get_dwarf_info().iter_CUs():
                attributes = unit.get_top_DIE().attributes
                producer, name = (attributes.get(f"DW_AT_{key}") for key in ("producer", "name"))
                text = producer.value.decode() if producer else ""
                if text.startswith("GNU C++") and name and source in name.value.decode():
                    return tuple(word for word in text.split() if word.startswith("-"))
    return ()


def disassembly(path: Path) -> str:
    """What the toolchain's objdump writes of the code; empty if it is missing or fails."""
    with _opened(path) as elf:
        return _binutil(elf, "objdump", "-d", "-z", str(path))


def locate(path: Path, address: int) -> str:
    """Where `address` is: "function (src/file.cpp:12)", as much of it as the firmware's ELF can tell."""
    with _opened(path) as elf:
        # The lowest bit of an Arm code address says Thumb, and is no part of the address.
        code = address & ~1
        answer = _binutil(elf, "addr2line", "-f", "-e", str(path), hex(code)).splitlines()
        symbol, line = answer if len(answer) == 2 else ("??", "??")
        function = _demangled(elf, [symbol])[0] if symbol != "??" else f"{address:#010x}"
    if line.startswith("??"):
        return function
    return f"{function} ({line.split(' (discriminator')[0].removeprefix('./')})"


def lines(path: Path, addresses: Sequence[int]) -> list[str]:
    """For each address the source line that it comes from, "src/file.cpp:12"; empty if nothing knows it."""
    found: list[str] = []
    with _opened(path) as elf:
        for first in range(0, len(addresses), _AT_ONCE):
            some = [hex(address) for address in addresses[first : first + _AT_ONCE]]
            answer = _binutil(elf, "addr2line", "-e", str(path), *some).splitlines()
            answer = answer if len(answer) == len(some) else [""] * len(some)
            found += [line.split(" (discriminator")[0].removeprefix("./") for line in answer]
    return ["" if line.startswith("??") else line for line in found]


def demangled(path: Path, names: Sequence[str]) -> list[str]:
    """The linker's names of functions as a person reads them."""
    with _opened(path) as elf:
        return _demangled(elf, names)


def _allocated(elf: ELFFile) -> list[Section]:
    from elftools.elf.constants import SH_FLAGS

    return [
        section
        for section in elf.iter_sections()
        if section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section["sh_size"]
    ]


def _symbols(elf: ELFFile) -> list[ElfSymbol]:
    from elftools.elf.sections import SymbolTableSection

    table = elf.get_section_by_name(".symtab")
    return list(table.iter_symbols()) if isinstance(table, SymbolTableSection) else []


def _memories(ranges: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """The ranges by the memory that they are in: between two memories there is far more than any gap in one.

    What a chip's ROM loads to RAM is in flash, too, but not where its constants are.
    """
    found: list[list[tuple[int, int]]] = []
    for start, end in sorted(ranges):
        if found and start - found[-1][-1][1] < _BETWEEN_MEMORIES:
            found[-1].append((start, end))
        else:
            found.append([(start, end)])
    return found


def _extent(ranges: Sequence[tuple[int, int]]) -> int:
    return max(end for _, end in ranges) - min(start for start, _ in ranges) if ranges else 0


def _demangled(elf: ELFFile, names: Sequence[str]) -> list[str]:
    """C++ names as a person reads them: without argument types and the words for anonymous namespaces."""
    answer = _binutil(elf, "c++filt", "--no-params", *names).splitlines() if names else []
    readable = answer if len(answer) == len(names) else names
    return [name.replace("(anonymous namespace)::", "") for name in readable]


def _binutil(elf: ELFFile, tool: str, *arguments: str) -> str:
    """Output of a binutils program of the firmware's own toolchain; empty if it is missing or fails."""
    prefix = _TOOLS.get(elf["e_machine"], "")
    try:
        done = subprocess.run(
            [prefix + tool, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TOOL_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""
