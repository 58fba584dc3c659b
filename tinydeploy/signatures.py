"""Which of a file's functions is meant, and the file with that one alone.

A converter writes a subgraph for each signature, and others that ops call: the initialisers of CALL_ONCE.
TFLite Micro runs the first subgraph, and prepares all of them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import tflite

from tinydeploy.errors import ModelError, UsageError
from tinydeploy.graph import Op

# Fields of the schema's tables Model and CallOnceOptions, as offsets in a vtable.
_SUBGRAPHS, _SIGNATURES, _INITIALISER = 8, 18, 4


def choose(path: str, known: Sequence[tuple[str, int]], count: int, wanted: str | None) -> tuple[str, int]:
    """The name and the subgraph of the signature `wanted`, or of the first; `known` are all, by subgraph.

    A file without signatures has one function, its first subgraph of `count`. Raises UsageError if there is
    no such signature, ModelError if its subgraph is not there.
    """
    if wanted is not None and wanted not in dict(known):
        names = ", ".join(name for name, _ in known)
        hint = f"its signatures are {names}" if known else "the file names none: leave --signature out"
        raise UsageError(f"{path} has no signature '{wanted}'", hint)
    name, subgraph = next((pair for pair in known if wanted in (None, pair[0])), ("", 0))
    if subgraph >= count:
        raise ModelError(f"{path}: the signature '{name}' names subgraph {subgraph} of {count}")
    return name, subgraph


def called(ops: Sequence[Op]) -> tuple[int, ...]:
    """The subgraphs that initialise variables for these ops, in order, without those that cannot be."""
    indices = {op.options["init_subgraph_index"] for op in ops if op.kind == "CALL_ONCE"}
    return tuple(sorted(index for index in indices if isinstance(index, int) and index >= 0))


def alone(data: bytes, path: str, keep: tuple[int, ...], ops: Sequence[Op]) -> bytes:
    """The file with none but the subgraphs `keep`: the first of them, whose `ops` are given, is what runs.

    The bytes stay where they are; the list of subgraphs becomes shorter. Raises ModelError if they lie so
    that it cannot be written.
    """
    model = tflite.Model.GetRootAs(data, 0)
    if keep == tuple(range(model.SubgraphsLength())):
        return data
    content = bytearray(data)
    vector = model._tab.Vector(model._tab.Offset(_SUBGRAPHS))
    for place, index in enumerate(keep):
        (offset,) = struct.unpack_from("<I", data, vector + 4 * index)
        distance = 4 * (index - place) + offset  # offsets count from where they stand
        if distance <= 0:
            raise ModelError(f"{path}: subgraph {index} lies before the list of subgraphs")
        struct.pack_into("<I", content, vector + 4 * place, distance)
    struct.pack_into("<I", content, vector - 4, len(keep))
    if model.SignatureDefsLength():
        struct.pack_into("<I", content, model._tab.Vector(model._tab.Offset(_SIGNATURES)) - 4, 0)
    for op in ops:
        if op.kind == "CALL_ONCE":
            union = model.Subgraphs(keep[0]).Operators(op.index).BuiltinOptions()
            field = union.Offset(_INITIALISER) if union is not None else 0
            if field == 0:
                raise ModelError(
                    f"{path}: op {op.index} (CALL_ONCE) calls the subgraph 0, which is a signature"
                )
            (index,) = struct.unpack_from("<i", data, union.Pos + field)
            struct.pack_into("<i", content, union.Pos + field, keep.index(index))
    return bytes(content)
