"""Random layers: convolutions, matrix products, pooling."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from random_graphs.maker import MAX_ELEMENTS, Maker, NotPossible, Value, symmetric

# Layers


def _windows(
    m: Maker, x: Value, kernel: tuple[int, int], dilated: bool
) -> tuple[tuple[int, int], dict[str, Any]]:
    """The output's height and width, and the options."""
    padding = m.random.choice(("SAME", "VALID"))
    options: dict[str, Any] = {"padding": padding}
    size = []
    for axis, name in enumerate("hw"):
        stride = m.random.choice((1, 1, 2, 3))
        dilation = m.random.choice((1, 1, 1, 2, 3)) if dilated else 1
        options[f"stride_{name}"] = stride
        if dilated:
            options[f"dilation_{name}_factor"] = dilation
        reach = (kernel[axis] - 1) * dilation
        extent = x.shape[1 + axis] - (reach if padding == "VALID" else 0)
        if extent < 1:
            raise NotPossible
        size.append(math.ceil(extent / stride))
    return (size[0], size[1]), options


def drawn_weights(
    m: Maker, x: Value, shape: tuple[int, ...], axis: int, depth: int, narrow_bias: bool = True
) -> tuple[list[int], float]:
    """Weights and perhaps a bias, and a fitting scale for sums of `depth` products.

    `narrow_bias` says whether that of a 16x8 layer may be int32: TFLite Micro's DEPTHWISE_CONV_2D and
    TRANSPOSE_CONV take every one to be int64.
    """
    assert x.scale
    channels = shape[axis]
    computed = m.random.random() < 0.12  # by something else: an input of the model
    per_channel = not computed and m.random.random() < 0.7
    scales = [10 ** m.random.uniform(-3, -1) for _ in range(channels if per_channel else 1)]
    low, high = m.random.choice(((-127, 127), (-127, 127), (-128, 127), (-3, 3)))
    extremes = m.random.random() < 1 / 8
    drawn = [
        m.random.choice((-128, 127)) if extremes else m.random.randint(low, high)
        for _ in range(math.prod(shape))
    ]
    values = np.array(drawn).reshape(shape)
    if computed:
        weights = m.input(Value(-1, shape, "int8", scales[0])).index
    else:
        zero_point = m.random.choice((0,) * 9 + (m.random.randint(-128, 127),))
        weights = m.model.tensor(shape, scale=scales, zero_point=zero_point, data=values, axis=axis)
    inputs = [x.index, weights]
    if m.random.random() < 0.7:
        wide = x.dtype == "int16"
        usual = (500_000 if wide else 2000) * depth
        limit = m.random.choice((100, usual, usual, usual, usual if wide else 2**31 - 1))
        drawn = [m.random.randint(-limit, limit) for _ in range(channels)]
        bias_scales = [x.scale * scale for scale in scales]
        dtype = "int64" if wide and (not narrow_bias or m.random.random() < 0.7) else "int32"
        inputs.append(m.model.tensor((channels,), dtype, scale=bias_scales, data=drawn))
    elif axis == 0 and m.random.random() < 0.5:  # TFLite Micro crashes on this in DEPTHWISE_CONV_2D
        inputs.append(-1)
    least = x.scale * max(scales) / 100 if x.dtype == "int16" else 0.0  # 64-bit sums shift left by 7 at most
    return inputs, max(m.scale(x.scale * max(scales) * 50 * math.sqrt(depth)), least)


def conv(m: Maker, kind: str) -> None:
    x = m.pick(4, wide=True, fits=symmetric)
    either = (m.random.randint(1, 4), m.random.randint(1, 4))
    kernel = m.random.choice((either, either, either, (1, 1), (3, 3), (3, 3)))
    size, options = _windows(m, x, kernel, dilated=m.random.random() < 0.5)
    if kind == "CONV_2D":
        groups = m.random.choice((1, 1, 1, 1, x.shape[3]))
        channels = groups * m.random.randint(1, max(1, m.most_channels // groups))
        shape, axis, depth = (channels, *kernel, x.shape[3] // groups), 0, x.shape[3] // groups
    else:
        options["depth_multiplier"] = m.random.choice((1, 1, 1, 2, 3))
        channels = x.shape[3] * options["depth_multiplier"]
        shape, axis, depth = (1, *kernel, channels), 3, 1
    inputs, scale = drawn_weights(m, x, shape, axis, depth * math.prod(kernel), narrow_bias=axis == 0)
    output = m.add((x.shape[0], *size, channels), x.dtype, scale, m.zero_point(x.dtype))
    m.op(kind, inputs, [output], fused_activation_function=m.activation(), **options)


def residual(m: Maker, kind: str) -> None:
    """A CONV_2D, and what adds or subtracts what it makes."""
    conv(m, "CONV_2D")
    made = m.values[-1]
    assert made.scale
    same = [value for value in m.values[:-1] if (value.shape, value.dtype) == (made.shape, made.dtype)]
    partner = replace(made, scale=m.scale(made.scale), zero_point=m.zero_point(made.dtype))
    other = m.random.choice(same) if same and m.random.random() < 0.7 else m.input(partner)
    assert other.scale
    larger = max(made.scale, other.scale)
    scale = max(m.scale(made.scale + other.scale), larger * (1e-5 if made.dtype == "int8" else 1e-3))
    inputs = [made.index, other.index] if m.random.random() < 0.5 else [other.index, made.index]
    m.used |= {made.index, other.index}
    output = m.add(made.shape, made.dtype, scale, m.zero_point(made.dtype))
    activation = "NONE" if m.random.random() < 0.7 else m.activation()
    m.op(m.random.choice(("ADD", "ADD", "SUB")), inputs, [output], fused_activation_function=activation)


def transpose_conv(m: Maker, kind: str) -> None:
    x = m.pick(4, wide=True, fits=symmetric)
    kernel, size, options = [], [], {"padding": m.random.choice(("SAME", "VALID"))}
    for axis, name in enumerate("hw", start=1):
        stride, extent = m.random.choice((1, 2, 2, 3)), m.random.randint(1, 4)
        options[f"stride_{name}"] = stride
        kernel.append(extent)
        reach = 0 if options["padding"] == "SAME" else max(extent - stride, 0)
        size.append(x.shape[axis] * stride + reach)
    channels = m.random.randint(1, 9)
    shape = (x.shape[0], *size, channels)
    if math.prod(shape) > 3 * MAX_ELEMENTS:
        raise NotPossible
    weights = (channels, *kernel, x.shape[3])
    (source, *rest), scale = drawn_weights(
        m, x, weights, 0, x.shape[3] * math.prod(kernel), narrow_bias=False
    )
    if rest[1:] == [-1]:
        rest.pop()
    output = m.add(shape, x.dtype, scale, m.zero_point(x.dtype))
    inputs = [m.integers(*shape), rest[0], source, *rest[1:]]
    m.op(kind, inputs, [output], fused_activation_function=m.activation(), **options)


def batch_matmul(m: Maker, kind: str) -> None:
    a = m.pick(wide=True, fits=lambda value: 2 <= len(value.shape) <= 4 and symmetric(value))
    wide = a.dtype == "int16"
    adj_x, adj_y = m.random.random() < 0.4, m.random.random() < 0.5
    rows, depth = a.shape[:-3:-1] if adj_x else a.shape[-2:]
    columns = m.random.randint(1, 6)
    batches = tuple(extent if m.random.random() < 0.6 else 1 for extent in a.shape[:-2])
    batches = batches[m.random.randint(0, len(batches)) :] if m.random.random() < 0.4 else batches
    if m.random.random() < 0.2:
        batches = tuple(
            m.random.randint(1, 3) if own == 1 else s for own, s in zip(a.shape, batches, strict=False)
        )
    assert a.scale
    zero_point = m.random.choice((0, m.zero_point(a.dtype)))
    matrix = (columns, depth) if adj_y else (depth, columns)
    b = Value(-1, (*batches, *matrix), a.dtype, m.scale(2e-4 if wide else 0.05), zero_point)
    try:
        shape = (*np.broadcast_shapes(a.shape[:-2], batches), rows, columns)
    except ValueError:
        raise NotPossible from None
    if math.prod(shape) > MAX_ELEMENTS:
        raise NotPossible
    b = m.constant(b) if m.random.random() < 0.4 else m.input(b)
    assert b.scale
    scale = m.scale(a.scale * b.scale * (10_000 if wide else 50) * math.sqrt(depth))
    least = a.scale * b.scale / 100 if wide else 0.0  # 64-bit sums shift left by 7 at most
    output = m.add(shape, a.dtype, max(scale, least), m.zero_point(a.dtype))
    m.op(kind, [a.index, b.index], [output], adj_x=adj_x, adj_y=adj_y)


def fully_connected(m: Maker, kind: str) -> None:
    x = m.pick(wide=True, fits=symmetric)
    units = m.random.randint(1, 4 * m.most_channels // 3)
    inputs, scale = drawn_weights(m, x, (units, x.shape[-1]), 0, x.shape[-1])
    keep = len(x.shape) == 2 or m.random.random() < 0.5
    shape = (*x.shape[:-1], units) if keep else (math.prod(x.shape[:-1]), units)
    output = m.add(shape, x.dtype, scale, m.zero_point(x.dtype))
    m.op(kind, inputs, [output], fused_activation_function=m.activation(), keep_num_dims=keep)


def pool(m: Maker, kind: str) -> None:
    x = m.pick(4, wide=True)
    kernel = (m.random.randint(1, 4), m.random.randint(1, 4))
    size, options = _windows(m, x, kernel, dilated=False)
    options |= {"filter_height": kernel[0], "filter_width": kernel[1]}
    output = m.like(x, (x.shape[0], *size, x.shape[3]))
    m.op(kind, [x.index], [output], fused_activation_function=m.activation(), **options)
