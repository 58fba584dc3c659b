"""Repairs of what quantisation loses: equalised neighbours, corrected biases, clipped ranges.

Nagel, van Baalen, Blankevoort and Welling, "Data-Free Quantization Through Weight Equalization and Bias
Correction", 2019. The result is an ordinary float model, or other ranges for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tinydeploy.host.interpreter import Array
from tinydeploy.model.graph import Op
from tinydeploy.prepare.float_host import Noise, Range
from tinydeploy.prepare.float_model import LAYERS, FloatModel

_STEPS = 40  # widths that are tried for a range
_SMALLEST, _LARGEST = 1 / 64, 64.0  # by so much may a channel be scaled
_SCALED_THROUGH = ("NONE", "RELU")  # act(s x) = s act(x) for s > 0


def clipped(ranges: Sequence[Range], bits: int) -> list[Range]:
    """Of all of a range down to a tenth of it, what loses least of the values' squares."""
    return [_clipped(one, bits) for one in ranges]


def _clipped(one: Range, bits: int) -> Range:
    if one.high <= one.low or not one.counts.sum():
        return one
    width = (one.high - one.low) / len(one.counts)
    values = one.low + (np.arange(len(one.counts)) + 0.5) * width
    best = (np.inf, one.low, one.high)
    for factor in np.linspace(1, 0.1, _STEPS):
        low, high = min(one.low * factor, 0.0), max(one.high * factor, 0.0)
        step = (high - low) / (2**bits - 1)
        beyond = np.maximum(values - high, 0) + np.maximum(low - values, 0)
        lost = np.where(beyond > 0, beyond**2, step**2 / 12)
        error = float((one.counts * lost).sum())
        if error < best[0]:
            best = (error, low, high)
    return replace(one, low=best[1], high=best[2])


def equalised(model: FloatModel) -> tuple[FloatModel, int]:
    """The model with channels between layers scaled so that both have equal weights; how many pairs.

    Exact in real numbers: what the first layer makes smaller, the second makes larger.
    """
    done = 0
    for first, second in list(_pairs(model)):
        one, two = model.graph.ops[first], model.graph.ops[second]
        scales = _scales(model, one, two)
        constants = {
            one.inputs[1]: model.weights(one) / _along(scales, model.weights(one), LAYERS[one.kind]),
            two.inputs[1]: model.weights(two) * _along(scales, model.weights(two), _input_axis(two)),
        }
        bias = model.bias(one)
        if bias is not None:
            constants[one.inputs[2]] = bias / scales
        model, done = model.replaced(constants), done + 1
    return model, done


def _pairs(model: FloatModel) -> Sequence[tuple[int, int]]:
    """Positions of layers, the second of which alone reads what the first makes."""
    graph, found = model.graph, []
    place = {op.index: number for number, op in enumerate(graph.ops)}
    for one in model.layers:
        readers = [op for op in graph.running if one.outputs[0] in op.inputs]
        if len(readers) != 1 or one.outputs[0] in graph.outputs or readers[0] not in model.layers:
            continue
        two = readers[0]
        constants = [one.inputs[1], two.inputs[1], *(i for i in one.inputs[2:3] if i >= 0)]
        through = one.options.get("fused_activation_function", "NONE") in _SCALED_THROUGH
        channels = model.weights(one).shape[LAYERS[one.kind]]
        fits = (
            model.weights(two).shape[_input_axis(two)] == channels
            and two.options.get("depth_multiplier", 1) == 1
        )
        if through and fits and all(map(model.is_own, constants)):
            found.append((place[one.index], place[two.index]))
    return found


def _input_axis(op: Op) -> int:
    """The axis of a layer's weights that runs over its input's channels."""
    return {"FULLY_CONNECTED": 1}.get(op.kind, 3)


def _along(scales: Array, weights: Array, axis: int) -> Array:
    shape = [1] * weights.ndim
    shape[axis] = -1
    return scales.reshape(shape).astype(np.float32)


def _largest(weights: Array, axis: int) -> Array:
    others = tuple(i for i in range(weights.ndim) if i != axis)
    return np.asarray(np.abs(weights).max(axis=others), np.float64)


def _scales(model: FloatModel, one: Op, two: Op) -> Array:
    """sqrt(r1 / r2) of each channel; 1 where either layer has no weight."""
    first = _largest(model.weights(one), LAYERS[one.kind])
    second = _largest(model.weights(two), _input_axis(two))
    known = (first > 0) & (second > 0)
    scales = np.ones(len(first))
    scales[known] = np.sqrt(first[known] / second[known])
    return np.clip(scales, _SMALLEST, _LARGEST)


def bias_corrected(
    model: FloatModel, measure: Callable[[FloatModel], Sequence[Noise]]
) -> tuple[FloatModel, int]:
    """The model whose layers' biases take back the mean error of each channel, in order; how many.

    `measure` quantises a model, and gives the noise against the original. After each layer it is asked anew,
    so that no error is corrected twice.
    """
    done = 0
    for number in range(len(model.layers)):
        op = model.layers[number]
        bias = model.bias(op)
        if bias is None or not model.is_own(op.inputs[2]):
            continue
        found = next((one for one in measure(model) if one.name == model.name(op)), None)
        if found is None or found.bias.shape != bias.shape:
            continue
        model, done = model.replaced({op.inputs[2]: bias - found.bias}), done + 1
    return model, done
