"""Code emission: from a program to the sources that run it, and what the host has to know of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache

from tinydeploy.engines.aot.interface import ModelInterface, in_tree
from tinydeploy.engines.aot.ir import Constant, Program, Scratch, Step
from tinydeploy.engines.aot.kernels.kernel_set import KernelSet
from tinydeploy.engines.aot.memory.arena_plan import Arena, plan_arena
from tinydeploy.engines.aot.model_source import kernel_sources, model_code, start_of, turns_of
from tinydeploy.engines.engine import EngineSources
from tinydeploy.model.graph import Op
from tinydeploy.results.setting import Layer


def emit(program: Program, kernels: KernelSet, optimize: str) -> EngineSources:
    """The project's files for `program`, of `kernels`, which is as the goal `optimize` wants it."""
    arena = plan_arena(program)
    alone = optimize == "speed"
    return EngineSources(
        engine="aot",
        model=_Files(lambda: _model(program, alone)),
        profiled_ops=tuple(op.index for op, _ in program.ops),
        arena=arena.plan,
        layers=tuple(_layer(program, op, steps, kernels) for op, steps in program.ops),
        optimize=optimize,
        instances=_instances(program, alone),
        constant_bytes=_constant_bytes(program, arena),
        kernels=_Files(lambda: in_tree(kernel_sources(program))),
    )


def _model(program: Program, alone: bool) -> dict[str, str]:
    """The model as a library has it, and as an engine."""
    model = ModelInterface.of(model_code(program, alone))
    return {**model.sources(), "engine_aot.cpp": model.engine()}


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
    starts = (start_of(program.graph.tensors[index]) for index in arena.initialised)
    constants += [start.reshape(-1) for start in starts if start is not None and len({*start.tobytes()}) > 1]
    sizes = {(values.dtype.str, values.tobytes()): values.nbytes for values in constants}
    return sum(-(-size // 4) * 4 for size in sizes.values())


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
    turns = turns_of(program, op)
    if turns is None:
        return layer
    return replace(
        layer,
        stripes=turns.count // turns.patches,
        saved_bytes=turns.saved[op.index],
        patches=turns.patches,
        repeated_outputs=turns.again[op.index],
    )
