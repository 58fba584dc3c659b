"""The terms of layers with weights, as the headers of their kernels are written: see terms.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import prod

from tinydeploy.engines.aot.geometry import Axis, Geometry
from tinydeploy.engines.aot.ir import Step
from tinydeploy.engines.aot.kernels.dsp_kernels import Dsp, DspColumns, DspRow
from tinydeploy.engines.aot.kernels.layer_kernels import (
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Scaling,
)

Terms = Mapping[str, float]

_SHORT_RUN = 36  # values that a compiler copies in a way of its own for each length


def flagged(name: str, count: float, scaling: Scaling) -> dict[str, float]:
    """So many outputs, and again those whose requantisation takes more."""
    return {
        name: count,
        f"{name} by channel": count * scaling.per_channel,
        f"{name} unclamped": count * (not scaling.clamps_negative),
        f"{name} bounded": count * scaling.is_bounded,
        f"{name} shifted left": count * scaling.left_shift,
    }


def windows(layer: FullyConnected | Conv2d) -> tuple[Geometry, int, int, int]:
    """The layer's windows; how many runs each has, and of what length; how many reach beyond the input."""
    if isinstance(layer, FullyConnected):
        return Geometry.pointwise(layer.rows), 1, layer.input_depth, 0
    g = layer.geometry
    padded = g.outputs - g.batches * g.rows.inside * g.columns.inside
    return g, g.taps // g.run, g.run * layer.input_depth, padded


# --- cores with the DSP extension ---


def dsp_columns(step: Step) -> Terms:
    """Columns of four pixels or one, two channels at a time: kernels/conv_dsp.h."""
    p = step.of(DspColumns)
    assert isinstance(p.layer, FullyConnected | Conv2d)
    g, runs, length, _ = windows(p.layer)
    pixels, depth = g.outputs, p.layer.output_depth
    pairs, couples = runs * ((length + 1) // 2), (depth + 1) // 2
    fours, ones = divmod(pixels, 4) if p.pixels == 4 else (0, pixels)
    loops = (pairs - 1) // p.block
    found: dict[str, float] = {}
    for name, count in (("four", fours), ("one", ones)):
        found |= {
            name: count,
            f"{name}, pairs": count * couples * pairs,
            f"{name}, odd pair": count * couples * (pairs % 2),
            f"{name}, loop": count * couples * loops,
            f"{name}, looping": count * couples * (loops > 0),
            f"{name}, odd channel": count * (depth % 2),
            **flagged(f"{name}, couple", count * couples, p.layer.scaling),
            f"{name}, couple adds": count * couples * (p.layer.add is not None),
            f"{name}, loop adds": count * couples * (loops > 0) * (p.layer.add is not None),
        }
    return found | _gathered(pixels, runs, length) | _padded(p.layer, length)


def _padded(layer: FullyConnected | Conv2d, length: int) -> dict[str, float]:
    """The windows that reach beyond the input: runs filled with the zero point, and copied into."""
    if isinstance(layer, FullyConnected) or not layer.geometry.padded:
        return {}
    g = layer.geometry
    across = g.kernel_width // g.run
    windows = runs = copies = moved = aligned = 0
    for rows, y_count in _inside(g.rows).items():
        for columns, x_count in _inside(g.columns).items():
            if rows == g.kernel_height and columns == g.kernel_width:
                continue
            count = y_count * x_count
            windows += count
            runs += count * g.kernel_height * across
            if columns:
                own = rows if across == 1 else rows * columns
                copies += count * own
                moved += count * own * (columns * layer.input_depth if across == 1 else layer.input_depth)
    aligned = moved if layer.input_depth % 4 == 0 else 0
    sixteens, rest = divmod(length, 16)
    return {
        "padded window": windows,
        "padded run": runs,
        "long padded run": runs * (length > 64),
        "filled sixteen": runs * sixteens,
        "filled word": runs * (rest // 4),
        "filled byte": runs * (rest % 4),
        "filled": runs * length,
        "copy": copies,
        "copied word": aligned / 4,
        "copied byte": moved - aligned,
    }


def _inside(axis: Axis) -> Counter[int]:
    """How many windows along an axis have how many taps in the input."""
    taps = range(axis.taps)
    starts = (i * axis.stride - axis.before for i in range(axis.steps))
    return Counter(sum(0 <= start + tap * axis.dilation < axis.size for tap in taps) for start in starts)


def _gathered(pixels: int, runs: int, length: int) -> dict[str, float]:
    words, rest = divmod(length, 4)
    return {
        "pixel": pixels,
        "run": pixels * runs,
        "word": pixels * runs * words,
        "eight words": pixels * runs * (words // 8 if words > 8 else 0),
        "many words": pixels * runs * (words > 8),
        "odd words": pixels * runs * (words % 8 if words > 8 else 0),
        f"run with a rest of {rest}": pixels * runs * bool(rest),
        f"run of {length}": pixels * runs * (length <= _SHORT_RUN),
    }


def dsp_row(step: Step) -> Terms:
    """One row, six channels at a time and then two: kernels/fully_connected_dsp.h."""
    p = step.of(DspRow)
    assert isinstance(p.layer, FullyConnected)
    words, rest = divmod(p.layer.input_depth, 4)
    sixes, left = divmod(p.layer.output_depth, 6)
    found: dict[str, float] = {}
    for name, count in (("six", sixes), ("two", (left + 1) // 2)):
        loops = (words - 1) // p.block if words else 0
        found |= {
            f"{name}, word": count * words,
            f"{name}, loop": count * loops,
            f"{name}, first words": count * (words - loops * p.block),
            f"{name}, rest of {rest}": count * bool(rest),
            **flagged(name, count, p.layer.scaling),
            f"{name}s": bool(count),
        }
    return found | {"odd": p.layer.output_depth % 2}


def dsp_depthwise(step: Step) -> Terms:
    """Windows of 3×3, two outputs at a time: kernels/depthwise_conv_dsp.h."""
    p = step.of(Dsp)
    layer = p.layer
    assert isinstance(layer, DepthwiseConv2d)
    g, depth = layer.geometry, layer.input_depth
    stride = g.stride_width
    words = (g.output_width + 1) // 2 * stride + 1
    first = min((g.pad_left + 1) // 2, words)
    inside = max(0, min((g.input_width + g.pad_left) // 2, words) - first)
    rows = g.batches * g.output_height
    wanted = {y * g.stride_height - g.pad_top + tap for y in range(g.output_height) for tap in range(3)}
    read = g.batches * sum(0 <= row < g.input_height for row in wanted)
    empty = g.batches * len(wanted) - read
    fours = depth // 4
    return {
        "row": rows,
        "input row": read,
        **flagged("channel", rows * depth, layer.scaling),
        **flagged(f"pair by {stride}", rows * depth * (g.output_width // 2), layer.scaling),
        **flagged("single", rows * depth * (g.output_width % 2), layer.scaling),
        "paired": rows * depth * (g.output_width > 1),
        "word": read * fours * inside,
        "four words": read * fours * (inside // 4),
        "edge": read * fours * (words - inside),
        "four channels": read * fours,
        "empty word": empty * depth * words,
        "empty channel": empty * depth,
    }


# --- kernels that run anywhere ---


def plain(step: Step) -> Terms:
    """Layers as loops, one, two or four channels at a time: kernels/conv.h and fully_connected.h."""
    layer = step.params
    assert isinstance(layer, FullyConnected | Conv2d)
    g, runs, length, padded = windows(layer)
    groups = layer.groups if isinstance(layer, Conv2d) else 1
    length //= groups
    channels = layer.output_depth // groups
    together = 4 if isinstance(layer, FullyConnected) else next(n for n in (4, 2, 1) if channels % n == 0)
    blocks = g.outputs * (layer.output_depth // together)
    left = layer.output_depth % together * g.outputs
    form = f"by {together}{' grouped' if groups > 1 else ''}"
    share = padded / max(1, g.outputs)
    return {
        f"pixel {form}": g.outputs,
        f"block {form}": blocks,
        f"run {form}": blocks * runs,
        f"position {form}": blocks * runs * length,
        f"four {form}": blocks * runs * (length // 4),
        f"padded block {form}": blocks * share,
        f"padded tap {form}": blocks * share * g.taps,
        f"padded position {form}": blocks * share * g.taps * (length / max(1, g.run)),
        "left": left,
        "left position": left * runs * length,
        "left four": left * runs * (length // 4),
        **flagged("output", g.outputs * layer.output_depth, layer.scaling),
        "output adds": g.outputs * layer.output_depth * (layer.add is not None),
    }


def plain_depthwise(step: Step) -> Terms:
    """Windows of one channel as loops: kernels/depthwise_conv.h."""
    layer = step.of(DepthwiseConv2d)
    g, depth = layer.geometry, layer.output_depth
    inside = g.batches * g.rows.inside * g.columns.inside
    rows, columns = _inside(g.rows), _inside(g.columns)
    whole = g.rows.inside, g.columns.inside
    lines = g.batches * (rows.total() * columns.total() - prod(whole)) * depth
    of_rows, of_columns = (sum(taps * count for taps, count in way.items()) for way in (rows, columns))
    known = of_rows * columns.total() - g.kernel_height * prod(whole)  # rows of padded windows in the input
    taken = of_rows * of_columns - g.taps * prod(whole)
    found: dict[str, float] = {
        "pixel": g.outputs,
        "multiplied": g.outputs * depth * (layer.depth_multiplier > 1),
        **flagged("output", g.outputs * depth, layer.scaling),
    }
    for form in ("", f" {g.kernel_height}x{g.kernel_width}"):
        found |= {
            f"inside{form}": inside * depth,
            f"padded{form}": lines,
            f"padded row inside{form}": g.batches * known * depth,
            f"padded tap inside{form}": g.batches * taken * depth,
        }
    return found | {
        "inside tap": inside * depth * g.taps,
        "padded row": lines * g.kernel_height,
        "padded tap": lines * g.taps,
        "padded tap beside": g.batches * (known * g.kernel_width - taken) * depth,
    }
