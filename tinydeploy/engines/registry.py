"""The engines by name."""

from __future__ import annotations

import difflib

from tinydeploy.engines import Engine
from tinydeploy.engines.aot import AotEngine
from tinydeploy.engines.tflm import TflmEngine
from tinydeploy.errors import UsageError

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (AotEngine(), TflmEngine())}


def engine_named(name: str, optimize: str | None = None, tflm_library: str | None = None) -> Engine:
    """The engine with this name. Raises UsageError if there is none.

    `optimize` is what aot strives for, `tflm_library` what tflm runs on; None leaves the engine's default.
    """
    if name == AotEngine.name and optimize:
        return AotEngine(optimize)
    if name == TflmEngine.name and tflm_library:
        return TflmEngine(tflm_library)
    if name in ENGINES:
        return ENGINES[name]
    near = difflib.get_close_matches(name, ENGINES, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known engines: {', '.join(ENGINES)}"
    raise UsageError(f"unknown engine '{name}'", hint)
