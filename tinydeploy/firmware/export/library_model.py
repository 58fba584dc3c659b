"""A model as a library has it: what it was compiled for, its classes' names and its self-test beside it."""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.boards.core import Core
from tinydeploy.engines.aot.identifiers import literal
from tinydeploy.engines.aot.interface import ModelInterface
from tinydeploy.engines.engine import MODEL
from tinydeploy.firmware.tree import byte_lines
from tinydeploy.host import templates


@dataclass(frozen=True)
class SelfTestData:
    """What a self-test runs: the bytes of all samples' inputs, and of the outputs that they should give."""

    samples: int
    inputs: bytes
    expected: bytes


@dataclass(frozen=True, eq=False)
class LibraryModel(ModelInterface):
    """A model with the kernels of `core`; `class_names` are what its classes are called."""

    core: Core
    class_names: tuple[str, ...]
    test: SelfTestData

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its classes, as literals."""
        return tuple(map(literal, self.class_names))

    @property
    def samples(self) -> int:
        """How many its self-test runs."""
        return self.test.samples

    def beside(self) -> dict[str, str]:
        """The sources that a library has beside the model's own, by their paths in a tree."""
        lines = {"inputs": byte_lines(self.test.inputs), "expected": byte_lines(self.test.expected)}
        return {
            f"{MODEL}/src/{self.name}_labels.cpp": templates.render("labels.cpp.j2", m=self),
            f"{MODEL}/src/{self.name}_self_test.cpp": templates.render("self_test.cpp.j2", m=self, **lines),
        }
