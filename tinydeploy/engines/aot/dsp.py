"""Kernels for cores with Arm's DSP extension (Cortex-M4, M7, M33)."""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.engines.aot.program import Step

CHOICES: dict[str, Callable[[Step], tuple[Step, ...] | None]] = {}
