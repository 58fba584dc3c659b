"""The descriptions of the kernels beside their headers: parameters and arguments are those that C++ has."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tinydeploy.engines.aot.ir import Kernel, Params, member
from tinydeploy.engines.aot.kernels import (
    dsp_kernels,
    elementwise_kernels,
    functions,
    layer_kernels,
    movement_kernels,
    pooling,
    recurrent,
    reduction,
)
from tinydeploy.engines.aot.kernels.cores import mve, scalar
from tinydeploy.host import paths

HEADERS = paths.FIRMWARE / "kernels"
MODULES = (
    *(elementwise_kernels, functions, layer_kernels, movement_kernels, pooling, recurrent, reduction),
    *(dsp_kernels, mve, scalar),
)


def described() -> Iterator[Kernel[Any]]:
    for module in MODULES:
        for value in vars(module).values():
            if isinstance(value, Kernel):
                yield value
            elif isinstance(value, elementwise_kernels.Pair):
                yield from (value.flat, value.broadcast)


KERNELS = sorted({*described()}, key=lambda kernel: (kernel.name, kernel.params.__name__))


@dataclasses.dataclass(frozen=True)
class Definition:
    """A function, struct or constant of the headers: what stands before its body, and all of it."""

    head: str
    text: str


@cache
def definitions(header: str) -> dict[str, tuple[Definition, ...]]:
    """What the header and those that it includes define, by name; a name may have several."""
    found: dict[str, tuple[Definition, ...]] = {}
    text = (HEADERS / header).read_text()
    for included in re.findall(r'^#include "([^"]+)"', text, re.MULTILINE):
        for name, known in definitions(included).items():
            found[name] = (*found.get(name, ()), *(k for k in known if k not in found.get(name, ())))
    for definition in _top_level(text):
        name = _name(definition.head)
        if name:
            found[name] = (*found.get(name, ()), definition)
    return found


def _top_level(text: str) -> Iterator[Definition]:
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    text = re.sub(r"(?m)^[ \t]*#(?:[^\n]*\\\n)*[^\n]*\n", "\n", text)
    _, _, text = text.partition("namespace tinydeploy {")  # a header of macros has none
    depth = start = body = 0
    for i, character in enumerate(text):
        if character in "{(":
            if character == "{" and depth == 0:
                body = i
            depth += 1
        elif character in "})":
            depth -= 1
        if depth < 0:
            return
        ends = character == "}" and not re.match(r"\s*;", text[i + 1 : i + 20])
        if depth == 0 and (ends or character == ";"):
            yield Definition(text[start : max(body, start)] or text[start:i], text[start : i + 1])
            start = i + 1


def _name(head: str) -> str | None:
    head = re.sub(r"\[\[.*?\]\]", "", head)
    head = re.sub(r"template\s*<[^{]*?>\s*(?=inline|void|constexpr|struct)", "", head)
    found = (
        re.search(r"\b(?:struct|class|using)\s+(\w+)", head)
        or re.search(
            r"(\w+)\s*\(", re.sub(r"template\s*<[^{]*?>\s*(?=inline|void|constexpr|struct)", "", head)
        )
        or re.search(r"(\w+)\s*=", head)
    )
    return found[1] if found else None


# How parameters are read: of the type P, or of a value `s` that has its constants as members.
_READ = re.compile(r"\b(?:P|Shape)::(k[A-Z]\w*)|\bs\.(k[A-Z]\w*)")
# What is given P, or such a value.
_HANDED_ON = re.compile(r"\b(\w+)<(?:[^<>;{}()]*,\s*)?P\b|\b(\w+)<[^;{}()]*>\(\s*(?:P\{\}|s)\s*,")


def reads(kernel: Kernel[Any]) -> tuple[set[str], set[str]]:
    """The parameters that the kernel, or a function that it hands them to, reads; and those that it may read.

    Of several functions of one name, it is the arguments that decide.
    """
    known = definitions(kernel.header)
    seen: set[str] = set()
    surely: set[str] = set()
    perhaps: set[str] = set()
    todo = [kernel.name]
    while todo:
        name = todo.pop()
        if name in seen or name not in known:
            continue
        seen.add(name)
        each = [{a or b for a, b in _READ.findall(definition.text)} for definition in known[name]]
        surely |= set.intersection(*each)
        perhaps |= set().union(*each)
        todo += [a or b for definition in known[name] for a, b in _HANDED_ON.findall(definition.text)]
    return surely, perhaps


LAYERS = {
    "fully_connected": layer_kernels.FullyConnected,
    "pointwise": layer_kernels.FullyConnected,
    "conv_2d": layer_kernels.Conv2d,
    "depthwise_conv_2d": layer_kernels.DepthwiseConv2d,
}


def part_of(kernel: Kernel[Any], ways: Sequence[Any]) -> Any:
    """Which of several kinds of parameters a kernel has, as its name says."""
    if elementwise_kernels.Elements in ways:
        return (
            elementwise_kernels.Broadcast
            if kernel.name.endswith("_broadcast")
            else elementwise_kernels.Elements
        )
    return next(kind for name, kind in LAYERS.items() if kernel.name.startswith(name))


def names(kernel: Kernel[Any], kind: Any) -> tuple[set[str], set[str]]:
    """The members that the kernel's parameters always have, and those that they may have."""
    always: set[str] = set()
    perhaps: set[str] = set()
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        ways = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        parts = [way for way in ways if isinstance(way, type) and issubclass(way, Params)]
        if parts:
            some = names(kernel, parts[0] if len(parts) == 1 else part_of(kernel, parts))
            perhaps |= some[1]
            if types.NoneType in ways:
                perhaps |= some[0]
            else:
                always |= some[0]
        elif field.name not in kernel.host_only:
            always.add(member(field.name))
    return always, perhaps


def same(read: str, name: str) -> bool:
    """Whether a kernel's name is a member: those of a tuple are counted."""
    return read == name or (read.startswith(name) and read[len(name) :].isdigit())


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: f"{k.name}-{k.params.__name__}")
def test_a_kernel_reads_its_parameters_and_no_others(kernel: Kernel[Any]) -> None:
    surely, maybe = reads(kernel)
    always, perhaps = names(kernel, kernel.params)
    assert [read for read in sorted(surely) if not any(same(read, name) for name in always | perhaps)] == []
    assert [name for name in sorted(always) if not any(same(read, name) for read in maybe)] == []


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: f"{k.name}-{k.params.__name__}")
def test_a_kernel_takes_its_arguments(kernel: Kernel[Any]) -> None:
    heads = [definition.head for definition in definitions(kernel.header)[kernel.name]]
    signatures = [re.search(rf"\b{kernel.name}\s*\((.*)\)\s*$", head, re.DOTALL) for head in heads]
    taken = [
        tuple(
            re.sub(r".*?(\w+)$", r"\1", argument.strip(), flags=re.DOTALL) for argument in found[1].split(",")
        )
        for found in signatures
        if found
    ]
    assert tuple(name.strip("[]") for name in kernel.arguments) in taken


def test_every_header_belongs_to_a_kernel() -> None:
    used: set[Path] = set()
    todo = [HEADERS / kernel.header for kernel in KERNELS]
    while todo:
        header = todo.pop()
        if header not in used:
            used.add(header)
            found = re.findall(r'^#include "([^"]+)"', header.read_text(), re.MULTILINE)
            todo += [HEADERS / name for name in found]
    assert used == {*HEADERS.glob("*.h")}
