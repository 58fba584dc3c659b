"""tinydeploy quantize."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.cli import options
from tinydeploy.cli.shell import progress, show, show_json, tell
from tinydeploy.report import text
from tinydeploy.report.layout import Column, Columns, Facts, Prose
from tinydeploy.results import metric_table

if TYPE_CHECKING:
    from tinydeploy.prepare.making import Made
    from tinydeploy.prepare.quantization import LayerStudy, Quantized, Trial
    from tinydeploy.results.measured import Accuracy

_BLOCKS = " ▁▂▃▄▅▆▇█"


@options.verb("quantize")
@options.model
def command(model: Path, as_json: bool, **flags: Any) -> None:
    """MODEL, a float model, as an int8 .tflite, and what that costs: accuracy, classes, groups, layers.

    MODEL is a float .tflite, an ONNX file (float, or with QDQ), a .keras or .h5 file or a SavedModel (by
    TensorFlow, in an environment of its own), or a .pt2 program (by litert-torch). A card, model.toml, and
    quantize.json, with all that is shown here, lie beside the result.
    """
    arguments = options.given(flags)
    if "out" not in arguments:
        raise click.UsageError("name the folder, or the .tflite, to write: -o OUT")
    with progress("reading the model") as update:
        from tinydeploy import verbs

        made = verbs.quantize(model, progress=update, notice=tell, **arguments)
    if as_json:
        show_json(made.to_json())
        return
    show(Group(*_shown(made)))


def _shown(made: Made) -> Iterator[RenderableType]:
    found = made.quantized
    if found is None:
        yield Facts([("Wrote", (str(made.path),)), ("Size", text.kib(made.bytes))])
        return
    yield _sides(made, found)
    yield from _broken_down(found)
    yield ""
    yield _layers(found)
    for step in found.repairs:
        kept = "kept" if step.kept else "left out"
        yield Prose(f"Repair, {step.step}: {step.before:.4g} → {step.after:.4g}, {kept}")
    if made.trials:
        yield ""
        yield _trials(made.trials)
    for warning in found.warnings:
        yield Prose(f"! {warning}", "yellow")
    yield Prose(f"\nWrote {made.path}")


def _sides(made: Made, found: Quantized) -> Facts:
    before, after = found.float_side, found.int8_side
    rows: list[tuple[str, str | tuple[str, ...]]] = [
        ("Model", (text.printable(made.source),)),
        ("Calibrated", f"{found.calibration_samples:,} samples of {text.printable(found.calibration)}"),
        ("Size", f"{text.kib(before.bytes)} → {text.kib(after.bytes)}"),
    ]
    if found.instead:
        rows.append(("Quantised", f"by TensorFlow's converter: {text.printable(found.instead)}"))
    if before.accuracy and after.accuracy:
        name = before.accuracy.metric
        figures = f"{_figure(name, before.accuracy.value)} float → {_figure(name, after.accuracy.value)}"
        rows.append((metric_table.words(name), f"{figures}, of {after.accuracy.samples:,} samples"))
    return Facts(rows)


def _figure(metric: str, value: float | None) -> str:
    if value is None:
        return "–"
    known = metric_table.metric(metric)
    return f"{value:.1%}" if known and known.share else f"{value:.4g}"


def _broken_down(found: Quantized) -> Iterator[RenderableType]:
    """By class (recall) and by group, the largest drop first."""
    before, after = found.float_side, found.int8_side
    rows: list[tuple[str, int, float | None, float | None]] = []
    if before.accuracy and after.accuracy:
        rows += [
            (f"class {old.label}", old.samples, old.recall, new.recall)
            for old, new in zip(before.accuracy.per_class, after.accuracy.per_class, strict=True)
        ]
    metric = before.accuracy.metric if before.accuracy else ""
    groups = [
        (f"group {old.group}", old.samples, old.value, new.value)
        for old, new in zip(before.groups, after.groups, strict=True)
    ]
    for title, some, name in (("Recall by class", rows, "recall"), ("By group", groups, metric)):
        if some:
            cells = [
                (what, f"{count:,}", _figure(name, old), _figure(name, new), _change(name, old, new))
                for what, count, old, new in some
            ]
            heads = [Column(), *(Column(head, right=True) for head in ("Samples", "Float", "Int8", "Change"))]
            yield ""
            yield Columns(heads, cells, title=title)
    drops = [(old - new, what) for what, _, old, new in rows + groups if old is not None and new is not None]
    if drops and max(drops)[0] > 0:
        yield Prose(f"Largest drop: {max(drops)[1]}, by {max(drops)[0]:.3g}")


def _change(metric: str, old: float | None, new: float | None) -> str:
    if old is None or new is None:
        return ""
    known = metric_table.metric(metric)
    return f"{100 * (new - old):+.1f} %" if known and known.share else f"{new - old:+.3g}"


def _layers(found: Quantized) -> Columns:
    metric = found.float_side.accuracy.metric if found.float_side.accuracy else ""
    heads = [Column("Layer"), Column("Op"), Column("SNR dB", right=True), Column("Alone", right=True)]
    heads += [Column("From", right=True), Column("to", right=True), Column("Values"), Column("Would help")]
    rows = [_row(layer, metric, found.float_side.accuracy) for layer in found.layers]
    title = "Layers: signal to noise; the metric if it alone is int8"
    return Columns(heads, rows, spare=(6, 1, 4, 5), title=title)


def _row(layer: LayerStudy, metric: str, whole: Accuracy | None) -> list[str | Text]:
    loss = "" if layer.alone is None or whole is None else _figure(metric, layer.alone)
    snr = "–" if layer.snr_db is None else f"{layer.snr_db:.1f}"
    op = f"{layer.op}{' int4' if layer.int4 else ''}"
    ends = (f"{layer.low:.3g}", f"{layer.high:.3g}")
    return [text.printable(layer.name)[-40:], op, snr, loss, *ends, _bars(layer.counts), layer.advice]


def _bars(counts: tuple[int, ...]) -> str:
    """A histogram, its heights by square root."""
    most = max(counts, default=0) or 1
    pairs = [sum(counts[i : i + 2]) for i in range(0, len(counts), 2)]
    most = max(pairs, default=0) or 1
    return "".join(_BLOCKS[min(8, round(8 * (n / most) ** 0.5 + (0.49 if n else 0)))] for n in pairs)


def _trials(trials: tuple[Trial, ...]) -> Columns:
    heads = [
        Column("Calibrated with", right=True),
        Column("Classes", right=True),
        Column("Figure", right=True),
    ]
    rows = [
        (
            f"{trial.samples:,} samples",
            str(trial.classes),
            "–" if trial.value is None else f"{trial.value:.4g}",
        )
        for trial in trials
    ]
    return Columns(heads, rows, title="What the calibration set is worth")
