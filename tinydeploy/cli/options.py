"""The options that verbs share, each spelled in one place, and how tinydeploy.toml fills them in."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from tinydeploy import boards, config
from tinydeploy.boards import DEFAULT_BOARD, LEVELS
from tinydeploy.config import Config
from tinydeploy.engines.aot import GOALS
from tinydeploy.job import DEFAULT_ENGINE, DEFAULT_LINK, model_path
from tinydeploy.metrics import METRICS
from tinydeploy.targets import TARGETS
from tinydeploy.targets.qemu import LINKS
from tinydeploy.verbs import DEFAULT_TIMEOUT

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Seconds(click.FloatRange):
    """A time that a wait can take: above zero, at most config.LONGEST_TIMEOUT, and a number."""

    def __init__(self) -> None:
        super().__init__(0, config.LONGEST_TIMEOUT, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click."""
        number = super().convert(value, param, ctx)
        return self.fail(f"{value} is no number of seconds", param, ctx) if math.isnan(number) else number


model = click.argument("model", type=click.Path(path_type=Path))
signature = click.option(
    "--signature", help="Which of the file's functions to run, by its name.  [default: the first]"
)
logits = click.option(
    "--logits", is_flag=True, default=None, help="Leave out the SOFTMAX at the model's end."
)
board = click.option("-b", "--board", help=f"The board's id.  [default: {DEFAULT_BOARD}]")
engine = click.option("-e", "--engine", help=f"The engine that runs the model.  [default: {DEFAULT_ENGINE}]")
optimize = click.option(
    "--optimize",
    type=click.Choice(GOALS),
    help=f"What the aot engine strives for.  [default: {GOALS[0]}]",
)
tflm_library = click.option(
    "--tflm-library",
    help="The TFLite Micro that the tflm engine runs on: a folder, a git address, or a registry spec.",
)
data = click.option("--data", type=click.Path(path_type=Path), help="Labelled samples: an .npz with x and y.")
samples = click.option(
    "--samples",
    type=click.IntRange(1, config.MOST_SAMPLES),
    help="How many samples to run, spread over the file.  [default: all]",
)
metric = click.option(
    "--metric", metavar="NAME", help=f"How to judge: {', '.join(METRICS)}, or topK.  [default: as the output]"
)
output = click.option(
    "--output",
    metavar="NAME|INDEX",
    help="The model's output that y belongs to.  [default: the first that y fits]",
)
threshold = click.option(
    "--threshold",
    type=float,
    help="From here on an output, or an anomaly score, says yes.  [default: 0.5 of LOGISTIC]",
)
out = click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    envvar=config.OUT_VARIABLE,
    help="The folder to write to.",
)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else there."
)
target = click.option(
    "--target",
    type=click.Choice(TARGETS),
    help="What the firmware is made for, and runs on.  [default: QEMU if it has the board, else the board]",
)
target_made = click.option(
    "--target",
    type=click.Choice(TARGETS),
    help="What the firmware is made for.  [default: the board, or what emulates it if there is no other]",
)
link = click.option(
    "--link", type=click.Choice(LINKS), help=f"How the host talks to QEMU.  [default: {DEFAULT_LINK}]"
)
port = click.option(
    "--port",
    help="Run on the board at this serial port, URL or USB serial number; 'auto' finds it by its USB ids.",
)
no_upload = click.option(
    "--no-upload", is_flag=True, default=None, help="Measure the firmware that the board has already."
)
dtr = click.option(
    "--dtr", type=click.Choice(LEVELS), help="The port's line DTR, once it is open.  [default: the board's]"
)
rts = click.option("--rts", type=click.Choice(LEVELS), help="The same for RTS.")
upload_command = click.option(
    "--upload-command",
    envvar=config.UPLOAD_COMMAND_VARIABLE,
    help="What flashes the board, instead of PlatformIO's way; it fills in $SOURCE.",
)
timeout = click.option(
    "--timeout",
    type=Seconds(),
    help=f"Seconds that the target may take for one answer.  [default: {DEFAULT_TIMEOUT:g}]",
)


def stacked(*decorators: Decorator) -> Decorator:
    """Several options as one decorator, listed in --help in this order."""
    return lambda command: functools.reduce(
        lambda inner, option: option(inner), reversed(decorators), command
    )


_source = stacked(signature, logits, board, engine, optimize, tflm_library)
made = stacked(_source, target_made, link)
"""What a firmware is made from, and for."""
judging = stacked(metric, output, threshold)
"""How outputs are held against labels."""
at_port = stacked(port, upload_command, dtr, rts)
"""How to get at a board."""
deployment = stacked(_source, target, link, at_port, no_upload, timeout)
"""What a firmware is made from, and how to get at what runs it."""


def configured(model: Path) -> tuple[Path, Config]:
    """The model's file, and the tinydeploy.toml beside it."""
    path = model_path(model)
    return path, config.load(path)


def merged(file: Config, **flags: Any) -> dict[str, Any]:
    """Keyword arguments for a verb: the flag if given, else the file's value; neither leaves the default."""
    values = {name: getattr(file, name, None) if flag is None else flag for name, flag in flags.items()}
    values = {name: value for name, value in values.items() if value is not None}
    for name in _meant_for_another_target(values, flags):
        del values[name]
    return values


def _meant_for_another_target(values: Mapping[str, Any], flags: Mapping[str, Any]) -> list[str]:
    """The file's values that mean nothing where the flags lead: it may describe a board and an emulator."""
    given = {name for name, flag in flags.items() if flag is not None}
    meant: tuple[str, ...] = ()
    if "port" in given:
        meant = ("target", "link")
    elif "target" in given:
        meant = ("port", "upload_command", "dtr", "rts") if values["target"] != "board" else ()
        meant += ("link",) if values["target"] != "qemu" else ()
    elif "port" not in values and boards.board(values.get("board", DEFAULT_BOARD)).is_emulated:
        meant = ("upload_command", "dtr", "rts")
    return [name for name in meant if name in values and name not in given]
