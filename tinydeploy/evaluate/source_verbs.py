"""The verbs that write sources for others to build: a PlatformIO project, a library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from tinydeploy.errors import UsageError
from tinydeploy.evaluate import exporting, selftest
from tinydeploy.evaluate.deployment import Job, prepare
from tinydeploy.evaluate.keyword_types import Deploying
from tinydeploy.evaluate.keywords import checked_keywords
from tinydeploy.evaluate.mlperf_options import APPS
from tinydeploy.evaluate.request import (
    Beside,
    Model,
    load_model,
    unlabelled_samples,
    with_usual,
)
from tinydeploy.firmware import mlperf_tiny, project
from tinydeploy.firmware.export import model_library
from tinydeploy.model.samples import Data
from tinydeploy.progress import Notice, unsaid
from tinydeploy.targets.target_registry import self_testing
from tinydeploy.words import FORMS, SELFTEST_SAMPLES


@checked_keywords
def generate(
    model: Model,
    out: str | Path,
    *,
    renode_test: bool = False,
    data: Data | None = None,
    samples: int | None = None,
    max_instructions: int | None = None,
    app: str | None = None,
    notice: Notice = unsaid,
    **options: Unpack[Deploying],
) -> Path:
    """Writes a PlatformIO project that stands on its own into the folder `out`, and returns it.

    It is for the board itself, wherever there is such a board, if no `target` is named. `notice` is told
    what there is to know of it.
    With `renode_test` it has a self-test for Renode too: so many `samples` of `data`, or of seeded random
    inputs, with the outputs that they should give, in a suite for renode-test. There an inference
    may take `max_instructions`. With the `app` "mlperf-tiny" it speaks MLPerf Tiny's device protocol, with
    "mlperf-tiny-energy" as its energy mode has it, with a pin.
    """
    settled = with_usual(model, {**options, "data": data}, "generate")
    if app not in (None, *APPS):
        raise UsageError(f"there is no application '{app}'", f"it is {' or '.join(APPS)}")
    if app and renode_test:
        raise UsageError("a self-test is an application of its own", "leave out --app or --renode-test")
    if renode_test:
        target, tester = settled.get("target"), self_testing()
        if target not in (None, tester.name):
            raise UsageError(
                f"a test for {tester.title} cannot be made for the target '{target}'", "leave --target out"
            )
        settled["target"] = tester.name
    elif samples is not None or max_instructions is not None:
        ignored = "samples" if samples is not None else "max_instructions"
        raise UsageError(f"{ignored} is for a self-test, and none was asked for", "add --renode-test")
    data = settled.pop("data", None)
    graph = load_model(model, settled)
    job = prepare(graph, for_board=True, **settled)
    if app:
        job = _applied(job, app)
    test = None
    if renode_test:
        inputs = unlabelled_samples(job.graph, data, samples or SELFTEST_SAMPLES, Beside.of(model))
        test = selftest.make(job, inputs, max_instructions)
    folder = project.write(job.project(job.planned_bytes, test), Path(out))
    for note in job.notes:
        notice(note)
    return folder


def _applied(job: Job, app: str) -> Job:
    """The job of the application. Raises UsageError where it cannot be."""
    made = mlperf_tiny.application(job.graph, app)
    if made.marks and job.target.is_emulator:
        raise UsageError(f"energy is measured on a board, and this is for {job.target.title}")
    return replace(job.with_trigger() if made.marks else job, app=made)


@checked_keywords
def export(
    models: Model | Sequence[Model],
    out: str | Path,
    *,
    forms: Sequence[str] = FORMS[:1],
    core: str | None = None,
    portable: bool = False,
    labels: Sequence[str] = (),
    data: Data | None = None,
    samples: int | None = None,
    **options: Unpack[Deploying],
) -> Path:
    """Writes the models as a library for one's own firmware into the folder `out`, and returns it.

    A model may be NAME=FILE; else it is called after its file. `forms` are words of FORMS. The kernels are
    those of the `board`, of a `core`, or `portable` ones. `labels` name the classes. The self-test runs so
    many `samples` of `data`, or of seeded random inputs. Of `options`, `signature`, `logits`, `board` and
    `optimize` count.
    """
    chosen = exporting.core_of({"board": options.get("board"), "core": core, "portable": portable})
    given = {**options, "labels": labels, "data": data, "samples": samples}
    listed = [models] if isinstance(models, str | bytes | Path) else [*models]
    made = [exporting.library_model(model, given, chosen) for model in listed]
    return model_library.write(model_library.library(made, forms), Path(out))
