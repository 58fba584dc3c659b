"""What a set of kernels is: all that the compiler asks of a core's instruction set."""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.engines.aot.ir import Step
from tinydeploy.model.graph import Graph

# A choice takes a step, and gives the same work as other steps, or None where its kernels do not fit.
Choice = Callable[[Graph, Step], tuple[Step, ...] | None]
