"""tinydeploy arena."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.table import Table

from tinydeploy import verbs
from tinydeploy.cli import options
from tinydeploy.cli.shell import progress, show, show_json
from tinydeploy.sizing import ArenaReport


@click.command("arena")
@options.model
@options.deployment
@click.option(
    "--on",
    type=click.Choice(["target", "host"]),
    default="target",
    show_default=True,
    help="Where to find it: on the board's target, or with TFLite Micro on this machine.",
)
@options.as_json
def command(model: Path, on: str, as_json: bool, **flags: Any) -> None:
    """The tensor arena's size, and its proof."""
    path, file = options.configured(model)
    with progress() as update:
        report = verbs.arena(path, on=on, progress=update, **options.merged(file, **flags))
    if as_json:
        show_json(report)
    else:
        show(_summary(report))


def _summary(report: ArenaReport) -> RenderableType:
    arena = report.arena
    lines: list[RenderableType] = [f"[bold]{arena.bytes:,} bytes[/], {arena.method} ({report.found_on})"]
    probes = Table(box=None, header_style="dim")
    probes.add_column("Probe", justify="right")
    probes.add_column("")
    for outcome in report.outcomes:
        mark = "[green]passes[/]" if outcome.passed else f"[red]fails[/]: {outcome.detail}"
        probes.add_row(f"{outcome.bytes:,}", mark)
    lines.append(probes)
    if arena.buffers:
        plan = Table(title="The plan", title_justify="left", box=None, header_style="dim")
        for heading in ("Offset", "Bytes"):
            plan.add_column(heading, justify="right")
        for heading in ("Live in ops", "What"):
            plan.add_column(heading)
        for buffer in arena.buffers:
            live = f"{buffer.first_op}-{buffer.last_op}"
            plan.add_row(f"{buffer.offset:,}", f"{buffer.bytes:,}", live, buffer.label)
        lines.append(plan)
        lines.append(
            f"No plan can be below {arena.lower_bound:,} bytes; the target touched {arena.touched_bytes:,}."
        )
    if report.note:
        lines.append(report.note)
    return Group(*lines)
