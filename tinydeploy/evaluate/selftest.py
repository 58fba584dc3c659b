"""A self-test for a job's firmware: samples, with what TFLite Micro makes of them on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from tinydeploy.evaluate import execution
from tinydeploy.evaluate.deployment import Job
from tinydeploy.firmware.made_for import SelfTest
from tinydeploy.host.reference import Reference
from tinydeploy.model.graph import Graph
from tinydeploy.model.samples import Samples


def make(job: Job, samples: Samples, max_instructions: int | None = None) -> SelfTest:
    """The self-test that runs these samples on the job's target, each in `max_instructions` at most."""
    inputs, expected = reference_run(job.graph, samples)
    return SelfTest(
        samples=len(samples.inputs[0]),
        inputs=inputs,
        expected=expected,
        suite=job.target.suite(job.board),
        max_instructions=max_instructions,
    )


def reference_run(graph: Graph, samples: Samples) -> tuple[bytes, bytes]:
    """The bytes of each sample's inputs, one after another, and of the outputs that TFLite Micro gives."""
    with Reference(graph.content) as reference:
        expected = reference.run(samples.inputs)
    return _interleaved(samples.inputs), _interleaved(expected)


def _interleaved(tensors: Sequence[execution.Array]) -> bytes:
    """Arrays [n, *shape], one per tensor, as the bytes of one sample after another."""
    return b"".join(row.tobytes() for rows in zip(*tensors, strict=True) for row in rows)
