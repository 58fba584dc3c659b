"""The terms of layers with weights on cores without the DSP extension, or with vectors: see terms.py."""

from __future__ import annotations

from tinydeploy.engines.aot.ir import Constant, Step
from tinydeploy.engines.aot.kernels.cores.mve import Mve
from tinydeploy.engines.aot.kernels.cores.scalar import Columns, Packed, Scalar
from tinydeploy.engines.aot.kernels.layer_kernels import Conv2d, DepthwiseConv2d, FullyConnected
from tinydeploy.estimate.pricing.layer_terms import Terms, flagged, windows

# --- cores that multiply one pair at a time ---


def scalar_columns(step: Step) -> Terms:
    """Columns of some pixels, which are multiplied two at a time: kernels/conv_scalar.h."""
    p = step.of(Columns)
    assert isinstance(p.layer, FullyConnected | Conv2d)
    g, runs, length, padded = windows(p.layer)
    positions = runs * length
    whole, rest = divmod(g.outputs, p.block_pixels)
    blocks, channels_left = divmod(p.layer.output_depth, p.block_channels)
    entries = _entries(step, p.block_channels) if p.excess else 0
    found: dict[str, float] = {}
    for pixels, count in ((p.block_pixels, whole), (rest, 1 if rest else 0)):
        words = (pixels + 1) // 2
        of_pixels = f"of {pixels}"
        for channels, times in ((p.block_channels, blocks), (channels_left, 1 if channels_left else 0)):
            name = f"{of_pixels} × {channels}"
            full_runs, last = divmod(positions, p.run)
            found |= {
                f"block {name}": count * times,
                f"block {name} position": count * times * positions,
                f"block {name} run": count * times * (full_runs + bool(last)),
                f"block {name} loop": count * times * full_runs,
                **flagged(f"output {name}", count * times * channels * pixels, p.layer.scaling),
                f"output {name} small": count * times * channels * pixels * p.small_sums,
                f"output {name} adds": count * times * channels * pixels * (p.layer.add is not None),
            }
        found |= {
            of_pixels: count,
            f"{of_pixels}, excess": count * words * entries,
            f"{of_pixels}, excess end": count * blocks * p.excess,
        }
    couples = whole * ((p.block_pixels + 1) // 2) + (rest + 1) // 2
    of_windows = couples * (runs if isinstance(p.layer, Conv2d) else 1)
    beyond = padded / max(1, g.outputs) * couples
    return found | {
        "couple": couples,
        "couple run": of_windows,
        "couple value": couples * positions,
        "couple four values": of_windows * (length // 4),
        "couple many values": of_windows * (length > 8),
        "couple starts": couples * -(-positions // p.run) * p.biased,
        "couple started": couples * positions * p.biased,
        "padded couple": beyond,
        "padded couple tap": beyond * g.taps,
        "padded couple value": beyond * positions,
    }


def _entries(step: Step, channels: int) -> float:
    """How many positions the list of large weights names."""
    listed = step.args[step.kernel.arguments.index("excess")]
    assert isinstance(listed, Constant)
    return listed.values.size / (channels + 1)


def packed_row(step: Step) -> Terms:
    """One row, whose channels are multiplied two at a time: kernels/fully_connected_packed.h."""
    p = step.of(Packed)
    assert isinstance(p.layer, FullyConnected)
    depth = p.layer.input_depth
    blocks, left = divmod(p.layer.output_depth, p.block_channels)
    runs, rest = divmod(depth, p.run)
    listed = step.args[step.kernel.arguments.index("excess")]
    assert isinstance(listed, Constant)
    entries = max(0, listed.values.size - blocks) if p.excess else 0
    return {
        **flagged("output", blocks * p.block_channels + left, p.layer.scaling),
        "output small": (blocks * p.block_channels + left) * p.small_sums,
        "block": blocks,
        "position": blocks * runs * p.run,
        f"run of {p.run}": blocks * runs,
        "last run": blocks * bool(rest),
        "last position": blocks * rest,
        "start": runs if blocks else 0,
        "start position": runs * p.run if blocks else 0,
        "start rest": rest if blocks else 0,
        "starts": bool(blocks),
        "excess": entries,
        "excess end": blocks * p.excess,
        "left": left,
        "left position": left * depth,
        "left four": left * (depth // 4),
    }


def scalar_depthwise(step: Step) -> Terms:
    """Narrow windows, some outputs of a row at a time: kernels/depthwise_conv_scalar.h."""
    p = step.of(Scalar)
    layer = p.layer
    assert isinstance(layer, DepthwiseConv2d)
    g, block, depth = layer.geometry, p.block_pixels, layer.output_depth
    width, stride = g.kernel_width, g.stride_width
    blocks, rest = divmod(g.output_width, block)
    tops = [y * g.stride_height - g.pad_top for y in range(g.output_height)]
    rows = [max(0, min(g.input_height, top + g.kernel_height) - max(0, top)) for top in tops]
    calls, lines = g.batches * g.output_height * depth, g.batches * sum(rows) * depth
    missing = g.batches * sum(g.kernel_height - count for count in rows) * depth
    loads = [(outputs - 1) * stride + width for outputs in (block, rest)]
    products = lines * (blocks * block + rest) * width
    return {
        "row": g.batches * g.output_height,
        "channel": calls,
        "block": calls * blocks,
        "blocks": calls * (blocks > 2),
        "rest": calls * bool(rest),
        f"line of {width}": lines * (blocks + bool(rest)),
        "line": lines * (blocks + bool(rest)),
        "load": lines * (blocks * loads[0] + (loads[1] if rest else 0)),
        "product": products,
        "missing line": missing,
        "missing weight": missing * width,
        "short": g.batches * sum(count < g.kernel_height for count in rows) * depth,
        **flagged("output", calls * g.output_width, layer.scaling),
        "output small": calls * g.output_width * p.small_sums,
    }


# --- cores with vectors ---


def mve(step: Step) -> Terms:
    """Vectors of sixteen: kernels/conv_mve.h and depthwise_conv_mve.h."""
    p = step.of(Mve)
    if isinstance(p.layer, DepthwiseConv2d):
        return _mve_depthwise(p, p.layer)
    layer = p.layer
    g, runs, length, padded = windows(layer)
    positions = runs * length
    twos, one = divmod(g.outputs, 2)
    fours = -(-layer.output_depth // 4)
    flags = {"": 1, " by channel": layer.scaling.per_channel, " bounded": layer.scaling.is_bounded,
             " unclamped": not p.clamps_negative, " both ways": not p.shifts_right,
             " uneven": layer.output_depth % 4 > 0}  # fmt: skip
    if isinstance(layer, Conv2d):
        positions = -(-positions // 16) * 16
    chunks, last = divmod(positions, 16)
    more = max(0, chunks - 1)
    found: dict[str, float] = {}
    for name, count in (("two", twos), ("one", one)):
        found |= {f"{name}, four{flag}": count * fours * on for flag, on in flags.items()}
        found |= {
            name: count,
            f"{name}, chunk": count * fours * chunks,
            f"{name}, loop": count * fours * (more // 4),
            f"{name}, looping": count * fours * (more >= 4),
            f"{name}, last": count * fours * bool(last),
        }
    if isinstance(layer, FullyConnected):
        return found
    inside = g.outputs - padded
    return found | {
        "pixel": g.outputs,
        "window": inside,
        "run": inside * runs,
        "short run": inside * runs * (length <= 4),
        "run chunk": inside * runs * (length // 16),
        "run rest": inside * runs * (length % 16 > 0 and length > 4),
        "padded window": padded,
        "padded run": padded * runs,
        "padded chunk": padded * runs * -(-length // 16),
        "row": g.batches * g.output_height,
    }


def _mve_depthwise(p: Mve, layer: DepthwiseConv2d) -> Terms:
    g, depth = layer.geometry, layer.output_depth
    step = g.kernel_height * g.stride_width
    pairs = g.taps + step <= 16
    chunks = -(-g.taps // 16)
    fours, rest = divmod(g.output_width, 4)
    rows = g.batches * g.output_height
    columns = (g.output_width - 1) * g.stride_width + g.kernel_width
    wanted = {y * g.stride_height + tap for y in range(g.output_height) for tap in range(g.kernel_height)}
    read = g.batches * sum(0 <= row - g.pad_top < g.input_height for row in wanted)
    empty = g.batches * len(wanted) - read
    eights = -(-layer.input_depth // 8)
    end = min(g.input_width + g.pad_left, columns)
    form = "pairs" if pairs else "chunks"
    flags = {"": 1, " by channel": layer.scaling.per_channel, " bounded": layer.scaling.is_bounded,
             " unclamped": not p.clamps_negative, " both ways": not p.shifts_right}  # fmt: skip
    return {
        "row": rows,
        **{f"channel{flag}": rows * depth * on for flag, on in flags.items()},
        f"channel {form}": rows * depth,
        **{f"four{flag}": rows * depth * fours * on for flag, on in flags.items()},
        **{f"rest{flag}": rows * depth * bool(rest) * on for flag, on in flags.items()},
        "long channel": rows * depth * (fours > 1),
        f"output {form}": rows * depth * g.output_width,
        "output chunk": rows * depth * g.output_width * (0 if pairs else chunks),
        "channel chunk": rows * depth * chunks,
        "input row": read,
        "eight": read * eights,
        "spread": read * eights * max(0, end - g.pad_left),
        "spread four": read * eights * (max(0, end - g.pad_left) // 4),
        "padding": read * eights * (columns - max(0, end - g.pad_left)),
        "uneven": (read + empty) * eights * (layer.input_depth % 8 > 0) * columns,
        "empty": empty * eights * columns,
        "empty eight": empty * eights,
    }
