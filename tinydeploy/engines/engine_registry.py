"""The registry of engines: besides its own package, the one place in which an engine's name stands."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from tinydeploy.errors import UsageError
from tinydeploy.host.registry import Registry

if TYPE_CHECKING:
    from tinydeploy.engines.engine import Engine, RegisteredEngine

ENGINES: Registry[RegisteredEngine] = Registry(
    {
        "aot": "tinydeploy.engines.aot.pipeline:ENGINE",
        "tflm": "tinydeploy.engines.tflm.tflm_engine:ENGINE",
    }
)
DEFAULT_ENGINE = next(iter(ENGINES))


def engine_named(name: str, optimize: str | None = None, tflm_library: str | None = None) -> Engine:
    """The engine with this name. Raises UsageError if there is none, or if it has no goals to `optimize` for.

    `optimize` is one of its goals, `tflm_library` the library that it runs on, if it needs one; None leaves
    the engine's default.
    """
    if name not in ENGINES:
        near = difflib.get_close_matches(name, ENGINES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known engines: {', '.join(ENGINES)}"
        raise UsageError(f"unknown engine '{name}'", hint)
    engine = ENGINES[name]
    if optimize and not engine.goals:
        raise UsageError(
            f"{name} has no goals to optimize for: its library's kernels are what they are",
            "leave --optimize out",
        )
    return engine.configured(optimize, tflm_library)


def engine_names(text: str, optimize: str | None = None) -> tuple[tuple[str, str | None], ...]:
    """The engines that "aot,tflm" names, each with what it is to optimize for. Raises UsageError.

    A goal is for the engines that know goals: it is refused if none of them does.
    """
    names = [name.strip() for name in text.split(",")]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"the engine {twice[0]} is named twice", f"name each once: {','.join(ENGINES)}")
    if len(names) == 1:
        return ((names[0], optimize),)
    return tuple((name, optimize if name not in ENGINES or ENGINES[name].goals else None) for name in names)
