"""C++ as text: the literals, types and names that generated sources are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinydeploy.engines.aot.ir import Constant, Scratch
from tinydeploy.model.graph import Tensor

_INT32 = np.iinfo(np.int32)
_BYTES = {  # how a value of one byte is written, by its bits
    f"{name}_t": [str(value) for value in np.arange(256, dtype=np.uint8).view(name).tolist()]
    for name in ("int8", "uint8")
} | {"bool": [str(int(byte > 0)) for byte in range(256)]}


@dataclass(frozen=True)
class Parameter:
    """A member of a kernel's Params: its name, type and value in C++."""

    name: str
    ctype: str
    value: str


def stripe_condition(stripes: range, count: int) -> str:
    """Whether `stripe` is one of `stripes`, of `count` in all, as C++; empty if it always is."""
    if len(stripes) == 1:
        return f"stripe == {stripes.start}"
    first = [f"stripe >= {stripes.start}"] if stripes.start > 0 else []
    return " && ".join(first + ([f"stripe < {stripes.stop}"] if stripes.stop < count else []))


def scratch_name(op: int, scratch: Scratch) -> str:
    """The constant that says where in the arena an op's scratch lies: kOp3Sums."""
    return f"kOp{op}{scratch.name[:1].upper()}{scratch.name[1:]}"


def shape_of(tensor: Tensor) -> str:
    """The tensor's type and shape, for a comment: int8[1,49,10,1]."""
    return f"{tensor.dtype.value}[{','.join(map(str, tensor.shape))}]"


def describe(tensor: Tensor) -> str:
    """Type, shape and, if it is one for all channels, quantisation, for a comment."""
    quantization = tensor.quantization
    if quantization is None or quantization.per_channel:
        return shape_of(tensor)
    return f"{shape_of(tensor)}, scale {quantization.scale:.6g}, zero point {quantization.zero_point}"


def type_name(dtype: np.dtype[np.generic]) -> str:
    """The C++ type of numpy's: int8_t."""
    return {"float32": "float", "bool": "bool"}.get(dtype.name, f"{dtype.name}_t")


def parameter(name: str, value: int | float | bool) -> Parameter:
    """The smallest of bool, float, int32_t and int64_t that holds the value, as a member of Params."""
    if isinstance(value, bool):
        return Parameter(name, "bool", str(value).lower())
    if isinstance(value, float):
        return Parameter(name, "float", float_literal(value))
    if _INT32.min <= value <= _INT32.max:
        return Parameter(name, "int32_t", str(value) if value > _INT32.min else "INT32_MIN")
    return Parameter(name, "int64_t", f"INT64_C({value})")


def float_literal(value: float) -> str:
    """The single-precision value in C or C++."""
    single = np.float32(value)
    if np.isfinite(single):
        return f"{single!s}f"
    return "-" * bool(np.signbit(single)) + ('__builtin_nanf("")' if np.isnan(single) else "__builtin_inff()")


def definition(constant: Constant) -> dict[str, object]:
    """What the template of model_data.cpp has to know to define the array."""
    values = constant.values
    ctype = type_name(values.dtype)
    if ctype == "float":
        literals = [float_literal(value) for value in values.tolist()]
    elif ctype == "int64_t":
        literals = [f"INT64_C({value})" for value in values.tolist()]
    elif values.dtype.itemsize == 1:  # most of a model: each of the 256 is written out once
        literals = [_BYTES[ctype][byte] for byte in values.tobytes()]
    else:
        literals = [str(int(value)) for value in values.tolist()]
    per_line = {1: 16, 2: 12, 4: 8, 8: 4}[values.dtype.itemsize]
    return {
        "name": constant.name,
        "ctype": ctype,
        "elements": values.size,
        "alignment": max(4, values.dtype.itemsize),
        "comment": f"  // {constant.comment}" if constant.comment else "",
        "lines": [", ".join(literals[i : i + per_line]) + "," for i in range(0, len(literals), per_line)],
    }
