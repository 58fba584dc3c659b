"""Which channels of a model hang together, so that some can be left out of every layer that has them.

Each filter of a convolution or a dense layer makes a channel. The layers behind pass channels on, join two
(a sum), put them side by side (a concatenation) or read them; what they share is found by union-find. A
channel that an unknown layer reads, or that leaves the model, is fixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.train.layer_graph import Call, calls, ends, rebuilt, remade

Array = npt.NDArray[Any]

PASSING = {
    *("Activation", "ReLU", "LeakyReLU", "ELU", "Dropout", "GaussianNoise", "GaussianDropout", "Rescaling"),
    *(f"{kind}Pooling{n}D" for kind in ("Max", "Average", "GlobalMax", "GlobalAverage") for n in (1, 2)),
    *(f"{kind}{n}D" for kind in ("SpatialDropout", "ZeroPadding", "UpSampling", "Cropping") for n in (1, 2)),
    *("Relu", "Relu6", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh", "Identity"),
}
"""Layers whose output has its input's channels, each computed of its own alone."""
JOINING = {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"}
CONVOLUTIONS = {"Conv1D", "Conv2D"}
_SIZES = {**dict.fromkeys((*CONVOLUTIONS, "Conv2DTranspose", "SeparableConv2D"), "filters"), "Dense": "units"}


@dataclass(frozen=True)
class Slot:
    """An axis of a weight that lies along channels. `makes`: it is that of the layer's own outputs."""

    weight: int
    axis: int
    channels: Array
    makes: bool


@dataclass(eq=False)
class Channels:
    """The channels of a model: what layers have slots along them, and which hang together."""

    slots: dict[int, list[Slot]] = field(default_factory=dict)
    layers: dict[int, Any] = field(default_factory=dict)
    made: dict[int, Array] = field(default_factory=dict)
    _above: list[int] = field(default_factory=list)
    _fixed: set[int] = field(default_factory=set)

    def fresh(self, count: int, fixed: bool = False) -> Array:
        """New channels."""
        found = np.arange(len(self._above), len(self._above) + count)
        self._above += found.tolist()
        if fixed:
            self.fix(found)
        return found

    def root(self, channel: int) -> int:
        """Which channel stands for all that this one hangs together with."""
        while self._above[channel] != channel:
            self._above[channel] = self._above[self._above[channel]]
            channel = self._above[channel]
        return channel

    def join(self, some: Array, others: Array) -> None:
        """Two tensors' channels are the same; if they are not as many, none can go."""
        if len(some) != len(others):
            self.fix(some)
            self.fix(others)
            return
        for one, other in zip(some, others, strict=True):
            self._above[self.root(int(one))] = self.root(int(other))

    def fix(self, channels: Array) -> None:
        """None of these may go."""
        self._fixed.update(map(int, channels))

    def groups(self) -> list[Array]:
        """The channels that may go, by their roots: those that the same layers make are one group."""
        fixed = {self.root(channel) for channel in self._fixed}
        makers: dict[int, set[int]] = {}
        for layer, channels in self.made.items():
            for channel in channels:
                makers.setdefault(self.root(int(channel)), set()).add(layer)
        found: dict[frozenset[int], list[int]] = {}
        for root, own in makers.items():
            if root not in fixed:
                found.setdefault(frozenset(own), []).append(root)
        return [np.array(roots) for roots in found.values()]


def of(model: Any) -> Channels:
    """The channels of a functional or sequential model. Raises RefusalError for another."""
    found = Channels()
    inputs, outputs = ends(model)
    known = {id(tensor): found.fresh(tuple(tensor.shape)[-1] or 1, fixed=True) for tensor in inputs}
    for call in calls(model):
        given = [known[one] for one in call.inputs]
        made = _through(found, call, given)
        if made is None:  # a layer that nothing is known of
            for channels in given:
                found.fix(channels)
            for one, width in zip(call.outputs, call.widths, strict=True):
                known[one] = found.fresh(width, fixed=True)
        else:
            known[call.outputs[0]] = made
    for tensor in outputs:
        found.fix(known[id(tensor)])
    return found


def _through(found: Channels, call: Call, given: list[Array]) -> Array | None:
    """The channels of the call's output; None for a layer that nothing is known of."""
    layer, kind = call.layer, call.kind
    if getattr(layer, "data_format", "channels_last") != "channels_last" or len(call.outputs) != 1:
        return None
    if kind in JOINING and given:
        for other in given[1:]:
            found.join(given[0], other)
        return given[0]
    if kind == "Concatenate" and getattr(layer, "axis", 0) in (-1, len(call.shapes[0]) - 1):
        return np.concatenate(given)
    if len(given) != 1:
        return None
    if kind == "Flatten":
        return np.tile(given[0], int(np.prod([size or 1 for size in call.shapes[0][1:-1]])))
    if kind in PASSING:
        return given[0]
    return _with_weights(found, call, given[0])


def _with_weights(found: Channels, call: Call, given: Array) -> Array | None:
    layer, kind = call.layer, call.kind
    if id(layer) in found.layers:  # the same layer again
        first = next(slot.channels for slot in found.slots[id(layer)])
        found.join(first, given)
        return found.made.get(id(layer), given)
    if kind == "BatchNormalization":
        axis = layer.axis[0] if isinstance(layer.axis, list | tuple) else layer.axis
        if axis not in (-1, len(call.shapes[0]) - 1):
            return None
        slots = [Slot(number, 0, given, True) for number in range(len(layer.weights))]
        made = given
    elif kind in ("DepthwiseConv1D", "DepthwiseConv2D"):
        made = np.repeat(given, layer.depth_multiplier)
        slots = [Slot(0, -2, given, True), *([Slot(1, 0, made, True)] if layer.use_bias else [])]
    elif kind in _SIZES and getattr(layer, "groups", 1) == 1:
        made = found.made[id(layer)] = found.fresh(getattr(layer, _SIZES[kind]))
        slots = _slots(layer, kind, given, made)
    else:
        return None
    found.layers[id(layer)], found.slots[id(layer)] = layer, slots
    return made


def _slots(layer: Any, kind: str, given: Array, made: Array) -> list[Slot]:
    if kind == "SeparableConv2D":
        inner = np.repeat(given, layer.depth_multiplier)
        slots = [Slot(0, -2, given, False), Slot(1, -2, inner, False), Slot(1, -1, made, True)]
    else:
        own, other = (-2, -1) if kind == "Conv2DTranspose" else (-1, -2)
        slots = [Slot(0, other, given, False), Slot(0, own, made, True)]
    bias = len(layer.weights) - 1
    return slots + ([Slot(bias, 0, made, True)] if layer.use_bias else [])


def smaller(model: Any, found: Channels, gone: set[int], *, weights: bool = True) -> Any:
    """The model without the channels of these roots; with its weights, or as fresh as it would begin."""

    def kept(channels: Array) -> Array:
        return np.array([found.root(int(one)) not in gone for one in channels], bool)

    pairs: list[tuple[Any, Any]] = []

    def made(layer: Any) -> list[Any]:
        changes: Mapping[str, Any] = {}
        if id(layer) in found.made:
            changes = {_SIZES[type(layer).__name__]: int(kept(found.made[id(layer)]).sum())}
        fresh = remade(layer, **changes)
        pairs.append((layer, fresh))
        return [fresh]

    result = rebuilt(model, made)
    for old, new in pairs:
        values = old.get_weights() if weights and hasattr(old, "get_weights") else []
        for slot in found.slots.get(id(old), []) if values else []:
            value = values[slot.weight]
            values[slot.weight] = np.take(value, np.flatnonzero(kept(slot.channels)), axis=slot.axis)
        if values:
            new.set_weights(values)
    return result
