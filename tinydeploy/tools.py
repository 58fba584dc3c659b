"""The programs that tinydeploy calls, and the Debian packages that hold them.

`make` runs this file before anything is installed, so it needs the standard library only:
`python3 -m tinydeploy.tools demo` prints the packages that `make demo` lacks.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass


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
    Tool("g++", ("g++",), "the tests", ("test",)),
)


def install_command(program: str) -> str:
    """The command that installs `program` on Debian and Ubuntu."""
    tool = next(tool for tool in TOOLS if tool.program == program)
    return f"apt-get install --no-install-recommends {tool.packages[-1]}"


def missing(goal: str) -> tuple[Tool, ...]:
    """The tools that `make goal` needs and that are not on PATH."""
    return tuple(tool for tool in TOOLS if goal in tool.goals and shutil.which(tool.program) is None)


if __name__ == "__main__":
    for tool in missing(sys.argv[1]):
        print("|".join(tool.packages))
