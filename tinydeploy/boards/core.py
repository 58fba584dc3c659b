"""Cores: the compiler that targets each, with which flags, and what the core can do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Core:
    """A processor core: the compiler that targets it, with which flags, and what it can do.

    `kernels` names the kernels that the aot engine has for its instruction set, see kernel_sets.py.
    `features` are for people: fpu, dsp, mve.
    """

    id: str
    name: str
    toolchain: str  # prefix of the GCC cross tools
    flags: tuple[str, ...]
    kernels: str = "portable"
    features: tuple[str, ...] = ()

    @property
    def is_arm(self) -> bool:
        """Whether this is a Cortex-M."""
        return self.toolchain.startswith("arm")

    @property
    def macro(self) -> str:
        """The macro that a compiler for this architecture defines."""
        macros = {"arm": "__arm__", "riscv64": "__riscv", "xtensa": "__XTENSA__", "avr": "__AVR__"}
        return macros[self.toolchain.partition("-")[0]]


_ARM = "arm-none-eabi-"
CORES = {
    core.id: core
    for core in (
        Core("cortex-m0plus", "Cortex-M0+", _ARM, ("-mcpu=cortex-m0plus", "-mthumb"), "armv6m"),
        Core("cortex-m3", "Cortex-M3", _ARM, ("-mcpu=cortex-m3", "-mthumb"), "armv7m"),
        Core(
            "cortex-m4f",
            "Cortex-M4F",
            _ARM,
            ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
            "dsp",
            ("fpu", "dsp"),
        ),
        Core(
            "cortex-m7",
            "Cortex-M7",
            _ARM,
            ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-d16"),
            "dsp",
            ("fpu", "dsp"),
        ),
        Core(
            "cortex-m33",
            "Cortex-M33",
            _ARM,
            ("-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"),
            "dsp",
            ("fpu", "dsp"),
        ),
        Core(
            "cortex-m55",
            "Cortex-M55",
            _ARM,
            ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"),
            "mve",
            ("fpu", "dsp", "mve"),
        ),
        Core(
            "rv32imc",
            "RISC-V RV32IMC",
            "riscv64-unknown-elf-",
            # By this version of the ISA the CSR instructions belong to the base; naming them as the extension
            # zicsr would make GCC link the 64-bit libgcc.
            ("-march=rv32imc", "-misa-spec=2.2", "-mabi=ilp32", "-mcmodel=medany"),
            "rv32im",
        ),
        Core(
            "rv32imac",
            "RISC-V RV32IMAC",
            "riscv64-unknown-elf-",
            ("-march=rv32imac", "-misa-spec=2.2", "-mabi=ilp32", "-mcmodel=medany"),
            "rv32im",
        ),
        Core(
            "xtensa-lx106",
            "Xtensa LX106",
            "xtensa-lx106-elf-",
            ("-mlongcalls", "-mtext-section-literals"),
            "xtensa",
        ),
        # Only with Arduino cores, whose platforms bring compiler and flags with them.
        Core("xtensa-lx6", "Xtensa LX6", "xtensa-esp32-elf-", (), "xtensa", ("fpu",)),
        Core("xtensa-lx7", "Xtensa LX7", "xtensa-esp32s3-elf-", (), "xtensa", ("fpu",)),
        Core("avr", "AVR", "avr-", ()),
    )
}
