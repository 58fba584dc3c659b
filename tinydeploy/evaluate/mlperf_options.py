"""The options of MLPerf Tiny's application and verb."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tinydeploy.evaluate.option import Option, Verb

APPS = ("mlperf-tiny", "mlperf-tiny-energy")
MODES = ("performance", "accuracy")

APP = Option("app", "What the firmware does, instead of serving tinydeploy's host.", choices=APPS)
_MODE = Option("mode", "Which run.", default="both", choices=MODES)
_SECONDS = Option(
    "seconds",
    "How long a window of inferences lasts at least, by the device's clock, or a sound that is made up.",
    kind=float,
    default="10",
)
_RUNNER = Option(
    "runner",
    "Have MLPerf Tiny's own runner drive the emulated device: a clone of mlcommons/tiny.",
    kind=Path,
    metavar="FOLDER",
)
_PYTHON = Option(
    "runner_python", "The Python that has the runner's packages.", default="this one", metavar="PROGRAM"
)


def mlperf(data: Option, samples: Option, deployed: tuple[Option, ...], usual: tuple[Option, ...]) -> Verb:
    """The verb: its own options around those that others have as well."""
    own: dict[str, Any] = {
        "help": "The benchmark's data: a folder with y_labels.csv, or a truth file of sound.",
        "metavar": "PATH",
        "key": "",
    }
    counted: dict[str, Any] = {"help": "How many files of the data to run.", "key": ""}
    return Verb(
        "MLPerf Tiny's benchmark of the model: performance and accuracy.",
        (
            replace(data, **own),
            replace(samples, **counted),
            _MODE,
            _SECONDS,
            _RUNNER,
            _PYTHON,
            *deployed,
            *usual,
        ),
        ("mlperf",),
        "mlperf.mlperf_verb",
    )
