"""Ops that are left out because a neighbour does their work as well, with the same outputs bit for bit."""

from __future__ import annotations

from dataclasses import replace

from tinydeploy.graph import DType, Graph, Op

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_SIDES = ("top", "bottom", "left", "right")


def fold_padding(graph: Graph) -> tuple[Op, ...]:
    """The ops without each PAD that the convolutions behind it can do: they pad with the zero point, too.

    Such a convolution reads the PAD's input. Its `padding` becomes EXPLICIT, with the options pad_top,
    pad_bottom, pad_left and pad_right in rows and columns.
    """
    ops = {op.index: op for op in graph.ops}
    for pad in graph.ops:
        sides = _padding(graph, pad)
        if sides is None:
            continue
        readers = [op for op in graph.ops if pad.outputs[0] in op.inputs]
        if not readers or not all(_takes_padding(graph, op, pad.outputs[0], sides) for op in readers):
            continue
        del ops[pad.index]
        explicit = {f"pad_{side}": n for side, n in sides.items()}
        for op in readers:
            inputs = (pad.inputs[0], *op.inputs[1:])
            options = {**op.options, **explicit, "padding": "EXPLICIT"}
            ops[op.index] = replace(op, inputs=inputs, options=options)
    return tuple(ops.values())


def _padding(graph: Graph, op: Op) -> dict[str, int] | None:
    """How many rows and columns of zero points this op adds on each side; None if it does anything else."""
    if op.kind not in ("PAD", "PADV2") or op.outputs[0] in graph.outputs:
        return None
    source, paddings, *value = (graph.tensors[index] for index in op.inputs)
    output = graph.tensors[op.outputs[0]]
    given = paddings.data
    if given is None or given.size != 8 or source.data is not None or source.is_variable:
        return None
    if output.dtype is not DType.INT8 or output.quantization is None:
        return None
    before, after = source.quantization, output.quantization
    if before is None or (before.scales, before.zero_points) != (after.scales, after.zero_points):
        return None
    if value and (value[0].data is None or value[0].data.reshape(-1).tolist() != [after.zero_point]):
        return None
    batch, rows, columns, channels = given.reshape(4, 2).tolist()
    if any(batch + channels) or min(rows + columns) < 0:
        return None
    return dict(zip(_SIDES, rows + columns, strict=True))


def _takes_padding(graph: Graph, op: Op, tensor: int, sides: dict[str, int]) -> bool:
    """Whether `op` is a convolution of `tensor` without padding, whose windows all reach into the tensor."""
    if op.kind not in _CONVOLUTIONS or op.options["padding"] != "VALID":
        return False
    if op.inputs[0] != tensor or tensor in op.inputs[1:]:
        return False
    reaches = []
    for axis, initial in ((1, "h"), (2, "w")):
        dilation = op.options.get(f"dilation_{initial}_factor") or 1
        assert isinstance(dilation, int)
        reaches += [(graph.tensors[op.inputs[1]].shape[axis] - 1) * dilation + 1] * 2
    return all(n < reach for n, reach in zip(sides.values(), reaches, strict=True))
