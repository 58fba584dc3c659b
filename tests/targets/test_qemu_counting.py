"""What QEMU's plugin says of an execution adds up to what the firmware counts, whatever the core."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import small_nets

from tinydeploy.errors import TargetError, ToolError
from tinydeploy.estimate import intervals
from tinydeploy.estimate.counts import Counts, counts
from tinydeploy.evaluate import execution
from tinydeploy.evaluate.deployment import Job, prepare
from tinydeploy.firmware.build import Firmware
from tinydeploy.host import memo
from tinydeploy.model.readers import tflite_model
from tinydeploy.progress import silent
from tinydeploy.targets import qemu_counting

MODELS = Path(__file__).parents[2] / "models"


def seen(job: Job, firmware: Firmware) -> tuple[Counts, tuple[Counts, ...]]:
    """What one inference executes, and each of its ops; the totals are what the firmware counts."""
    assert job.planned_bytes is not None
    with job.session(firmware, 60, recording=True) as session:
        execution.setup(session.device, job.graph, job.planned_bytes)
        total = session.device.invoke(profile=False)
        executed = session.target.executed()
        inference = intervals.inference(executed, firmware.elf)
        session.device.invoke(profile=True)
        indices = job.sources.profiled_ops
        ops = intervals.ops(session.target.executed(), len(executed), firmware.elf, indices)
        assert inference.instructions == total
        assert [op.instructions for op in ops.values()] == list(session.device.op_counts())
    return counts(inference, firmware.elf), tuple(counts(op, firmware.elf) for op in ops.values())


def prepared(model: str, board: str, **options: str) -> tuple[Job, Firmware]:
    job = prepare(tflite_model.load(MODELS / model / f"{model}.tflite"), board=board, **options)  # type: ignore[arg-type]
    return job, job.build(job.planned_bytes, silent)


@pytest.mark.parametrize(
    "board", ["mps2-an386", "mps3-an547", "qemu-virt-rv32", "nucleo_g071rb", "netduinoplus2"]
)
def test_every_instruction_is_seen_once(board: str) -> None:
    job, firmware = prepared("digits", board)
    whole, ops = seen(job, firmware)
    assert whole.taken_branches > 0 and whole.first_loads > 0 and whole.code_lines > 0
    assert whole.flash_reads >= whole.flash_lines > 0
    assert whole.ram_writes > 0 and whole.other_accesses == 0
    assert sum(op.first_loads for op in ops) == pytest.approx(whole.first_loads, rel=0.01)
    assert (whole.vector_beats > 0) == (board == "mps3-an547")
    assert (whole.dual_multiplies > 0) == (job.board.core.kernels == "dsp")
    assert seen(job, firmware) == (whole, ops), "a second time it is the same"


def test_an_op_in_stripes_is_one(tmp_path: Path) -> None:
    model = tmp_path / "block.tflite"
    model.write_bytes(small_nets.block())
    job = prepare(tflite_model.load(model), board="mps2-an386", optimize="ram")
    firmware = job.build(job.planned_bytes, silent)
    assert any((layer.stripes or 1) > 1 for layer in job.sources.layers)
    _, ops = seen(job, firmware)
    assert len(ops) == len(job.sources.profiled_ops)


def test_without_a_compiler_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "read", lambda key: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ToolError, match="g\\+\\+") as caught:
        qemu_counting.plugin("QEMU emulator version 7.2.22")
    assert caught.value.hint == "apt-get install --no-install-recommends g++"


def test_a_plugin_that_does_not_load_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    job, firmware = prepared("digits", "mps2-an386")
    monkeypatch.setattr(qemu_counting, "plugin", lambda version: b"no library")
    with pytest.raises(TargetError, match="ended with code"), job.session(firmware, 60, recording=True):
        pass


def test_a_target_that_does_not_record_says_so() -> None:
    job, firmware = prepared("digits", "mps2-an386")
    with job.session(firmware, 60) as session, pytest.raises(TargetError, match="does not say what"):
        session.target.executed()
