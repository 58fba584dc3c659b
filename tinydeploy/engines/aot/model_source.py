"""A program as C++: what the templates are told of its calls and constants, and the kernels that it calls."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.cpp import (
    definition,
    describe,
    parameter,
    scratch_name,
    shape_of,
    stripe_condition,
    type_name,
)
from tinydeploy.engines.aot.geometry import Geometry
from tinydeploy.engines.aot.ir import Argument, Constant, Program, Read, Scratch, State, Step, Stripes, Write
from tinydeploy.engines.aot.memory.arena_plan import Arena, plan_arena
from tinydeploy.engines.aot.own_ops import WindowOp
from tinydeploy.host import paths
from tinydeploy.host.includes import with_included
from tinydeploy.model.graph import DType, Graph, Op, Tensor

WIDTH = 110


@dataclass(frozen=True)
class Slot:
    """Where an input or an output is: its tensor, and its offset in the arena, or in the state."""

    tensor: Tensor
    offset: int
    in_state: bool


@dataclass(frozen=True, eq=False)
class ModelCode:
    """A model as C++: what the templates of its sources and interface are told.

    Its `ops` are called by number and kind. It works in `scratch_bytes`; beside them `state_bytes` have to
    keep from one inference to the next. `context` holds what aot_ops.cpp.j2 reads, and the constants.
    `kernels` are the headers that it calls, by their paths.
    """

    graph: Graph
    ops: tuple[str, ...]
    scratch_bytes: int
    state_bytes: int
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    context: Mapping[str, object]
    kernels: Mapping[str, str]


_KERNELS = "kernels"
_NAMESPACE = re.compile(r"^namespace tinydeploy \{$", re.MULTILINE)
_END = re.compile(r"^\}  // namespace tinydeploy$", re.MULTILINE)


def model_code(program: Program, alone: bool) -> ModelCode:
    """What a model consists of.

    Steps with equal parameters call one instance of their kernel, unless each is to be `alone`.
    """
    arena = plan_arena(program)
    emitter = _Emitter(program, arena, alone)
    context = emitter.context()
    return ModelCode(
        program.graph,
        tuple(f"{op.index} {op.kind}" for op, _ in program.ops),
        arena.scratch_bytes,
        arena.state_bytes,
        tuple(emitter.slot(index) for index in program.graph.inputs),
        tuple(emitter.slot(index) for index in program.graph.outputs),
        context,
        kernel_sources(program),
    )


def kernel_sources(program: Program) -> dict[str, str]:
    """The headers of the program's kernels, and those that they include, in a namespace of this version."""

    def read(path: str) -> str | None:
        file = paths.FIRMWARE / path
        return file.read_text(encoding="utf-8") if file.is_file() else None

    used = sorted(with_included((f"{_KERNELS}/{header}" for header in _headers(program)), read))
    return {path: versioned(text) for path in used if (text := read(path)) is not None}


def versioned(header: str) -> str:
    """A kernel's header with all it has in a namespace of this version, so that several link together."""
    inside = f"namespace tinydeploy {{\ninline namespace {_version()} {{"
    return _END.sub(
        f"}}  // namespace {_version()}\n}}  // namespace tinydeploy", _NAMESPACE.sub(inside, header)
    )


@cache
def _version() -> str:
    """The namespace of these very kernels."""
    digest = hashlib.sha256()
    for path in sorted((paths.FIRMWARE / _KERNELS).glob("*.h")):
        digest.update(path.name.encode() + path.read_bytes())
    return f"kernels_{digest.hexdigest()[:8]}"


def _headers(program: Program) -> list[str]:
    return sorted({step.kernel.header for _, steps in program.ops for step in steps})


@dataclass(frozen=True)
class _Place:
    name: str
    offset: int
    bytes: int
    comment: str


class _Emitter:
    def __init__(self, program: Program, arena: Arena, alone: bool) -> None:
        self._alone = alone
        self._program = program
        self._graph = program.graph
        self._arena = arena
        self._constants: dict[str, Constant] = {}
        self._names: dict[tuple[str, bytes], str] = {}  # of constants, by their content
        self._structs: dict[tuple[object, ...], str] = {}  # by the kernel and the parameters
        self._windows: dict[tuple[object, ...], str] = {}  # structs of geometry, by its numbers
        self._names_told: set[str] = set()  # of what has a place in the arena
        self._places: list[_Place] = []  # those that are to be told next

    def slot(self, index: int) -> Slot:
        """Where the tensor is."""
        return Slot(self._graph.tensors[index], self._place_of(index), self._is_state(index))

    def _is_state(self, index: int) -> bool:
        return self._program.memory.get(index, index) in self._arena.initialised

    def _base(self, index: int) -> str:
        """What a tensor's offset counts from."""
        return "state" if self._is_state(index) else "arena"

    def _place_of(self, index: int) -> int:
        """The offset of a tensor in the state, or in what an inference works in."""
        return self._arena.tensors[index] - (0 if self._is_state(index) else self._arena.state_bytes)

    def context(self) -> dict[str, object]:
        """All that templates are told of the program."""
        inputs = [self._placed_tensor(index) for index in self._graph.inputs]
        given = self._told()
        ops = [self._op(op, steps) for op, steps in self._program.ops]
        resets = [self._reset(tensor) for tensor in self._arena.initialised]
        outputs = [self._placed_tensor(index) for index in self._graph.outputs]
        sha256 = bytes.fromhex(self._graph.sha256)
        return {
            "sha256": self._graph.sha256,
            "sha256_lines": [", ".join(f"0x{byte:02x}" for byte in sha256[i : i + 16]) for i in (0, 16)],
            "headers": _headers(self._program),
            "given": given,
            "ops": ops,
            "others": self._told(),
            "inputs": inputs,
            "outputs": outputs,
            "resets": resets,
            "constants": [definition(constant) for constant in self._constants.values()],
        }

    def _placed_tensor(self, index: int) -> _Place:
        """Where tensor `index` lies: the sources tell it before what they need it for first."""
        tensor = self._graph.tensors[index]
        return self._place(_Place(f"kTensor{index}", self._place_of(index), tensor.bytes, describe(tensor)))

    def _place(self, place: _Place) -> _Place:
        if place.name not in self._names_told:
            self._names_told.add(place.name)
            self._places.append(place)
        return place

    def _told(self) -> list[_Place]:
        """The places that were needed since this was asked last."""
        told, self._places = self._places, []
        return told

    def _op(self, op: Op, steps: tuple[Step, ...]) -> dict[str, object]:
        function = f"op{op.index}_{op.kind.lower()}"
        struct = "".join(word.capitalize() for word in function.split("_"))
        own = [struct if len(steps) == 1 else f"{struct}Step{i}" for i in range(len(steps))]
        structs = [
            name if self._alone else self._structs.setdefault(step.instance, name)
            for step, name in zip(steps, own, strict=True)
        ]
        inputs, outputs = (
            ", ".join(shape_of(self._graph.tensors[index]) for index in tensors if index >= 0)
            for tensors in (op.inputs, op.outputs)
        )
        stripes = turns_of(self._program, op)

        def condition(step: Step) -> str:
            return stripe_condition(step.stripes, stripes.count) if stripes and step.stripes else ""

        calls = groupby(zip(steps, structs, strict=True), lambda pair: condition(pair[0]))
        called = [
            {
                "condition": when,
                "lines": [self._call(op, step, struct, "    " if when else "  ") for step, struct in some],
            }
            for when, some in calls
        ]
        return {
            "comment": f"Op {op.index}: {_kinds(op)}, {inputs} -> {outputs}",
            "function": function,
            "stripes": stripes,
            "begins": stripes is not None and stripes.first == op.index,
            "ends": stripes is not None and stripes.last == op.index,
            "structs": [
                self._struct(name, step)
                for name, struct, step in zip(own, structs, steps, strict=True)
                if struct == name
            ],
            "places": self._told(),
            "calls": called,
            "stateful": any("(state + " in line for call in called for line in call["lines"]),
        }

    def _struct(self, name: str, step: Step) -> dict[str, object]:
        """A kernel's Params: its windows are a struct of their own, which layers share."""
        left_out = step.kernel.host_only
        shape = [pair for part in step.params.parts(Geometry) for pair in part.members(left_out)]
        known = len(self._windows)
        windows = self._windows.setdefault(tuple(shape), f"Windows{known}") if shape else ""
        return {
            "name": name,
            "base": windows,
            "windows": [parameter(*pair) for pair in shape] if len(self._windows) > known else [],
            "params": [parameter(*pair) for pair in step.members if pair not in shape],
        }

    def _call(self, op: Op, step: Step, struct: str, indent: str) -> str:
        arguments = [self._argument(op, step, argument) for argument in step.args]
        lines = [f"{indent}{step.kernel.name}<{struct}>("]
        for argument, end in zip(arguments, [", "] * (len(arguments) - 1) + [");"], strict=True):
            if len(lines[-1]) + len(argument) + len(end.rstrip()) > WIDTH:
                lines[-1] = lines[-1].rstrip()
                lines.append(f"{indent}    ")
            lines[-1] += argument + end
        return "\n".join(lines)

    def _argument(self, op: Op, step: Step, argument: Argument) -> str:
        match argument:
            case Read(tensor) | Write(tensor) | State(tensor):
                const = "const " if isinstance(argument, Read) else ""
                ctype = type_name(self._graph.tensors[tensor].dtype.numpy)
                return f"at<{const}{ctype}>({self._offset(step, tensor)})"
            case Scratch():
                return f"at<{argument.ctype}>(arena + {self._scratch(op, argument).name})"
            case Constant():
                return self._constant(argument)

    def _offset(self, step: Step, tensor: int) -> str:
        """Where in the arena `tensor` starts, as C++."""
        piece = self._program.slices.get(tensor)
        if piece is None:
            return f"{self._base(tensor)} + {self._placed_tensor(tensor).name}"
        assert step.stripes is not None
        stripe = f"(stripe - {step.stripes.start})" if step.stripes.start else "stripe"
        terms = [
            self._base(piece.tensor),
            self._placed_tensor(piece.tensor).name,
            *([str(piece.offset)] if piece.offset else []),
        ]
        return " + ".join([*terms, *([f"{stripe} * {piece.pitch}"] if piece.pitch else [])])

    def _scratch(self, op: Op, scratch: Scratch) -> _Place:
        """Where an op's working memory lies; its steps may want more of it or less."""
        steps = next(steps for other, steps in self._program.ops if other is op)
        largest = max((s for s in _scratches(steps) if s.name == scratch.name), key=lambda s: s.bytes)
        offset = self._arena.scratch[op.index, scratch.name] - self._arena.state_bytes
        comment = f"working memory: {largest.ctype}[{largest.elements}]"
        return self._place(_Place(scratch_name(op.index, scratch), offset, largest.bytes, comment))

    def _constant(self, constant: Constant) -> str:
        """The C++ name of the constant: equal arrays are stored once."""
        content = (constant.values.dtype.str, constant.values.tobytes())
        if content not in self._names:
            name = constant.name  # a striped op's kernels may want their weights in different orders
            while name in self._constants:
                name += "_"
            self._constants[name] = replace(constant, name=name)
            self._names[content] = name
        return f"model::{self._names[content]}"

    def _reset(self, index: int) -> str:
        tensor = self._graph.tensors[index]
        place = self._placed_tensor(index)
        start = start_of(tensor)
        if start is None:
            fill = tensor.quantization.zero_point if tensor.quantization and tensor.dtype is DType.INT8 else 0
        else:
            content = start.tobytes()
            fill = int(start.reshape(-1).view(np.int8)[0])
            if len({*content}) > 1:
                source = self._constant(Constant(f"initial{index}", start.reshape(-1)))
                return f"__builtin_memcpy({self._base(index)} + {place.name}, {source}, {place.bytes});"
        return f"__builtin_memset({self._base(index)} + {place.name}, {fill}, {place.bytes});"


def _scratches(steps: tuple[Step, ...]) -> Iterator[Scratch]:
    return (argument for step in steps for argument in step.args if isinstance(argument, Scratch))


def start_of(tensor: Tensor) -> npt.NDArray[np.generic] | None:
    """What a tensor that lies in the arena holds before the first inference; None: its zero point."""
    return tensor.initial if tensor.data is None else tensor.data


def _kinds(op: Op) -> str:
    """What the op does, with the addition that it has taken over."""
    addition = op.addition if isinstance(op, WindowOp) else None
    return f"{op.kind} and {addition.kind}" if addition else op.kind


def turns_of(program: Program, op: Op) -> Stripes | None:
    """The stripes in which `op` is done, if it is."""
    return next((turns for turns in program.stripes if turns.first <= op.index <= turns.last), None)
