"""Code emission: from a program to model.cpp (the calls), model_data (the constants), and its kernels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
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
from tinydeploy.engines.aot.ir import Argument, Constant, Program, Read, Scratch, State, Step, Stripes, Write
from tinydeploy.engines.aot.kernels.kernel_set import KernelSet
from tinydeploy.engines.aot.memory.allocator import ALIGNMENT
from tinydeploy.engines.aot.memory.arena_plan import Arena, plan_arena
from tinydeploy.engines.aot.own_ops import WindowOp
from tinydeploy.engines.engine import EngineSources
from tinydeploy.host import paths, templates
from tinydeploy.model.graph import DType, Op, Tensor
from tinydeploy.results.setting import Layer

WIDTH = 110
_KERNELS = paths.FIRMWARE / "kernels"


def emit(program: Program, kernels: KernelSet, optimize: str) -> EngineSources:
    """The project's files for `program`, of `kernels`, which is as the goal `optimize` wants it."""
    arena = plan_arena(program)
    alone = optimize == "speed"
    emitter = _Emitter(program, arena, alone)
    return EngineSources(
        engine="aot",
        files=_Files(emitter.files),
        profiled_ops=tuple(op.index for op, _ in program.ops),
        arena=arena.plan,
        layers=tuple(_layer(program, op, steps, kernels) for op, steps in program.ops),
        optimize=optimize,
        instances=_instances(program, alone),
        constant_bytes=_constant_bytes(program, arena),
    )


def _instances(program: Program, alone: bool) -> Counter[str]:
    """How often the code has each kernel: once for equal parameters, unless each step is `alone`."""
    steps = [step for _, steps in program.ops for step in steps]
    if alone:
        return Counter(step.kernel.name for step in steps)
    return Counter(step.kernel.name for step in {step.instance: step for step in steps}.values())


def _constant_bytes(program: Program, arena: Arena) -> int:
    """What the constants take in flash, each aligned to a word; equal arrays are stored once."""
    constants = [
        argument.values
        for _, steps in program.ops
        for step in steps
        for argument in step.args
        if isinstance(argument, Constant)
    ]
    starts = (_start(program.graph.tensors[index]) for index in arena.initialised)
    constants += [start.reshape(-1) for start in starts if start is not None and len({*start.tobytes()}) > 1]
    sizes = {(values.dtype.str, values.tobytes()): values.nbytes for values in constants}
    return sum(-(-size // 4) * 4 for size in sizes.values())


def _start(tensor: Tensor) -> npt.NDArray[np.generic] | None:
    """What a tensor that lies in the arena holds before the first inference; None: its zero point."""
    return tensor.initial if tensor.data is None else tensor.data


class _Files(Mapping[str, str]):
    """Files that are not written before one is asked for: a large model's take as long as its plan."""

    def __init__(self, write: Callable[[], dict[str, str]]) -> None:
        self._written = cache(write)

    def __getitem__(self, path: str) -> str:
        return self._written()[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._written())

    def __len__(self) -> int:
        return len(self._written())


def _layer(program: Program, op: Op, steps: tuple[Step, ...], kernels: KernelSet) -> Layer:
    arguments = [argument for step in steps for argument in step.args]
    constants = {a.values.tobytes(): a.values.nbytes for a in arguments if isinstance(a, Constant)}
    scratch = {a.name: a.bytes for a in arguments if isinstance(a, Scratch)}
    costs = [kernels.instructions(step) for step in steps]
    times = [len(step.stripes) if step.stripes else 1 for step in steps]
    known = [count * n for count, n in zip(costs, times, strict=True) if count is not None]
    layer = Layer(
        op.index,
        " + ".join(dict.fromkeys(step.kernel.name + step.params.variant for step in steps)),
        sum(constants.values()),
        sum(scratch.values()),
        sum(known) if len(known) == len(costs) else None,
    )
    turns = _turns(program, op)
    if turns is None:
        return layer
    return replace(
        layer,
        stripes=turns.count // turns.patches,
        saved_bytes=turns.saved[op.index],
        patches=turns.patches,
        repeated_outputs=turns.again[op.index],
    )


def _kinds(op: Op) -> str:
    """What the op does, with the addition that it has taken over."""
    addition = op.addition if isinstance(op, WindowOp) else None
    return f"{op.kind} and {addition.kind}" if addition else op.kind


def _turns(program: Program, op: Op) -> Stripes | None:
    """The stripes in which `op` is done, if it is."""
    return next((turns for turns in program.stripes if turns.first <= op.index <= turns.last), None)


@dataclass(frozen=True)
class _Place:
    name: str
    offset: int
    bytes: int
    comment: str


class _Emitter:
    def __init__(self, program: Program, arena: Arena, alone: bool) -> None:
        """Steps with equal parameters call one instance of their kernel, unless each is to be `alone`."""
        self._alone = alone
        self._program = program
        self._graph = program.graph
        self._arena = arena
        self._constants: dict[str, Constant] = {}
        self._names: dict[tuple[str, bytes], str] = {}  # of constants, by their content
        self._structs: dict[tuple[object, ...], str] = {}  # by the kernel and the parameters

    def files(self) -> dict[str, str]:
        """Path in the project to text."""
        headers = sorted({step.kernel.header for _, steps in self._program.ops for step in steps})
        ops = [self._op(op, steps) for op, steps in self._program.ops]
        resets = [self._reset(tensor) for tensor in self._arena.initialised]
        sha256 = bytes.fromhex(self._graph.sha256)
        model = templates.render(
            "aot_model.cpp.j2",
            sha256=self._graph.sha256,
            sha256_lines=[", ".join(f"0x{byte:02x}" for byte in sha256[i : i + 16]) for i in (0, 16)],
            headers=headers,
            alignment=ALIGNMENT,
            arena_bytes=self._arena.plan.bytes,
            places=self._places(),
            ops=ops,
            inputs=[self._tensor(index) for index in self._graph.inputs],
            outputs=[self._tensor(index) for index in self._graph.outputs],
            resets=resets,
        )
        constants = [definition(constant) for constant in self._constants.values()]
        return {
            "src/model.cpp": model,
            "src/model_data.h": templates.render("aot_model_data.h.j2", constants=constants),
            "src/model_data.cpp": templates.render("aot_model_data.cpp.j2", constants=constants),
            **{
                f"src/kernels/{name}": (_KERNELS / name).read_text(encoding="utf-8")
                for name in _with_includes(headers)
            },
        }

    def _places(self) -> Iterator[_Place]:
        """Every tensor and scratch in the arena, in order of first use."""
        scratches = {
            (op.index, argument.name): argument
            for op, steps in self._program.ops
            for argument in sorted(_scratches(steps), key=lambda scratch: scratch.bytes)
        }
        for place in sorted(self._arena.plan.placements, key=lambda place: (place.first, place.offset)):
            yield from (self._tensor(index) for index in place.tensors)
        for (op, _), scratch in scratches.items():
            comment = f"working memory of op {op}, {scratch.elements} of {scratch.ctype}"
            offset = self._arena.scratch[op, scratch.name]
            yield _Place(scratch_name(op, scratch), offset, scratch.bytes, comment)

    def _tensor(self, index: int) -> _Place:
        tensor = self._graph.tensors[index]
        return _Place(f"kTensor{index}", self._arena.tensors[index], tensor.bytes, describe(tensor))

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
        stripes = _turns(self._program, op)

        def condition(step: Step) -> str:
            return stripe_condition(step.stripes, stripes.count) if stripes and step.stripes else ""

        calls = groupby(zip(steps, structs, strict=True), lambda pair: condition(pair[0]))
        return {
            "comment": f"Op {op.index}: {_kinds(op)}, {inputs} -> {outputs}",
            "function": function,
            "stripes": stripes,
            "begins": stripes is not None and stripes.first == op.index,
            "ends": stripes is not None and stripes.last == op.index,
            "structs": [
                {"name": name, "params": [parameter(*pair) for pair in step.members]}
                for name, struct, step in zip(own, structs, steps, strict=True)
                if struct == name
            ],
            "calls": [
                {
                    "condition": when,
                    "lines": [
                        self._call(op, step, struct, "    " if when else "  ") for step, struct in some
                    ],
                }
                for when, some in calls
            ],
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
                return f"at<{argument.ctype}>({scratch_name(op.index, argument)})"
            case Constant():
                return self._constant(argument)

    def _offset(self, step: Step, tensor: int) -> str:
        """Where in the arena `tensor` starts, as C++."""
        piece = self._program.slices.get(tensor)
        if piece is None:
            return f"kTensor{tensor}"
        assert step.stripes is not None
        stripe = f"(stripe - {step.stripes.start})" if step.stripes.start else "stripe"
        terms = [f"kTensor{piece.tensor}", *([str(piece.offset)] if piece.offset else [])]
        return " + ".join([*terms, *([f"{stripe} * {piece.pitch}"] if piece.pitch else [])])

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
        place = self._tensor(index)
        start = _start(tensor)
        if start is None:
            fill = tensor.quantization.zero_point if tensor.quantization and tensor.dtype is DType.INT8 else 0
        else:
            content = start.tobytes()
            fill = int(start.reshape(-1).view(np.int8)[0])
            if len({*content}) > 1:
                source = self._constant(Constant(f"initial{index}", start.reshape(-1)))
                return f"__builtin_memcpy(arena + {place.name}, {source}, {place.bytes});"
        return f"__builtin_memset(arena + {place.name}, {fill}, {place.bytes});"


def _with_includes(headers: list[str]) -> list[str]:
    """The kernel headers, and those that they include."""
    found: list[str] = []
    todo = list(headers)
    while todo:
        name = todo.pop()
        if name not in found:
            found.append(name)
            todo += re.findall(
                r'^#include "([^"]+)"', (_KERNELS / name).read_text(encoding="utf-8"), re.MULTILINE
            )
    return sorted(found)


def _scratches(steps: tuple[Step, ...]) -> Iterator[Scratch]:
    return (argument for step in steps for argument in step.args if isinstance(argument, Scratch))
