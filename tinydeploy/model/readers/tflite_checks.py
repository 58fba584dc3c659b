"""Checks of a graph that was read from a .tflite file, whatever engine is to run it."""

from __future__ import annotations

from collections.abc import Sequence

from tinydeploy.errors import ModelError
from tinydeploy.model.canonicalize.constant_folding import CONTRADICTION_HINT, FIXED_SHAPE_HINT
from tinydeploy.model.graph import DType, Graph, Op, Tensor
from tinydeploy.model.ops import catalogue
from tinydeploy.model.readers.tflite_file import File

_CALIBRATED = (
    "converter.representative_dataset = samples; "
    "converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]; "
    "converter.inference_input_type = converter.inference_output_type = tf.int8"
)
QUANTISE_HINT = f"quantise it to int8: converter.optimizations = [tf.lite.Optimize.DEFAULT]; {_CALIBRATED}"
_ACTIVATIONS_HINT = f"quantise it to int8 whole, not its weights alone: {_CALIBRATED}"


def check_ranks(file: File, op: Op, tensors: Sequence[Tensor]) -> None:
    """Refuses an op without an input that it needs, or with a tensor of another rank."""
    where, kind = f"op {op.index} ({op.kind})", catalogue.of(op.kind)
    ranks = kind.inputs
    if len(op.inputs) < len(ranks):
        words = f"{where} has {len(op.inputs)} inputs where {len(ranks)} are needed"
        raise file.error(words, CONTRADICTION_HINT)
    for position, (index, rank) in enumerate(zip(op.inputs, ranks, strict=False)):
        if index < 0 and not kind.gaps:
            raise file.error(f"{where}: input {position} is missing", CONTRADICTION_HINT)
        if rank is None or index < 0:
            continue
        operand = tensors[index]
        if len(operand.shape) != rank or operand.elements == 0:
            words = f"{where}: input {position} has shape {list(operand.shape)}"
            words += f" where rank {rank} and some elements are needed"
            raise file.error(words, _shape_hint(operand))
    rank = kind.outputs[0] if kind.outputs else None
    output = tensors[op.outputs[0]] if op.outputs else None
    if rank is not None and output is not None and len(output.shape) != rank:
        words = f"{where}: its output has shape {list(output.shape)} where rank {rank} is needed"
        raise file.error(words, _shape_hint(output))


def _shape_hint(tensor: Tensor) -> str:
    """A converter that does not know a shape writes none, or 0 for an extent."""
    known = tensor.shape and tensor.elements
    return CONTRADICTION_HINT if known else f"the file does not know its shape; {FIXED_SHAPE_HINT}"


def check_dataflow(graph: Graph) -> None:
    """Each tensor is written once, before it is read, and by something that may write it."""

    def error(message: str) -> ModelError:
        return ModelError(f"{graph.path}: {message}", CONTRADICTION_HINT)

    if not graph.ops:
        raise error("the model has no ops")
    written = {t.index for t in graph.tensors if t.data is not None or t.is_variable}
    for index in graph.inputs:
        if index in written:
            raise error(f"input {index} is a constant or a variable")
    written.update(graph.inputs)
    computed: set[int] = set()
    for op in graph.ops:
        for index in op.inputs:
            # Accelerators' custom ops have inputs that are their working memory; no engine runs such ops.
            if index >= 0 and index not in written and not op.kind.startswith("CUSTOM:"):
                raise error(f"op {op.index} ({op.kind}) reads tensor {index} before anything writes it")
        if op.kind == "VAR_HANDLE":
            continue
        for index in op.outputs:
            if index in written:
                raise error(f"op {op.index} ({op.kind}) writes tensor {index}, which has a value already")
            if graph.tensors[index].elements == 0:
                raise error(f"op {op.index} ({op.kind}) writes tensor {index}, which is empty")
            written.add(index)
            computed.add(index)
    for index in graph.outputs:
        if index not in computed:
            raise error(f"output {index} is not computed by any op")


def check_float(graph: Graph) -> None:
    """Float only at the edges or between integers, where it is the engines' to judge; uint8 at the edges."""
    computed = {graph.tensors[i].dtype for op in graph.ops for i in op.outputs}
    partly_quantised = DType.INT8 in computed or DType.INT16 in computed
    for op in graph.running:
        inputs = {i for i in op.inputs if i >= 0}
        types = {graph.tensors[i].dtype for i in (*inputs, *op.outputs)}
        at_edge = (op.kind == "QUANTIZE" and inputs <= {*graph.inputs}) or (
            op.kind in ("QUANTIZE", "DEQUANTIZE") and {*op.outputs} <= {*graph.outputs}
        )
        if at_edge or op.kind.startswith("CUSTOM:"):
            continue
        where = f"op {op.index} ({op.kind})"
        if DType.FLOAT32 in types and not partly_quantised:
            kind, hint = _kind_of_float(graph)
            raise ModelError(f"{graph.path} is {kind}: {where} computes in float32", hint)
        if DType.UINT8 in types:
            raise ModelError(
                f"{graph.path} is a uint8 model of the older kind: {where} computes in uint8", QUANTISE_HINT
            )


def _kind_of_float(graph: Graph) -> tuple[str, str]:
    """What a model is that computes in float32: by all its ops, as converters leave small layers alone.

    And what is still to be done about it.
    """
    read = {graph.tensors[i] for op in graph.ops for i in op.inputs if i >= 0}
    if any(tensor.data is not None and tensor.dtype is DType.INT8 for tensor in read):
        return "a dynamic-range model (int8 weights, float arithmetic)", _ACTIVATIONS_HINT
    return "a float model", QUANTISE_HINT
