"""A model with its interface in C: header, sources, class in C++; and as the measuring firmware's engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tinydeploy.engines.aot.cpp import float_literal, shape_of, type_name
from tinydeploy.engines.aot.identifiers import comment, literal, model_name, tensor_names
from tinydeploy.engines.aot.memory import allocator
from tinydeploy.engines.aot.model_source import ModelCode, Slot
from tinydeploy.engines.engine import MODEL
from tinydeploy.host import templates
from tinydeploy.model.graph import DType
from tinydeploy.version import __version__

_QUANTIZED = (DType.INT8, DType.UINT8, DType.INT16)


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
    """A model by the identifier `name`, in sources that are the same whatever firmware they are part of."""

    name: str
    code: ModelCode

    @classmethod
    def of(cls, code: ModelCode) -> ModelInterface:
        """A model's that is called after its file."""
        return cls(model_name(Path(code.graph.path).stem), code)

    @property
    def macro(self) -> str:
        """What its macros begin with."""
        return self.name.upper()

    @property
    def title(self) -> str:
        """What people call it, for a comment."""
        return comment(f"{self.name}, from {Path(self.code.graph.path).name}")

    @property
    def alignment(self) -> int:
        """What its arena has to be aligned to, in bytes."""
        return allocator.ALIGNMENT

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
        return self.code.scratch_bytes

    @property
    def ops(self) -> tuple[str, ...]:
        """The names of its ops, as literals."""
        return tuple(map(literal, self.code.ops))

    @cached_property
    def inputs(self) -> tuple[TensorInterface, ...]:
        """What goes in."""
        return _tensors("input", self.code.inputs)

    @cached_property
    def outputs(self) -> tuple[TensorInterface, ...]:
        """What comes out."""
        return _tensors("output", self.code.outputs)

    @property
    def has_bool(self) -> bool:
        """Whether its header needs C's bool."""
        return any(tensor.ctype == "bool" for tensor in (*self.inputs, *self.outputs))

    @property
    def quantized_inputs(self) -> bool:
        """Whether any input is quantised."""
        return any(tensor.scale for tensor in self.inputs)

    def sources(self) -> dict[str, str]:
        """Its sources and headers, by their paths in a firmware's tree."""
        told = {**self.code.context, "m": self, "version": __version__}
        files = {
            f"include/{self.name}.h": templates.render("aot_model.h.j2", **told),
            f"include/{self.name}.hpp": templates.render("aot_model.hpp.j2", **told),
            f"src/{self.name}.cpp": templates.render("aot_model.cpp.j2", **told),
            f"src/{self.name}_data.h": templates.render("aot_model_data.h.j2", **told),
            f"src/{self.name}_data.cpp": templates.render("aot_model_data.cpp.j2", **told),
        }
        return {f"{MODEL}/{path}": text for path, text in files.items()}

    def kernels(self) -> dict[str, str]:
        """The headers of the kernels that it calls, likewise."""
        return in_tree(self.code.kernels)

    def engine(self) -> str:
        """What makes it the measuring firmware's engine, in C++."""
        return templates.render("aot_engine.cpp.j2", **self.code.context, m=self)


def in_tree(kernels: Mapping[str, str]) -> dict[str, str]:
    """Kernels' headers by their paths in a firmware's tree, where the model's sources find them."""
    return {f"{MODEL}/src/{path}": text for path, text in kernels.items()}


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
