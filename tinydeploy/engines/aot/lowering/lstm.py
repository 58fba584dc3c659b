"""Lowering of UNIDIRECTIONAL_SEQUENCE_LSTM: int8 or int16 activations, int8 weights, int16 cell state.

The arithmetic is TFLite Micro's. The op has 24 inputs: the sequence, 4 weights, 4 recurrent weights,
3 peepholes, 4 biases, the projection and its bias, the hidden and the cell state, 4 layer normalisations.
Gates come in the order input, forget, cell, output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.arithmetic import tables
from tinydeploy.engines.aot.arithmetic.fixed_point import layer_scale
from tinydeploy.engines.aot.ir import Constant, Read, State, Step, Write
from tinydeploy.engines.aot.kernels.recurrent import LSTM, Cell, GateShifts, Lstm
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    UnsupportedError,
    float_option,
    output_tensor,
    per_tensor,
    require,
    require_types,
    require_wide_sums,
    rescaling,
    wide_rescaling,
)
from tinydeploy.model.graph import DType, Graph, Op, Tensor

_WEIGHTS, _RECURRENT_WEIGHTS, _BIASES = range(1, 5), range(5, 9), range(12, 16)
_HIDDEN_STATE, _CELL_STATE = 18, 19
_VARIANTS = {"peepholes": range(9, 12), "a projection": range(16, 18), "layer normalisation": range(20, 24)}
_GATE_SCALE = 2.0**-12  # of what goes into a gate's sigmoid or tanh
_UNIT_SCALE = 2.0**-15  # of what comes out


@lowers("UNIDIRECTIONAL_SEQUENCE_LSTM")
def unidirectional_sequence_lstm(graph: Graph, op: Op) -> tuple[Step, ...]:
    """The plain LSTM, in either order of batches and time steps."""
    source, hidden, cell, output = _activations(graph, op)
    wide = source.dtype is DType.INT16
    time_major = bool(op.options["time_major"])
    outer, inner, depth = source.shape
    steps, batches = (outer, inner) if time_major else (inner, outer)
    units = output.shape[-1]
    from_input = _gates(graph, op, _WEIGHTS, source, (units, depth))
    from_hidden = _gates(graph, op, _RECURRENT_WEIGHTS, hidden, (units, units))
    bias_type = DType.INT64 if wide else DType.INT32
    bias = from_input.bias + np.stack([_bias(graph, op, i, units, bias_type) for i in _BIASES], axis=1)
    rescalings = [*from_input.rescalings, *from_hidden.rescalings]
    shifts = GateShifts(*_directions(from_input), *_directions(from_hidden))
    params = Lstm(batches, steps, time_major, depth, units, shifts, _cell(op, hidden, cell, output))
    if wide:
        rescalings = [wide_rescaling(*factor) for factor in rescalings]
        require_wide_sums(bias, from_input.weights, 2)
    factors = np.array(rescalings)

    def constant(name: str, values: npt.NDArray[np.generic], comment: str) -> Constant:
        return Constant(f"op{op.index}_{name}", values.reshape(-1), comment)

    args = (
        Read(source.index),
        constant("weights", from_input.weights, f"[{units}][4][{depth}]"),
        constant("bias", bias.astype(bias_type.numpy), f"[{units}][4], with the input's zero point"),
        constant("recurrent_weights", from_hidden.weights, f"[{units}][4][{units}]"),
        constant(
            "recurrent_bias",
            from_hidden.bias.astype(bias_type.numpy),
            f"[{units}][4], of the state's zero point",
        ),
        constant("multiplier", factors[:, 0].astype(np.int32), "[2][4]"),
        constant("shift", factors[:, 1].astype(np.int8), "[2][4]"),
        constant("sigmoid", tables.sigmoid_entries(), "65536 * sigmoid(i / 24)"),
        State(hidden.index),
        State(cell.index),
        Write(output.index),
    )
    return (LSTM.step(graph, params, *args),)


def _activations(graph: Graph, op: Op) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Input, hidden state, cell state and output of an op that is a plain LSTM."""
    require(len(op.inputs) == 24, f"it has {len(op.inputs)} inputs")
    for what, positions in _VARIANTS.items():
        require(all(op.inputs[i] < 0 for i in positions), f"it has {what}")
    require(op.options["fused_activation_function"] == "TANH", "its cell gate's activation is not TANH")
    require(not op.options["diagonal_recurrent_tensors"], "its recurrent weights are diagonal")
    source, output = _tensor(graph, op, 0), output_tensor(graph, op)
    hidden, cell = _tensor(graph, op, _HIDDEN_STATE), _tensor(graph, op, _CELL_STATE)
    require_types((source, hidden, output), DType.INT8, DType.INT16)
    require_types((cell,), DType.INT16)
    require(hidden.is_variable and cell.is_variable, "its states are not variables")
    require(source.data is None and not source.is_variable, "its input is not computed")
    outer, inner, _ = source.shape
    units = output.shape[-1] if output.shape else 0
    require(output.shape == (outer, inner, units), f"its output has the shape {list(output.shape)}")
    batches = inner if op.options["time_major"] else outer
    for state in (hidden, cell):
        require(state.elements == batches * units, f"a state has the shape {list(state.shape)}")
    return source, hidden, cell, output


def _cell(op: Op, hidden: Tensor, cell: Tensor, output: Tensor) -> Cell:
    """How the cell's state goes on from step to step, and what becomes of it in the output."""
    hidden_quantization, cell_scale = per_tensor(hidden), per_tensor(cell).scale
    forget = rescaling(_UNIT_SCALE * cell_scale / cell_scale)
    added = rescaling(_UNIT_SCALE * _UNIT_SCALE / cell_scale)
    out = rescaling(_UNIT_SCALE * _UNIT_SCALE / hidden_quantization.scale)
    tanh_shift = _tanh_shift(cell_scale)
    clip = _cell_clip(op, cell_scale)
    limits = np.iinfo(output.dtype.value)
    return Cell(
        *forget,
        *added,
        cell_min=-32768 if clip is None else -clip,
        cell_max=32767 if clip is None else clip,
        tanh_left_shift=max(tanh_shift, 0),
        tanh_right_shift=max(-tanh_shift, 0),
        output_multiplier=out[0],
        output_shift=out[1],
        output_zero_point=hidden_quantization.zero_point,
        output_min=int(limits.min),
        output_max=int(limits.max),
    )


@dataclass(frozen=True, eq=False)
class _Gates:
    """What the four gates make of one of their two inputs."""

    weights: npt.NDArray[np.int8]  # [units, 4, depth]
    bias: npt.NDArray[np.int64]  # [units, 4]: the input's zero point times the weights
    rescalings: tuple[tuple[int, int], ...]  # multiplier and shift of each gate


def _gates(graph: Graph, op: Op, positions: range, values: Tensor, shape: tuple[int, int]) -> _Gates:
    quantization = per_tensor(values)
    weights, rescalings = [], []
    for position in positions:
        tensor = _tensor(graph, op, position)
        require_types((tensor,), DType.INT8)
        if tensor.data is None:
            raise UnsupportedError("its weights are computed at run time")
        require(tensor.shape == shape, f"its weights have the shape {list(tensor.shape)}, not {list(shape)}")
        found = tensor.quantization
        if found is None or found.per_channel or found.zero_point != 0:
            raise UnsupportedError("its weights are not quantised with one scale around zero")
        weights.append(tensor.data.astype(np.int8))
        rescalings.append(rescaling(layer_scale(quantization.scale, found.scale, _GATE_SCALE)))
    stacked = np.stack(weights, axis=1)
    bias = -quantization.zero_point * stacked.sum(axis=2, dtype=np.int64)
    return _Gates(stacked, bias, tuple(rescalings))


def _directions(gates: _Gates) -> tuple[bool, bool]:
    """Whether any of the gates' shifts goes to the left, and whether any goes to the right."""
    shifts = [shift for _, shift in gates.rescalings]
    return max(shifts) > 0, min(shifts) < 0


def _tensor(graph: Graph, op: Op, position: int) -> Tensor:
    index = op.inputs[position]
    require(index >= 0, f"its input {position} is missing")
    return graph.tensors[index]


def _bias(graph: Graph, op: Op, position: int, units: int, dtype: DType) -> npt.NDArray[np.int64]:
    tensor = _tensor(graph, op, position)
    require_types((tensor,), dtype)
    if tensor.data is None:
        raise UnsupportedError("its biases are computed at run time")
    require(tensor.shape == (units,), f"a bias has the shape {list(tensor.shape)}")
    return tensor.data.astype(np.int64)


def _tanh_shift(cell_scale: float) -> int:
    """By how many bits the cell state has to be shifted left to be in Q3.12."""
    fraction, exponent = math.frexp(cell_scale)
    require(fraction == 0.5, f"its cell state's scale {cell_scale:.6g} is not a power of two")
    shift = exponent - 1 + 12
    require(-30 <= shift <= 14, f"its cell state's scale {cell_scale:.6g} is out of range")
    return shift


def _cell_clip(op: Op, cell_scale: float) -> int | None:
    """The limit of the cell state's magnitude in its integers, None without one."""
    clip = float_option(op, "cell_clip")
    return int(min(clip / cell_scale, 32767.0)) if clip > 0 else None
