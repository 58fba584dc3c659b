"""Float models, and what they are quantised to, run by LiteRT on the host, with every tensor looked at.

LiteRT runs in a process of its own: this module as `python -m tinydeploy.prepare.float_host`. Its plain
kernels without XNNPACK keep all tensors.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinydeploy.errors import ModelError
from tinydeploy.host.interpreter import Archive, Array, Child, listed, numbered, serve
from tinydeploy.prepare import extras

BINS = 512  # of a histogram
_TIMEOUT = 3600.0  # seconds


@dataclass(frozen=True, eq=False)
class Range:
    """The values that one tensor takes: lowest, highest, and how many lie in each of BINS between them."""

    name: str
    low: float
    high: float
    counts: Array


@dataclass(frozen=True, eq=False)
class Noise:
    """What quantisation does to one tensor: mean squares of signal and of error, the mean error a channel."""

    name: str
    signal: float
    error: float
    bias: Array

    @property
    def snr_db(self) -> float:
        """Signal to noise in dB; infinite without an error."""
        if self.error == 0:
            return float("inf")
        return float(10 * np.log10(max(self.signal, 1e-30) / self.error))


@functools.cache
def _shared() -> Child:
    """One process for all, which ends with this one."""
    return Child(__name__)


class FloatHost:
    """LiteRT in a child process."""

    def __init__(self) -> None:
        """Starts nothing yet. Raises ToolError without ai-edge-litert."""
        extras.need("ai_edge_litert")
        self._child = _shared()

    def run(self, model: bytes, inputs: Sequence[Array]) -> list[Array]:
        """An array [n, *shape] per model output, for `inputs` [n, *shape] per model input.

        Each sample starts from the model's initial state. Raises ModelError if LiteRT cannot run it.
        """
        return listed(self._ask("run", model, inputs))

    def ranges(self, model: bytes, inputs: Sequence[Array]) -> list[Range]:
        """The range of every float tensor that the model computes or takes, over all samples."""
        answer = self._ask("ranges", model, inputs)
        rows = zip(answer["names"], answer["lows"], answer["highs"], answer["counts"], strict=True)
        return [Range(str(name), float(low), float(high), counts) for name, low, high, counts in rows]

    def noise(self, model: bytes, quantised: bytes, inputs: Sequence[Array]) -> list[Noise]:
        """The noise of each tensor that both models have by one name; `inputs` are the float model's."""
        second = {"second": np.frombuffer(quantised, np.uint8)}
        answer = self._ask("noise", model, inputs, second)
        rows = zip(answer["names"], answer["signals"], answer["errors"], strict=True)
        return [
            Noise(str(name), float(signal), float(error), answer[f"bias{i}"])
            for i, (name, signal, error) in enumerate(rows)
        ]

    def _ask(self, what: str, model: bytes, inputs: Sequence[Array], more: Archive | None = None) -> Archive:
        self._child.forget()
        question = {"what": np.array(what), "model": np.frombuffer(model, np.uint8), **(more or {})}
        self._child.ask(question | numbered(inputs))
        answer = self._child.answer(_TIMEOUT)
        if answer is None:
            raise ModelError(f"LiteRT cannot run the model: {self._child.reason()}")
        return answer


# The child's side


class _Running:
    """One model in LiteRT."""

    def __init__(self, model: bytes, *, keep: bool) -> None:
        import warnings

        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        warnings.simplefilter("ignore")
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if keep else OpResolverType.BUILTIN
        self.interpreter: Any = Interpreter(
            model_content=model,
            experimental_op_resolver_type=plain,
            experimental_preserve_all_tensors=keep,
            num_threads=1,
        )
        self.interpreter.allocate_tensors()
        self.sources = self.interpreter.get_input_details()
        self.results = self.interpreter.get_output_details()

    def invoke(self, sample: Sequence[Array]) -> None:
        self.interpreter.reset_all_variables()
        for source, array in zip(self.sources, sample, strict=True):
            self.interpreter.set_tensor(source["index"], _coded(array, source))
        self.interpreter.invoke()

    def activations(self) -> list[dict[str, Any]]:
        """The tensors that are inputs, or that an op writes."""
        written = {i for op in self.interpreter._get_ops_details() for i in op["outputs"].tolist()}
        written |= {source["index"] for source in self.sources}
        details = self.interpreter.get_tensor_details()
        return [one for one in details if one["index"] in written and one["name"]]

    def value(self, one: dict[str, Any]) -> Array:
        return np.asarray(self.interpreter.get_tensor(one["index"]))


def _coded(array: Array, detail: dict[str, Any]) -> Array:
    """Real values in the codes of an input that is quantised."""
    if array.dtype == detail["dtype"] or not np.issubdtype(detail["dtype"], np.integer):
        return array
    limits, (scale, zero_point) = np.iinfo(detail["dtype"]), detail["quantization"]
    codes = np.rint(array / np.float32(scale or 1)) + zero_point
    return np.asarray(np.clip(codes, limits.min, limits.max).astype(detail["dtype"]))


def _real(values: Array, detail: dict[str, Any]) -> Array:
    scale, zero_point = detail["quantization"]
    return (values.astype(np.float64) - zero_point) * scale if scale else values.astype(np.float64)


def _run(model: bytes, inputs: list[Array]) -> Archive:
    running, found = _Running(model, keep=False), []
    for sample in zip(*inputs, strict=True):
        running.invoke(sample)
        found.append([running.value(result) for result in running.results])
    return numbered([np.stack(output) for output in zip(*found, strict=True)])


def _ranges(model: bytes, inputs: list[Array]) -> Archive:
    running = _Running(model, keep=True)
    tensors = [one for one in running.activations() if one["dtype"] == np.float32]
    lows, highs = np.full(len(tensors), np.inf), np.full(len(tensors), -np.inf)
    counts = np.zeros((len(tensors), BINS), np.int64)
    for is_second in (False, True):
        for sample in zip(*inputs, strict=True):
            running.invoke(sample)
            for i, one in enumerate(tensors):
                values = running.value(one)
                if not np.isfinite(values).all():
                    raise ValueError(f"tensor {one['name']} holds values that are not finite")
                if is_second:
                    high = highs[i] if highs[i] > lows[i] else lows[i] + 1
                    counts[i] += np.histogram(values, BINS, (lows[i], high))[0]
                elif values.size:
                    lows[i], highs[i] = min(lows[i], values.min()), max(highs[i], values.max())
    return {
        "names": np.array([one["name"] for one in tensors]),
        "lows": lows,
        "highs": highs,
        "counts": counts,
    }


def _noise(model: bytes, second: bytes, inputs: list[Array]) -> Archive:
    floats, codes = _Running(model, keep=True), _Running(second, keep=True)
    theirs = {one["name"]: one for one in codes.activations()}
    pairs = [
        (one, theirs[one["name"]])
        for one in floats.activations()
        if one["dtype"] == np.float32 and one["name"] in theirs
    ]
    signals, errors = np.zeros(len(pairs)), np.zeros(len(pairs))
    biases: list[Any] = [0.0] * len(pairs)
    for sample in zip(*inputs, strict=True):
        floats.invoke(sample)
        codes.invoke(sample)
        for i, (one, other) in enumerate(pairs):
            wanted = floats.value(one).astype(np.float64)
            off = _real(codes.value(other), other).reshape(wanted.shape) - wanted
            signals[i] += np.mean(wanted**2)
            errors[i] += np.mean(off**2)
            biases[i] = biases[i] + off.reshape(-1, off.shape[-1] if off.ndim else 1).mean(axis=0)
    n = max(len(inputs[0]), 1)
    found = {
        "names": np.array([one["name"] for one, _ in pairs]),
        "signals": signals / n,
        "errors": errors / n,
    }
    return found | {f"bias{i}": np.asarray(bias / n) for i, bias in enumerate(biases)}


def _reply(question: Archive) -> Archive:
    what, model = str(question.pop("what")), question.pop("model").tobytes()
    second = question.pop("second").tobytes() if "second" in question else b""
    inputs = listed(question)
    if what == "noise":
        return _noise(model, second, inputs)
    return _ranges(model, inputs) if what == "ranges" else _run(model, inputs)


if __name__ == "__main__":
    serve(_reply)
