"""Random small models of every op kind that the aot engine has, reproducible from a seed.

    make(seed)              a graph of 1 or of 3 to 8 ops; over consecutive seeds every kind comes first
    make(seed, "CONV_2D")   a graph of this op alone
    layer(seed)             one op, mostly one with weights, of the sizes at which kernels differ
    together(seed, kinds)   one graph with an op of each of these kinds

Among the kinds are "CONV_2D, ADD", two ops that the engine may do as one, and "DEQUANTIZE, QUANTIZE", with
float ops between them. Now and then the weights of a layer are an input of the model.

A scale mostly fits the values that arrive, so that outputs are not all saturated; one in six is arbitrary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random

from random_graphs.elementwise import (
    activation,
    cast,
    comparison,
    dequantize,
    elementwise,
    logical,
    prelu,
    quantize,
    softmax,
)
from random_graphs.float_islands import island
from random_graphs.layers import batch_matmul, conv, fully_connected, pool, residual, transpose_conv
from random_graphs.maker import MAX_ELEMENTS, Maker, NotPossible, Value
from random_graphs.movement import (
    batches,
    blocks,
    broadcast_to,
    concatenation,
    embedding_lookup,
    gather,
    mirror_pad,
    pack,
    pad,
    reshape,
    resize,
    reverse,
    slices,
    split,
    split_v,
    strided_slice,
    transpose,
    unpack,
)
from random_graphs.reductions import arg_max, l2_normalization, reduction
from random_graphs.states import lstm, svdf, variable

__all__ = ["KINDS", "LAYERS", "LayerMaker", "Maker", "Value", "chained", "layer", "make", "together"]


def chained(make: Callable[[int], Maker], seed: int, kinds: Sequence[str], count: int) -> bytes:
    """The first possible graph of `count` ops of `kinds` by the makers that `make` gives for a seed."""
    for attempt in range(1000):
        maker = make(seed * 1000 + attempt)
        try:
            for _ in range(count):
                kind = maker.random.choice(kinds)
                KINDS[kind](maker, kind)
        except NotPossible:
            continue
        return maker.build()
    raise AssertionError(f"seed {seed} makes no graph")


KINDS: dict[str, Callable[[Maker, str], None]] = {
    **dict.fromkeys(("ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM", "SQUARED_DIFFERENCE"), elementwise),
    "PRELU": prelu,
    **dict.fromkeys(("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"), comparison),
    **dict.fromkeys(("LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT"), logical),
    **dict.fromkeys(("RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH"), activation),
    **dict.fromkeys(("ABS", "ELU"), activation),
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), reshape),
    **dict.fromkeys(("PAD", "PADV2"), pad),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), conv),
    "CONV_2D, ADD": residual,
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), pool),
    "FULLY_CONNECTED": fully_connected,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm,
    "SVDF": svdf,
    **dict.fromkeys(("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"), variable),
    "SOFTMAX": softmax,
    "QUANTIZE": quantize,
    "DEQUANTIZE": dequantize,
    "DEQUANTIZE, QUANTIZE": island,
    "CONCATENATION": concatenation,
    "PACK": pack,
    "UNPACK": unpack,
    "SPLIT": split,
    "STRIDED_SLICE": strided_slice,
    "TRANSPOSE": transpose,
    **dict.fromkeys(("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"), resize),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"), reduction),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), arg_max),
    **dict.fromkeys(("SPACE_TO_DEPTH", "DEPTH_TO_SPACE"), blocks),
    **dict.fromkeys(("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"), batches),
    "L2_NORMALIZATION": l2_normalization,
    "CAST": cast,
    "SPLIT_V": split_v,
    "SLICE": slices,
    "REVERSE_V2": reverse,
    "BROADCAST_TO": broadcast_to,
    "MIRROR_PAD": mirror_pad,
    "GATHER": gather,
    "EMBEDDING_LOOKUP": embedding_lookup,
    "TRANSPOSE_CONV": transpose_conv,
    "BATCH_MATMUL": batch_matmul,
}


LAYERS = [*KINDS, *(("CONV_2D", "CONV_2D, ADD", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD") * 6)]


class LayerMaker(Maker):
    """Makes what kernels for particular cores take: images of one batch, channels by fours and eights."""

    most_channels = 20

    def shape(self, rank: int | None = None) -> tuple[int, ...]:
        if rank != 4 or self.random.random() < 0.3:
            return super().shape(rank)
        while True:
            height, width = self.random.randint(1, 12), self.random.randint(1, 12)
            shape = (1, height, width, self.random.choice((1, 3, 4, 8, 8, 12, 16, 16, 24, 32, 40)))
            if math.prod(shape) <= MAX_ELEMENTS:
                return shape


def layer(seed: int) -> bytes:
    """The random layer of this seed: a .tflite file of one op."""
    return make(seed, LAYERS[seed % len(LAYERS)], LayerMaker)


def make(seed: int, kind: str | None = None, maker_class: type[Maker] = Maker) -> bytes:
    """The random model of this seed: .tflite bytes."""
    random = Random(seed)
    kinds = list(KINDS)
    ops = 1 if kind is not None or random.random() < 0.4 else random.randint(3, 8)
    for attempt in range(1000):
        maker = maker_class(seed * 1000 + attempt)
        try:
            for position in range(ops):
                chosen = kind or (kinds[seed % len(kinds)] if position == 0 else random.choice(kinds))
                KINDS[chosen](maker, chosen)
        except NotPossible:
            continue
        return maker.build()
    raise AssertionError(f"seed {seed} makes no graph")


def together(seed: int, kinds: Sequence[str]) -> bytes:
    """One model in which each of these kinds of op occurs, in a random order."""
    maker = Maker(seed)
    for kind in maker.random.sample(kinds, len(kinds)):
        while True:
            try:
                KINDS[kind](maker, kind)
                break
            except NotPossible:
                continue
    return maker.build()
