"""The energy of inferences on a board, by a meter: of those that raise the board's trigger pin."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from tinydeploy.errors import UsageError
from tinydeploy.evaluate import execution
from tinydeploy.evaluate.deployment import Job
from tinydeploy.link.device import Device
from tinydeploy.meters import meters
from tinydeploy.meters.meter import energy
from tinydeploy.progress import Progress
from tinydeploy.results.measured import MeasuredEnergy

INFERENCES = 20


def with_trigger(job: Job, meter: str | None) -> Job:
    """The job whose firmware has a trigger pin, if there is a `meter`. Raises UsageError without one."""
    if meter is None:
        return job
    meters.check(meter)
    if job.target.is_emulator:
        raise UsageError("a meter measures a board, and this runs in " + job.target.title, "add --port")
    made = job.with_trigger()
    if job.no_upload:
        raise UsageError("a meter needs a firmware that raises a pin", "leave out --no-upload")
    return made


def measured(
    job: Job, device: Device, inputs: Sequence[execution.Array], meter: str, progress: Progress
) -> MeasuredEnergy:
    """The energy of an inference of the first sample, over INFERENCES of them."""
    with closing(meters.opened(meter)) as opened:
        opened.start()
        for index in range(INFERENCES):
            progress("measuring energy", index, INFERENCES)
            execution.invoke(device, job.graph, inputs, 0, trigger=True)
        return energy(opened.stop(), INFERENCES)
