"""The closer look for people: what quantisation lost, reliability, and the samples that flip, as pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from tinydeploy.results.closer_look import Calibration, CloserLook, Flip
from tinydeploy.results.result import Result

_SIDE = 200  # units of the reliability curve


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


def picture(flip: Flip) -> Markup:
    """The sample as an <svg>; nothing if it is no picture. Runs of one colour are one rectangle."""
    if not flip.pixels:
        return Markup("")
    size = flip.width * flip.channels
    lines = [flip.pixels[start : start + size] for start in range(0, len(flip.pixels), size)]
    shapes = [shape for y, line in enumerate(lines) for shape in _runs(flip, y, line)]
    label = f"sample {flip.sample}"
    return Markup(
        '<svg viewBox="0 0 {} {}" width="96" role="img" aria-label="{}" shape-rendering="crispEdges">{}</svg>'
    ).format(flip.width, len(lines), label, Markup("").join(shapes))


def _runs(flip: Flip, y: int, line: tuple[int, ...]) -> Iterator[Markup]:
    colours = [_colour(line[x * flip.channels : (x + 1) * flip.channels]) for x in range(flip.width)]
    start = 0
    for x in range(1, flip.width + 1):
        if x == flip.width or colours[x] != colours[start]:
            shape = '<rect x="{}" y="{}" width="{}" height="1" fill="{}"/>'
            yield Markup(shape).format(start, y, x - start, colours[start])
            start = x


def _colour(pixel: tuple[int, ...]) -> str:
    red, green, blue = pixel * 3 if len(pixel) == 1 else pixel
    return f"#{red:02x}{green:02x}{blue:02x}"


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
