"""The options that verbs share, each spelled in one place."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from tinydeploy.cli import shell
from tinydeploy.evaluate import config
from tinydeploy.words import (
    DEFAULT_BOARD,
    DEFAULT_ENGINE,
    DEFAULT_LINK,
    DEFAULT_TIMEOUT,
    ENGINES,
    GOALS,
    LEVELS,
    LINKS,
    METRICS,
    TARGETS,
)

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Once(click.Option):
    """An option that takes one value, and is refused if it is given two. See click."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """See click."""
        super().add_to_parser(parser, ctx)
        if self.is_flag:
            return
        for name in self.opts:
            option = parser._long_opt.get(name) or parser._short_opt.get(name)
            option.process = functools.partial(self._process, option.process)

    def _process(self, process: Callable[[Any, Any], None], value: Any, state: Any) -> None:
        if self.name in state.opts:
            first = state.opts[self.name]
            raise click.UsageError(f"{'/'.join(self.opts)} is given twice: {first} and {value}")
        process(value, state)


option = functools.partial(click.option, cls=Once)


def _starting_with(*words: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """What a shell completes an option by."""
    return lambda _context, _option, begun: [CompletionItem(word) for word in words if word.startswith(begun)]


def board_ids(_context: click.Context, _option: click.Parameter, begun: str) -> list[CompletionItem]:
    """What a shell completes a board by."""
    from tinydeploy.boards import lookup

    return [CompletionItem(name) for name in lookup.ids() if name.startswith(begun)]


def _be_verbose(_context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        shell.be_verbose()


def _be_quiet(_context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        shell.be_quiet()


def verb(name: str, **attributes: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """A command of the command line; whatever it does, it can do quietly or talk of it."""

    def decorated(function: Callable[..., Any]) -> click.Command:
        decorate: Callable[..., click.Command] = click.command(name, **attributes)
        command = decorate(stacked(verbose, quiet)(function))
        command.params = [*command.params[2:], *command.params[:2]]  # what every verb has is listed last
        return command

    return decorated


verbose = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_be_verbose,
    help="Show on stderr the commands that are run.",
)
quiet = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=_be_quiet,
    help="Nothing but the result, and errors.",
)


class Seconds(click.FloatRange):
    """A time that a wait can take: above zero, at most config.LONGEST_TIMEOUT, and a number."""

    def __init__(self) -> None:
        super().__init__(0, config.LONGEST_TIMEOUT, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click."""
        number = super().convert(value, param, ctx)
        return self.fail(f"{value} is no number of seconds", param, ctx) if math.isnan(number) else number


model = click.argument("model", type=click.Path(path_type=Path))
signature = option(
    "--signature",
    metavar="NAME",
    help="Which of the file's functions to run, by its name.  [default: the first]",
)
logits = option("--logits", is_flag=True, default=None, help="Leave out the SOFTMAX at the model's end.")
board = option(
    "-b",
    "--board",
    metavar="ID",
    shell_complete=board_ids,
    help=f"The board: an id of tinydeploy boards, or pio:ID.  [default: {DEFAULT_BOARD}]",
)
engine = option(
    "-e",
    "--engine",
    metavar="NAME",
    shell_complete=_starting_with(*ENGINES, ",".join(ENGINES)),
    help=f"What runs the model: {' or '.join(ENGINES)}.  [default: {DEFAULT_ENGINE}]",
)
optimize = option(
    "--optimize",
    type=click.Choice(GOALS),
    help=f"What the aot engine strives for.  [default: {GOALS[0]}]",
)
tflm_library = option(
    "--tflm-library",
    metavar="FOLDER|URL|SPEC",
    help="The TFLite Micro that the tflm engine runs on: a folder, a git address, or a registry spec.",
)
data = option(
    "--data", metavar="FILE", type=click.Path(path_type=Path), help="Labelled samples: an .npz with x and y."
)
samples = option(
    "--samples",
    metavar="N",
    type=click.IntRange(1, config.MOST_SAMPLES),
    help="How many samples to run, spread over the file.  [default: all]",
)
metric = option(
    "--metric",
    metavar="NAME",
    shell_complete=_starting_with(*METRICS),
    help=f"How to judge: {', '.join(METRICS)}, or topK.  [default: as the output]",
)
output = option(
    "--output",
    metavar="NAME|INDEX",
    help="The model's output that y belongs to.  [default: the first that y fits]",
)
threshold = option(
    "--threshold",
    metavar="NUMBER",
    type=float,
    help="From here on an output, or an anomaly score, says yes.  [default: 0.5 of LOGISTIC]",
)
out = option(
    "-o",
    "--out",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    envvar=config.OUT_VARIABLE,
    help="The folder to write to; run names one in tinydeploy-out by default.",
)
as_json = option("--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else there.")
target = option(
    "--target",
    type=click.Choice(TARGETS),
    help="What the firmware is made for, and runs on.  [default: QEMU if it has the board, else the board]",
)
target_made = option(
    "--target",
    type=click.Choice(TARGETS),
    help="What the firmware is made for.  [default: the board, or what emulates it if there is no other]",
)
link = option(
    "--link", type=click.Choice(LINKS), help=f"How the host talks to QEMU.  [default: {DEFAULT_LINK}]"
)
port = option(
    "--port",
    metavar="PORT",
    help="Run on the board at this serial port, URL or USB serial number; 'auto' finds it by its USB ids.",
)
no_upload = option(
    "--no-upload", is_flag=True, default=None, help="Measure the firmware that the board has already."
)
dtr = option(
    "--dtr", type=click.Choice(LEVELS), help="The port's line DTR, once it is open.  [default: the board's]"
)
rts = option("--rts", type=click.Choice(LEVELS), help="The same for RTS.")
upload_command = option(
    "--upload-command",
    metavar="COMMAND",
    envvar=config.UPLOAD_COMMAND_VARIABLE,
    help="What flashes the board, instead of PlatformIO's way; it fills in $SOURCE.",
)
timeout = option(
    "--timeout",
    metavar="SECONDS",
    type=Seconds(),
    help=f"Seconds that the target may take for one answer.  [default: {DEFAULT_TIMEOUT:g}]",
)


def given(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that were given."""
    return {name: flag for name, flag in flags.items() if flag is not None}


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
