"""A self-test for a job's firmware: samples, with what TFLite Micro makes of them on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from tinydeploy.evaluate import execution
from tinydeploy.evaluate.deployment import Job
from tinydeploy.firmware.project import SelfTest
from tinydeploy.host.reference import Reference
from tinydeploy.model.samples import Samples
from tinydeploy.targets.renode import platform_description


def make(job: Job, samples: Samples, max_instructions: int | None = None) -> SelfTest:
    """The self-test that runs these samples in Renode. An inference may take `max_instructions`, if given."""
    with Reference(job.graph.content) as reference:
        expected = reference.run(samples.inputs)
    return SelfTest(
        samples=len(samples.inputs[0]),
        inputs=_interleaved(samples.inputs),
        expected=_interleaved(expected),
        platform=platform_description(job.board),
        max_instructions=max_instructions,
    )


def _interleaved(tensors: Sequence[execution.Array]) -> bytes:
    """Arrays [n, *shape], one per tensor, as the bytes of one sample after another."""
    return b"".join(row.tobytes() for rows in zip(*tensors, strict=True) for row in rows)
