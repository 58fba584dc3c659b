"""Where jobs are done: in processes of this machine, on a Dask cluster, by Slurm. One adapter for all."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

from tinydeploy.errors import ToolError, UsageError

LOCAL, DASK, SLURM = "local", "dask://", "slurm"
_ATTEMPTS = 5  # at a job whose worker dies
_SLURM_MINUTES = 240  # for a job; submitit gives five unasked
_PR_SET_PDEATHSIG = 1
_Job = TypeVar("_Job")


def completed(
    where: str, work: Callable[[Any, _Job], None], run: Any, jobs: Sequence[_Job], workers: int, folder: Path
) -> Iterator[_Job]:
    """Each job once it was worked off, in any order. A job whose worker dies is given to another.

    `folder` is for what Slurm writes. Raises UsageError for a place that there is not.
    """
    if where == LOCAL:
        yield from _in_processes(work, run, jobs, workers)
    elif where.startswith(DASK):
        yield from _on_dask(where.removeprefix(DASK), work, run, jobs)
    elif where == SLURM:
        yield from _on_slurm(work, run, jobs, folder)
    else:
        raise UsageError(f"jobs cannot be done on {where!r}", "local, dask://HOST:PORT, or slurm")


def _in_processes(
    work: Callable[[Any, _Job], None], run: Any, jobs: Sequence[_Job], workers: int
) -> Iterator[_Job]:
    waiting = list(jobs)
    context = multiprocessing.get_context("spawn")
    for _ in range(_ATTEMPTS):
        if not waiting:
            return
        with futures.ProcessPoolExecutor(workers, context, initializer=_end_with_parent) as pool:
            running = {pool.submit(_to_the_end, work, run, job): job for job in waiting}
            try:
                for future in futures.as_completed(running):
                    try:
                        future.result()
                    except BrokenProcessPool:  # a worker died, and with it the pool
                        continue
                    waiting.remove(running[future])
                    yield running[future]
            except BaseException:
                for process in list(pool._processes.values()):
                    process.terminate()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    if waiting:
        raise _died(waiting)


def _died(waiting: Sequence[object]) -> ToolError:
    return ToolError(f"the workers of {len(waiting)} jobs died {_ATTEMPTS} times", "is there memory enough?")


def _to_the_end(work: Callable[[Any, _Job], None], run: Any, job: _Job) -> None:
    """Works the job off. A worker that is to end does, once the job has ended what it started.

    A pool's worker takes SystemExit for the job's own failure, and would wait for the next one.
    """
    try:
        work(run, job)
    except SystemExit:
        os._exit(1)


def _end_with_parent() -> None:
    """A worker ends when whoever started it does, by SIGKILL or not, and ends its emulator on the way."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(1)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:  # it has ended before
        os._exit(1)


def _on_dask(
    address: str, work: Callable[[Any, _Job], None], run: Any, jobs: Sequence[_Job]
) -> Iterator[_Job]:
    try:
        import distributed
    except ImportError as error:
        raise ToolError("distributed is not installed", "pip install 'tinydeploy[dask]'") from error
    try:
        client = distributed.Client(f"tcp://{address}", timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"there is no Dask scheduler at {address}: {error}") from error
    with client:
        running = {client.submit(work, run, job, pure=False, retries=_ATTEMPTS): job for job in jobs}
        ended = distributed.as_completed([*running], loop=client.loop)
        for future in ended:
            future.result()
            yield running[future]


def _on_slurm(
    work: Callable[[Any, _Job], None], run: Any, jobs: Sequence[_Job], folder: Path
) -> Iterator[_Job]:
    try:
        import submitit
    except ImportError as error:
        raise ToolError("submitit is not installed", "pip install 'tinydeploy[slurm]'") from error
    try:
        executor = submitit.AutoExecutor(folder=folder.parent / "slurm", cluster="slurm")
    except RuntimeError as error:
        raise ToolError(f"Slurm cannot be used: {error}", "is sbatch on PATH?") from error
    executor.update_parameters(timeout_min=_SLURM_MINUTES)
    waiting = list(jobs)
    for _ in range(_ATTEMPTS):
        if not waiting:
            return
        with executor.batch():
            submitted = {executor.submit(work, run, job): job for job in waiting}
        for one, job in submitted.items():
            try:
                one.result()
            except submitit.core.utils.UncompletedJobError:  # its node died, or its time was over
                continue
            waiting.remove(job)
            yield job
    if waiting:
        raise _died(waiting)
