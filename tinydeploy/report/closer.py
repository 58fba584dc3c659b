"""The closer look for people: what quantisation lost, reliability, and the samples that flip, as pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from PIL import Image

from tinydeploy.results.closer_look import Calibration, CloserLook, Drawing
from tinydeploy.results.result import Result

_SIDE = 200  # units of the reliability curve
_ROOM = (160, 80)  # units of a sample's curves or bars
_LINES = ("accent", "bad", "dense", "warn", "conv-soft", "muted")  # the colours of channels


@dataclass(frozen=True)
class Row:
    """A class or a group: its samples, the float model's figure and the device's, each None if undefined."""

    name: str
    samples: int
    before: float | None
    after: float | None


def classes(result: Result) -> list[Row]:
    """Recall by class, where the float model is beside."""
    look, accuracy = result.closer, result.accuracy
    if look is None or look.floats is None or accuracy is None:
        return []
    pairs = zip(accuracy.per_class, look.floats.recalls, strict=False)
    return [Row(figure.label, figure.samples, before, figure.recall) for figure, before in pairs]


def groups(result: Result) -> list[Row]:
    """The metric by group."""
    found = result.closer.groups if result.closer else ()
    return [Row(figure.group, figure.samples, figure.float_value, figure.value) for figure in found]


def sentences(look: CloserLook) -> Iterator[str]:
    """What the figures come to."""
    if look.floats is not None and not look.floats.recalls:  # there are no classes to take a sample for
        yield f"The float model ({look.floats.runs_on}) has {look.floats.value:.4g} on the same samples"
    elif look.floats is not None:
        yield (
            f"{look.flip_count:,} samples flip between the float model ({look.floats.runs_on}) and the "
            f"device: of these the float model is right on {look.right_before:,}, the device on "
            f"{look.right_after:,}"
        )
    if look.calibration is not None:
        floats = look.floats.calibration if look.floats else None
        beside = f", the float model's {floats.error:.3f}" if floats else ""
        yield f"Expected calibration error {look.calibration.error:.3f}{beside}"


def picture(sample: int, drawing: Drawing | None) -> Markup:
    """The sample as an <img>, or as an <svg> of curves or bars; nothing if there is no drawing of it."""
    if drawing is None:
        return Markup("")
    label = f"sample {sample}"
    if drawing.kind == "picture":
        frame = '<img class="pixels" src="data:image/png;base64,{}" alt="{}" width="{}" height="{}"/>'
        rows = len(_levels(drawing))
        return Markup(frame).format(_png(drawing), label, drawing.width, rows)
    shapes = _bars(drawing) if drawing.kind == "features" else _curves(drawing)
    frame = '<svg class="curves" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">'
    told = f"{label}, from {drawing.low:.4g} to {drawing.high:.4g}"
    return Markup(frame).format(*_ROOM, told) + shapes + Markup("</svg>")


def _levels(drawing: Drawing) -> npt.NDArray[np.uint8]:
    """[rows, width, channels]"""
    flat = np.frombuffer(base64.b64decode(drawing.levels), np.uint8)
    return flat[: flat.size - flat.size % (drawing.width * drawing.channels)].reshape(
        -1, drawing.width, drawing.channels
    )


def _png(drawing: Drawing) -> str:
    levels, made = _levels(drawing), io.BytesIO()
    Image.fromarray(levels[..., 0] if drawing.channels == 1 else levels[..., :3]).save(
        made, "png", optimize=True
    )
    return base64.b64encode(made.getvalue()).decode()


def _curves(drawing: Drawing) -> Markup:
    """A line for each channel, the channels in colours that come again after a while."""
    width, height = _ROOM
    levels = _levels(drawing)[0]
    x = np.linspace(0, width, drawing.width)
    y = height - 2 - levels / 255 * (height - 4)
    line = Markup('<polyline points="{}" stroke="var(--{})" fill="none" vector-effect="non-scaling-stroke"/>')
    return Markup("").join(
        line.format(
            " ".join(f"{across:.0f},{up:.1f}" for across, up in zip(x, y[:, channel], strict=True)),
            _LINES[channel % len(_LINES)],
        )
        for channel in range(drawing.channels)
    )


def _bars(drawing: Drawing) -> Markup:
    """A bar for each feature, up or down from zero, or from the edge that is nearer to it."""
    width, height = _ROOM
    values = drawing.low + _levels(drawing).reshape(-1) / 255 * (drawing.high - drawing.low)
    low, high = min(0.0, drawing.low), max(0.0, drawing.high)
    scale, step = height / ((high - low) or 1.0), width / len(values)
    bar = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="var(--{})"/>')
    return Markup("").join(
        bar.format(
            number * step,
            (high - max(value, 0.0)) * scale,
            step * 0.8,
            max(abs(value) * scale, 0.5),
            "accent" if value >= 0 else "bad",
        )
        for number, value in enumerate(values)
    )


def reliability(curves: list[tuple[str, Calibration]]) -> Markup:
    """How often an answer is right over how sure it is: a line for each model, the diagonal is perfect."""
    lines = [Markup('<path d="M0 {0} L{0} 0" stroke="var(--rule)" fill="none"/>').format(_SIDE)]
    for colour, found in curves:
        points = [
            (round(one.confidence * _SIDE, 1), round((1 - one.correct) * _SIDE, 1))
            for one in found.curve
            if one.samples
        ]
        drawn = " ".join(f"{x},{y}" for x, y in points)
        lines.append(
            Markup('<polyline points="{}" stroke="var(--{})" fill="none" stroke-width="2"/>').format(
                drawn, colour
            )
        )
        lines += [
            Markup('<circle cx="{}" cy="{}" r="3" fill="var(--{})"/>').format(x, y, colour) for x, y in points
        ]
    label = "Reliability: right over confidence"
    frame = '<svg viewBox="-4 -4 {0} {0}" width="220" role="img" aria-label="{1}">{2}</svg>'
    return Markup(frame).format(_SIDE + 8, label, Markup("").join(lines))


def curves(look: CloserLook) -> list[tuple[str, Calibration]]:
    """The calibration of each side, by the colour that it is drawn in."""
    floats = look.floats.calibration if look.floats else None
    found = [("muted", floats), ("accent", look.calibration)]
    return [(colour, one) for colour, one in found if one is not None]
