"""The benchmarks of MLPerf Tiny, and the application that makes a firmware take part in one.

Sizes, quality targets and names are those of the benchmark's rules, its reference firmware and its runner
(https://github.com/mlcommons/tiny, v1.4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tinydeploy.errors import ModelError, UsageError
from tinydeploy.firmware import log_mel
from tinydeploy.firmware.made_for import Application
from tinydeploy.link.channel import BAUD
from tinydeploy.model.dtype import DType
from tinydeploy.model.graph import Graph, Quantization

APP, ENERGY_APP = "mlperf-tiny", "mlperf-tiny-energy"
ENERGY_BAUD = 9600  # what the runner's devices file has for it; a stream's stays
THRESHOLD = 0.95  # a score of the wake word above it is a detection
_LARGER_MACS = 25_000_000  # twice the multiply-accumulates of ic01's model; ic02's has 60 million


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: its name for the runner and in a submission, and what a sample and a result are.

    A sample is `inputs` numbers of the type `sent` ("int8_t", "uint8_t", "float"); a result is `outputs`
    scores, or, where reals are sent, one anomaly score. The quality is `target` or more of `metric`: "top1"
    in percent, or "auc"; without a metric, it is of what is heard in a stream: no more than `target` words
    that were missed, and no more that were not there. A file of data holds samples of `stride` bytes from one
    to the next, or one sample.
    """

    id: str
    folder: str
    title: str
    inputs: int
    sent: str
    outputs: int
    metric: str
    target: float
    stride: int = 0

    @property
    def is_real(self) -> bool:
        """Whether real numbers are sent, and the result is how far the model's outputs are from them."""
        return self.sent == "float"

    @property
    def streams(self) -> bool:
        """Whether the benchmark is of a stream of sound, of which the model takes features: log_mel."""
        return not self.metric

    @property
    def sent_bytes(self) -> int:
        """Bytes of a sample as it is sent."""
        return self.inputs * (4 if self.is_real else 1)

    @property
    def data_folder(self) -> str:
        """What the official runner calls the folder of its data; ic02's are ic01's."""
        return "ic01" if self.id == "ic02" else self.id

    @property
    def classes(self) -> int:
        """How many classes a label may name."""
        return 2 if self.is_real else self.outputs


BENCHMARKS = (
    Benchmark("kws01", "kws", "keyword spotting", 490, "int8_t", 12, "top1", 90),
    Benchmark("vww01", "vww", "visual wake words", 96 * 96 * 3, "uint8_t", 2, "top1", 80),
    Benchmark("ic01", "ic", "image classification", 32 * 32 * 3, "uint8_t", 10, "top1", 85),
    Benchmark("ic02", "ic2", "image classification, larger", 32 * 32 * 3, "uint8_t", 10, "top1", 91),
    Benchmark("sww01", "sww", "streaming wake word", 30 * 40, "int8_t", 3, "", 8),
    Benchmark("ad01", "ad", "anomaly detection", 640, "float", 640, "auc", 0.85, stride=512),
)


def benchmark_of(graph: Graph) -> Benchmark:
    """The benchmark whose samples the model takes and whose results it gives; UsageError if it is none's.

    Of the two for images of 32 x 32 it is the larger for a model of more than 25 million
    multiply-accumulates.
    """
    ins, outs = ([graph.tensors[i] for i in side] for side in (graph.inputs, graph.outputs))
    if len(ins) == len(outs) == 1:
        sizes = ins[0].elements, outs[0].elements
        fitting = [one for one in BENCHMARKS if (one.inputs, one.outputs) == sizes]
        if fitting:
            return fitting[-1 if graph.macs > _LARGER_MACS else 0]
    known = ", ".join(f"{one.id} {one.inputs} -> {one.outputs}" for one in BENCHMARKS)
    shapes = " -> ".join(_sizes([t.elements for t in side]) for side in (ins, outs))
    raise UsageError(f"the model ({shapes}) takes part in no benchmark of MLPerf Tiny", f"these are {known}")


def _sizes(elements: Sequence[int]) -> str:
    return " and ".join(map(str, elements))


def application(graph: Graph, name: str = APP) -> Application:
    """The application of the model's benchmark, by its name: APP or ENERGY_APP.

    Raises UsageError, or ModelError for another type.
    """
    benchmark, is_energy = benchmark_of(graph), name == ENERGY_APP
    given, gives = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    types = {DType.INT8: "int8_t", DType.UINT8: "uint8_t"}
    for what, tensor in (("input", given), ("output", gives)):
        if tensor.dtype not in types or tensor.quantization is None:
            raise ModelError(
                f"the model's {what} is of {tensor.dtype.value}, and {benchmark.id} is of 8-bit integers",
                "quantise it with integer inputs and outputs",
            )
    assert given.quantization is not None and gives.quantization is not None
    facts = {
        "model": benchmark.id,
        "is_energy": is_energy,
        "sent": benchmark.sent,
        "inputs": benchmark.inputs,
        "is_real": benchmark.is_real,
        "input": types[given.dtype],
        "offset": -128 if (benchmark.sent, given.dtype) == ("uint8_t", DType.INT8) else 0,
        "outputs": gives.elements,
        "output": types[gives.dtype],
        **_quantized("input", given.quantization),
        **_quantized("output", gives.quantization),
        "threshold": math.floor(THRESHOLD / gives.quantization.scale) + gives.quantization.zero_point,
        "log_mel": log_mel.tables() if benchmark.streams else None,
    }
    defines: tuple[str, ...] = ("TINYDEPLOY_MLPERF_TINY",)
    templates: tuple[str, ...] = ("mlperf_tiny_model.h.j2",)
    if benchmark.streams:
        defines += ("TINYDEPLOY_MLPERF_STREAM",)
        templates += ("log_mel_tables.h.j2",)
    return Application(
        name,
        "" if is_energy else "mlperf",
        defines,
        templates,
        facts,
        "it speaks MLPerf Tiny's device protocol, so type name%, profile% or help%",
        marks=is_energy,
        baud=ENERGY_BAUD if is_energy and not benchmark.streams else BAUD,
    )


def _quantized(what: str, quantization: Quantization) -> dict[str, str | int]:
    scale = quantization.scale
    assert math.isfinite(scale) and scale > 0, "the reader of models sees to it"
    return {f"{what}_scale": f"{scale:.9e}", f"{what}_zero_point": quantization.zero_point}
