"""ONNX as .tflite: float stays float, and what QDQ says becomes int8, with TFLite's semantics."""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.prepare import onnx_graph, onnx_layers, onnx_pointwise, onnx_shapes
from tinydeploy.prepare.onnx_emitter import Emitter

_HANDLED = (onnx_layers, onnx_pointwise, onnx_shapes)
"""Those that know the operators: they add themselves to the emitter's when they are loaded."""


@dataclass(frozen=True)
class Converted:
    """The .tflite, whether it is quantised, and in words what was changed."""

    content: bytes
    is_quantised: bool
    notes: tuple[str, ...]


def convert(content: bytes, path: str) -> Converted:
    """The .tflite of an ONNX file. Raises ModelError for what cannot be converted, and names the node."""
    graph = onnx_graph.without_batch_norm(onnx_graph.read(content, path))
    emitter = Emitter(graph)
    for node in graph.nodes:
        emitter.emit(node)
    outputs = [emitter.finished(name) for name in graph.outputs]
    inputs = [emitter.values[name].index for name in graph.inputs if name in emitter.values]
    notes = [
        "converted from ONNX by way of onnx alone, with TFLite's rounding",
        *dict.fromkeys(emitter.notes),
    ]
    return Converted(emitter.writer.model(inputs, outputs), graph.is_quantised, tuple(notes))
