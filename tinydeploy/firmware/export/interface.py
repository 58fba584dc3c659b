"""A model's interface in C: what its header, its sources and its class in C++ are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinydeploy.boards.core import Core
from tinydeploy.engines.aot.cpp import float_literal, shape_of, type_name
from tinydeploy.engines.aot.memory.allocator import ALIGNMENT
from tinydeploy.engines.aot.model_source import LibraryCode, Slot
from tinydeploy.firmware.export.identifiers import comment, literal, tensor_names
from tinydeploy.firmware.tree import byte_lines
from tinydeploy.host import templates
from tinydeploy.model.graph import DType
from tinydeploy.version import __version__

_QUANTIZED = (DType.INT8, DType.UINT8, DType.INT16)


@dataclass(frozen=True)
class SelfTestData:
    """What a self-test runs: the bytes of all samples' inputs, and of the outputs that they should give."""

    samples: int
    inputs: bytes
    expected: bytes


@dataclass(frozen=True)
class TensorInterface:
    """An input or an output: `suffix` ends its functions' names, `macro` is in those of its macros.

    `place` is where it lies, as C++; `scale` is a literal, "" of one that is not quantised.
    """

    suffix: str
    macro: str
    ctype: str
    elements: int
    bytes: int
    shape: tuple[int, ...]
    comment: str
    place: str
    scale: str = ""
    zero_point: int = 0
    low: int = 0
    high: int = 0


@dataclass(frozen=True, eq=False)
class ModelInterface:
    """A model as a library has it, by the identifier `name`, with the kernels of `core`.

    `labels` are the names of its classes, as literals.
    """

    name: str
    title: str
    code: LibraryCode
    core: Core
    labels: tuple[str, ...]
    test: SelfTestData
    inputs: tuple[TensorInterface, ...]
    outputs: tuple[TensorInterface, ...]
    alignment: int = field(default=ALIGNMENT, init=False)

    @classmethod
    def of(
        cls, name: str, code: LibraryCode, core: Core, labels: Sequence[str], test: SelfTestData
    ) -> ModelInterface:
        """The interface of a model that was compiled for `core`."""
        title = comment(f"{name}, from {Path(code.graph.path).name}")
        inputs, outputs = _tensors("input", code.inputs), _tensors("output", code.outputs)
        return cls(name, title, code, core, tuple(map(literal, labels)), test, inputs, outputs)

    @property
    def macro(self) -> str:
        """What its macros begin with."""
        return self.name.upper()

    @property
    def sha256(self) -> str:
        """Hex digest of the model's file."""
        return self.code.graph.sha256

    @property
    def state_bytes(self) -> int:
        """What has to be kept from one inference to the next."""
        return self.code.state_bytes

    @property
    def scratch_bytes(self) -> int:
        """What an inference works in."""
        return self.code.arena_bytes

    @property
    def ops(self) -> tuple[str, ...]:
        """The names of its ops, as literals."""
        return tuple(map(literal, self.code.ops))

    @property
    def samples(self) -> int:
        """How many its self-test runs."""
        return self.test.samples

    @property
    def has_bool(self) -> bool:
        """Whether its header needs C's bool."""
        return any(tensor.ctype == "bool" for tensor in (*self.inputs, *self.outputs))

    @property
    def quantized_inputs(self) -> bool:
        """Whether any input is quantised."""
        return any(tensor.scale for tensor in self.inputs)

    def files(self) -> dict[str, str]:
        """Its sources and headers, by their paths in a library."""
        told = {**self.code.context, "m": self, "version": __version__}
        data = {"namespace": f"tinydeploy_{self.name}", "header": f"{self.name}_data.h"}
        section = f"{self.macro}_SECTION"
        lines = {"inputs": byte_lines(self.test.inputs), "expected": byte_lines(self.test.expected)}
        return {
            f"include/{self.name}.h": templates.render("model.h.j2", **told),
            f"include/{self.name}.hpp": templates.render("model.hpp.j2", **told),
            f"src/{self.name}.cpp": templates.render("model.cpp.j2", **told),
            f"src/{self.name}_data.h": templates.render("aot_model_data.h.j2", **told, **data),
            f"src/{self.name}_data.cpp": templates.render(
                "aot_model_data.cpp.j2", **told, **data, section=section
            ),
            f"src/{self.name}_self_test.cpp": templates.render("self_test.cpp.j2", **{**told, **lines}),
        }


def _tensors(kind: str, slots: Sequence[Slot]) -> tuple[TensorInterface, ...]:
    names = tensor_names([slot.tensor.name for slot in slots])
    return tuple(_tensor(kind, name, slot) for name, slot in zip(names, slots, strict=True))


def _tensor(kind: str, name: str, slot: Slot) -> TensorInterface:
    tensor, quantization = slot.tensor, slot.tensor.quantization
    told = TensorInterface(
        suffix=f"_{name}" if name else "",
        macro=f"{kind}_{name}".rstrip("_").upper(),
        ctype=type_name(tensor.dtype.numpy),
        elements=tensor.elements,
        bytes=tensor.bytes,
        shape=tensor.shape,
        comment=comment(
            f"The {kind} {tensor.name}: {shape_of(tensor)}" if name else f"The {kind}: {shape_of(tensor)}"
        ),
        place=f"{'state' if slot.in_state else 'scratch'} + {slot.offset}",
    )
    if quantization is None or quantization.per_channel or tensor.dtype not in _QUANTIZED:
        return told
    limits = np.iinfo(tensor.dtype.value)
    return TensorInterface(
        **{
            **vars(told),
            "scale": float_literal(quantization.scale),
            "zero_point": quantization.zero_point,
            "low": int(limits.min),
            "high": int(limits.max),
        }
    )
