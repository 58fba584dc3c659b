"""A functional or sequential model of either Keras as a list of calls, and the same with other layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tinydeploy.train.keras_models import keras_of
from tinydeploy.train.refusal import RefusalError


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer (of Keras 3 also of a mere operation): the ids of its input and output tensors.

    `shapes` are those of its inputs, `widths` the last axes of its outputs.
    """

    layer: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shapes: tuple[tuple[int | None, ...], ...]
    widths: tuple[int, ...]
    arguments: Any

    @property
    def kind(self) -> str:
        """The name of the layer's class."""
        return type(self.layer).__name__


def _functional(model: Any) -> Any:
    """The model as a graph of layers. Raises RefusalError for a class of one's own."""
    graph = getattr(model, "_functional", None) or model
    if not getattr(graph, "_nodes_by_depth", None):
        raise RefusalError(
            "the model is a class of its own, whose layers cannot be taken apart",
            "write it as a functional or a sequential Keras model",
        )
    return graph


def _tensors(value: Any) -> list[Any]:
    return [one for one in tf.nest.flatten(value) if hasattr(one, "_keras_history")]


def calls(model: Any) -> Iterator[Call]:
    """The calls in an order in which they can be made; inputs are none. Raises RefusalError."""
    graph = _functional(model)
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input:
                continue
            layer = getattr(node, "operation", None) or node.layer
            if hasattr(node, "arguments"):
                given = (node.arguments.args, node.arguments.kwargs)
            else:
                given = (tuple(node.call_args), dict(node.call_kwargs))
            inputs = _tensors(given)
            shapes = tuple(tuple(one.shape) for one in inputs)
            outputs = _tensors(node.outputs)
            widths = tuple(tuple(one.shape)[-1] or 1 for one in outputs)
            yield Call(layer, tuple(map(id, inputs)), tuple(map(id, outputs)), shapes, widths, given)


def ends(model: Any) -> tuple[list[Any], list[Any]]:
    """The tensors that the model takes and gives."""
    graph = _functional(model)
    return list(graph.inputs), list(graph.outputs)


def rebuilt(
    model: Any,
    made: Callable[[Any], Sequence[Any]],
    after_input: Callable[[Any], Any] = lambda tensor: tensor,
) -> Any:
    """The model with each layer replaced by those that `made` gives for it, one behind the other.

    A layer that is called twice is asked for once.
    """
    keras = keras_of(model)
    taken, given = ends(model)
    values: dict[int, Any] = {}
    inputs = []
    for tensor in taken:
        fresh = keras.Input(tuple(tensor.shape)[1:], dtype=tensor.dtype, name=tensor.name.split(":")[0])
        inputs.append(fresh)
        values[id(tensor)] = after_input(fresh)
    replaced: dict[int, Sequence[Any]] = {}
    for call in calls(model):
        first, *others = replaced.setdefault(id(call.layer), made(call.layer))
        args, kwargs = tf.nest.map_structure(lambda one: values.get(id(one), one), call.arguments)
        result = first(*args, **kwargs)
        for layer in others:
            result = layer(result)
        found = [result] if len(call.outputs) == 1 else tf.nest.flatten(result)
        values.update(zip(call.outputs, found, strict=True))
    outputs = [values[id(tensor)] for tensor in given]
    return keras.Model(
        inputs if len(inputs) > 1 else inputs[0], outputs if len(outputs) > 1 else outputs[0], name=model.name
    )


def remade(layer: Any, **changes: Any) -> Any:
    """A fresh layer of the same settings, but for these. A mere operation has none, and stays."""
    if not hasattr(layer, "get_config") or not hasattr(layer, "get_weights"):
        return layer
    return type(layer).from_config({**layer.get_config(), **changes})


def layers_with_weights(model: Any) -> list[Any]:
    """The layers with weights, each once, in order."""
    found = {id(call.layer): call.layer for call in calls(model) if getattr(call.layer, "weights", None)}
    return list(found.values())
