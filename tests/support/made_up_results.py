"""Made-up results for the tests of what shows them. No figure in here was measured."""

from __future__ import annotations

import dataclasses
from math import prod

from tinydeploy.evaluate.result_parts import counted
from tinydeploy.results.measured import (
    Accuracy,
    ArenaBuffer,
    ArenaInfo,
    ClassFigure,
    Count,
    JudgedOutput,
    OpCost,
    Parity,
    Spread,
)
from tinydeploy.results.result import Result
from tinydeploy.results.setting import BoardInfo, BuildInfo, ModelInfo, OpInfo, Provenance, Symbol, TargetInfo

_PER_MAC = {"CONV_2D": 1.9, "DEPTHWISE_CONV_2D": 5.2, "FULLY_CONNECTED": 2.4}


def _op(index: int, kind: str, shape: tuple[int, ...], macs_per_output: int = 0) -> OpInfo:
    return OpInfo(index, kind, shape, prod(shape) * macs_per_output)


def mobilenet_v1(blocks: int = 13) -> tuple[OpInfo, ...]:
    """The ops of a 0.25 MobileNetV1 on 96×96 inputs: 31 with 13 blocks."""
    side, channels = 48, 8
    kinds: list[tuple[str, tuple[int, ...], int]] = [("CONV_2D", (1, side, side, channels), 27)]
    for block in range(blocks):
        if block in (1, 3, 5, 11):
            side //= 2
        kinds.append(("DEPTHWISE_CONV_2D", (1, side, side, channels), 9))
        deeper = channels * 2 if block in (0, 1, 3, 5, 11) else channels
        kinds.append(("CONV_2D", (1, side, side, deeper), channels))
        channels = deeper
    kinds += [
        ("AVERAGE_POOL_2D", (1, 1, 1, channels), 0),
        ("RESHAPE", (1, channels), 0),
        ("FULLY_CONNECTED", (1, 2), channels),
        ("SOFTMAX", (1, 2), 0),
    ]
    return tuple(_op(index, *kind) for index, kind in enumerate(kinds))


def mobilenet_v2(blocks: int = 17) -> tuple[OpInfo, ...]:
    """Inverted residuals: expand, depthwise, project and often add; over 60 ops with 17 blocks."""
    side, channels = 48, 16
    kinds: list[tuple[str, tuple[int, ...], int]] = [("CONV_2D", (1, side, side, channels), 27)]
    for block in range(blocks):
        kinds.append(("CONV_2D", (1, side, side, channels * 6), channels))
        shrink = block in (1, 3, 6, 13)
        if shrink:
            side //= 2
        kinds.append(("DEPTHWISE_CONV_2D", (1, side, side, channels * 6), 9))
        kinds.append(("CONV_2D", (1, side, side, channels + 8 * shrink), channels * 6))
        channels += 8 * shrink
        if not shrink:
            kinds.append(("ADD", (1, side, side, channels), 0))
    kinds += [("MEAN", (1, channels), 0), ("FULLY_CONNECTED", (1, 10), channels), ("SOFTMAX", (1, 10), 0)]
    return tuple(_op(index, *kind) for index, kind in enumerate(kinds))


def dense_three() -> tuple[OpInfo, ...]:
    """Three ops."""
    return (
        _op(0, "FULLY_CONNECTED", (1, 128), 640),
        _op(1, "FULLY_CONNECTED", (1, 8), 128),
        _op(2, "FULLY_CONNECTED", (1, 640), 8),
    )


def _plan(ops: tuple[OpInfo, ...], input_bytes: int) -> tuple[ArenaBuffer, ...]:
    """First fit, largest first, of a chain in which each op reads the previous op's output."""
    wanted = [("input", input_bytes, -1, 0)]
    for op in ops:
        keep = 3 if op.index + 4 < len(ops) and ops[op.index + 4].op == "ADD" else 1
        wanted.append((f"{op.op.lower()}_{op.index}", prod(op.output_shape), op.index, op.index + keep))
        if op.op == "DEPTHWISE_CONV_2D":
            wanted.append((f"scratch of op {op.index}", prod(op.output_shape) // 8, op.index, op.index))
    placed: list[ArenaBuffer] = []
    for label, size, first, last in sorted(wanted, key=lambda item: -item[1]):
        offset = 0
        for other in sorted(placed, key=lambda buffer: buffer.offset):
            if other.first_op <= last and first <= other.last_op and offset + size > other.offset:
                offset = max(offset, other.offset + other.bytes)
        placed.append(ArenaBuffer(label, offset, size, first, min(last, len(ops))))
    return tuple(placed)


def instructions(median: int, more: int = 0, runs: int = 16) -> tuple[Count, ...]:
    """As many instructions, and at the most some more."""
    return (Count("instructions", Spread(median, median + more, median + more, median, median + more, runs)),)


def made_up(
    ops: tuple[OpInfo, ...] = mobilenet_v1(),
    path: str = "models/made-up.tflite",
    accuracy: Accuracy | None = None,
    searched: bool = False,
    labelled: bool = True,
) -> Result:
    """A run that never happened."""
    macs = sum(op.macs for op in ops)
    costs = tuple(
        OpCost(
            op.index,
            op.op,
            op.macs,
            instructions(round(op.macs * _PER_MAC.get(op.op, 0) + prod(op.output_shape) * 11)),
            stack_bytes=96 + op.index,
        )
        for op in ops
        if op.op != "RESHAPE"
    )
    total = sum(cost.count for cost in costs)
    buffers = _plan(ops, 96 * 96 * 3 if len(ops) > 3 else 640)
    arena = max(buffer.offset + buffer.bytes for buffer in buffers)
    if searched:
        info = ArenaInfo(arena, "searched", arena, arena - 16, 19)
    else:
        info = ArenaInfo(arena, "planned", arena, None, 1, arena - 24, arena * 31 // 32, buffers)
    model_flash = macs // 30 + 4_000
    return Result(
        model=ModelInfo(path, "ab" * 32, model_flash + 9_000, macs, ops),
        board=BoardInfo(
            "mps2-an386",
            "Arm MPS2+ AN386 (Cortex-M4F)",
            "Cortex-M4F",
            25_000_000,
            "FPGA prototyping board. Its code memory is RAM that the loader fills.",
        ),
        engine="tflm" if searched else "aot",
        target=TargetInfo("qemu", "7.2.0", "semihosting"),
        build=BuildInfo(
            compiler="arm-none-eabi-gcc 12.2.1",
            flags=("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-O2", "-nostdlib"),
            platformio="6.2.0",
            flash_bytes=model_flash + 21_344,
            ram_bytes=arena + 8_192 + 2_912,
            flash_budget=4 << 20 if macs > 1_000_000 else 128 << 10,
            ram_budget=4 << 20 if macs > 1_000_000 else 36 << 10,
            model_flash_bytes=model_flash,
            runtime_flash_bytes=21_344,
            largest_symbols=(
                Symbol("arena", arena, "ram"),
                Symbol("op27_weights", model_flash // 3, "flash"),
                Symbol("op25_weights", model_flash // 4, "flash"),
                Symbol("stack", 8_192, "ram"),
                Symbol(
                    "tinydeploy::kernels::conv2d<tinydeploy::model::Op3>(signed char const*)", 1_412, "flash"
                ),
                Symbol("tinydeploy::kernels::depthwise<tinydeploy::model::Op1>", 1_208, "flash"),
                Symbol("tinydeploy::link::frames", 1_056, "ram"),
                Symbol("main", 912, "flash"),
                Symbol("tinydeploy::fault_handler", 388, "flash"),
                Symbol("memcpy", 172, "flash"),
            ),
        ),
        arena=info,
        stack_bytes=1_336,
        stack_budget=8_192,
        counted=instructions(total, 14, 1_000 if labelled else 16),
        per_op=costs,
        accuracy=accuracy,
        parity=Parity("TFLite Micro", 2_000, 2_000, 0, 0, 1.0, 1_000 if labelled else 16),
        warnings=(),
        provenance=Provenance(
            versions={
                "tinydeploy": "0.1.0",
                "PlatformIO": "6.2.0",
                "SCons": "4.11.0",
                "arm-none-eabi-gcc": "12.2.1",
                "QEMU": "7.2.0",
                "tflite-micro": "0.dev20260813222316",
            },
            host="Linux 6.1 x86_64, Python 3.11.7",
            started="2026-11-21T10:40:12Z",
            duration_s=42.7,
            phases_s={"model": 0.08, "generate": 0.31, "build": 21.4, "measure": 18.2, "reference": 2.7},
            data="models/made-up/test.npz, sha256 12cd34ef" if labelled else "random, seed 0",
        ),
    )


def on_a_board(result: Result) -> Result:
    """The same, counted in cycles of the board's clock."""
    hertz = result.board.clock_hz
    per_op = tuple(
        dataclasses.replace(cost, counted=counted(cost.counted[0].spread, hertz)) for cost in result.per_op
    )
    return dataclasses.replace(result, counted=counted(result.counts, hertz), per_op=per_op)


def classifier(classes: int = 10) -> Accuracy:
    """A classifier that is right nine times of ten and confuses neighbours, as its reference does."""
    each = 100
    matrix = [[0] * classes for _ in range(classes)]
    for true in range(classes):
        wrong = (true * 7) % 13
        matrix[true][true] = each - wrong
        matrix[true][(true + 1) % classes] += wrong - wrong // 3
        matrix[true][(true + 3) % classes] += wrong // 3
    right = sum(matrix[i][i] for i in range(classes))
    share = right / (each * classes)
    return Accuracy(
        "top1",
        share,
        each * classes,
        share,
        tuple(
            ClassFigure(
                f"class {i}",
                each,
                matrix[i][i],
                matrix[i][i] / sum(row[i] for row in matrix),
                matrix[i][i] / each,
                2 * matrix[i][i] / (each + sum(row[i] for row in matrix)),
            )
            for i in range(classes)
        ),
        tuple(tuple(row) for row in matrix),
        {"balanced_accuracy": share, "macro_f1": 0.9445},
        JudgedOutput(0, "scores", "SOFTMAX"),
        f'output 0 "scores" [1, {classes}], a SOFTMAX of {classes} classes',
        "y: class numbers",
        chance=1 / classes,
    )


def flawed() -> Result:
    """Over its flash budget, not identical, less accurate than the reference, and with warnings."""
    good = made_up(mobilenet_v2(), accuracy=dataclasses.replace(classifier(), reference=0.981))
    return dataclasses.replace(
        good,
        build=dataclasses.replace(good.build, flash_budget=131_072),
        parity=Parity("TFLite Micro", 10_000, 9_871, 117, 12, 0.997, 1_000),
        warnings=(
            "the data use 31 of 256 input values: is the input scaled the way the model was trained?",
            "12 of 10,000 outputs differ from the reference by more than one",
        ),
    )


def regression() -> Result:
    """A small regressor: no classes."""
    quality = Accuracy(
        "mae",
        0.04127,
        500,
        0.04127,
        also={"rmse": 0.0523, "r2": 0.871},
        output=JudgedOutput(0, "y", "values"),
        chosen='output 0 "y" [1, 640], 640 values',
        labels="y: values that the output should have",
    )
    return made_up(dense_three(), "models/made-up-regressor.tflite", quality)
