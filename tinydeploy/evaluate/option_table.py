"""The table of options and of the verbs that take them.

The command line, tinydeploy.toml, the keywords of the Python functions and docs/options.md are made from it.
It loads nothing that `--help` would have to wait for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tinydeploy.engines.engine_registry import DEFAULT_ENGINE, ENGINES
from tinydeploy.evaluate import prepare_options
from tinydeploy.evaluate.budget_options import BUDGET, BUILT_BUDGET
from tinydeploy.evaluate.deciding_options import BASELINE, OUTPUTS, PDF, many_verbs
from tinydeploy.evaluate.export_options import CORE, FORM, PORTABLE, TESTED
from tinydeploy.evaluate.judging_options import DATA, JUDGING, LABELS, METRIC, OUTPUT, SAMPLES, THRESHOLD
from tinydeploy.evaluate.meter_options import METER
from tinydeploy.evaluate.mlperf_options import APP, mlperf
from tinydeploy.evaluate.option import CODE, COMMAND, PLACE, Option, Verb
from tinydeploy.targets.target_registry import TARGETS
from tinydeploy.words import (
    ARENAS,
    DEFAULT_BOARD,
    DEFAULT_LINK,
    DEFAULT_TIMEOUT,
    GOALS,
    LEVELS,
    LINKS,
    SELFTEST_SAMPLES,
    TFLM_VARIABLE,
)

LONGEST_TIMEOUT = 86_400.0  # seconds: a day


def _boards() -> Iterable[str]:
    from tinydeploy.boards import lookup

    return lookup.ids()


_VERBOSE = Option(
    "verbose", "Show on stderr the commands that are run.", kind=bool, short="-v", in_python=False
)
_QUIET = Option("quiet", "Nothing but the result, and errors.", kind=bool, short="-q", in_python=False)
_JSON = Option(
    "as_json", "Print JSON on stdout, and nothing else there.", kind=bool, flag="--json", in_python=False
)
_SIGNATURE = Option(
    "signature",
    "Which of the file's functions to run, by its name.",
    default="the first",
    metavar="NAME",
    key="signature",
)
_LOGITS = Option("logits", "Leave out the SOFTMAX at the model's end.", kind=bool, key="logits")
_BOARD = Option(
    "board",
    "The board: an id of tinydeploy boards, or pio:ID.",
    default=DEFAULT_BOARD,
    short="-b",
    metavar="ID",
    completions=_boards,
    key="board",
)
_ENGINE = Option(
    "engine",
    f"What runs the model: {' or '.join(ENGINES)}.",
    metavar="NAME",
    default=DEFAULT_ENGINE,
    short="-e",
    completions=lambda: (*ENGINES, ",".join(ENGINES)),
    key="engine",
)
_OPTIMIZE = Option(
    "optimize", "What the aot engine strives for.", default=GOALS[0], choices=GOALS, key="optimize"
)
_TFLM_LIBRARY = Option(
    "tflm_library",
    "The TFLite Micro that the tflm engine runs on: a folder, a git address, or a registry spec.",
    metavar="FOLDER|URL|SPEC",
    variable=TFLM_VARIABLE,
    variable_below=True,
    key="tflm.library",
    untrusted=CODE,
)
_ARENA = Option(
    "arena", "Where the arena lies; psram is for ESP32s.", default="sram", choices=ARENAS, key="arena"
)
_EVERY = Option(
    "every",
    "From one inference to the next, for the estimate of power and battery life: 1s, 10min.",
    metavar="TIME",
    key="every",
)
_BATTERY = Option("battery", "What the battery holds, with --every: 220mAh.", metavar="CHARGE", key="battery")
_EXTRA_UJ = Option(
    "extra_uj",
    "Microjoules that waking up and the sensor take each time, with --every.",
    kind=float,
    default="0",
    metavar="NUMBER",
    most=1e12,
    key="extra_uj",
)
_POINTS = Option(
    "points", "The file to write the points to.", kind=Path, metavar="FILE", default="BOARD-points.csv"
)
_PROFILE = Option("profile", "Say where the cycles go: by function, source line, instruction.", kind=bool)
_OUT = Option(
    "out",
    "The folder to write to; run names one in tinydeploy-out by default.",
    kind=Path,
    metavar="FOLDER",
    short="-o",
    variable="TINYDEPLOY_OUT",
    key="out",
    untrusted=PLACE,
)
_TARGET = Option(
    "target",
    "What the firmware is made for, and runs on.",
    default="an emulator that has the board, else a machine of its core",
    choices=TARGETS,
    key="target",
)
_TARGET_MADE = replace(
    _TARGET,
    help="What the firmware is made for.",
    default="the board, or what emulates it if there is no other",
)
_LINK = Option("link", "How the host talks to QEMU.", default=DEFAULT_LINK, choices=LINKS, key="link")
_PORT = Option(
    "port",
    "Run on the board at this serial port, URL or USB serial number; 'auto' finds it by its USB ids.",
    metavar="PORT",
    key="port",
)
_UPLOAD_COMMAND = Option(
    "upload_command",
    "What flashes the board, instead of PlatformIO's way; it fills in $SOURCE.",
    metavar="COMMAND",
    variable="TINYDEPLOY_UPLOAD_COMMAND",
    key="upload_command",
    untrusted=COMMAND,
)
_DTR = Option(
    "dtr", "The port's line DTR, once it is open.", default="the board's", choices=LEVELS, key="dtr"
)
_RTS = Option("rts", "The same for RTS.", choices=LEVELS, key="rts")
_NO_UPLOAD = Option("no_upload", "Measure the firmware that the board has already.", kind=bool)
_TIMEOUT = Option(
    "timeout",
    "Seconds that the target may take for one answer.",
    kind=float,
    metavar="SECONDS",
    default=f"{DEFAULT_TIMEOUT:g}",
    most=LONGEST_TIMEOUT,
    key="timeout",
)
_ON = Option(
    "on",
    "Where to find it: on the board's target, or with TFLite Micro on this machine.",
    default="target",
    choices=("target", "host"),
)
_RENODE_TEST = Option(
    "renode_test", "With a self-test, a suite for renode-test, and a CI job that runs it.", kind=bool
)
_MAX_INSTRUCTIONS = Option(
    "max_instructions", "What an inference may take in the self-test.", kind=int, metavar="N"
)
_GOALS = Option(
    "every_goal",
    "A line for every goal of --optimize, not for the best alone.",
    kind=bool,
    flag="--goals",
)
_TRIM = Option(
    "trim",
    "Drop the oldest entries until the rest has that size: 1G, 500M.",
    metavar="SIZE",
    in_python=False,
)
_CLEAR = Option("clear", "Drop all that no running command uses.", kind=bool, in_python=False)

_ALWAYS = (_VERBOSE, _QUIET)
_SOURCE = (_SIGNATURE, _LOGITS, _BOARD, _ENGINE, _OPTIMIZE, _ARENA, _TFLM_LIBRARY)
_MADE = (*_SOURCE, _TARGET_MADE, _LINK)
_ESTIMATED = (_EVERY, _BATTERY, _EXTRA_UJ, _PROFILE, METER)
_AT_PORT = (_PORT, _UPLOAD_COMMAND, _DTR, _RTS)
_DEPLOYED = (*_SOURCE, _TARGET, _LINK, *_AT_PORT, _NO_UPLOAD, _TIMEOUT)
_SELFTEST = (
    _RENODE_TEST,
    replace(DATA, key=""),
    replace(
        SAMPLES,
        help="How many samples the self-test runs.",
        default=str(SELFTEST_SAMPLES),
        most=None,
        key="",
    ),
    _MAX_INSTRUCTIONS,
)

VERBS = {
    "doctor": Verb(
        "What is installed, and the command that installs what is missing.",
        (_JSON, *_ALWAYS),
        ("doctor",),
    ),
    "boards": Verb(
        "The boards: core, clock, flash, RAM, and how they can run here.", (_JSON, *_ALWAYS), ("boards",)
    ),
    "inspect": Verb(
        "Ops, shapes, MACs, memory over time, and which engines run it.",
        (_SIGNATURE, _LOGITS, _BOARD, _OPTIMIZE, _JSON, *_ALWAYS),
        ("inspect",),
    ),
    "fit": Verb(
        "The boards that a model fits, without a build.", (_LOGITS, _GOALS, _JSON, *_ALWAYS), ("fit",)
    ),
    "generate": Verb(
        "Write a PlatformIO project that stands on its own.",
        (replace(_OUT, key=""), *_MADE, APP, *_SELFTEST, _JSON, *_ALWAYS),
        ("generate",),
    ),
    "export": Verb(
        "Write models as a library for one's own firmware.",
        (
            *(
                replace(_OUT, key=""),
                FORM,
                _SIGNATURE,
                _LOGITS,
                _BOARD,
                CORE,
                PORTABLE,
                _OPTIMIZE,
                LABELS,
            ),
            replace(DATA, help="Samples for the self-test: an .npz with x.", key=""),
            *(replace(SAMPLES, **TESTED), _JSON, *_ALWAYS),
        ),
        ("export",),
    ),
    "build": Verb(
        "Build the firmware; show flash and RAM against the budget.",
        (*_MADE, *BUILT_BUDGET, _JSON, *_ALWAYS),
        ("build",),
    ),
    "arena": Verb(
        "The tensor arena's size, and its proof.",
        (*_DEPLOYED, _ON, _JSON, *_ALWAYS),
        ("arena", "arena_each"),
    ),
    "run": Verb(
        "The whole way: build, load, measure, and report.",
        (
            *JUDGING,
            prepare_options.FLOAT,
            _OUT,
            PDF,
            *_DEPLOYED,
            *_ESTIMATED,
            *BUDGET,
            *BASELINE,
            *OUTPUTS,
            _JSON,
            *_ALWAYS,
        ),
        ("run", "run_each"),
    ),
    "quantize": prepare_options.quantize(
        _OUT,
        DATA,
        SAMPLES,
        (LABELS, METRIC, OUTPUT, THRESHOLD),
        (_JSON, *_ALWAYS),
    ),
    "compress": prepare_options.compress(
        _OUT,
        DATA,
        (SAMPLES, LABELS, METRIC, OUTPUT, THRESHOLD, _OPTIMIZE, _TARGET, _TIMEOUT),
        (_JSON, *_ALWAYS),
    ),
    "search": prepare_options.search(
        (_BOARD, _OPTIMIZE, LABELS, METRIC, THRESHOLD, *BUDGET),
        _OUT,
        DATA,
        (_JSON, *_ALWAYS),
    ),
    "flash": Verb(
        "Build, upload to a board, and make sure that it answers.",
        (*_SOURCE, *_AT_PORT, _TIMEOUT, _JSON, *_ALWAYS),
        ("flash",),
    ),
    "calibrate": Verb(
        "Fit the time model to a board that you have, by models that run there.",
        (_BOARD, replace(_POINTS, key=""), *_AT_PORT, _TIMEOUT, _JSON, *_ALWAYS),
        ("calibrate",),
    ),
    "mlperf": mlperf(DATA, SAMPLES, (replace(_OUT, key=""), *_DEPLOYED), (_JSON, *_ALWAYS)),
    **many_verbs(_BOARD, (DATA, SAMPLES, METRIC, _TARGET, _TIMEOUT, _OUT), (_JSON, *_ALWAYS)),
    "cache": Verb("What is kept between runs, and how to drop it.", (_TRIM, _CLEAR, _JSON, *_ALWAYS)),
}

ALWAYS = _ALWAYS
"""What `tinydeploy` takes without a verb."""
ESTIMATED = tuple(option.name for option in _ESTIMATED)
"""What says what to estimate besides the time."""
JUDGED = tuple(option.name for option in JUDGING)
"""What says which samples are run, and how their outputs are judged."""
AT_PORT = ("upload_command", "no_upload", "dtr", "rts")
"""What says how a board at a port is used."""


def in_file() -> dict[str, Option]:
    """The options that tinydeploy.toml may hold, by their keys there."""
    listed = (_BOARD, *(option for verb in VERBS.values() for option in verb.options))
    return {option.key: option for option in listed if option.key}


def from_file(verb: str) -> tuple[str, ...]:
    """The keywords of the options that tinydeploy.toml may settle for a verb."""
    return tuple(option.name for option in VERBS[verb].options if option.key)
