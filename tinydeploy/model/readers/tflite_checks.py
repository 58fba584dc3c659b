"""Checks of a graph that was read from a .tflite file, whatever engine is to run it."""

from __future__ import annotations

from collections.abc import Sequence

from tinydeploy.errors import ModelError
from tinydeploy.model.canonicalize.constant_folding import CONTRADICTION_HINT, FIXED_SHAPE_HINT
from tinydeploy.model.graph import DType, Graph, Op, Tensor
from tinydeploy.model.readers.tflite_file import File

QUANTISE_HINT = (
    "quantise it to int8: converter.optimizations = [tf.lite.Optimize.DEFAULT]; "
    "converter.representative_dataset = samples; "
    "converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]; "
    "converter.inference_input_type = converter.inference_output_type = tf.int8"
)
_WITH_GAPS = ("UNIDIRECTIONAL_SEQUENCE_LSTM",)  # ops whose leading inputs may be left out

# Ranks of the leading inputs, which everything downstream relies on.
_RANKS = {
    "CONV_2D": (4, 4),
    "DEPTHWISE_CONV_2D": (4, 4),
    "AVERAGE_POOL_2D": (4,),
    "MAX_POOL_2D": (4,),
    "FULLY_CONNECTED": (None, 2),
    "RESIZE_NEAREST_NEIGHBOR": (4,),
    "SVDF": (2, 2, 2),
    "RESIZE_BILINEAR": (4,),
    "TRANSPOSE_CONV": (1, 4, 4),
    "BATCH_MATMUL": (None, None),
    "GATHER": (None, None),
    "ARG_MAX": (None, None),
    "ARG_MIN": (None, None),
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS"), (None,)),
    **dict.fromkeys(("ADD", "SUB", "MUL", "PAD", "PADV2"), (None, None)),
    "EMBEDDING_LOOKUP": (None, None),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (3, *(2,) * 8),
}

# And of the first output.
_OUTPUT_RANKS = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "AVERAGE_POOL_2D", "MAX_POOL_2D"), 4),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), 4),
    "SVDF": 2,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 3,
}


def check_ranks(file: File, op: Op, tensors: Sequence[Tensor]) -> None:
    """Refuses an op without an input that it needs, or with a tensor of another rank."""
    where, ranks = f"op {op.index} ({op.kind})", _RANKS.get(op.kind, ())
    if len(op.inputs) < len(ranks):
        words = f"{where} has {len(op.inputs)} inputs where {len(ranks)} are needed"
        raise file.error(words, CONTRADICTION_HINT)
    for position, (index, rank) in enumerate(zip(op.inputs, ranks, strict=False)):
        if index < 0 and op.kind not in _WITH_GAPS:
            raise file.error(f"{where}: input {position} is missing", CONTRADICTION_HINT)
        if rank is None or index < 0:
            continue
        operand = tensors[index]
        if len(operand.shape) != rank or operand.elements == 0:
            words = f"{where}: input {position} has shape {list(operand.shape)}"
            words += f" where rank {rank} and some elements are needed"
            raise file.error(words, _shape_hint(operand))
    rank = _OUTPUT_RANKS.get(op.kind)
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
            kind = _kind_of_float(graph)
            raise ModelError(f"{graph.path} is {kind}: {where} computes in float32", QUANTISE_HINT)
        if DType.UINT8 in types:
            raise ModelError(
                f"{graph.path} is a uint8 model of the older kind: {where} computes in uint8", QUANTISE_HINT
            )


def _kind_of_float(graph: Graph) -> str:
    """What a model is that computes in float32: by all its ops, as converters leave small layers alone."""
    read = {graph.tensors[i] for op in graph.ops for i in op.inputs if i >= 0}
    if any(tensor.data is not None and tensor.dtype is DType.INT8 for tensor in read):
        return "a dynamic-range model (int8 weights, float arithmetic)"
    return "a float model"
