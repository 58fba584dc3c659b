"""tinydeploy: a .tflite goes in, measured firmware comes out.

Every verb of the command line is a function here: `result, folder = tinydeploy.run("model.tflite")`. They are
those of `tinydeploy.verbs`, which are loaded when the first of them is asked for.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from tinydeploy.evaluate.option_table import VERBS
from tinydeploy.version import __version__

_VERBS = {name: verb.home for verb in VERBS.values() for name in verb.functions}
_ELSEWHERE = {"errors": "errors", "verbs": "verbs", "verdict": "results.verdict"}
__all__ = ["Result", "__version__", *sorted(_VERBS)]

# A room that has the name of a verb is bound here once, when it is loaded; then the name is the verb's.
for _verb in _VERBS:
    if (Path(__file__).parent / _verb).is_dir():
        importlib.import_module(f"tinydeploy.{_verb}")
        del globals()[_verb]


def __getattr__(name: str) -> Any:
    """A verb, the class of a result, or a module that users name: loaded when it is first asked for."""
    if name in (*_VERBS, "Result"):
        return getattr(importlib.import_module(f"tinydeploy.{_VERBS.get(name, 'verbs')}"), name)
    if name in _ELSEWHERE:
        return importlib.import_module(f"tinydeploy.{_ELSEWHERE[name]}")
    raise AttributeError(f"module 'tinydeploy' has no attribute '{name}'")


def __dir__() -> list[str]:
    """All that there is."""
    return sorted({*globals(), *__all__, *_ELSEWHERE})
