"""A float .tflite quantised by ai-edge-quantizer, with the ranges that we have found ourselves.

It runs in a process of its own: this module as `python -m tinydeploy.prepare.tflite_quantizer`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinydeploy.errors import ModelError
from tinydeploy.host.interpreter import Archive, Child, serve
from tinydeploy.model.readers.tflite_file import printable
from tinydeploy.prepare import extras
from tinydeploy.prepare.float_host import Range

_TIMEOUT = 3600.0  # seconds
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Recipe:
    """What becomes of a float model: bits of activations (8 or 16) and of weights (8 or 4).

    `only` quantises the ops of these output tensors alone, `int4` gives theirs weights of 4 bits.
    `float_io` leaves the model's inputs and outputs float.
    """

    activation_bits: int = 8
    weight_bits: int = 8
    float_io: bool = False
    only: tuple[str, ...] = ()
    int4: tuple[str, ...] = field(default=())


@functools.cache
def _shared() -> Child:
    """One process for all, which ends with this one."""
    return Child(__name__)


class Quantizer:
    """ai-edge-quantizer in a child process."""

    def __init__(self) -> None:
        """Starts nothing yet. Raises ToolError without the package."""
        extras.need("ai_edge_quantizer")
        self._child = _shared()

    def quantize(self, model: bytes, ranges: Sequence[Range], recipe: Recipe) -> bytes:
        """The quantised .tflite. Raises ModelError if ai-edge-quantizer cannot do it."""
        return self._ask(
            model,
            {
                "names": np.array([one.name for one in ranges]),
                "lows": np.array([one.low for one in ranges]),
                "highs": np.array([one.high for one in ranges]),
                "bits": np.array([recipe.activation_bits, recipe.weight_bits]),
                "float_io": np.array(recipe.float_io),
                "only": np.array(recipe.only, str),
                "int4": np.array(recipe.int4, str),
            },
        )

    def settle(self, model: bytes) -> bytes:
        """The float model with a batch of 1, a signature, and a name of its own for each tensor."""
        return self._ask(model, {})

    def _ask(self, model: bytes, more: Archive) -> bytes:
        self._child.forget()
        self._child.ask({"model": np.frombuffer(model, np.uint8), **more})
        answer = self._child.answer(_TIMEOUT)
        if answer is None:
            raise ModelError(f"ai-edge-quantizer cannot quantise the model: {self._child.reason()}")
        return answer["model"].tobytes()


def _settle(model: bytes) -> bytes:
    """The model with a batch of 1, a signature, and a name of its own for each tensor of its first function.

    What ai-edge-quantizer keeps by name is else kept for several. Names are such as our reader leaves as they are.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    whole: Any = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = whole.subgraphs[0]
    names: set[str] = set()
    for index, tensor in enumerate(graph.tensors):
        name = printable(tensor.name, _LONGEST_NAME) or f"tensor{index}"
        while name in names or not name.strip():
            name += f"_{index}"
        names.add(name)
        tensor.name, tensor.shapeSignature = name, None
    if not whole.signatureDefs:
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        for place, indices in (("inputs", graph.inputs), ("outputs", graph.outputs)):
            maps = []
            for index in indices:
                one = schema.TensorMapT()
                one.name, one.tensorIndex = graph.tensors[index].name, int(index)
                maps.append(one)
            setattr(signature, place, maps)
        whole.signatureDefs = [signature]
    builder = flatbuffers.Builder(len(model))
    builder.Finish(whole.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _reply(question: Archive) -> Archive:
    """The child's side."""
    if "names" not in question:
        return {"model": np.frombuffer(_settle(question["model"].tobytes()), np.uint8)}
    from ai_edge_quantizer import quantizer

    model = question["model"].tobytes()
    made = quantizer.Quantizer(model, _configured(question).get_quantization_recipe())
    rows = zip(question["names"], question["lows"], question["highs"], strict=True)
    ranges = {str(name): {"min": np.float32(low), "max": np.float32(high)} for name, low, high in rows}
    result: Any = made.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return {"model": np.frombuffer(bytes(result.quantized_model), np.uint8)}


def _configured(question: Archive) -> Any:
    from ai_edge_quantizer import algorithm_manager, qtyping, recipe_manager

    everything, none = qtyping.TFLOperationName, algorithm_manager.AlgorithmName.NO_QUANTIZE
    manager = recipe_manager.RecipeManager()
    activation_bits, weight_bits = (int(bits) for bits in question["bits"])

    def add(scope: str, bits: int) -> None:
        manager.add_static_config(
            regex=scope,
            operation_name=everything.ALL_SUPPORTED,
            activation_num_bits=activation_bits,
            weight_num_bits=8,
        )
        if bits == 4:
            # As TFLite Micro has kernels for them: one scale for all of a FULLY_CONNECTED's weights.
            one = qtyping.QuantGranularity.TENSORWISE
            each = qtyping.QuantGranularity.CHANNELWISE
            for kind, granularity in ((everything.FULLY_CONNECTED, one), (everything.CONV_2D, each)):
                manager.add_static_config(
                    regex=scope,
                    operation_name=kind,
                    activation_num_bits=activation_bits,
                    weight_num_bits=4,
                    weight_granularity=granularity,
                )

    only, int4 = (question[name].tolist() for name in ("only", "int4"))
    for name in only:
        add(f"^{re.escape(name)};?$", weight_bits)
    if not only:
        add(".*", weight_bits)
    for name in int4:
        add(f"^{re.escape(name)};?$", 4)
    if bool(question["float_io"]) or only:
        for kind in (everything.INPUT, everything.OUTPUT):
            manager.add_quantization_config(".*", kind, algorithm_key=none)
    return manager


if __name__ == "__main__":
    serve(_reply)
