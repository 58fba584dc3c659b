"""The command line: one small file per verb, the table's options in `options`, all printing in `shell`."""

from __future__ import annotations

import difflib
from importlib import import_module

import click

from tinydeploy.cli import options
from tinydeploy.cli.shell import EXIT_CODES, guarded
from tinydeploy.errors import UsageError
from tinydeploy.evaluate.option_table import VERBS as TABLE
from tinydeploy.version import __version__

VERBS = {name: verb.help for name, verb in TABLE.items()}


class _Verbs(click.Group):
    """The verbs, each loaded when it is asked for. See click."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See click."""
        return [*VERBS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See click."""
        if cmd_name not in VERBS:
            if ctx.resilient_parsing:  # a shell completes what follows
                return None
            near = difflib.get_close_matches(cmd_name, VERBS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"commands: {', '.join(VERBS)}"
            raise UsageError(f"there is no command '{cmd_name}'", hint)
        command: click.Command = import_module(f"tinydeploy.cli.verb_{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See click."""
        with formatter.section("Commands"):
            formatter.write_dl([*VERBS.items()])


@click.group(
    cls=_Verbs,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=EXIT_CODES,
)
@click.version_option(__version__)
@options.always
@click.pass_context
def tinydeploy(context: click.Context) -> None:
    """Build firmware from a quantised .tflite, run it on a microcontroller, and measure it there.

    MODEL is a .tflite file, or a folder that holds one.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> None:
    """The entry point: every way out has an exit code and, if it is an error, one line."""
    guarded(tinydeploy)
