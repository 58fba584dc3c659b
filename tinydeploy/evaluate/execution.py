"""Execution: samples run on a device, and what comes back condensed to counts and parity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import WrongFirmwareError
from tinydeploy.link.device import Device
from tinydeploy.link.messages import SetupReply
from tinydeploy.model.graph import Graph
from tinydeploy.model.outputs import Kind, Output
from tinydeploy.progress import Progress, silent
from tinydeploy.results.measured import Parity, Spread

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
        counts.append(invoke(device, graph, inputs, sample, profile=False))
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


def profile_ops(
    device: Device, graph: Graph, inputs: Sequence[Array], progress: Progress = silent
) -> tuple[Spread, ...]:
    """The counts of each profiled op over the first PROFILED_SAMPLES samples."""
    total = min(len(inputs[0]), PROFILED_SAMPLES)
    rows: list[Sequence[int]] = []
    for sample in range(total):
        progress("profiling each op", sample, total)
        invoke(device, graph, inputs, sample, profile=True)
        rows.append(device.op_counts())
    return tuple(spread(column) for column in zip(*rows, strict=True))


def invoke(
    device: Device,
    graph: Graph,
    inputs: Sequence[Array],
    sample: int,
    profile: bool = False,
    trigger: bool = False,
) -> int:
    """The count of an inference of one sample, from a clean state; see Device.invoke."""
    if graph.has_state:
        device.reset_state()
    for position, array in enumerate(inputs):
        device.write_input(position, array[sample].tobytes())
    return device.invoke(profile, trigger)


def _read(device: Device, graph: Graph, position: int) -> Array:
    tensor = graph.tensors[graph.outputs[position]]
    return np.frombuffer(device.read_output(position), tensor.dtype.numpy).reshape(tensor.shape)


def spread(counts: Sequence[int]) -> Spread:
    """Percentiles of counts, each one that was really seen (the nearest rank)."""
    ordered = np.sort(np.asarray(counts, dtype=np.int64))

    def rank(percent: float) -> int:
        return int(np.percentile(ordered, percent, method="inverted_cdf"))

    return Spread(rank(50), rank(95), rank(99), int(ordered[0]), int(ordered[-1]), len(ordered))


def parity(
    name: str, outputs: Sequence[Array], reference: Sequence[Array], classifier: Output | None = None
) -> Parity:
    """Element-wise agreement with the reference; for float outputs off_by_one counts neighbouring floats.

    For the output that is a `classifier`, also the share of places at which both take the same class.
    """
    steps = np.concatenate(
        [_distance(ours, theirs).ravel() for ours, theirs in zip(outputs, reference, strict=True)]
    )
    agreement = None
    if classifier is not None:
        taken = [_taken(classifier, side[classifier.position]) for side in (outputs, reference)]
        agreement = float((taken[0] == taken[1]).mean())
    return Parity(
        reference=name,
        outputs=int(steps.size),
        identical=int((steps == 0).sum()),
        off_by_one=int((steps == 1).sum()),
        worse=int((steps > 1).sum()),
        top1_agreement=agreement,
        samples=len(outputs[0]),
    )


def _taken(output: Output, values: Array) -> Array:
    """The class at each place, the first of equal scores; [n, places]."""
    by_place = output.by_place(values)
    return by_place[..., 0] if output.kind is Kind.INDEX else by_place.argmax(axis=2)


def _distance(ours: Array, theirs: Array) -> npt.NDArray[np.int64]:
    """Steps between elements: of the integer type, or of the ordered bit patterns of float32."""
    if ours.dtype.kind == "f":
        ours, theirs = _ordered_bits(ours), _ordered_bits(theirs)
    return np.abs(ours.astype(np.int64) - theirs.astype(np.int64))


def _ordered_bits(values: Array) -> npt.NDArray[np.int64]:
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)
