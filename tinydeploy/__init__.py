"""tinydeploy: a .tflite goes in, measured firmware comes out.

Every verb of the command line is a function here: `result, folder = tinydeploy.run("model.tflite")`. They are
those of `tinydeploy.verbs`, which are loaded when the first of them is asked for. Some verbs share their name
with the module that does the work (`tinydeploy.fit`): such a module can be called like the function.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

__version__ = "0.1.0"

_VERBS = ("inspect", "generate", "arena_each", "flash", "run", "run_each")
_MODULES = ("arena", "boards", "build", "doctor", "fit")  # verbs, too
__all__ = ["Result", "__version__", *_VERBS, *_MODULES]


class _CalledModule(types.ModuleType):
    """A module that is also the verb of its name."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """See the function in tinydeploy.verbs."""
        from tinydeploy import verbs

        return getattr(verbs, self.__name__.rpartition(".")[2])(*arguments, **keywords)


class _Package(types.ModuleType):
    """The package, whose verbs are loaded when they are asked for."""

    def __setattr__(self, name: str, value: Any) -> None:
        """A submodule is bound here by whoever imports it first."""
        if name in _MODULES and isinstance(value, types.ModuleType):
            value.__class__ = _CalledModule
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        """What has not been loaded yet."""
        if name in (*_MODULES, "errors", "verbs", "verdict"):
            return importlib.import_module(f"tinydeploy.{name}")
        if name in _VERBS:
            return getattr(importlib.import_module("tinydeploy.verbs"), name)
        if name == "Result":
            return importlib.import_module("tinydeploy.result").Result
        raise AttributeError(f"module 'tinydeploy' has no attribute '{name}'")

    def __dir__(self) -> list[str]:
        """All that there is."""
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
