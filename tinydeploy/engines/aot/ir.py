"""The intermediate representation: steps that call kernels with compile-time parameters, in a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from tinydeploy.model.graph import Graph, Op


@dataclass(frozen=True, eq=False)
class Constant:
    """An array in flash. `name` is a C identifier, unique in the program: op3_weights."""

    name: str
    values: npt.NDArray[np.generic]  # one-dimensional, in the order in which the kernel reads
    comment: str = ""


@dataclass(frozen=True)
class Read:
    """Pointer to a tensor in the arena that the kernel reads."""

    tensor: int


@dataclass(frozen=True)
class Write:
    """Pointer to a tensor in the arena that the kernel writes."""

    tensor: int


@dataclass(frozen=True)
class State:
    """Pointer to a variable tensor in the arena that lives across invocations."""

    tensor: int


@dataclass(frozen=True)
class Scratch:
    """Pointer to working memory in the arena. An op's steps share it by name; nothing outlives the op."""

    name: str
    ctype: str  # int32_t
    elements: int

    @property
    def bytes(self) -> int:
        """Size in bytes."""
        return self.elements * np.dtype(self.ctype.removesuffix("_t")).itemsize


Argument = Read | Write | State | Scratch | Constant
Value = int | float | bool
P = TypeVar("P", bound="Params")
Q = TypeVar("Q", bound="Params")


@dataclass(frozen=True)
class Params:
    """What a kernel is specialised to: its compile-time parameters. Each kernel has a subclass of its own.

    Each field becomes a `static constexpr` member of the Params struct in C++: `input_depth` is kInputDepth.
    A bool becomes bool, an int int32_t (int64_t if it does not fit), a float float. The numbers of a tuple
    are counted (kDim0, kDim1), the fields of other Params stand in their place, and None is no member at all.
    """

    def members(self, left_out: frozenset[str] = frozenset()) -> Iterator[tuple[str, Value]]:
        """The names in C++ and the values, in order, but for the fields `left_out`."""
        for name in (found.name for found in fields(self) if found.name not in left_out):
            value = getattr(self, name)
            if isinstance(value, Params):
                yield from value.members(left_out)
            elif isinstance(value, tuple):
                yield from ((f"{member(name)}{i}", number) for i, number in enumerate(value))
            elif value is not None:
                yield member(name), value

    def parts(self, kind: type[Q]) -> Iterator[Q]:
        """The Params of that kind among its fields, and among theirs."""
        for value in (getattr(self, found.name) for found in fields(self)):
            if isinstance(value, kind):
                yield value
            elif isinstance(value, Params):
                yield from value.parts(kind)

    @property
    def variant(self) -> str:
        """Which form of its kernel this is, in words for people; empty for the usual one."""
        return ""


def member(name: str) -> str:
    """The C++ name of a field."""
    return "k" + "".join(word[:1].upper() + word[1:] for word in name.split("_"))


@dataclass(frozen=True, eq=False)
class Call(Generic[P]):
    """A kernel with its parameters and arguments, and how many bytes an element of each argument has."""

    params: P
    args: tuple[Argument, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Kernel(Generic[P]):
    """All that the host knows of a kernel, but for its cost, which depends on the core: see KernelSet.

    It is a template in namespace tinydeploy, in firmware_templates/kernels/<header> (a header may include its
    neighbours by name), which is called as `name<Params>(args…)`. `arguments` are the names that these
    have in the header; the last may be left out if it is in brackets.

    `overlap` says how far the first output may run into an input that dies with the call: by the argument's
    name, the bytes that the input has to start after the output, see input_overlap.py. An input that is not
    named shares no bytes with it.

    `host_only` are the fields of its parameters that the kernel does not read: the host computes by them.
    """

    name: str
    header: str
    params: type[P]
    arguments: tuple[str, ...]
    overlap: Callable[[Call[P]], Mapping[str, int]] | None = None
    host_only: frozenset[str] = frozenset()

    def step(self, graph: Graph, params: P, *args: Argument) -> Step:
        """The call of this kernel for tensors of `graph`."""
        return Step(self, params, args, tuple(self._overlaps(graph, params, args)))

    def _overlaps(self, graph: Graph, params: P, args: tuple[Argument, ...]) -> Iterator[Overlap]:
        outputs = [argument for argument in args if isinstance(argument, Write)]
        if self.overlap is None or not outputs:
            return
        sizes = tuple(_element_bytes(graph, argument) for argument in args)
        given = dict(zip((name.strip("[]") for name in self.arguments), args, strict=False))
        for name, distance in self.overlap(Call(params, args, sizes)).items():
            source = given[name]
            if isinstance(source, Read):
                yield Overlap(source.tensor, outputs[0].tensor, distance)


def _element_bytes(graph: Graph, argument: Argument) -> int:
    match argument:
        case Constant():
            return argument.values.itemsize
        case Scratch():
            return np.dtype(argument.ctype.removesuffix("_t")).itemsize
        case Read() | Write() | State():
            return graph.tensors[argument.tensor].dtype.bytes


@dataclass(frozen=True)
class Overlap:
    """The step allows tensor `output` to run into tensor `input`, if nothing needs that one afterwards.

    `input` then has to start at least `distance` bytes after `output`; see input_overlap.py.
    """

    input: int
    output: int
    distance: int


@dataclass(frozen=True)
class Slice:
    """Pixels of `tensor` as a tensor of their own: from byte `offset` on, in each stripe `pitch` further."""

    tensor: int
    offset: int
    pitch: int


@dataclass(frozen=True)
class Stripes:
    """The ops from index `first` to `last` are run one after the other `count` times, a few rows each time.

    Each of the `patches` is a share of the columns, and has all its stripes before the next.

    `carried` are the tensors whose bytes one stripe leaves to the next: what the ops read and make as a
    whole, and the rows that a later window still needs. `overlaps` are those of the whole. `saved` says by
    op how many bytes its output has beyond those that its buffer holds, `again` how many elements of it are
    computed once more, for another patch.
    """

    first: int
    last: int
    count: int
    patches: int
    carried: frozenset[int]
    overlaps: tuple[Overlap, ...]
    saved: Mapping[int, int]
    again: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class Step:
    """One kernel call: `kernel<Params>(args…)`.

    Each argument becomes a pointer: to const for Read and Constant, typed by the tensor's or the array's
    dtype.

    `overlaps` has one entry for each Read argument that the kernel lets be overwritten by an output.

    `stripes` says in which of the stripes that its op is cut to the step is run; None if it is not cut.
    """

    kernel: Kernel[Any]
    params: Params
    args: tuple[Argument, ...]
    overlaps: tuple[Overlap, ...] = ()
    stripes: range | None = None

    def of(self, kind: type[Q]) -> Q:
        """Its parameters, which are such."""
        assert isinstance(self.params, kind)
        return self.params

    @cached_property
    def members(self) -> tuple[tuple[str, Value], ...]:
        """The parameters that its kernel reads, by their names in C++."""
        return tuple(self.params.members(self.kernel.host_only))

    @property
    def instance(self) -> tuple[object, ...]:
        """What the code is made for: steps of equal instances may share it."""
        return self.kernel.name, *self.members

    @property
    def output(self) -> Write:
        """The first tensor that it writes."""
        return next(argument for argument in self.args if isinstance(argument, Write))

    @property
    def addend(self) -> tuple[Read, ...]:
        """Of a convolution, the tensor that its outputs are added to, if there is one: add_into_conv.py."""
        behind = self.args[self.args.index(self.output) + 1 :] if self.output in self.args else ()
        return tuple(argument for argument in behind if isinstance(argument, Read))

    @property
    def is_tuned(self) -> bool:
        """Whether a core's own kernel may take its place: of a layer, only if it reads constant weights."""
        if "weights" not in self.kernel.arguments:
            return True
        weights = self.args[self.kernel.arguments.index("weights")]
        return isinstance(self.args[0], Read) and not isinstance(weights, Read)

    @property
    def constant_bytes(self) -> int:
        """Size of its arrays in flash."""
        return sum(argument.values.nbytes for argument in self.args if isinstance(argument, Constant))

    @property
    def scratch_bytes(self) -> int:
        """Size of its working memory."""
        return sum(argument.bytes for argument in self.args if isinstance(argument, Scratch))


@dataclass(frozen=True)
class Alias:
    """The op moves no bytes: its output is its input's memory under another shape."""

    input: int
    output: int


def operand(graph: Graph, op: Op, position: int, name: str) -> Read | Constant:
    """Input `position` of `op`: the arena's tensor, or its values as the constant op<i>_<name>."""
    tensor = graph.tensors[op.inputs[position]]
    if tensor.data is None:
        return Read(tensor.index)
    return Constant(f"op{op.index}_{name}", tensor.data.reshape(-1))


@dataclass(frozen=True, eq=False)
class Program:
    """What there is to run. `memory[t]` is the tensor in whose memory t lies: t, or what t is an alias of.

    It begins there at byte `offsets[t]`, or at the first.

    `graph` is the one lowered, except that a constant's alias is a constant too, and for what
    float_islands.py and stripes.py do: they add tensors behind the model's own, stripes.py the slices, and it
    gives a tensor that is never whole the shape of the rows that its buffer holds.
    """

    graph: Graph
    ops: tuple[tuple[Op, tuple[Step, ...]], ...]
    memory: Mapping[int, int]
    offsets: Mapping[int, int] = field(default_factory=dict)
    slices: Mapping[int, Slice] = field(default_factory=dict)
    stripes: tuple[Stripes, ...] = ()

    def place(self, tensor: int) -> tuple[int, int]:
        """The tensor in whose memory a tensor or a slice lies, and the byte in it where it begins."""
        piece = self.slices.get(tensor, Slice(tensor, 0, 0))
        return self.memory[piece.tensor], self.offsets.get(piece.tensor, 0) + piece.offset
