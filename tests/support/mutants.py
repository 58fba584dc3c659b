"""Small valid models, each broken in a few places as the schema allows: what to expect of any file.

    make(seed)     a .tflite file, and what was changed in it

The mutations go through the schema's object API, so the file is always a well-formed FlatBuffer: types,
shapes, scales, zero points, axes, buffers, options, which tensors an op takes, names, op codes and subgraphs
are what they should not be.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import flatbuffers
import numpy as np
import random_graphs
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

EXTENTS = (0, 1, 2, 3, 4, 5, 7, 8, 16, 255, 1000, 65_536, 1 << 20, 1 << 28, (1 << 31) - 1, -1, -2)
NUMBERS = (
    0,
    1,
    2,
    3,
    4,
    5,
    8,
    127,
    128,
    255,
    256,
    32_768,
    65_536,
    1 << 20,
    (1 << 31) - 1,
    -1,
    -2,
    -128,
    -(1 << 31),
)
SCALES = (
    0.0,
    1e-38,
    1e-10,
    1 / 256,
    1 / 128,
    1 / 32_768,
    1.0,
    3.0,
    1e10,
    3e38,
    -0.1,
    float("inf"),
    float("nan"),
)
STRINGS = (
    "",
    "a",
    "\0",
    "x" * 500,
    "\x1b[31mred",
    "\N{RIGHT-TO-LEFT OVERRIDE}",
    "a\nb",
    "</script>",
    '"',
    "é" * 90,
)
TYPES = tuple(value for name, value in vars(schema.TensorType).items() if name.isupper())
CODES = tuple(value for name, value in vars(schema.BuiltinOperator).items() if name.isupper())
TABLES = tuple(vars(schema.BuiltinOptions).items())

Model = Any  # schema.ModelT: what the generated classes hold has no types


def make(seed: int) -> tuple[bytes, tuple[str, ...]]:
    """The mutant of this seed, and the names of its mutations."""
    random = Random(seed)
    base = random_graphs.make(seed)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(base))
    names = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        mutation = random.choice(MUTATIONS)
        mutation(random, model)
        names.append(mutation.__name__.strip("_"))
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output()), tuple(names)


def _graph(random: Random, model: Model) -> Any:
    return random.choice(model.subgraphs)


def _tensor(random: Random, model: Model) -> Any:
    """Any tensor, preferably one that an op takes or makes."""
    graph = _graph(random, model)
    used = [i for op in graph.operators for i in (*op.inputs, *op.outputs) if 0 <= i < len(graph.tensors)]
    return graph.tensors[random.choice(used)] if used else random.choice(graph.tensors)


def _op(random: Random, model: Model) -> Any:
    return random.choice(_graph(random, model).operators)


def _type(random: Random, model: Model) -> None:
    _tensor(random, model).type = random.choice(TYPES)


def _data(model: Model, tensor: Any) -> Any:
    """The bytes of a constant; None if the tensor is none, or names no buffer."""
    return model.buffers[tensor.buffer].data if tensor.buffer < len(model.buffers) else None


def _resize(random: Random, model: Model, tensor: Any) -> None:
    """Gives a constant the number of bytes that its shape wants, unless that is a lot."""
    size = {schema.TensorType.INT16: 2, schema.TensorType.INT32: 4, schema.TensorType.INT64: 8}.get(
        tensor.type, 1
    )
    count = int(np.prod([int(extent) for extent in tensor.shape], dtype=object)) * size
    data = _data(model, tensor)
    if data is not None and 0 <= count <= 1 << 16:
        kept = np.resize(np.asarray(data, np.uint8), count) if len(data) else np.zeros(count, np.uint8)
        tensor.buffer = len(model.buffers)
        model.buffers.append(schema.BufferT())
        model.buffers[-1].data = kept


def _extent(random: Random, model: Model) -> None:
    tensor = _tensor(random, model)
    if len(tensor.shape):
        tensor.shape = list(tensor.shape)
        tensor.shape[random.randrange(len(tensor.shape))] = random.choice(EXTENTS)
        if random.random() < 0.7:
            _resize(random, model, tensor)


def _extents_alike(random: Random, model: Model) -> None:
    """The same change to all tensors of an op that have such an extent: what its shapes say stays true."""
    graph = _graph(random, model)
    op = random.choice(graph.operators)
    tensors = [graph.tensors[i] for i in {*op.inputs, *op.outputs} if 0 <= i < len(graph.tensors)]
    found = [int(extent) for tensor in tensors for extent in tensor.shape]
    if found:
        old, new = random.choice(found), random.choice(EXTENTS)
        for tensor in tensors:
            tensor.shape = [new if extent == old else int(extent) for extent in tensor.shape]
            _resize(random, model, tensor)


def _rank(random: Random, model: Model) -> None:
    tensor = _tensor(random, model)
    shape = [int(extent) for extent in tensor.shape]
    if random.random() < 0.5 or not shape:
        shape.insert(random.randint(0, len(shape)), random.choice((1, 1, 1, 2, 3)))
    else:
        shape.pop(random.randrange(len(shape)))
    tensor.shape = shape if random.random() < 0.9 else []
    if random.random() < 0.7:
        _resize(random, model, tensor)


def _same_shapes(random: Random, model: Model) -> None:
    """One tensor of an op gets the shape of another."""
    graph = _graph(random, model)
    op = random.choice(graph.operators)
    some = [graph.tensors[i] for i in (*op.inputs, *op.outputs) if 0 <= i < len(graph.tensors)]
    if some:
        tensor = random.choice(some)
        tensor.shape = list(random.choice(some).shape)
        _resize(random, model, tensor)


def _quantization(random: Random, model: Model) -> None:
    tensor = _tensor(random, model)
    found = tensor.quantization
    kind = random.choice(("none", "scale", "scale", "zero_point", "axis", "lengths", "copy"))
    if found is None:
        tensor.quantization = found = schema.QuantizationParametersT()
        found.scale, found.zeroPoint = [0.1], [0]
    if kind == "none":
        tensor.quantization = None
    elif kind == "scale":
        found.scale = [random.choice(SCALES) for _ in (found.scale if found.scale is not None else [0])]
    elif kind == "zero_point":
        found.zeroPoint = [random.choice(NUMBERS) for _ in (found.scale if found.scale is not None else [0])]
    elif kind == "axis":
        found.quantizedDimension = random.choice((*NUMBERS[:8], -1))
    elif kind == "lengths":
        found.scale = [0.1] * random.choice((0, 1, 2, 3))
        found.zeroPoint = [0] * random.choice((0, 1, 2, 3))
    else:
        tensor.quantization = _tensor(random, model).quantization


def _buffer(random: Random, model: Model) -> None:
    tensor = _tensor(random, model)
    kind = random.random()
    if kind < 0.4:
        tensor.buffer = random.choice((*range(len(model.buffers)), len(model.buffers), (1 << 32) - 1))
    elif kind < 0.7:
        buffer = model.buffers[tensor.buffer % len(model.buffers)]
        size = random.choice((0, 1, 3, 4, 16, 64))
        buffer.data = np.array([random.randrange(256) for _ in range(size)], np.uint8)
    else:
        model.buffers[random.randrange(len(model.buffers))].data = None


def _values(random: Random, model: Model) -> None:
    """A constant of integers, mostly an axis or a shape, gets others."""
    graph = _graph(random, model)
    wanted = (schema.TensorType.INT32, schema.TensorType.INT64)
    found = [t for t in graph.tensors if t.type in wanted and _data(model, t) is not None]
    if found:
        tensor = random.choice(found)
        dtype = np.int32 if tensor.type == schema.TensorType.INT32 else np.int64
        data = np.asarray(model.buffers[tensor.buffer].data, np.uint8).tobytes()
        values = np.frombuffer(
            data[: len(data) // np.dtype(dtype).itemsize * np.dtype(dtype).itemsize], dtype
        ).copy()
        if values.size:
            values[random.randrange(values.size)] = random.choice(NUMBERS)
            model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)


def _no_options(random: Random, model: Model) -> None:
    op = _op(random, model)
    op.builtinOptions, op.builtinOptionsType = None, 0


def _option(random: Random, model: Model) -> None:
    op = _op(random, model)
    fields = vars(op.builtinOptions) if op.builtinOptions is not None else {}
    if fields:
        name = random.choice(sorted(fields))
        value: object = random.choice((*NUMBERS[:8], -1))
        if isinstance(fields[name], bool):
            value = not fields[name]
        elif isinstance(fields[name], float):
            value = random.choice(SCALES)
        elif fields[name] is None or isinstance(fields[name], list | np.ndarray | str | bytes):
            value = None
        elif random.random() < 0.1:
            value = random.choice((1 << 20, 32_767))
        try:
            setattr(op.builtinOptions, name, value)
            op.builtinOptions.Pack(flatbuffers.Builder(64))
        except TypeError:  # a byte does not hold such a number
            setattr(op.builtinOptions, name, 1)


def _other_options(random: Random, model: Model) -> None:
    op = _op(random, model)
    name, value = random.choice(TABLES)
    table = getattr(schema, f"{name}T", None)
    if isinstance(value, int) and table is not None:
        op.builtinOptionsType, op.builtinOptions = value, table()


def _wiring(random: Random, model: Model) -> None:
    graph = _graph(random, model)
    op = random.choice(graph.operators)
    side = random.choice(("inputs", "inputs", "outputs"))
    wires = [int(index) for index in getattr(op, side)]
    kind = random.choice(("other", "other", "missing", "fewer", "more", "swap", "wild"))
    at = random.randrange(len(wires)) if wires else 0
    if kind == "more" or not wires:
        wires.append(random.randrange(len(graph.tensors)))
    elif kind == "other":
        wires[at] = random.randrange(len(graph.tensors))
    elif kind == "missing":
        wires[at] = -1
    elif kind == "fewer":
        wires.pop(at)
    elif kind == "swap":
        wires.reverse()
    else:
        wires[at] = random.choice((len(graph.tensors), -2, (1 << 31) - 1))
    setattr(op, side, wires)


def _edges(random: Random, model: Model) -> None:
    graph = _graph(random, model)
    side = random.choice(("inputs", "outputs"))
    edges = [int(index) for index in getattr(graph, side)]
    edges.append(random.randrange(len(graph.tensors)))
    random.shuffle(edges)
    setattr(graph, side, edges[: random.randint(0, len(edges))])


def _code(random: Random, model: Model) -> None:
    code = random.choice(model.operatorCodes)
    code.builtinCode = random.choice(CODES)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    if random.random() < 0.2:
        code.deprecatedBuiltinCode = random.choice((0, 127, -1))
    code.version = random.choice((0, 1, 2, 1000))
    code.customCode = random.choice((None, *STRINGS))


def _code_of_same_arity(random: Random, model: Model) -> None:
    """Another kind of op with its own options: the ops stay as they are wired."""
    code = random.choice(model.operatorCodes)
    kind = random.choice([kind for kind in random_graphs.KINDS if "," not in kind])
    code.builtinCode = getattr(schema.BuiltinOperator, kind)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    for op in model.subgraphs[0].operators:
        if model.operatorCodes[op.opcodeIndex % len(model.operatorCodes)] is code:
            op.builtinOptions, op.builtinOptionsType = None, 0


def _opcode_index(random: Random, model: Model) -> None:
    _op(random, model).opcodeIndex = random.choice((*range(len(model.operatorCodes) + 1), 1 << 20))


def _order(random: Random, model: Model) -> None:
    """Ops in another order, twice, or gone."""
    operators = _graph(random, model).operators
    kind = random.random()
    if kind < 0.4:
        random.shuffle(operators)
    elif kind < 0.7:
        operators.append(random.choice(operators))
    elif len(operators) > 1:
        operators.pop(random.randrange(len(operators)))


def _variable(random: Random, model: Model) -> None:
    tensor = _tensor(random, model)
    tensor.isVariable = not tensor.isVariable


def _string(random: Random, model: Model) -> None:
    text = random.choice(STRINGS)
    kind = random.random()
    if kind < 0.5:
        _tensor(random, model).name = text
    elif kind < 0.75:
        model.description = text
    else:
        _graph(random, model).name = text


def _subgraph(random: Random, model: Model) -> None:
    kind = random.random()
    if kind < 0.5:
        model.subgraphs.append(_graph(random, model))
    elif kind < 0.7:
        model.subgraphs = []
        model.subgraphs.append(schema.SubGraphT())
        for name in ("tensors", "operators", "inputs", "outputs"):
            setattr(model.subgraphs[0], name, [])
        model.subgraphs[0].tensors = [schema.TensorT()]
        model.subgraphs[0].tensors[0].shape = []
        model.subgraphs[0].operators = [schema.OperatorT()]
        model.subgraphs[0].operators[0].inputs, model.subgraphs[0].operators[0].outputs = [], []
    else:
        _graph(random, model).tensors.append(_tensor(random, model))


def _signature(random: Random, model: Model) -> None:
    _tensor(random, model).shapeSignature = [random.choice((-1, 1, 2)) for _ in range(random.randint(0, 4))]


MUTATIONS: tuple[Callable[[Random, Model], None], ...] = (
    *(_type, _extent, _extent, _extents_alike, _extents_alike, _rank, _rank, _same_shapes, _same_shapes),
    *(_quantization, _quantization, _buffer, _values, _values, _no_options, _option, _option, _other_options),
    *(_wiring, _wiring, _edges, _code, _code_of_same_arity, _code_of_same_arity, _opcode_index, _order),
    *(_variable, _string, _subgraph, _signature),
)
