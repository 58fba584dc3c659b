"""Profiles: what was executed, laid to functions, source lines and instructions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinydeploy.estimate.counts import by_instruction
from tinydeploy.firmware import code, elf
from tinydeploy.results.profiled import (
    Profile,
    ProfiledFunction,
    ProfiledInstruction,
    ProfiledLine,
    ProfileUnit,
)
from tinydeploy.targets.executed import Executed, total

_ANNOTATED = 6  # functions that are shown instruction by instruction
_INSTRUCTIONS = {"instructions": 1.0}


def profile(ops: Mapping[int, Executed], path: Path, cycles: Mapping[str, float] | None) -> Profile:
    """The profile of an inference whose ops executed that, by the core's `cycles` by class; see Profile."""
    unit: ProfileUnit = "instructions" if cycles is None else "estimated cycles"
    weights = cycles or _INSTRUCTIONS
    instructions = code.instructions(path)
    of = {one.address: one.function for one in instructions}
    addresses = sorted({int(address) for own in ops.values() for address in own.rows["address"]} & of.keys())
    sources = dict(zip(addresses, elf.lines(path, addresses), strict=True))
    names = dict(zip(of.values(), elf.demangled(path, [*of.values()]), strict=True))
    found: dict[tuple[int, str, str], float] = defaultdict(float)
    for op, own in ops.items():
        for address, cost in zip(own.rows["address"], by_instruction(own, path, weights), strict=True):
            if int(address) in of:
                found[op, names[of[int(address)]], sources[int(address)]] += float(cost)
    lines = [ProfiledLine(*where, round(cost)) for where, cost in found.items() if round(cost) > 0]
    whole = total([*ops.values()])
    functions = _functions(whole, by_instruction(whole, path, weights), instructions, names)
    ordered = sorted(lines, key=lambda line: (-line.count, line.op, line.function, line.source))
    return Profile(unit, sum(line.count for line in lines), functions, tuple(ordered))


def _functions(
    whole: Executed,
    costs: npt.NDArray[np.float64],
    instructions: Sequence[code.Instruction],
    names: Mapping[str, str],
) -> tuple[ProfiledFunction, ...]:
    ran = {
        int(row["address"]): (int(row["executed"]), cost) for row, cost in zip(whole.rows, costs, strict=True)
    }
    by_function: dict[str, list[code.Instruction]] = defaultdict(list)
    for one in instructions:
        by_function[one.function].append(one)
    sums = {
        function: round(sum(ran[one.address][1] for one in own if one.address in ran))
        for function, own in by_function.items()
    }
    ordered = sorted(
        (function for function in sums if sums[function] > 0), key=lambda name: (-sums[name], name)
    )
    return tuple(
        ProfiledFunction(
            names[function],
            sums[function],
            tuple(_annotated(one, *ran.get(one.address, (0, 0.0))) for one in by_function[function])
            if rank < _ANNOTATED
            else (),
        )
        for rank, function in enumerate(ordered)
    )


def _annotated(one: code.Instruction, executed: int, cost: float) -> ProfiledInstruction:
    return ProfiledInstruction(
        one.address, f"{one.mnemonic} {one.operands}".strip(), executed, max(0, round(cost))
    )
