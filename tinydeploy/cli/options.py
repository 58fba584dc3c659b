"""The options that verbs share, each spelled in one place, and how tinydeploy.toml fills them in."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tinydeploy import config
from tinydeploy.boards import DEFAULT_BOARD
from tinydeploy.config import Config
from tinydeploy.engines.aot import GOALS
from tinydeploy.job import DEFAULT_ENGINE, DEFAULT_LINK, model_path
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
    "--samples", type=click.IntRange(1, config.MOST_SAMPLES), help="How many samples to run.  [default: all]"
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
link = click.option(
    "--link", type=click.Choice(LINKS), help=f"How the host talks to QEMU.  [default: {DEFAULT_LINK}]"
)
port = click.option(
    "--port",
    help="Run on the board at this serial port or USB serial number; 'auto' finds it by its USB ids.",
)
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


build = stacked(signature, logits, board, engine, optimize, tflm_library, target, link)
"""What a firmware is made from, and for."""
deployment = stacked(build, port, upload_command, timeout)
"""The same, and how to get at what runs it."""


def configured(model: Path) -> tuple[Path, Config]:
    """The model's file, and the tinydeploy.toml beside it."""
    path = model_path(model)
    return path, config.load(path)


def merged(file: Config, **flags: Any) -> dict[str, Any]:
    """Keyword arguments for a verb: the flag if given, else the file's value; neither leaves the default."""
    values = {name: getattr(file, name) if flag is None else flag for name, flag in flags.items()}
    return {name: value for name, value in values.items() if value is not None}
