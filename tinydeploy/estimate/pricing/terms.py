"""What the instructions of a kernel's call are counted in: how often it does each thing that takes some.

The terms of a call follow from its parameters, as its header is written: pairs that are multiplied, outputs
that are requantised, windows that are gathered. What each takes is fitted to what emulators count, core by
core; see prices.py. Kernels that no function here knows have no terms, and so no price.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from tinydeploy.engines.aot.ir import Params, Step
from tinydeploy.engines.aot.kernels.cores.mve import Mve
from tinydeploy.engines.aot.kernels.cores.scalar import Columns, Packed, Scalar
from tinydeploy.engines.aot.kernels.dsp_kernels import Dsp, DspColumns, DspRow
from tinydeploy.engines.aot.kernels.elementwise_kernels import (
    AddLinear,
    Binary,
    Broadcast,
    Elements,
    Multiply,
)
from tinydeploy.engines.aot.kernels.functions import Rows, Unary
from tinydeploy.engines.aot.kernels.layer_kernels import Conv2d, DepthwiseConv2d, FullyConnected
from tinydeploy.engines.aot.kernels.movement_kernels import CopyBlock, CopyRows, Fill, KeepRows
from tinydeploy.engines.aot.kernels.pooling import Pool
from tinydeploy.engines.aot.kernels.recurrent import Lstm
from tinydeploy.engines.aot.kernels.reduction import Reduce, ScaledSum
from tinydeploy.estimate.pricing import core_terms, layer_terms
from tinydeploy.estimate.pricing.layer_terms import Terms


def terms(step: Step) -> Terms | None:
    """How often one call does what, by "kernel: term"; None for a kernel that nothing is known of."""
    for kind in type(step.params).__mro__:
        if kind in _KNOWN:
            counted = _KNOWN[kind](step)
            name = step.kernel.name + _form(step.params)
            return {f"{name}: {term}": float(n) for term, n in {"call": 1, **counted}.items() if n}
    return None


def _form(params: Params) -> str:
    """The form of a kernel that has several: its terms have prices of their own."""
    shared = getattr(params, "shared", False) or getattr(params, "block", 0) == 1
    return " wide" * getattr(params, "wide", False) + " shared" * shared


def _elements(step: Step) -> Terms:
    params = step.of(Binary)
    bounds = {}
    if isinstance(params, AddLinear):
        bounds = {"low": params.activation_min > -128, "high": params.activation_max < 127}
    if isinstance(params, Multiply):
        output = params.output
        bounds = {"shifted left": output.left_shift, "unshifted": output.output_shift == 0}
        bounds |= {"low": output.activation_min > -128, "high": output.activation_max < 127}
    if isinstance(params.loops, Elements):
        count = params.loops.elements
        return {"element": count, **{f"element {name}": count * on for name, on in bounds.items()}}
    assert isinstance(params.loops, Broadcast)
    loops = params.loops
    count, runs = prod(loops.dim), prod(loops.dim[:-1])
    steps = f"{min(loops.a_stride[-1], 2)}{min(loops.b_stride[-1], 2)}"
    bounded = {f"element {name}": count * on for name, on in bounds.items()}
    return {f"element {steps}": count, f"run {steps}": runs, "plane": prod(loops.dim[:-2]), **bounded}


def _unary(step: Step) -> Terms:
    return {"element": step.of(Unary).elements}


def _rows(step: Step) -> Terms:
    params = step.of(Rows)
    return {"row": params.rows, "element": params.rows * params.depth}


def _pool(step: Step) -> Terms:
    params = step.of(Pool)
    g = params.geometry
    together = 4 if step.kernel.name.startswith("average") and params.depth % 4 == 0 and g.taps <= 257 else 1
    values = g.outputs * (params.depth // together)
    inside = g.rows.inside * g.columns.inside / max(1, g.rows.steps * g.columns.steps)
    size = f" {g.kernel_height}x{g.kernel_width}" if g.taps <= 9 and not g.padded else ""
    limits = 1.0 * (params.activation_min > -128) + (params.activation_max < 127)
    form = f"by {together}"
    return {
        f"pixel {form}": g.outputs,
        f"value {form}": values,
        f"row {form}": values * g.kernel_height,
        f"tap {form}": values * g.taps,
        f"value {form}{size} exactly": values * bool(size),
        f"value {form} padded": values * (1 - inside),
        f"tap {form} padded": values * g.taps * g.padded,
        f"value {form} limited": values * together * limits,
    }


def _reduce(step: Step) -> Terms:
    params = step.of(Reduce)
    strides = (*params.keep_stride[:2], *params.reduce_stride)
    words = (
        step.kernel.name == "scaled_sum"
        and params.keep_stride[2] == 1
        and params.keep[2] % 4 == 0
        and all(stride % 4 == 0 for stride in strides)
        and prod(params.reduce) <= 257
    )
    together = 4 if words else 1
    values = prod(params.keep) // together
    unrolled = prod(params.reduce) if prod(params.reduce) <= 16 else 0
    return {
        f"value by {together}": values,
        f"tap by {together}": values * prod(params.reduce),
        f"run by {together}": values * prod(params.reduce[:2]),
        f"value by {together} unrolled": values * bool(unrolled),
        f"tap by {together} unrolled": values * unrolled,
        f"row by {together}": prod(params.keep[:2]),
        "alone": prod(params.keep) * (prod(params.reduce) == 1),
        "shifted left": prod(params.keep) * (isinstance(params, ScaledSum) and params.shift >= 0),
    }


def _copied(elements: int, apart: int, name: str) -> Terms:
    """Of a run of elements: in words where its ends are aligned alike."""
    if elements <= 64:
        return {f"{name} word": elements // 4, f"{name} rest {elements % 4}": bool(elements % 4), name: 1}
    if apart % 4:
        return {f"{name} long": 1, f"{name} byte": elements}
    fours, rest = divmod(elements, 16)
    return {f"{name} long": 1, f"{name} 16 bytes": fours, f"{name} rest": rest // 4 + rest % 4}


def _copy_rows(step: Step) -> Terms:
    params = step.of(CopyRows)
    one = _copied(params.row_elements, params.input_step - params.output_step, "row")
    return {term: params.rows * count for term, count in one.items()}


def _copy_block(step: Step) -> Terms:
    params = step.of(CopyBlock)
    runs = prod(params.dim[:-1])
    if params.input_stride[-1] == params.output_stride[-1] == 1:
        one = _copied(params.dim[-1], 4, "run")
        return {term: runs * count for term, count in one.items()} | {"plane": prod(params.dim[:-2])}
    return {"strided run": runs, "element": prod(params.dim), "plane": prod(params.dim[:-2])}


def _keep_rows(step: Step) -> Terms:
    params = step.of(KeepRows)
    if params.from_ < 16:
        return {"byte": params.elements}
    return _copied(max(params.elements, 65), params.from_, "block")


def _fill(step: Step) -> Terms:
    return {"element": step.of(Fill).elements}


def _lstm(step: Step) -> Terms:
    params = step.of(Lstm)
    steps = params.batches * params.time_steps
    units = steps * params.units
    products = units * (params.input_depth + params.units)
    loops = units * (params.input_depth // 4 + params.units // 4)
    rests = units * (params.input_depth % 4 + params.units % 4)
    return {"step": steps, "unit": units, "product": products, "four": loops, "rest": rests}


_KNOWN: Mapping[type[Params], Callable[[Step], Terms]] = {
    DspColumns: layer_terms.dsp_columns,
    DspRow: layer_terms.dsp_row,
    Dsp: layer_terms.dsp_depthwise,
    Columns: core_terms.scalar_columns,
    Packed: core_terms.packed_row,
    Scalar: core_terms.scalar_depthwise,
    Mve: core_terms.mve,
    FullyConnected: layer_terms.plain,
    Conv2d: layer_terms.plain,
    DepthwiseConv2d: layer_terms.plain_depthwise,
    Binary: _elements,
    Unary: _unary,
    Rows: _rows,
    Pool: _pool,
    Reduce: _reduce,
    CopyRows: _copy_rows,
    CopyBlock: _copy_block,
    KeepRows: _keep_rows,
    Fill: _fill,
    Lstm: _lstm,
}
