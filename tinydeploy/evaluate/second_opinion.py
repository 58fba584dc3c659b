"""A second opinion on the reference: LiteRT (ai-edge-litert, the extra tinydeploy[litert]) on its samples.

LiteRT has fast kernels and plain ones. Neither set agrees with TFLite Micro everywhere, and each has faults
of its own where the other has none. So the fast ones are asked first (without XNNPACK, which rounds
otherwise), and the plain ones where the fast are more than one off; the nearer count. LiteRT runs in a
process of its own: this module as `python -m tinydeploy.evaluate.second_opinion`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinydeploy.evaluate import execution
from tinydeploy.host import tools
from tinydeploy.host.interpreter import Archive, Array, Child, listed, numbered, serve
from tinydeploy.results.measured import Parity

_TIMEOUT = 300.0  # seconds
_KERNELS = {"BUILTIN_WITHOUT_DEFAULT_DELEGATES": "fast kernels", "BUILTIN_REF": "plain kernels"}
_STATE = ("VAR_HANDLE", "CALL_ONCE")


@dataclass(frozen=True)
class Opinion:
    """How LiteRT's outputs and the reference's agree, if LiteRT has any, and what is to be said of that."""

    parity: Parity | None = None
    warnings: tuple[str, ...] = ()


def available() -> bool:
    """Whether the `ai-edge-litert` package is installed."""
    return importlib.util.find_spec("ai_edge_litert") is not None


def ask(
    model: bytes, inputs: Sequence[Array], reference: Sequence[Array], child: Child | None = None
) -> Opinion:
    """LiteRT's opinion on the outputs of `reference`, arrays [n, *shape] as Reference.run() has them.

    It has none where it is not installed, and says why where it cannot run the model. `child` may be one that
    is used again.
    """
    if not available():
        return Opinion()
    asked = child or Child(__name__)
    opinions = []
    try:
        for kernels in _KERNELS:
            opinions.append(_ask(asked, kernels, model, inputs, reference))
            if opinions[-1].parity is not None and not opinions[-1].parity.worse:
                break
    finally:
        if child is None:
            asked.close()
    found = [opinion for opinion in opinions if opinion.parity is not None]
    return min(found, key=_worse, default=opinions[0])


def _worse(opinion: Opinion) -> int:
    return opinion.parity.worse if opinion.parity else 0


def _ask(
    child: Child, kernels: str, model: bytes, inputs: Sequence[Array], reference: Sequence[Array]
) -> Opinion:
    name = f"LiteRT {tools.version('ai-edge-litert')}, {_KERNELS[kernels]}"
    question = {"model": np.frombuffer(model, np.uint8), "kernels": np.array(kernels), **numbered(inputs)}
    child.forget()
    child.ask(question)
    answer = child.answer(_TIMEOUT)
    if answer is None:
        return Opinion(warnings=(f"no second opinion: LiteRT cannot run the model: {child.reason()}",))
    outputs = listed(answer)
    if [array.shape for array in outputs] != [array.shape for array in reference]:
        return Opinion(warnings=(f"no second opinion: {name}: its outputs have other shapes",))
    parity = execution.parity(name, reference, outputs)
    if not parity.worse:
        return Opinion(parity)
    warning = (
        f"TFLite Micro, the reference, is itself off: {parity.worse:,} of {parity.outputs:,} outputs are "
        f"more than one away from those of {name}; a firmware that equals it is wrong with it"
    )
    return Opinion(parity, (warning,))


def _reply(question: Archive) -> Archive:
    """The child's side: outputs of all samples."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    model, kernels = question.pop("model").tobytes(), str(question.pop("kernels"))

    def start() -> Any:
        made = Interpreter(
            model_content=model,
            experimental_op_resolver_type=OpResolverType[kernels],
            num_threads=1,
        )
        made.allocate_tensors()
        return made

    interpreter = start()
    sources, results = interpreter.get_input_details(), interpreter.get_output_details()
    # Nothing brings resource variables back to where they started, but a new interpreter.
    lasting = any(op["op_name"] in _STATE for op in interpreter._get_ops_details())
    samples = []
    for number, sample in enumerate(zip(*listed(question), strict=True)):
        if lasting and number > 0:
            interpreter = start()
        interpreter.reset_all_variables()
        for source, array in zip(sources, sample, strict=True):
            interpreter.set_tensor(source["index"], array)
        interpreter.invoke()
        samples.append([interpreter.get_tensor(result["index"]) for result in results])
    return numbered([np.stack(output) for output in zip(*samples, strict=True)])


if __name__ == "__main__":
    serve(_reply)
