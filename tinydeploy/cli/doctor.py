"""tinydeploy doctor."""

from __future__ import annotations

import sys

import click
from rich.table import Table
from rich.text import Text

from tinydeploy import verbs
from tinydeploy.cli import options
from tinydeploy.cli.shell import show, show_json


@click.command("doctor")
@options.as_json
def command(as_json: bool) -> None:
    """What is installed, what is missing, and the command that installs it."""
    findings = verbs.doctor()
    if as_json:
        show_json(findings)
    else:
        table = Table(box=None, header_style="dim")
        for heading in ("", "What", "Version", "Needed for", "How to get it"):
            table.add_column(heading)
        for finding in findings:
            mark = Text("✓", "green") if finding.ok else Text("✗", "bold red")
            table.add_row(
                mark, finding.name, finding.version, finding.needed_for, "" if finding.ok else finding.install
            )
        show(table)
    if any(finding.default_path and not finding.ok for finding in findings):
        sys.exit(1)
