"""tinydeploy inspect."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tinydeploy import verbs
from tinydeploy.cli import options
from tinydeploy.cli.shell import show, show_json
from tinydeploy.inspection import Inspection, TensorInfo
from tinydeploy.report import text

_BAR = 12  # characters for the peak


@click.command("inspect")
@options.model
@options.board
@options.optimize
@options.as_json
def command(model: Path, as_json: bool, **flags: Any) -> None:
    """Ops, shapes, quantisation, MACs, constants, memory over time, and what can run the model."""
    path, file = options.configured(model)
    inspection = verbs.inspect(path, **options.merged(file, **flags))
    if as_json:
        show_json(inspection)
    else:
        show(Group(_header(inspection), _ops(inspection), _runs(inspection)))


def _header(inspection: Inspection) -> RenderableType:
    table = Table(box=None, show_header=False)
    table.add_column(style="dim")
    table.add_column()
    table.add_row("Model", Text(text.printable(inspection.path)))
    table.add_row("File", f"{text.kib(inspection.file_bytes)}, sha256 {inspection.sha256[:16]}…")
    table.add_row("MACs", text.millions(inspection.macs))
    table.add_row("Constants", text.kib(inspection.constant_bytes))
    for heading, tensors in (("Input", inspection.inputs), ("Output", inspection.outputs)):
        for tensor in tensors:
            table.add_row(heading, Text(_tensor(tensor)))
    for engine, plan in inspection.arenas.items():
        table.add_row(
            "Arena", f"{plan.bytes:,} bytes planned by {engine}; no plan can be below {plan.lower_bound:,}"
        )
    for kernel in dict.fromkeys(op.kernel for op in inspection.ops if op.kernel):
        users = ", ".join(str(op.index) for op in inspection.ops if op.kernel == kernel)
        table.add_row("Kernel", f"{kernel}: op {users}")
    for stripes, group in groupby((op for op in inspection.ops if op.kernel), lambda op: op.stripes):
        ops = list(group)
        if stripes > 1:
            saved = f"{sum(op.saved_bytes for op in ops):,} bytes of their outputs are never held"
            users = ", ".join(str(op.index) for op in ops)
            table.add_row("Stripes", f"{stripes} turns of a few rows: op {users}; {saved}")
    return table


def _tensor(tensor: TensorInfo) -> str:
    quantization = "" if tensor.scale is None else f", (q - {tensor.zero_point}) × {tensor.scale:.6g}"
    shape = "×".join(str(size) for size in tensor.shape)
    return f"{shape} {tensor.dtype}{quantization}  {text.printable(tensor.name)}"


def _ops(inspection: Inspection) -> RenderableType:
    table = Table(box=None, header_style="dim")
    table.add_column("#", justify="right")
    table.add_column("Op", no_wrap=True)
    for heading in ("Output", "MACs", "Constants", "Live"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("over time", no_wrap=True)
    peak = max((op.live_bytes for op in inspection.ops), default=0)
    for op in inspection.ops:
        bar = "█" * max(1, round(_BAR * text.ratio(op.live_bytes, peak)))
        style = "bold cyan" if op.live_bytes == peak else "cyan"
        table.add_row(
            str(op.index),
            op.op,
            text.shape(op.output_shape),
            text.millions(op.macs) if op.macs else "–",
            text.kib(op.constant_bytes) if op.constant_bytes else "–",
            text.kib(op.live_bytes),
            Text(bar, style),
        )
    return table


def _runs(inspection: Inspection) -> RenderableType:
    table = Table(box=None, header_style="dim")
    for heading in ("Engine", "Board", ""):
        table.add_column(heading)
    for verdict in inspection.verdicts:
        mark = Text(f"✗ {verdict.problem}", "red") if verdict.problem else Text("✓", "green")
        table.add_row(verdict.engine, verdict.board, mark)
    return table
