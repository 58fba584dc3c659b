"""A device's performance and accuracy by the rules of MLPerf Tiny, as its runner measures them.

The runner is https://github.com/mlcommons/tiny, benchmark/runner (script.py, main.py); the rules are
benchmark/MLPerfTiny_Rules.adoc there.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import DataError, LinkCorruptError
from tinydeploy.evaluate import metrics
from tinydeploy.firmware.mlperf_tiny import Benchmark
from tinydeploy.host.reference import Reference
from tinydeploy.link.mlperf_device import Inferred, MlperfDevice
from tinydeploy.mlperf.datasets import DataSet, Entry
from tinydeploy.model.dtype import DType
from tinydeploy.model.graph import Graph
from tinydeploy.progress import Progress

WINDOWS = 5
SECONDS = 10.0  # that a window lasts at least
WARMUPS = 5
_MOST = 999_999_999  # inferences that one command may ask for
_SLACK = 4  # times as long as the first inference, each may take


@dataclass(frozen=True)
class Window:
    """A number of inferences of one sample in a row, and how long they took by the device's clock."""

    entry: Entry
    inferences: int
    warmups: int
    inferred: Inferred

    @property
    def elapsed_us(self) -> int:
        """Microseconds of the device's."""
        return self.inferred.end_us - self.inferred.start_us

    @property
    def throughput(self) -> float:
        """Inferences per second of the device's; 0 if its clock stood still."""
        return 1e6 * self.inferences / self.elapsed_us if self.elapsed_us else 0.0


@dataclass(frozen=True)
class Answer:
    """What the device made of each sample of an entry."""

    entry: Entry
    inferred: tuple[Inferred, ...]

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """The mean over the samples, where there are classes as shares of one; [outputs], or [1]."""
        rows = np.array([each.results for each in self.inferred], np.float64)
        sums = rows.sum(axis=1, keepdims=True)
        shares = np.divide(rows, sums, out=rows.copy(), where=sums != 0) if rows.shape[1] > 1 else rows
        return np.asarray(shares.mean(axis=0), np.float64)


def window(device: MlperfDevice, entry: Entry, inferences: int, warmups: int, timeout: float) -> Window:
    """One window of so many inferences, which may take `timeout` seconds here."""
    device.load(entry.samples[0])
    return Window(entry, inferences, warmups, device.infer(inferences, warmups, timeout))


def inferences_for(device: MlperfDevice, data: DataSet, seconds: float) -> int:
    """How many inferences take `seconds` of the device's, and a hundredth more."""
    first = window(device, data.entries[0], 1, 0, device.timeout)
    if not first.elapsed_us:
        raise LinkCorruptError("the device's clock stands still during an inference")
    return min(math.ceil(1.01e6 * seconds / first.elapsed_us), _MOST)


def performance(
    device: MlperfDevice, data: DataSet, seconds: float, progress: Progress
) -> tuple[Window, ...]:
    """WINDOWS windows of at least `seconds` of the device's each, each with another sample."""
    begun = time.monotonic()
    count = inferences_for(device, data, seconds)
    here = time.monotonic() - begun
    timeout = device.timeout + _SLACK * here * (count + WARMUPS)
    windows = []
    for index in range(WINDOWS):
        progress("timing windows of inferences", index, WINDOWS)
        windows.append(window(device, data.entries[index % len(data.entries)], count, WARMUPS, timeout))
    return tuple(windows)


def median_throughput(windows: Sequence[Window]) -> float:
    """The median over the windows, in inferences per second."""
    return statistics.median(each.throughput for each in windows)


def answers(
    device: MlperfDevice, benchmark: Benchmark, data: DataSet, progress: Progress
) -> tuple[Answer, ...]:
    """What the device makes of all samples, each inferred once."""
    found = []
    wanted = 1 if benchmark.is_real else benchmark.outputs
    for index, entry in enumerate(data.entries):
        progress("running the samples", index, len(data.entries))
        inferred = []
        for sample in entry.samples:
            device.load(sample)
            inferred.append(device.infer(1, 0))
            if len(inferred[-1].results) != wanted:
                raise LinkCorruptError(f"the device gives {len(inferred[-1].results)} results, not {wanted}")
        found.append(Answer(entry, tuple(inferred)))
    return tuple(found)


def top1(found: Sequence[Answer]) -> float:
    """The percentage of entries whose class has the highest score, of equal ones the first."""
    right = [int(np.argmax(answer.scores)) == answer.entry.label for answer in found]
    return 100 * sum(right) / len(right)


def auc(found: Sequence[Answer]) -> float | None:
    """The area under the ROC curve: of the one score, of the second of two, or the mean of each class's.

    None where it is undefined: of a class there is no entry, or nothing else.
    """
    truth = np.array([answer.entry.label for answer in found])
    scores = np.array([answer.scores for answer in found])
    if scores.shape[1] <= 2:
        return metrics.auc(truth == 1, scores[:, -1])
    each = [metrics.auc(truth == label, scores[:, label]) for label in range(scores.shape[1])]
    return None if None in each else metrics.mean(each)


def disagreeing(graph: Graph, benchmark: Benchmark, found: Sequence[Answer]) -> int:
    """Of how many samples the device's results are not TFLite Micro's, to the digits that it prints."""
    samples = [sample for answer in found for sample in answer.entry.samples]
    given = np.array([each.results for answer in found for each in answer.inferred])
    inputs = np.stack([_input(graph, benchmark, sample) for sample in samples])
    with Reference(graph.content) as reference:
        (outputs,) = reference.run([inputs])
    gives = graph.tensors[graph.outputs[0]].quantization
    assert gives is not None, "the application sees to it"
    wanted = (outputs.reshape(len(samples), -1).astype(np.float64) - gives.zero_point) * gives.scale
    if benchmark.is_real:
        wanted = ((wanted - [np.frombuffer(sample, "<f4") for sample in samples]) ** 2).mean(
            axis=1, keepdims=True
        )
    return int((np.abs(wanted - given) > 0.00051 + 1e-5 * np.abs(wanted)).any(axis=1).sum())


def _input(graph: Graph, benchmark: Benchmark, sample: bytes) -> npt.NDArray[np.generic]:
    """The model's input that the firmware makes of a sample."""
    tensor = graph.tensors[graph.inputs[0]]
    least = -128 if tensor.dtype is DType.INT8 else 0
    if benchmark.is_real:
        assert tensor.quantization is not None
        reals = np.frombuffer(sample, "<f4")
        if not np.isfinite(reals).all():
            raise DataError("a sample holds numbers that are not finite")
        scaled = reals / np.float32(tensor.quantization.scale) + np.float32(tensor.quantization.zero_point)
        values = np.clip(np.floor(scaled - np.float32(least) + np.float32(0.5)) + least, least, least + 255)
    elif benchmark.sent == "uint8_t":
        values = np.frombuffer(sample, np.uint8).astype(np.int16) + least
    else:
        values = np.frombuffer(sample, np.int8)
    made: npt.NDArray[np.generic] = values.astype(tensor.dtype.value).reshape(tensor.shape)
    return made
