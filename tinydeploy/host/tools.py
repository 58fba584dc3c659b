"""The table of programs that tinydeploy calls, and the Debian packages that hold them.

`make` runs this file before anything is installed, so it needs the standard library only:
`python3 -m tinydeploy.host.tools demo` prints the packages that `make demo` lacks.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata


@dataclass(frozen=True)
class Tool:
    """A program on PATH. `packages` are the names that its Debian package has had, the newest first;
    `goals` are the targets of the Makefile that need it.
    """

    program: str
    packages: tuple[str, ...]
    needed_for: str
    goals: tuple[str, ...]


TOOLS = (
    Tool("arm-none-eabi-gcc", ("gcc-arm-none-eabi",), "Cortex-M boards", ("demo", "test")),
    Tool("qemu-system-arm", ("qemu-system-arm",), "Cortex-M boards", ("demo", "test")),
    Tool("riscv64-unknown-elf-gcc", ("gcc-riscv64-unknown-elf",), "riscv32 boards", ("test",)),
    Tool("qemu-system-riscv32", ("qemu-system-riscv", "qemu-system-misc"), "riscv32 boards", ("test",)),
    # The core's package depends on compiler and C library: 22 MB to download, 127 MB installed.
    Tool("avr-gcc", ("arduino-core-avr",), "AVR boards", ("test",)),
    Tool("qemu-system-avr", ("qemu-system-misc",), "AVR boards", ("test",)),
    # 41 MB to download, 138 MB installed.
    Tool("xtensa-lx106-elf-gcc", ("gcc-xtensa-lx106",), "Xtensa boards", ("test",)),
    Tool("qemu-system-xtensa", ("qemu-system-misc",), "Xtensa boards", ("test",)),
    Tool("g++", ("g++",), "estimates of time, and the tests", ("demo", "test")),
    Tool("cmake", ("cmake",), "the tests", ("test",)),
)

# By its compiler, the C library that tests of exported models link, and the Debian package that holds it.
_C_LIBRARIES = {"arm-none-eabi-gcc": "libnewlib-arm-none-eabi"}

_CXX_LIBRARIES = {"arm-none-eabi-": "libstdc++-arm-none-eabi-newlib"}


def package(program: str) -> str:
    """The Debian package that holds `program`."""
    return next(tool for tool in TOOLS if tool.program == program).packages[-1]


def install_command(program: str) -> str:
    """The command that installs `program` on Debian and Ubuntu."""
    return f"apt-get install --no-install-recommends {package(program)}"


def project_packages(toolchain: str, *, cxx_library: bool) -> tuple[str, ...]:
    """The Debian packages that a project needs for its compiler, with the C++ standard library or without."""
    compiler = package(f"{toolchain}gcc")
    return (
        (compiler, _CXX_LIBRARIES[toolchain]) if cxx_library and toolchain in _CXX_LIBRARIES else (compiler,)
    )


def has_cxx_library(toolchain: str) -> bool:
    """Whether the cross compiler whose programs' names begin with `toolchain` finds C++'s own headers."""
    return _finds(f"{toolchain}g++", "c++", "algorithm")


def _finds(compiler: str, language: str, header: str) -> bool:
    command = [compiler, "-x", language, "-E", "-include", header, "-"]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def cxx_library_hint(toolchain: str) -> str:
    """How to get the C++ standard library of a cross compiler."""
    if toolchain in _CXX_LIBRARIES:
        return f"apt-get install --no-install-recommends {_CXX_LIBRARIES[toolchain]}"
    return f"Debian has no package of it for {toolchain}g++"


@functools.cache
def version(distribution: str) -> str:
    """The installed version of a Python package. Raises metadata.PackageNotFoundError.

    Only that line of its metadata is looked at: to parse the page about the package takes far longer.
    """
    found = metadata.distribution(distribution)
    line = re.search(r"^Version: *(\S+)", found.read_text("METADATA") or "", re.MULTILINE)
    return line[1] if line else found.version


def missing(goal: str) -> tuple[Tool, ...]:
    """The tools that `make goal` needs and that are not on PATH."""
    return tuple(tool for tool in TOOLS if goal in tool.goals and shutil.which(tool.program) is None)


def missing_libraries(goal: str) -> tuple[str, ...]:
    """The Debian packages of C libraries that `make goal` needs and that its compilers do not find."""
    if goal != "test":
        return ()
    return tuple(name for compiler, name in _C_LIBRARIES.items() if not _finds(compiler, "c", "string.h"))


if __name__ == "__main__":
    for tool in missing(sys.argv[1]):
        print("|".join(tool.packages))
    for library in missing_libraries(sys.argv[1]):
        print(library)
