"""Which ops float_islands.py can take out of float, and what to do about the others."""

from __future__ import annotations

from tinydeploy.model.graph import DType, Graph

# Functions of each element.
POINTWISE = (
    *(
        "ABS",
        "CEIL",
        "COS",
        "ELU",
        "EXP",
        "FLOOR",
        "GELU",
        "HARD_SWISH",
        "LEAKY_RELU",
        "LOG",
        "LOGISTIC",
        "NEG",
    ),
    *(
        "RELU",
        "RELU6",
        "RELU_0_TO_1",
        "RELU_N1_TO_1",
        "ROUND",
        "RSQRT",
        "SIGN",
        "SIN",
        "SQRT",
        "SQUARE",
        "TANH",
    ),
    *("ADD", "DIV", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM", "MUL", "POW", "PRELU", "SUB"),
    *("SQUARED_DIFFERENCE", "EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"),
    *("LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "SELECT", "SELECT_V2", "CAST", "ZEROS_LIKE"),
)
JOINS = ("CONCATENATION", "PACK")
# By op, which of its inputs it moves; of JOINS it is all.
MOVES = {
    **dict.fromkeys(("BROADCAST_TO", "EXPAND_DIMS", "GATHER", "MIRROR_PAD", "RESHAPE", "SQUEEZE"), 0),
    **dict.fromkeys(("RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SLICE", "SPLIT_V", "STRIDED_SLICE"), 0),
    **dict.fromkeys(("TRANSPOSE", "UNPACK", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "BATCH_TO_SPACE_ND"), 0),
    **dict.fromkeys(("PAD", "PADV2"), 0),
    "SPLIT": 1,
}
ORDERS = {"ARG_MAX": "ARG_MIN", "ARG_MIN": "ARG_MAX"}  # by op, what it is of a function that falls
INTEGERS = (DType.INT8, DType.UINT8, DType.INT16)
QUANTISABLE = "TFLite quantises it elsewhere: let the converter quantise this layer, too"
ELSE = "leave it out of the model, or put in its place what TFLite quantises"
ADVICE = {
    **dict.fromkeys(("ADD_N", "CUMSUM"), ELSE),  # TFLite Micro has them quantised, no converter makes them so
    "LOG_SOFTMAX": "end the model before it, as the largest of its inputs is the class, or use SOFTMAX",
    "SOFTMAX": "end the model before it, as the largest of its inputs is the class",
}


def kept_float(graph: Graph) -> set[int]:
    """The tensors of floats and bools that have to be there: outputs of the model, and what moves to them."""
    unquantised = (DType.FLOAT32, DType.BOOL)
    kept = {index for index in graph.outputs if graph.tensors[index].dtype in unquantised}
    for op in reversed(graph.running):
        if not kept.isdisjoint(op.outputs) and op.kind in (*JOINS, *MOVES):
            inputs = op.inputs if op.kind in JOINS else op.inputs[MOVES[op.kind] :][:1]
            kept |= {i for i in inputs if i >= 0 and graph.tensors[i].dtype in unquantised}
    return kept
