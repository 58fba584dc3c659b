"""The registry of kernel sets: a core names its own by a word."""

from __future__ import annotations

from tinydeploy.boards.core import Core
from tinydeploy.engines.aot.kernels.cores import dsp, mve, scalar
from tinydeploy.engines.aot.kernels.kernel_set import KernelSet

PORTABLE = KernelSet("portable")
KERNEL_SETS = {kernels.name: kernels for kernels in (PORTABLE, *scalar.SETS, dsp.SET, mve.SET)}


def kernels_of(core: Core) -> KernelSet:
    """The kernels of `core`."""
    return KERNEL_SETS[core.kernels]
