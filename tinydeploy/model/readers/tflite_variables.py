"""Resource variables: named values that live across inferences (VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE).

In the file a variable has no tensor: ops pass its handle on, and a subgraph that CALL_ONCE runs may give it
its first value. In the Graph the handle's tensor is the variable itself, with that value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import ModelError
from tinydeploy.model.graph import DType, Op, Tensor

Tensors = tuple[Tensor, ...]
Subgraph = tuple[Tensors, tuple[Op, ...]]
Error = Callable[[str], ModelError]


def resolve(main: Subgraph, others: Mapping[int, Subgraph], error: Error) -> Subgraph:
    """`main` with its variables as tensors, each named by one of its handles; `others` are by their indices.

    Raises what `error` makes of a sentence, if a variable is used in a way that no engine could run.
    """
    tensors, ops = main
    handles = _handles(tensors, ops, error)
    home: dict[str, int] = {}  # the tensor of each variable
    for handle, name in handles.items():
        home.setdefault(name, handle)
    values: dict[str, Tensor] = {}  # what is written to or read from each, to have its type
    initial: dict[str, npt.NDArray[np.generic]] = {}
    assigned: set[str] = set()
    resolved = []
    for op in ops:
        if op.kind == "CALL_ONCE":
            for name, tensor in _initial_values(op, others, error):
                if name in values:
                    raise error(f"op {op.index} (CALL_ONCE) initialises the variable {name!r} after its use")
                assert tensor.data is not None
                initial[name] = tensor.data
        elif op.kind in ("READ_VARIABLE", "ASSIGN_VARIABLE"):
            name = _variable(op, handles, error)
            value = tensors[op.inputs[1] if op.kind == "ASSIGN_VARIABLE" else op.outputs[0]]
            known = values.get(name, value)
            if (known.dtype, known.bytes) != (value.dtype, value.bytes):
                raise error(f"op {op.index} ({op.kind}) takes the variable {name!r} for another type or size")
            if op.kind == "ASSIGN_VARIABLE" and name not in assigned:
                assigned.add(name)
                known = value  # whose zero point TFLite Micro takes
            values[name] = known
        inputs = tuple(home[handles[i]] if i in handles else i for i in op.inputs)
        outputs = tuple(home[handles[i]] if i in handles else i for i in op.outputs)
        resolved.append(replace(op, inputs=inputs, outputs=outputs))
    variables = {}
    for name, value in values.items():
        if name not in assigned and name not in initial:
            raise error(f"nothing assigns the variable {name!r}")
        start = initial.get(name, _zero_point(value))
        if start.nbytes != value.bytes or (name in initial and start.dtype != value.dtype.numpy):
            raise error(f"the variable {name!r} is initialised with another type or size")
        variables[home[name]] = replace(
            value, index=home[name], name=name, data=None, is_variable=True, initial=start
        )
    return tuple(variables.get(tensor.index, tensor) for tensor in tensors), tuple(resolved)


def _handles(tensors: Tensors, ops: Sequence[Op], error: Error) -> dict[int, str]:
    """The name of the variable that each handle's tensor stands for."""
    for op in ops:
        if op.kind != "VAR_HANDLE":
            continue
        handle = tensors[op.outputs[0]]
        if (handle.elements, handle.dtype) != (1, DType.INT32):
            raise error(f"op {op.index} (VAR_HANDLE) makes no handle, but a tensor of {handle.dtype.value}")
        if "shared_name" not in op.options:
            raise error(f"op {op.index} (VAR_HANDLE) names no variable")
    return {
        op.outputs[0]: "/".join(
            str(op.options[key]) for key in ("container", "shared_name") if op.options.get(key)
        )
        for op in ops
        if op.kind == "VAR_HANDLE"
    }


def _variable(op: Op, handles: Mapping[int, str], error: Error) -> str:
    wanted = 2 if op.kind == "ASSIGN_VARIABLE" else 1
    if len(op.inputs) != wanted or min(op.inputs) < 0:
        raise error(f"op {op.index} ({op.kind}) has the inputs {list(op.inputs)}")
    if op.inputs[0] not in handles:
        raise error(f"op {op.index} ({op.kind}) names a variable by another tensor than a VAR_HANDLE's")
    return handles[op.inputs[0]]


def _initial_values(op: Op, others: Mapping[int, Subgraph], error: Error) -> list[tuple[str, Tensor]]:
    """What the subgraph of a CALL_ONCE assigns."""
    index = op.options["init_subgraph_index"]
    assert isinstance(index, int)
    if index not in others:
        raise error(f"op {op.index} (CALL_ONCE) calls the subgraph {index}")
    tensors, ops = others[index]
    handles = _handles(tensors, ops, error)
    assigned = []
    for inner in ops:
        if inner.kind == "ASSIGN_VARIABLE":
            name = _variable(inner, handles, error)
            value = tensors[inner.inputs[1]]
            if value.data is None:
                raise error(f"subgraph {index} initialises the variable {name!r} with a computed value")
            assigned.append((name, value))
        elif inner.kind != "VAR_HANDLE":
            raise error(f"subgraph {index} initialises variables by {inner.kind}, not with constants")
    return assigned


def _zero_point(value: Tensor) -> npt.NDArray[np.generic]:
    """What TFLite Micro fills a variable with: every byte is the low one of its zero point."""
    point = value.quantization.zero_points[0] if value.quantization else 0
    filled = np.full(value.bytes, point & 0xFF, np.uint8)
    return filled if value.dtype is DType.BOOL else filled.view(value.dtype.numpy)
