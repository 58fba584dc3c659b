"""The command line: one small file per verb, the options' words in `options`, all printing in `shell`."""

from __future__ import annotations

import click

from tinydeploy import __version__
from tinydeploy.cli import arena, boards, build, cache, doctor, fit, flash, generate, inspect, run
from tinydeploy.cli.shell import EXIT_CODES, guarded


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(__version__)
def tinydeploy() -> None:
    """Build firmware from a quantised .tflite, run it on a microcontroller, and measure it there."""


for verb in (doctor, boards, inspect, fit, generate, build, arena, flash, run, cache):
    tinydeploy.add_command(verb.command)


def main() -> None:
    """The entry point: every way out has an exit code and, if it is an error, one line."""
    guarded(tinydeploy)
