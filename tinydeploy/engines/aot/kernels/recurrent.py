"""Layers with a state: LSTM and SVDF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinydeploy.engines.aot.ir import Call, Kernel, Params
from tinydeploy.engines.aot.memory import input_overlap


@dataclass(frozen=True)
class Svdf(Params):
    """An SVDF of `units`, each of `rank` filters that remember `memory` steps."""

    batches: int
    input_depth: int
    units: int
    rank: int
    memory: int
    feature_multiplier: int
    feature_shift: int
    state_zero_point: int
    state_min: int
    state_max: int
    output_multiplier: int
    output_shift: int
    left_shift: bool
    output_zero_point: int
    activation_min: int
    activation_max: int


@dataclass(frozen=True)
class Cell(Params):
    """How the cell's state goes on from step to step, and what becomes of it in the output."""

    forget_multiplier: int
    forget_shift: int
    input_multiplier: int
    input_shift: int
    cell_min: int
    cell_max: int
    tanh_left_shift: int
    tanh_right_shift: int
    output_multiplier: int
    output_shift: int
    output_zero_point: int
    output_min: int
    output_max: int


@dataclass(frozen=True)
class GateShifts(Params):
    """Whether any gate's sum is shifted in that direction when it is scaled."""

    input_left_shift: bool
    input_right_shift: bool
    recurrent_left_shift: bool
    recurrent_right_shift: bool


@dataclass(frozen=True)
class Lstm(Params):
    """A plain LSTM over `time_steps`, which come first in the input if it is `time_major`."""

    batches: int
    time_steps: int
    time_major: bool
    input_depth: int
    units: int
    shifts: GateShifts
    cell: Cell


def _rows(call: Call[Svdf]) -> Mapping[str, int]:
    p = call.params
    return {"input": input_overlap.by_channels(input_overlap.rows(p.batches, p.input_depth), p.units)}


def _sequences(call: Call[Lstm]) -> Mapping[str, int]:
    # One sequence after the other, each from its first time step to its last: the rows in this order.
    p = call.params
    row, column = (1, p.batches) if p.time_major else (p.time_steps, 1)
    first = 0, (row * p.input_depth, column * p.input_depth, 0)
    end = 1, (row * p.units, column * p.units, 1)
    least = input_overlap.of_nest((p.batches, p.time_steps, p.units), first, end)
    return {"input": least * call.sizes[-1]}


SVDF = Kernel(
    "svdf",
    "svdf.h",
    Svdf,
    ("input", "features", "feature_bias", "times", "bias", "state", "output"),
    _rows,
)
LSTM = Kernel(
    "unidirectional_sequence_lstm",
    "lstm.h",
    Lstm,
    (
        *("input", "weights", "bias", "recurrent_weights", "recurrent_bias", "multiplier", "shift"),
        *("sigmoid_table", "hidden_state", "cell_state", "output"),
    ),
    _sequences,
)
