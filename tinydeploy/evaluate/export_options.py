"""Options that only `export` takes."""

from __future__ import annotations

from typing import Any

from tinydeploy.boards.core import CORES
from tinydeploy.evaluate.option import Option
from tinydeploy.words import EXPORTED_SAMPLES, FORMS

CORE = Option(
    "core",
    "The core whose kernels to take, instead of a board's.",
    metavar="ID",
    choices=tuple(CORES),
)
PORTABLE = Option("portable", "Kernels that run on any core, in C++11.", kind=bool)
FORM = Option(
    "forms",
    "A form to write it in; may be given several times.",
    kind=tuple,
    flag="--as",
    default=FORMS[0],
    choices=FORMS,
)
TESTED: dict[str, Any] = {
    "help": "How many samples the self-test runs.",
    "default": str(EXPORTED_SAMPLES),
    "most": 63,  # its status says which one failed
    "key": "",
}
"""What `samples` is for a library."""
