"""The cost model: what a step costs on a core with the DSP extension, by shape, kernel and blocking.

What the inner loops take is counted in their disassembly; the rest, per channel, per pixel and per row, is
fitted to what QEMU counts for the layers of the MLPerf Tiny models. A test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinydeploy.boards.core import Core
from tinydeploy.engines.aot.ir import Step

Params = Mapping[str, int | float | bool]


def instructions(step: Step, core: Core) -> int | None:
    """The instructions of one call, within a few per cent; None for a kernel or a core without a model."""
    model = {
        "conv_2d_dsp": _conv_2d,
        "pointwise_dsp": _pointwise,
        "depthwise_conv_2d_dsp": _depthwise,
        "fully_connected_dsp": _fully_connected,
        "add_linear": _add,
        "average_pool_2d": _average_pool,
        "softmax": _softmax,
        "keep_rows": _keep_rows,
        "copy_rows": _copy_rows,
    }.get(step.kernel)
    return None if model is None or core.mve or not core.dsp else round(model(step.params))


def _pointwise(p: Params) -> float:
    pixels, depth = int(p["kRows"]), int(p["kInputDepth"])
    expanding = 5 * (depth // 4)
    return _columns(p, pixels, (depth + 1) // 2) + pixels * (expanding + 16)


def _conv_2d(p: Params) -> float:
    taps = int(p["kKernelWidth"] if p["kDilationWidth"] == 1 else 1)
    runs = int(p["kKernelHeight"] * p["kKernelWidth"]) // taps
    length = taps * int(p["kInputDepth"])
    rows, columns = (_windows_inside(p, side, edge) for side, edge in (("Height", "Top"), ("Width", "Left")))
    pixels = int(p["kBatches"] * p["kOutputHeight"] * p["kOutputWidth"])
    padded = pixels - int(p["kBatches"]) * rows * columns
    per_word, per_run, per_pixel, per_padded_run, per_padded_byte = (
        (8, 66, 88, 50, 2.2) if p["kShared"] else (5, 23, 6, 4, 1.7)
    )
    gathering = pixels * (runs * (length // 4 * per_word + per_run) + per_pixel)
    padding = padded * runs * (per_padded_run + length * per_padded_byte)
    return _columns(p, pixels, runs * ((length + 1) // 2)) + gathering + padding


def _columns(p: Params, pixels: int, pairs: int) -> float:
    """What kernels/conv_dsp.h does with the columns of `pixels`, four at a time, two channels at a time."""
    couples = (int(p["kOutputDepth"]) + 1) // 2
    fours, ones = divmod(pixels, 4) if p["kPixels"] == 4 else (0, pixels)
    block = int(p["kBlock"])
    requantising = 8 * _requantisation(p)
    adding = (49 if pairs > block else 38) if "kAddA" in p else 0  # for two channels of four pixels
    around = 57 if p["kShared"] else 51 if "kKernelHeight" in p else 38  # more of it where flags differ
    four = pairs * (11 if p["kWide"] else 13) + 3 * ((pairs - 1) // block) + requantising + adding + around
    alone = pairs if block == 1 else pairs % 2
    two, pair = (7, 5) if p["kWide"] else (10, 6)
    one = (pairs - alone) // 2 * two + alone * pair + 3 * ((pairs - 1) // block) + 15
    one += (requantising + adding) // 4
    return couples * (fours * four + ones * one)


def _requantisation(p: Params) -> int:
    """The instructions of an output, from its sum to its byte in memory."""
    bounded = p["kActivationMin"] > -128 or p["kActivationMax"] < 127
    return 4 + (not p["kWide"]) + (not p["kClampsNegative"]) + 4 * bounded


def _windows_inside(p: Params, side: str, edge: str) -> int:
    stride, pad = int(p[f"kStride{side}"]), int(p[f"kPad{edge}"])
    reach = int((p[f"kKernel{side}"] - 1) * p[f"kDilation{side}"])
    last = min(int(p[f"kOutput{side}"]) - 1, (int(p[f"kInput{side}"]) - 1 - reach + pad) // stride)
    return max(0, last - max(0, -(-pad // stride)) + 1)


def _depthwise(p: Params) -> float:
    width, stride, depth = (int(p[name]) for name in ("kOutputWidth", "kStrideWidth", "kInputDepth"))
    batches, height, top = (int(p[name]) for name in ("kBatches", "kOutputHeight", "kPadTop"))
    words = (width + 1) // 2 * stride + 1
    read = min(int(p["kInputHeight"]), (height - 1) * int(p["kStrideHeight"]) - top + 3)
    if p["kShared"]:
        channel, expanded = 49 + 57 * ((width + 1) // 2), 2 + 40 * words
    else:
        requantising = 2 * (_requantisation(p) - 5)  # beyond those five that are in a pair's instructions
        pair = (31 if stride == 1 else 34) + requantising
        channel = 47 - 3 * int(p["kWide"]) + width // 2 * pair + width % 2 * (16 - int(p["kWide"]))
        expanded = 17 * words - 12
    return batches * (height * depth * channel + read * depth / 4 * expanded)


def _fully_connected(p: Params) -> float:
    words = int(p["kInputDepth"]) // 4
    sixes, rest = divmod(int(p["kOutputDepth"]), 6)
    loops = (words - 1) // int(p["kBlock"])
    six = words * (21 if p["kWide"] else 30) + 3 * loops + (75 if p["kBlock"] == 1 else 50)
    two = words * (11 if p["kWide"] else 13) + (3 if p["kBlock"] == 1 else 15) * loops + 80
    return sixes * six + (rest + 1) // 2 * two + 90


def _add(p: Params) -> float:
    bounds = int(p["kActivationMin"] > -128) + int(p["kActivationMax"] < 127)
    return (7.5 + 2 * bounds) * p["kElements"]


def _average_pool(p: Params) -> float:
    outputs = p["kBatches"] * p["kOutputHeight"] * p["kOutputWidth"] * p["kDepth"]
    window = p["kKernelHeight"] * p["kKernelWidth"]
    if p["kDepth"] % 4 != 0 or window > 257:
        return outputs * (49 + 4.4 * window)
    return outputs * min(20 + 1.43 * window, 52 + 0.93 * window)  # small windows are unrolled


def _softmax(p: Params) -> float:
    return p["kRows"] * (110 + 32 * p["kDepth"])


def _keep_rows(p: Params) -> float:
    moved, apart = int(p["kElements"]), int(p["kFrom"])
    return 4 * moved + 25 if apart < 16 else _moved(moved, apart)


def _copy_rows(p: Params) -> float:
    moved = int(p["kRowElements"])
    if moved <= 64:  # in line, without looking at how it is aligned
        return 10 + p["kRows"] * (6 + 2 * (moved // 4 + (moved % 4 + 1) // 2))
    return 10 + p["kRows"] * (8 + _moved(moved, int(p["kInputStep"] - p["kOutputStep"])))


def _moved(moved: int, apart: int) -> int:
    """Of int8: runtime/memory.cpp moves four words at a time, or bytes if its ends are not aligned alike."""
    if apart % 4:
        return 4 * moved + 25
    fours, rest = divmod(moved, 16)
    return 13 * fours + 4 * (rest // 4 + rest % 4) + 50
