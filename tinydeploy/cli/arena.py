"""tinydeploy arena."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tinydeploy import verbs
from tinydeploy.cli import options
from tinydeploy.cli.shell import progress, show, show_json
from tinydeploy.report import text
from tinydeploy.report.facts import kernels
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
    """The tensor arena's size, and its proof. Several engines (-e aot,tflm) follow one another."""
    path, file = options.configured(model)
    arguments = options.merged(file, **flags)
    with progress() as update:
        arguments["progress"] = update
        if on == "target" and "," in arguments.get("engine", ""):
            reports = verbs.arena_each(path, arguments.pop("engine"), **arguments)
        else:
            reports = (verbs.arena(path, on=on, **arguments),)
    if as_json:
        show_json(reports if len(reports) > 1 else reports[0])
    else:
        show(Group(*map(_summary, reports)))


def _summary(report: ArenaReport) -> RenderableType:
    arena = report.arena
    lines: list[RenderableType] = [
        Text.assemble((f"{arena.bytes:,} bytes", "bold"), f", {arena.method} ({report.found_on})")
    ]
    facts = Table(box=None, show_header=False)
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    for name, fact in _facts(report):
        facts.add_row(name, Text(text.printable(fact)))
    lines.append(facts)
    probes = Table(box=None, header_style="dim")
    probes.add_column("Probe", justify="right")
    probes.add_column("")
    for outcome in report.outcomes:
        mark = (
            Text("passes", "green")
            if outcome.passed
            else Text.assemble(("fails", "red"), f": {outcome.detail}")
        )
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


def _facts(report: ArenaReport) -> Iterator[tuple[str, str]]:
    """What was run, and where."""
    yield "Model", f"{report.model}, sha256 {report.model_sha256[:16]}…"
    yield "Engine", report.engine
    if report.library:
        yield "Library", f"{report.library.name} {report.library.version}"
        yield "Kernels", kernels(report.library)
        yield "Flags", " ".join(report.library.flags)
    if report.board:
        yield "Board", report.board
    if report.compiler:
        yield "Compiler", report.compiler
