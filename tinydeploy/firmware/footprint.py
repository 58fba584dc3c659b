"""The footprint: what a firmware of the aot engine takes of a board's memories, known before it is built.

Exact are the arena, the stack's budget and the model's constants. What the runtime takes was read from
builds; code is estimated by the kernels' instances, within a band. benchmarks/fit_error.py prints how far off
all that is.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.boards.board import Board
from tinydeploy.boards.core import Core
from tinydeploy.engines.aot.kernels.cores.kernel_sets import kernels_of
from tinydeploy.engines.engine import EngineSources


@dataclass(frozen=True)
class Need:
    """What is needed of one memory: bytes as expected, at the least and at the most; and what there is."""

    estimate: int
    at_least: int
    at_most: int
    budget: int

    @property
    def left(self) -> int:
        """What is expected to be left; negative if it does not fit."""
        return self.budget - self.estimate


@dataclass(frozen=True)
class Code:
    """Bytes of code on a core: per op, and per instance of a kernel for which kind of layer."""

    op: int
    depthwise: int
    conv: int
    dense: int
    recurrent: int
    other: int

    def bytes(self, sources: EngineSources) -> int:
        """The code of all ops and kernels of `sources`."""
        return sum(getattr(self, name) * count for name, count in code_units(sources).items())


def code_units(sources: EngineSources) -> dict[str, int]:
    """What the code consists of: how many ops, and how many instances of kernels of each kind, as in Code."""
    units = dict.fromkeys(("op", "depthwise", "conv", "dense", "recurrent", "other"), 0)
    units["op"] = len(sources.profiled_ops)
    for kernel, instances in sources.instances.items():
        units[next((kind for word, kind in _KINDS if word in kernel), "other")] += instances
    return units


_KINDS = (
    *(("lstm", "recurrent"), ("svdf", "recurrent"), ("depthwise", "depthwise"), ("conv", "conv")),
    *(("pointwise", "conv"), ("fully_connected", "dense")),
)

# Found by benchmarks/fit_error.py. Then: what part of it code takes at the least and at the most, and what
# may come on top of that.
_CODES = {
    "dsp": Code(op=220, depthwise=700, conv=1700, dense=700, recurrent=1200, other=20),
    "mve": Code(op=160, depthwise=850, conv=900, dense=100, recurrent=1900, other=25),
    "armv7m": Code(op=240, depthwise=750, conv=1400, dense=300, recurrent=1400, other=25),
    "armv6m": Code(op=260, depthwise=550, conv=1550, dense=1150, recurrent=750, other=40),
    "rv32im": Code(op=270, depthwise=650, conv=1650, dense=600, recurrent=850, other=50),
    "xtensa": Code(op=280, depthwise=2300, conv=3450, dense=550, recurrent=4700, other=150),
    "avr": Code(op=270, depthwise=1100, conv=1050, dense=650, recurrent=1200, other=70),
}
_SHARED = 0.65  # the part of it that code takes where all layers share the kernels for the DSP extension
_CODE_BAND = (0.3, 1.6)
_CODE_SLACK = 1536

# What the measuring runtime takes: flash without the model; static RAM beside arena, stack and 4 bytes per
# op, by the way to the host, for a UART has a buffer. On AVR with Debian's Arduino core.
_RUNTIME_FLASH = {"arm": 5500, "rv32im": 6450, "xtensa": 4900, "avr": 13_400}
_IMAGE_FLASH = 900  # more where start-up maps the constants, and the link is by two ways
_RUNTIME_FLASH_BAND = 1024
_RUNTIME_RAM = {"uart": 3028, "pipe": 2004, "avr": 1110}
_RUNTIME_RAM_BAND = {"uart": 96, "pipe": 96, "avr": 1024}  # AVR has the kernels' own tables in RAM too
ERROR = "off by −8 to +7 % over 50 builds"
"""How far off the estimate of the flash is, as benchmarks/fit_error.py found it."""


def is_known(board: Board) -> bool:
    """Whether all parts of the board's firmware are known: what a downloaded Arduino core takes is not."""
    return not board.downloads


def family(core: Core) -> str:
    """Which estimate of code goes for a core: its kernels decide, or else its instructions."""
    if core.kernels in _CODES:
        return core.kernels
    return core.id if core.id in _CODES else "rv32im"


def flash(sources: EngineSources, board: Board) -> Need:
    """The flash that the firmware of `sources` takes."""
    core = board.core
    runtime = _RUNTIME_FLASH["arm" if core.is_arm else family(core)]
    runtime += _IMAGE_FLASH if board.image else 0
    fixed, code = runtime + sources.constant_bytes, _CODES[family(core)].bytes(sources)
    if kernels_of(core).sharing and sources.optimize == "size":
        code = round(_SHARED * code)
    return Need(
        fixed + code,
        fixed + round(_CODE_BAND[0] * code) - _RUNTIME_FLASH_BAND,
        fixed + round(_CODE_BAND[1] * code) + _CODE_SLACK + _RUNTIME_FLASH_BAND,
        board.flash.bytes,
    )


def ram(sources: EngineSources, board: Board, link: str) -> Need:
    """The RAM that it takes with this link, the stack's budget included."""
    assert sources.arena is not None
    way = "avr" if board.core.id == "avr" else link
    needed = sources.arena.bytes + board.stack_bytes + _RUNTIME_RAM[way] + 4 * len(sources.profiled_ops)
    if board.core.id == "avr":
        needed += sources.constant_bytes  # flash is another address space there
    band = _RUNTIME_RAM_BAND[way]
    least, most = needed - band, needed + band
    if board.image:  # code is in RAM there
        code = flash(sources, board)
        needed, least, most = (
            ram + taken - sources.constant_bytes
            for ram, taken in ((needed, code.estimate), (least, code.at_least), (most, code.at_most))
        )
    return Need(needed, least, most, board.ram.bytes)
