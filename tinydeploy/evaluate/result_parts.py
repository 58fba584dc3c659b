"""The parts of a Result: facts about the model, the build and each op, and what there is to warn of."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tinydeploy.evaluate.deployment import Job
from tinydeploy.evaluate.estimation import Estimates
from tinydeploy.firmware import elf
from tinydeploy.firmware.build import Firmware
from tinydeploy.firmware.tree import SOURCES
from tinydeploy.link.messages import Stats
from tinydeploy.model.graph import Op, Tensor, op_macs, op_shape
from tinydeploy.results.measured import ArenaInfo, Count, OpCost, Spread
from tinydeploy.results.setting import BuildInfo, LibraryInfo, ModelInfo, OpInfo, TargetInfo, TensorInfo
from tinydeploy.version import __version__


def model_info(job: Job) -> ModelInfo:
    """The model and its ops."""
    graph = job.graph
    ops = tuple(
        OpInfo(
            op.index,
            op.kind,
            op_shape(graph, op),
            op_macs(graph, op),
            graph.tensors[op.outputs[0]].name if op.outputs else None,
        )
        for op in graph.ops
    )
    edges = [tuple(tensor_info(graph.tensors[i]) for i in some) for some in (graph.inputs, graph.outputs)]
    return ModelInfo(
        graph.path, graph.sha256, graph.file_bytes, graph.macs, ops, graph.edits, graph.signature, *edges
    )


def tensor_info(tensor: Tensor) -> TensorInfo:
    """A tensor at the model's edge."""
    whole = tensor.quantization if tensor.quantization and not tensor.quantization.per_channel else None
    return TensorInfo(
        tensor.name,
        tensor.shape,
        tensor.dtype.value,
        whole.scale if whole else None,
        whole.zero_point if whole else None,
    )


def build_info(job: Job, firmware: Firmware) -> BuildInfo:
    """What the firmware takes of flash and RAM, and how it was compiled."""
    sizes = firmware.sizes
    return BuildInfo(
        compiler=firmware.compiler,
        flags=firmware.flags,
        platformio=firmware.platformio,
        flash_bytes=sizes.flash_bytes,
        ram_bytes=sizes.ram_bytes,
        flash_budget=job.board.flash.bytes,
        ram_budget=job.board.ram.bytes,
        model_flash_bytes=sizes.model_flash_bytes,
        runtime_flash_bytes=sizes.runtime_flash_bytes,
        largest_symbols=sizes.largest_symbols,
        engine_flash_bytes=None if job.library else sizes.model_flash_bytes + _engine_code(job, firmware),
    )


def _engine_code(job: Job, firmware: Firmware) -> int:
    """The flash that the engine's own sources take, without the model's constants."""
    units = (f"{SOURCES}/{path}" for path in job.sources.model if path.endswith(".cpp"))
    return sum(elf.unit_bytes(firmware.elf, unit) for unit in units)


def slow_kernels(job: Job, library: LibraryInfo | None) -> tuple[str, ...]:
    """A warning of layers that a library has reference kernels for, where the core could do better."""
    core = job.board.core
    if library is None or not {"dsp", "mve"} & {*core.features}:
        return ()
    heavy = {op.kind for op in job.graph.ops if op_macs(job.graph, op)}
    slow = [kind for kind, kernels in library.kernels.items() if kernels == "reference" and kind in heavy]
    if not slow:
        return ()
    instructions = "vector" if "mve" in core.features else "DSP"
    return (
        f"{', '.join(slow)}: reference kernels are linked, "
        f"which leave the {instructions} instructions of the {core.name} unused",
    )


def per_op(
    job: Job, firmware: Firmware, op_counts: Sequence[Spread], clock_hz: int | None, estimated: Estimates
) -> tuple[OpCost, ...]:
    """Each op's counts (see `counted`), its stack, how the engine does it, and what is estimated of it."""
    stack = {
        int(function[1]): bytes_
        for name, bytes_ in elf.stack_use(firmware.elf).items()
        if (function := re.match(r"tinydeploy_\w+::op(\d+)_", name))
    }
    layers = {layer.op: layer for layer in job.sources.layers}

    def cost(op: Op, count: Spread) -> OpCost:
        return OpCost(
            op.index,
            op.kind,
            op_macs(job.graph, op),
            counted(count, clock_hz),
            stack.get(op.index),
            layers.get(op.index),
            estimated.ops.get(op.index),
            estimated.executed_by_op.get(op.index),
        )

    ops = [job.graph.ops[index] for index in job.sources.profiled_ops]
    return tuple(cost(op, count) for op, count in zip(ops, op_counts, strict=True))


def counted(count: Spread, clock_hz: int | None) -> tuple[Count, ...]:
    """The counts that follow from one: instructions, or of a core with a clock cycles and their time."""
    if clock_hz is None:
        return (Count("instructions", count),)
    ranks = ("median", "p95", "p99", "min", "max")
    micros = {rank: round(1e6 * getattr(count, rank) / clock_hz, 3) for rank in ranks}
    return Count("cycles", count), Count("microseconds", Spread(runs=count.runs, **micros))


def arena_info(arena: ArenaInfo, stats: Stats) -> ArenaInfo:
    """An arena past whose end the firmware wrote did not pass, whatever came out."""
    return replace(arena, passes_at=None, fails_at=arena.bytes) if stats.arena_overrun else arena


def device_warnings(stats: Stats, clock_hz: int, nominal_hz: int) -> tuple[str, ...]:
    """What the device told that should not be: bytes past the arena, damaged frames, another clock."""
    warnings = []
    if stats.arena_overrun:
        warnings.append("the firmware wrote past its arena")
    if stats.bad_frames:
        warnings.append(f"{stats.bad_frames} frames reached the device damaged and were sent again")
    if clock_hz != nominal_hz:
        warnings.append(
            f"the core runs at {clock_hz / 1e6:g} MHz, and the board's is {nominal_hz / 1e6:g} MHz"
        )
    return tuple(warnings)


def versions(firmware: Firmware, target: TargetInfo, reference: str) -> dict[str, str]:
    """The versions of all that had a part in it, by name."""
    return {
        "tinydeploy": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platformio": firmware.platformio,
        "compiler": firmware.compiler,
        target.kind: target.version,
        "reference": reference,
    }
