"""What is estimated where the target itself does not say what it executes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tinydeploy.boards.board import Board
from tinydeploy.evaluate.deployment import Job, prepare
from tinydeploy.evaluate.estimation import Estimates, Wanted, estimates
from tinydeploy.evaluate.execution import run_samples, setup
from tinydeploy.model import samples as sample_files
from tinydeploy.model.readers import tflite_model
from tinydeploy.progress import silent
from tinydeploy.targets import target_registry
from tinydeploy.targets.qemu import QemuKind

DIGITS = Path(__file__).parents[2] / "models" / "digits" / "digits.tflite"


class Silent(QemuKind):
    """An emulator of its own that runs a firmware and does not say what it executes."""

    title = "The silent one"

    def records(self, board: Board) -> bool:
        return False


def estimated(job: Job) -> Estimates:
    samples = sample_files.random(job.graph, 2, 0)
    firmware = job.build(job.planned_bytes, silent)
    assert job.planned_bytes is not None
    with job.session(firmware, 30.0) as session:
        setup(session.device, job.graph, job.planned_bytes)
        measured = run_samples(session.device, job.graph, samples.inputs)
    return estimates(job, firmware, samples, measured, job.planned_bytes, Wanted(), 30.0, silent)


def test_an_emulator_that_does_not_say_what_runs_has_another_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = prepare(tflite_model.load(DIGITS), board="nucleo_l4r5zi")
    usual, beside = estimated(job), estimated(replace(job, target=Silent()))
    assert usual.time is not None and usual.executed is not None
    assert (beside.time, beside.executed, beside.ops) == (usual.time, usual.executed, usual.ops)
    monkeypatch.setattr(target_registry, "KINDS", {"silent": Silent()})
    nothing = estimated(replace(job, target=Silent()))
    assert nothing.time is None and nothing.executed is None
    assert nothing.warnings == ("there is no estimate of time: The silent one does not say what runs",)
