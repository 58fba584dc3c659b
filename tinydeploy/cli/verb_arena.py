"""tinydeploy arena."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.cli import options
from tinydeploy.cli.shell import progress, show, show_json
from tinydeploy.report import text
from tinydeploy.report.layout import Column, Columns, Facts, Prose

if TYPE_CHECKING:
    from tinydeploy.evaluate.arena_sizing import ArenaReport
    from tinydeploy.results.measured import ArenaBuffer


@options.verb("arena")
@options.model
def command(model: Path, as_json: bool, **flags: Any) -> None:
    """The tensor arena's size, and its proof. Several engines (-e aot,tflm) follow one another."""
    with progress("reading the model") as update:
        from tinydeploy import verbs

        arguments = options.given(flags) | {"progress": update}
        engine = arguments.get("engine") or verbs.usual(model, "engine") or ""
        if arguments.get("on") != "host" and "," in engine:
            arguments = {name: value for name, value in arguments.items() if name not in ("on", "engine")}
            reports = verbs.arena_each(model, engine, **arguments)
        else:
            reports = (verbs.arena(model, **arguments),)
    if as_json:
        show_json(reports if len(reports) > 1 else reports[0])
    else:
        show(Group(*map(_summary, reports)))


def _summary(report: ArenaReport) -> RenderableType:
    arena = report.arena
    lines: list[RenderableType] = [
        Text.assemble((f"{arena.bytes:,} bytes", "bold"), f", {arena.method} ({report.found_on})")
    ]
    lines += [Facts(_facts(report)), ""]
    probes = []
    for outcome in report.outcomes:
        mark = (
            Text("passes", "green")
            if outcome.passed
            else Text.assemble(("fails", "red"), f": {outcome.detail}")
        )
        probes.append((f"{outcome.bytes:,}", mark))
    lines.append(Columns((Column("Probe", right=True), Column()), probes, prose=True))
    if arena.buffers:
        lines.append("")
        last = max(buffer.last_op for buffer in arena.buffers)  # past the last op: the model's outputs
        rows = [
            (f"{buffer.offset:,}", f"{buffer.bytes:,}", _live(buffer, last), _name(buffer.label))
            for buffer in arena.buffers
        ]
        columns = (*(Column(name, right=True) for name in ("Offset", "Bytes")), Column("Live in ops"))
        lines.append(Columns((*columns, Column("What")), rows, title="The plan"))
        touched = f"the target touched {arena.touched_bytes:,}"
        lines.append(Prose(f"No plan can be below {arena.lower_bound:,} bytes; {touched}."))
    if report.note:
        lines.append(Prose(text.printable(report.note)))
    return Group(*lines)


def _live(buffer: ArenaBuffer, last: int) -> str:
    """From which op to which a buffer is needed."""
    first = "input" if buffer.first_op < 0 else str(buffer.first_op)
    return f"{first}–{'output' if buffer.last_op == last else buffer.last_op}"


def _name(label: str) -> str:
    """What a buffer holds; of the names of layers that were fused, the first."""
    first, *more = text.printable(label).split(";")
    return f"{first} and {len(more)} fused" if more else first


def _facts(report: ArenaReport) -> Iterator[tuple[str, str | tuple[str, ...]]]:
    """What was run, and where."""
    from tinydeploy.report.facts import kernels

    yield "Model", (f"{text.printable(report.model)},", "sha256", report.model_sha256)
    yield "Engine", report.engine
    if report.library:
        yield "Library", text.printable(f"{report.library.name} {report.library.version}")
        yield "Kernels", kernels(report.library)
        yield "Flags", text.printable(" ".join(report.library.flags))
    if report.board:
        yield "Board", report.board
    if report.compiler:
        yield "Compiler", report.compiler
