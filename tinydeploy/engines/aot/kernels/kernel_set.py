"""What a set of kernels is: all that the compiler asks of a core's instruction set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tinydeploy.engines.aot.ir import Kernel, Step
from tinydeploy.model.graph import Graph

# A choice takes a step, and gives the same work as other steps, or None where its kernels do not fit.
Choice = Callable[[Graph, Step], tuple[Step, ...] | None]
Choices = Mapping[Kernel[Any], Choice]


@dataclass(frozen=True, eq=False)
class KernelSet:
    """The kernels of an instruction set: which ones take the place of which, at what cost, in which forms.

    `choices` are the fastest in place of those that run anywhere, `small` those where code is to be small
    (None: the same), `frugal` those that work in less memory (empty: there are none). `costs` has the
    instructions of a call by its parameters. `folds_additions` says whether a convolution does an ADD behind
    it for less.

    `widened` is a step with more bytes of flash and fewer instructions, `sharing` what makes of a program's
    steps those whose code all layers share; None if there is no such form.
    """

    name: str
    choices: Choices = field(default_factory=dict)
    small: Choices | None = None
    frugal: Choices = field(default_factory=dict)
    costs: Mapping[Kernel[Any], Callable[[Any], float]] = field(default_factory=dict)
    folds_additions: bool = True
    widened: Callable[[Step], Step | None] | None = None
    sharing: Callable[[Iterable[Step]], Callable[[Step], Step]] | None = None

    def instructions(self, step: Step) -> int | None:
        """The instructions of one call, within a few per cent; None for a kernel without a model."""
        model = self.costs.get(step.kernel)
        return None if model is None else round(model(step.params))


def chosen(choices: Choices, graph: Graph, step: Step) -> tuple[Step, ...]:
    """`step` as one of `choices` has it, or as it is."""
    choice = choices.get(step.kernel) if step.is_tuned else None
    return (choice(graph, step) if choice else None) or (step,)
