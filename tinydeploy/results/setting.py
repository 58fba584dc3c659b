"""What was run, where, and how it was built: the parts of a Result that are not measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class OpInfo:
    """One op of the model: its builtin name, output shape and multiply-accumulates."""

    index: int
    op: str
    output_shape: tuple[int, ...]
    macs: int


@dataclass(frozen=True)
class ModelInfo:
    """The model file."""

    path: str
    sha256: str
    file_bytes: int
    macs: int
    ops: tuple[OpInfo, ...]
    note: str = ""  # what was changed of the file's model
    signature: str = ""  # the name of the function that was run, if the file has several


@dataclass(frozen=True)
class BoardInfo:
    """The board whose budgets count."""

    id: str
    name: str
    core: str
    clock_hz: int
    notes: str = ""


@dataclass(frozen=True)
class TargetInfo:
    """What really ran the firmware: `kind` ("qemu"), its version string, and the link used."""

    kind: str
    version: str
    link: str
    note: str = ""


@dataclass(frozen=True)
class Symbol:
    """A symbol of the firmware and its size; `region` is "flash" or "ram" (initialised data is in both)."""

    name: str
    bytes: int
    region: str


@dataclass(frozen=True)
class BuildInfo:
    """The firmware build. flash = model_flash + runtime_flash; ram includes arena and stack.

    `engine_flash_bytes` is the model's constants and code, kernels included, without the measuring shell;
    None for an engine whose code is in a library.
    """

    compiler: str
    flags: tuple[str, ...]
    platformio: str
    flash_bytes: int
    ram_bytes: int
    flash_budget: int
    ram_budget: int
    model_flash_bytes: int
    runtime_flash_bytes: int
    largest_symbols: tuple[Symbol, ...]
    engine_flash_bytes: int | None = None


@dataclass(frozen=True)
class LibraryInfo:
    """The library that the engine runs on, and for each kind of op whose kernels the firmware really holds.

    `kernels` maps CONV_2D and so on to "CMSIS-NN", "ESP-NN" or "reference"; it is read from the ELF, and so
    are the compiler's `flags`, but for the definitions.
    """

    name: str
    version: str
    kernels: Mapping[str, str]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Provenance:
    """Where and when: versions by tool name, the host, ISO 8601 UTC start, seconds."""

    versions: Mapping[str, str]
    host: str
    started: str
    duration_s: float
    phases_s: Mapping[str, float] = field(default_factory=dict)
    data: str = ""  # the samples' file and sha256, or the random seed
