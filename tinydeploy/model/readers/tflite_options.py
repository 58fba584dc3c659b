"""The options of each kind of op in a .tflite file: the table's name, its fields, their enums.

Layout: tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

import inspect
import math
import re
import struct
from functools import cache
from typing import Any

import tflite

from tinydeploy.model.canonicalize.constant_folding import CONTRADICTION_HINT
from tinydeploy.model.graph import MAX_STEP, OptionValue
from tinydeploy.model.ops import catalogue
from tinydeploy.model.readers.tflite_file import MOST, MOST_HINT, File

# Which enum a field of the options holds. A field not named here is a plain number.
ENUM_FIELDS = {
    "fused_activation_function": "ActivationFunctionType",
    "padding": "Padding",
    "weights_format": "FullyConnectedOptionsWeightsFormat",
    "quantized_bias_type": "TensorType",
    "in_data_type": "TensorType",
    "out_data_type": "TensorType",
    "out_type": "TensorType",
    "kernel_type": "LSTMKernelType",
    "mode": "MirrorPadMode",
    "output_type": "TensorType",
}

# A table without fields, vtable first: its accessors give the schema's defaults.
_EMPTY_TABLE = struct.pack("<HHi", 4, 4, 4)


@cache
def enum(name: str) -> dict[int, str]:
    """Value to name of one of the schema's enums."""
    members = vars(getattr(tflite, name))
    return {value: key for key, value in members.items() if isinstance(value, int)}


@cache
def _fields(table: str) -> tuple[tuple[str, str, bool], ...]:
    """(accessor, snake-case name, is a vector of numbers) of each readable field of an options table."""
    accessors = dict(inspect.getmembers(getattr(tflite, table), inspect.isfunction))
    found = []
    for name, method in accessors.items():
        if name == "Init" or name.endswith(("Length", "IsNone", "AsNumpy")):
            continue
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
        if len(inspect.signature(method).parameters) == 1:
            found.append((name, snake, False))
        elif f"{name}AsNumpy" in accessors:
            found.append((f"{name}AsNumpy", snake, True))
    return tuple(found)


def read(file: File, where: str, kind: str, table: Any) -> dict[str, OptionValue]:
    """The options of the op in `table`, by snake-case names; enums by their names."""
    name = enum("BuiltinOptions").get(table.BuiltinOptionsType())
    op_kind = catalogue.of(kind)
    wanted = op_kind.options or name
    if name is None or (name not in ("NONE", wanted)):
        raise file.error(f"{where} has the options of another op", CONTRADICTION_HINT)
    if wanted is None or wanted == "NONE":
        return {}
    options = getattr(tflite, wanted)()
    union = None if name == "NONE" else table.BuiltinOptions()
    if union is None and op_kind.options_needed:
        raise file.error(f"{where} has no options, and cannot be run without them", CONTRADICTION_HINT)
    if union is None:
        options.Init(_EMPTY_TABLE, 4)
    else:
        options.Init(file.data, union.Pos)
        file.table(options)
    values: dict[str, OptionValue] = {}
    for accessor, field, is_vector in _fields(wanted):
        value = getattr(options, accessor)()
        if is_vector:
            numbers = file.vector(value)
            if numbers.size > MOST["numbers in an option"]:
                raise file.error(f"{where} has {numbers.size:,} numbers in its {field}", MOST_HINT)
            values[field] = tuple(numbers.tolist())
        elif field in ENUM_FIELDS:
            choices = enum(ENUM_FIELDS[field])
            if value not in choices:
                raise file.error(f"{where} has the unknown {field} {value}")
            values[field] = choices[value]
        elif isinstance(value, bytes):
            file.spend(len(value))
            values[field] = value.decode("utf-8", "replace")
        elif isinstance(value, bool | int | float):
            if isinstance(value, float) and not math.isfinite(value):
                raise file.error(f"{where} has the {field} {value}")
            if field.startswith(("stride_", "dilation_", "filter_")) and not 1 <= value <= MAX_STEP:
                raise file.error(f"{where} has the {field} {value}")
            values[field] = value
    return values
