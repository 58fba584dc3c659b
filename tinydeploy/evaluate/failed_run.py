"""A failed run: which phase failed, and how far it had come."""

from __future__ import annotations

from tinydeploy.errors import TinydeployError
from tinydeploy.evaluate.deployment import Job
from tinydeploy.evaluate.run import Way
from tinydeploy.results.failure import Failure
from tinydeploy.version import __version__


def failure(error: TinydeployError, job: Job, way: Way) -> Failure:
    """What has failed of the job, on which way."""
    return Failure(
        message=error.message,
        hint=error.hint,
        kind=type(error).__name__,
        exit_code=error.exit_code,
        phase=way.phase,
        done={name: seconds for name, seconds in way.phases_s.items() if name != way.phase},
        model=job.graph.path,
        model_sha256=job.graph.sha256,
        board=job.board.id,
        engine=job.sources.engine,
        optimize=job.sources.optimize,
        target=job.target.name,
        log=str(way.firmware.log) if way.firmware else "",
        started=way.started.isoformat(timespec="seconds"),
        version=__version__,
    )
