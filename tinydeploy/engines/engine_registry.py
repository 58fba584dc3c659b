"""The registry of engines: by name."""

from __future__ import annotations

import difflib

from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.engines.engine import Engine
from tinydeploy.engines.tflm.tflm_engine import TflmEngine
from tinydeploy.errors import UsageError

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (AotEngine(), TflmEngine())}


def engine_named(name: str, optimize: str | None = None, tflm_library: str | None = None) -> Engine:
    """The engine with this name. Raises UsageError if there is none, or if it has no goals to `optimize` for.

    `optimize` is what aot strives for, `tflm_library` what tflm runs on; None leaves the engine's default.
    """
    if name == TflmEngine.name and optimize:
        raise UsageError(
            "tflm has no goals to optimize for: its library's kernels are what they are",
            "leave --optimize out",
        )
    if name == AotEngine.name and optimize:
        return AotEngine(optimize)
    if name == TflmEngine.name and tflm_library:
        return TflmEngine(tflm_library)
    if name in ENGINES:
        return ENGINES[name]
    near = difflib.get_close_matches(name, ENGINES, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known engines: {', '.join(ENGINES)}"
    raise UsageError(f"unknown engine '{name}'", hint)


def engine_names(text: str, optimize: str | None = None) -> tuple[tuple[str, str | None], ...]:
    """The engines that "aot,tflm" names, each with what it is to optimize for. Raises UsageError.

    A goal is for the engines that know goals: it is refused if none of them does.
    """
    names = [name.strip() for name in text.split(",")]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"the engine {twice[0]} is named twice", "name each once: aot,tflm")
    if len(names) == 1:
        return ((names[0], optimize),)
    return tuple((name, None if name == TflmEngine.name else optimize) for name in names)
