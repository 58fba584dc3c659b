"""A classifier without its SOFTMAX: the largest logit is the class as well, and costs nothing more."""

from __future__ import annotations

import struct
from dataclasses import replace

import tflite

from tinydeploy.errors import UsageError
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model
from tinydeploy.results.setting import Edit

EDIT = Edit("logits", "without its last SOFTMAX: the outputs are logits")

# Fields of the schema's table SubGraph, as offsets in a vtable.
_OUTPUTS, _OPERATORS = 8, 10


def without_softmax(graph: Graph) -> Graph:
    """The model whose output is what the SOFTMAX at the end of `graph` reads.

    It is a model of its own, with a content and a hash of its own, so that every engine and the reference
    run the same. Raises UsageError if the model does not end in a SOFTMAX that makes its only output.
    """
    last = graph.ops[-1] if graph.ops else None
    if last is None or last.kind != "SOFTMAX" or graph.outputs != last.outputs:
        raise UsageError(f"{graph.path} does not end in a SOFTMAX", "leave --logits out")
    content = bytearray(graph.content)
    table = tflite.Model.GetRootAs(graph.content, 0).Subgraphs(0)._tab
    # Two numbers change where they stand: which tensor goes out, and how many operators there are.
    outputs, operators = (table.Vector(table.Offset(field)) for field in (_OUTPUTS, _OPERATORS))
    struct.pack_into("<i", content, outputs, last.inputs[0])
    struct.pack_into("<I", content, operators - 4, len(graph.running) - 1)
    bare = tflite_model.parse(bytes(content), graph.path)
    return replace(bare, edits=(*graph.edits, EDIT), signature=graph.signature)
