"""tinydeploy inspect."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.cli import options
from tinydeploy.cli.shell import progress, show, show_json
from tinydeploy.evaluate.inspection import Inspection, OpRow
from tinydeploy.report import text
from tinydeploy.report.layout import Column, Columns, Facts, Prose
from tinydeploy.results.setting import Layer, TensorInfo

_BAR = 12  # characters for the peak
_JOINED = Layer(-1, "with the op before", 0, 0, 0)


@options.verb("inspect")
@options.model
def command(model: Path, as_json: bool, **flags: Any) -> None:
    """Ops, shapes, quantisation, MACs, constants, memory over time, and the engines that can run it."""
    with progress("reading the model"):
        from tinydeploy import verbs

        inspection = verbs.inspect(model, **options.given(flags))
    if as_json:
        show_json(inspection)
    else:
        show(Group(_header(inspection), "", _ops(inspection), "", *_trades(inspection), _runs(inspection)))


def _header(inspection: Inspection) -> Facts:
    rows: list[tuple[str, str | tuple[str, ...]]] = []
    add = rows.append
    add(("Model", (text.printable(inspection.path),)))
    add(("File", f"{text.kib(inspection.file_bytes)}, sha256 {inspection.sha256}"))
    if inspection.signature:
        add(("Signature", (text.printable(inspection.signature),)))
    for edit in inspection.edits:
        add(("Changed", edit.words))
    add(("MACs", text.millions(inspection.macs)))
    add(("Constants", text.kib(inspection.constant_bytes)))
    for heading, tensors in (("Input", inspection.inputs), ("Output", inspection.outputs)):
        for tensor in tensors:
            add((heading, _tensor(tensor)))
    for engine, plan in inspection.arenas.items():
        bound = f"no plan can be below {plan.lower_bound:,}"
        add(("Arena", f"{plan.bytes:,} bytes planned by {engine}; {bound}"))
    chosen = [
        (op, op.layers[inspection.optimize]) for op in inspection.ops if inspection.optimize in op.layers
    ]
    for (patches, stripes), group in groupby(chosen, lambda pair: (pair[1].patches, pair[1].stripes)):
        some = list(group)
        if patches * stripes > 1:
            row = f"{stripes} turns of a few rows"
            if patches > 1:
                row += f" in each of {patches} patches side by side"
            row += f": op {', '.join(str(op.index) for op, _ in some)}"
            row += f"; {sum(layer.saved_bytes for _, layer in some):,} bytes of their outputs are never held"
            if repeated := sum(layer.repeated_outputs for _, layer in some):
                row += f", {repeated:,} outputs are computed twice"
            add(("Stripes", row))
    return Facts(rows)


def _tensor(tensor: TensorInfo) -> tuple[str, ...]:
    return f"{text.tensor(tensor)} ", text.printable(tensor.name)


def _ops(inspection: Inspection) -> RenderableType:
    peak = max((op.live_bytes for op in inspection.ops), default=0)
    rows = []
    for op in inspection.ops:
        bar = "█" * max(1, round(_BAR * text.ratio(op.live_bytes, peak)))
        style = "bold cyan" if op.live_bytes == peak else "cyan"
        rows.append(
            (
                str(op.index),
                text.printable(op.op),
                text.shape(op.output_shape),
                text.millions(op.macs) if op.macs else "–",
                text.kib(op.constant_bytes) if op.constant_bytes else "–",
                text.kib(op.live_bytes),
                Text("settled at conversion", "dim") if op.folded else Text(bar, style),
            )
        )
    columns = [Column("#", right=True), Column("Op")]
    columns += [Column(name, right=True) for name in ("Output", "MACs", "Constants", "Live")]
    return Columns([*columns, Column("over time")], rows, spare=(6, 4) if not _folds(inspection) else (4, 3))


def _folds(inspection: Inspection) -> bool:
    return any(op.folded for op in inspection.ops)


def _trades(inspection: Inspection) -> list[RenderableType]:
    """Per layer what the goal makes of it, and how the other goals would change its instructions."""
    ops = [op for op in inspection.ops if op.layers]
    if not ops:
        return []
    chosen = inspection.optimize
    others = [goal for goal in inspection.goal_arenas if goal != chosen]
    columns = [Column("#", right=True), Column(f"Kernel for {chosen}")]
    columns += [Column(name, right=True) for name in ("Constants", "Scratch", "Estimate", *others)]
    rows: list[tuple[str, ...]] = []

    def add(number: str, name: str, layers: dict[str, Layer]) -> None:
        own = layers[chosen]
        estimate = f"{own.instructions:,}" if own.instructions else "–"
        changes = (_change(own, layers[goal]) for goal in others)
        rows.append((number, name, f"{own.constant_bytes:,}", f"{own.scratch_bytes:,}", estimate, *changes))

    for op in ops:
        layers = {goal: _layer(op, goal) for goal in inspection.goal_arenas}
        add(str(op.index), layers[chosen].kernel, layers)
    totals = {goal: _sum([_layer(op, goal) for op in ops]) for goal in inspection.goal_arenas}
    add("", "all layers", totals)
    for name, sizes in (
        ("constants", {goal: layer.constant_bytes for goal, layer in totals.items()}),
        ("arena", inspection.goal_arenas),
    ):
        rows.append(("", name, f"{sizes[chosen]:,}", "", "", *(f"{sizes[goal]:,}" for goal in others)))
    told = "Estimate: instructions, and how the other goals change them. ?: not known beforehand."
    return [Columns(columns, rows, spare=(3, 2)), Prose(told, "dim"), ""]


def _layer(op: OpRow, goal: str) -> Layer:
    """How the aot engine does `op` for `goal`; for some goals another op does it as well."""
    return op.layers.get(goal, _JOINED)


def _sum(layers: list[Layer]) -> Layer:
    """All layers together; their working memory is used one after the other."""
    costs = [layer.instructions for layer in layers]
    known = [count for count in costs if count is not None]
    return Layer(
        -1,
        "",
        sum(layer.constant_bytes for layer in layers),
        max(layer.scratch_bytes for layer in layers),
        sum(known) if len(known) == len(costs) else None,
    )


def _change(own: Layer, other: Layer) -> str:
    """How many instructions `other` takes, in per cent of `own`; "?" where a kernel's cost is not known."""
    if (own is _JOINED) != (other is _JOINED):
        return "apart" if own is _JOINED else "joined"
    if own.instructions and other.instructions:
        change = other.instructions / own.instructions - 1
        return f"{change:+.0%}" if abs(change) >= 0.005 else "="
    return "=" if own == other else "?"


def _runs(inspection: Inspection) -> RenderableType:
    rows = []
    for engine, refusal in inspection.refusals.items():
        mark = Text("✗", "red") if refusal else Text("✓", "green")
        words = f"cannot run {refusal}" if refusal else inspection.evidence[engine]
        rows.append((engine, mark, text.printable(words)))
    hint = f"tinydeploy fit {text.printable(inspection.path)} lists the boards that it fits"
    return Group(
        Columns((Column(), Column(), Column()), rows, prose=True),
        Text(hint, "dim", no_wrap=True, overflow="ignore"),
    )
