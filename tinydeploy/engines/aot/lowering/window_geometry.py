"""How a convolution or a pooling goes through its input, from its options."""

from __future__ import annotations

from dataclasses import replace

from tinydeploy.engines.aot.geometry import Axis
from tinydeploy.engines.aot.lowering.require import int_option, require
from tinydeploy.engines.aot.own_ops import WindowOp
from tinydeploy.model.graph import Op

ROWS, COLUMNS = 1, 2  # axes of an NHWC tensor


def window_axis(op: Op, axis: int, size: int, steps: int, taps: int) -> Axis:
    """Along `axis`: an input of `size`, `steps` outputs, windows of `taps`. Refused if they do not fit."""
    initial = "h" if axis == ROWS else "w"
    stride = int_option(op, f"stride_{initial}")
    dilation = int_option(op, f"dilation_{initial}_factor") or 1  # pooling has none
    way = Axis(size, steps, taps, stride, dilation)
    given = op.padding if isinstance(op, WindowOp) else None
    if given is not None:
        before, after = (given.top, given.bottom) if axis == ROWS else (given.left, given.right)
        places = size + before + after - way.reach + 1
    else:
        before = way.missing // 2
        places = size if op.options["padding"] == "SAME" else size - way.reach + 1
    require(steps == -(-places // stride), "its output does not fit its window")
    return replace(way, before=before)
