"""Tables of functions of one integer that go through float, as TFLite Micro's own kernels make them.

`Functions` holds such functions as nodes: the codes of a tensor, constants, and ops of nodes before them. A
node's values for all codes come from a tiny model of its ops, which TFLite Micro runs on this machine:
libraries differ in the last bit of exp() or sin(), so nothing else would be bit for bit the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import tflite

from tinydeploy.errors import TinydeployError
from tinydeploy.host import reference
from tinydeploy.model.graph import DType, OptionValue
from tinydeploy.model.tflite_writer import Writer

CODES = "CODES"  # the kind of a node that is the integers themselves, in the order of their bits
CONSTANT = "CONSTANT"
MAX_NODES = 200  # of one function: a file may be made to have too many

_TIMEOUT = 60.0  # seconds
_TOGETHER = 32  # functions in one model
# The options that change what an op computes.
_OPTIONS = {
    **{kind: f"{kind.capitalize()}Options" for kind in ("ADD", "SUB", "MUL", "DIV")},
    "LEAKY_RELU": "LeakyReluOptions",
}

Table = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Node:
    """A value for every code. `args` are earlier nodes, `data` what a constant holds."""

    kind: str
    dtype: DType
    args: tuple[int, ...] = ()
    quantization: tuple[float, int] | None = None  # scale and zero point
    options: tuple[tuple[str, OptionValue], ...] = ()
    data: bytes = b""


@dataclass(frozen=True)
class Failure:
    """Why a node has no values: what TFLite Micro says of it, or of the earlier `node` that it needs."""

    node: int
    reason: str


class Functions:
    """The functions of one graph. Equal nodes are one, so that two tensors' functions compare by number."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._numbers: dict[Node, int] = {}

    def add(self, node: Node) -> int:
        """The number of `node`."""
        number = self._numbers.setdefault(node, len(self.nodes))
        if number == len(self.nodes):
            self.nodes.append(node)
        return number

    def op(
        self,
        kind: str,
        args: tuple[int, ...],
        dtype: DType,
        quantization: tuple[float, int] | None = None,
        options: tuple[tuple[str, OptionValue], ...] = (),
    ) -> int:
        """The node of an op's result. Of the `options`, those stay that change what it computes."""
        known = ("fused_activation_function", "alpha")
        kept = tuple((name, value) for name, value in options if kind in _OPTIONS and name in known)
        return self.add(Node(kind, dtype, args, quantization, kept))

    def tables(self, wanted: Sequence[int]) -> list[Table | Failure]:
        """The values of each wanted node: as many as it has codes, in the order of the codes' bits."""
        if not wanted:
            return []
        if not reference.available():
            reason = "its table comes from TFLite Micro's kernels, and the package tflite-micro is missing"
            return [Failure(node, reason) for node in wanted]
        found: dict[int, Table | Failure] = {}
        different = [*dict.fromkeys(wanted)]
        for first in range(0, len(different), _TOGETHER):
            some = different[first : first + _TOGETHER]
            small = len(self._needed(some)) <= MAX_NODES * len(some)
            together = self._run(tuple(some)) if small else ""
            found |= {node: self._alone(node) for node in some} if isinstance(together, str) else together
        return [found[node] for node in wanted]

    def _alone(self, wanted: int) -> Table | Failure:
        ops = [node for node in self._needed((wanted,)) if self.nodes[node].kind not in (CODES, CONSTANT)]
        if len(ops) > MAX_NODES:
            return Failure(wanted, f"it goes through {len(ops)} ops, more than {MAX_NODES}")
        found = self._run((wanted,))
        if not isinstance(found, str):
            return found[wanted]
        # The first that fails is the one to name.
        first = bisect_left(
            ops, True, key=lambda node: isinstance(self._run((*ops[: ops.index(node) + 1],)), str)
        )
        node = ops[min(first, len(ops) - 1)]
        reason = self._run((*ops[: ops.index(node) + 1],))
        return Failure(node, f"TFLite Micro refuses it: {reason if isinstance(reason, str) else found}")

    def _run(self, wanted: tuple[int, ...]) -> dict[int, Table] | str:
        """The tables, or why there are none."""
        needed = self._needed(wanted)
        if all(self.nodes[node].kind != CODES for node in needed):
            needed = [self.add(Node(CODES, DType.INT8, quantization=(1.0, 0))), *needed]  # to run it once
        given = [self.nodes[node] for node in needed if self.nodes[node].kind == CODES]
        model, lowest = self._model(needed, wanted), []
        for node in given:
            assert node.quantization is not None
            lowest.append((node.dtype, node.quantization[1]))
        found = _evaluate(model, tuple((dtype, int(np.iinfo(dtype.value).min)) for dtype, _ in lowest))
        direct = any(self.nodes[argument].kind == CODES for argument in self.nodes[wanted[0]].args)
        if isinstance(found, str) and len(wanted) == 1 and direct and self.nodes[wanted[0]].quantization:
            # RSQRT fails on what is negative: there it gets what stands for zero.
            again = _evaluate(model, tuple(lowest))
            found = found if isinstance(again, str) else again
        return found if isinstance(found, str) else dict(zip(wanted, found, strict=True))

    def _needed(self, wanted: Sequence[int]) -> list[int]:
        """The wanted nodes and all that they need, each after its arguments."""
        found: set[int] = set()
        todo = [*wanted]
        while todo:
            node = todo.pop()
            if node not in found:
                found.add(node)
                todo += self.nodes[node].args
        return sorted(found)

    def _model(self, needed: Sequence[int], wanted: Sequence[int]) -> bytes:
        """A .tflite file of the `needed` nodes, one tensor each."""
        writer = Writer()
        tensors: dict[int, int] = {}
        extents: dict[int, int] = {}
        for number in needed:
            node = self.nodes[number]
            if node.kind == CODES:
                extents[number] = 1 << 8 * node.dtype.bytes
            elif node.kind == CONSTANT:
                extents[number] = len(node.data) // node.dtype.bytes
            else:
                extents[number] = max(extents[argument] for argument in node.args)
            tensors[number] = writer.tensor((extents[number],), node.dtype, node.quantization, node.data)
            if node.kind not in (CODES, CONSTANT):
                arguments = [tensors[argument] for argument in node.args]
                writer.op(node.kind, arguments, [tensors[number]], _encoded(node))
        inputs = [tensors[number] for number in needed if self.nodes[number].kind == CODES]
        return writer.model(inputs, [tensors[number] for number in wanted])


def _encoded(node: Node) -> tuple[str, dict[str, OptionValue]] | None:
    """The table of options, and its fields as the schema has them."""
    if node.kind not in _OPTIONS:
        return None
    fields: dict[str, OptionValue] = {}
    for name, value in node.options:
        if name == "fused_activation_function":
            value = getattr(tflite.ActivationFunctionType, str(value))
        fields["".join(word.capitalize() for word in name.split("_"))] = value
    return _OPTIONS[node.kind], fields


@lru_cache(maxsize=256)
def _evaluate(model: bytes, lowest: tuple[tuple[DType, int], ...]) -> tuple[Table, ...] | str:
    """The model's outputs for all codes of each input, none below its `lowest`; or what TFLite Micro says."""
    inputs = []
    for dtype, low in lowest:
        codes = np.arange(1 << 8 * dtype.bytes).astype(f"uint{8 * dtype.bytes}").view(dtype.numpy)
        inputs.append(np.maximum(codes, np.array(low, dtype.numpy))[np.newaxis])
    try:
        with reference.Reference(model, _TIMEOUT) as tflm:
            return tuple(output[0] for output in tflm.run(inputs))
    except TinydeployError as error:
        return error.message.removeprefix("TFLite Micro cannot run the model: ")
