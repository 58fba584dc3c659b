"""TFLite Micro in a process of its own, because a model that it does not like can crash it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Self

import native
import numpy as np

from tinydeploy.model.graph import Graph

Outputs = list[list[native.Array]]
TIMEOUT = 600  # seconds, for all that was submitted before, too


def reference(model: bytes, samples: Sequence[native.Sample]) -> Outputs | str:
    """TFLite Micro's outputs, or why it refuses the model."""
    try:
        return native.tflm(model, samples)
    except (RuntimeError, AttributeError) as error:  # its Python reads some options before it looks for them
        return str(error) or "refused"


class Interpreter:
    """TFLite Micro in its process. Use as a context manager."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def submit(self, model: bytes, samples: Sequence[native.Sample]) -> Future[Outputs | str]:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        return self._pool.submit(reference, model, samples)

    def result(
        self, future: Future[Outputs | str], model: bytes, samples: Sequence[native.Sample]
    ) -> Outputs | str:
        try:
            return future.result(timeout=TIMEOUT)
        except BrokenProcessPool:
            self._pool = None
        try:  # again and alone: another model may have been at fault
            return self.submit(model, samples).result(timeout=TIMEOUT)
        except BrokenProcessPool:
            self._pool = None
            return "crashed"


def difference(graph: Graph, ours: Outputs | AssertionError, theirs: Outputs) -> str:
    """The first output that differs, or why there are none, in words; empty if all are the same."""
    if isinstance(ours, AssertionError):
        return str(ours)
    for sample, (mine, expected) in enumerate(zip(ours, theirs, strict=True)):
        for output, (a, b) in enumerate(zip(mine, expected, strict=True)):
            if a.tobytes() != b.tobytes():
                at = int(np.flatnonzero(a.ravel() != b.ravel())[0])
                return (
                    f"output {output} of {[op.kind for op in graph.ops]}, sample {sample}, "
                    f"element {at} of {a.size}: {a.ravel()[at]} instead of {b.ravel()[at]}"
                )
    return ""
