"""Runs samples on a device and condenses what comes back: counts, accuracy, parity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import WrongFirmwareError
from tinydeploy.graph import Graph, Tensor
from tinydeploy.link.device import Device, SetupReply
from tinydeploy.progress import Progress, silent
from tinydeploy.result import Accuracy, ClassFigure, Parity, Spread
from tinydeploy.samples import dequantize

Array = npt.NDArray[np.generic]
PROFILED_SAMPLES = 16


@dataclass(frozen=True, eq=False)
class Measurement:
    """What the device answered: per model output an array [n, *shape], and the count of each inference."""

    outputs: tuple[Array, ...]
    counts: tuple[int, ...]


def run_samples(
    device: Device, graph: Graph, inputs: Sequence[Array], progress: Progress = silent
) -> Measurement:
    """Runs every sample once, from a clean state, on a device that is set up.

    `inputs` holds an array [n, *shape] per model input.
    """
    total = len(inputs[0])
    rows: list[list[Array]] = []
    counts: list[int] = []
    for sample in range(total):
        progress("running samples", sample, total)
        counts.append(_invoke(device, inputs, sample, profile=False))
        rows.append([_read(device, graph, position) for position in range(len(graph.outputs))])
    return Measurement(tuple(np.stack(column) for column in zip(*rows, strict=True)), tuple(counts))


def setup(device: Device, graph: Graph, arena_bytes: int) -> None:
    """Sets the model up in that arena. Raises WrongFirmwareError if its tensors are not the model's."""
    inputs, outputs = (
        [graph.tensors[index].bytes for index in some] for some in (graph.inputs, graph.outputs)
    )
    check_tensors(device.setup(arena_bytes), inputs, outputs)


def check_tensors(found: SetupReply, inputs: Sequence[int], outputs: Sequence[int]) -> None:
    """Raises WrongFirmwareError unless the device's inputs and outputs have so many bytes each."""
    for what, sizes, wanted in (
        ("inputs", found.input_bytes, inputs),
        ("outputs", found.output_bytes, outputs),
    ):
        if list(sizes) != list(wanted):
            raise WrongFirmwareError(
                f"the device's {what} have {_listed(sizes)} bytes, the model's {_listed(wanted)}",
                "build and load the firmware again",
            )


def _listed(sizes: Sequence[int]) -> str:
    return ", ".join(f"{size:,}" for size in sizes) or "no"


def profile_ops(device: Device, inputs: Sequence[Array], progress: Progress = silent) -> tuple[int, ...]:
    """The median count of each profiled op over the first PROFILED_SAMPLES samples."""
    total = min(len(inputs[0]), PROFILED_SAMPLES)
    rows: list[Sequence[int]] = []
    for sample in range(total):
        progress("profiling each op", sample, total)
        _invoke(device, inputs, sample, profile=True)
        rows.append(device.op_counts())
    return tuple(int(np.median(column)) for column in zip(*rows, strict=True))


def _invoke(device: Device, inputs: Sequence[Array], sample: int, profile: bool) -> int:
    device.reset_state()
    for position, array in enumerate(inputs):
        device.write_input(position, array[sample].tobytes())
    return device.invoke(profile=profile)


def _read(device: Device, graph: Graph, position: int) -> Array:
    tensor = graph.tensors[graph.outputs[position]]
    return np.frombuffer(device.read_output(position), tensor.dtype.numpy).reshape(tensor.shape)


def spread(counts: Sequence[int]) -> Spread:
    """Percentiles of counts, each one that was really seen (the nearest rank)."""
    ordered = np.sort(np.asarray(counts, dtype=np.int64))

    def rank(percent: float) -> int:
        return int(np.percentile(ordered, percent, method="inverted_cdf"))

    return Spread(rank(50), rank(95), rank(99), int(ordered[0]), int(ordered[-1]), len(ordered))


def accuracy(
    outputs: Array,
    labels: Array,
    tensor: Tensor,
    names: Sequence[str],
    reference: Array | None,
    *,
    classes: int,
) -> Accuracy:
    """Quality of `outputs` [n, *shape] of the model output `tensor` against labels.

    Whole-number labels [n] make a classifier of so many `classes`: top-1 over the flattened output, the first
    of equal scores; a single element is the class itself. Others are a regression: MAE and MSE in real units.
    `reference` holds the host's outputs.
    """
    if labels.dtype.kind in "iu":
        return _classification(outputs, labels, names, reference, classes)
    wanted = labels.astype(np.float64).reshape(len(labels), -1)

    def errors(values: Array) -> npt.NDArray[np.float64]:
        return dequantize(values, tensor).astype(np.float64).reshape(len(labels), -1) - wanted

    error = errors(outputs)
    return Accuracy(
        metric="mae",
        value=float(np.abs(error).mean()),
        samples=len(labels),
        reference=None if reference is None else float(np.abs(errors(reference)).mean()),
        also={"mse": float((error**2).mean())},
    )


def _top1(outputs: Array) -> npt.NDArray[np.intp]:
    flat = outputs.reshape(len(outputs), -1)
    return flat[:, 0].astype(np.intp) if flat.shape[1] == 1 else np.asarray(flat.argmax(axis=1))


def _classification(
    outputs: Array, labels: Array, names: Sequence[str], reference: Array | None, classes: int
) -> Accuracy:
    truth, taken = labels.astype(np.int64), _top1(outputs)
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (truth, taken), 1)
    label = names if len(names) == classes else [str(index) for index in range(classes)]
    return Accuracy(
        metric="top1",
        value=float((truth == taken).mean()),
        samples=len(truth),
        reference=None if reference is None else float((truth == _top1(reference)).mean()),
        per_class=tuple(
            ClassFigure(label[index], int(confusion[index].sum()), int(confusion[index, index]))
            for index in range(classes)
        ),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def parity(name: str, outputs: Sequence[Array], reference: Sequence[Array], *, classifier: bool) -> Parity:
    """Element-wise agreement with the reference; for float outputs off_by_one counts neighbouring floats."""
    steps = np.concatenate(
        [_distance(ours, theirs).ravel() for ours, theirs in zip(outputs, reference, strict=True)]
    )
    return Parity(
        reference=name,
        outputs=int(steps.size),
        identical=int((steps == 0).sum()),
        off_by_one=int((steps == 1).sum()),
        worse=int((steps > 1).sum()),
        top1_agreement=float((_top1(outputs[0]) == _top1(reference[0])).mean()) if classifier else None,
        samples=len(outputs[0]),
    )


def _distance(ours: Array, theirs: Array) -> npt.NDArray[np.int64]:
    """Steps between elements: of the integer type, or of the ordered bit patterns of float32."""
    if ours.dtype.kind == "f":
        ours, theirs = _ordered_bits(ours), _ordered_bits(theirs)
    return np.abs(ours.astype(np.int64) - theirs.astype(np.int64))


def _ordered_bits(values: Array) -> npt.NDArray[np.int64]:
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)
