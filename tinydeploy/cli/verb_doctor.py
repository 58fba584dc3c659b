"""tinydeploy doctor."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.cli import options
from tinydeploy.cli.shell import progress, show, show_json
from tinydeploy.report.layout import Column, Columns, Prose

if TYPE_CHECKING:
    from tinydeploy.diagnosis import Finding


@options.verb("doctor")
def command(as_json: bool) -> None:
    """What is installed, what is missing, and the command that installs it."""
    with progress("asking every tool for its version"):
        from tinydeploy import diagnosis, verbs

        findings = verbs.doctor()
    if as_json:
        show_json(findings)
    else:
        show(Group(_table(findings), *_ways(findings)))
        if command := diagnosis.install_all(findings):
            show(f"\nThis installs what is missing:\n{command}")
    if any(finding.default_path and not finding.ok for finding in findings):
        sys.exit(1)


def _table(findings: Sequence[Finding]) -> RenderableType:
    rows = [
        (
            Text("✓", "green") if finding.ok else Text("✗", "bold red"),
            finding.name,
            finding.version,
            finding.needed_for,
        )
        for finding in findings
    ]
    columns = (Column(), Column("What"), Column("Version"), Column("Needed for"))
    return Columns(columns, rows, spare=(3,))


def _ways(findings: Sequence[Finding]) -> list[RenderableType]:
    """How to get what is missing and no command installs."""
    return [
        Prose(f"✗ {finding.name}: {finding.install}")
        for finding in findings
        if not finding.ok and not finding.packages
    ]
