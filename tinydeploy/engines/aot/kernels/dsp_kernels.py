"""The kernels for Arm's DSP extension: what they are specialised to, and the overlaps that they allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinydeploy.engines.aot.ir import Call, Kernel, Params
from tinydeploy.engines.aot.kernels.layer_kernels import (
    LAYER,
    UNSCALED,
    Conv2d,
    DepthwiseConv2d,
    Layer,
    by_channels,
    by_columns,
)
from tinydeploy.engines.aot.memory import input_overlap


@dataclass(frozen=True)
class Dsp(Params):
    """A layer of int8, see kernels/dsp.h. Its multiplier and shift are 0 if each channel has its own."""

    layer: Layer
    clamps_negative: bool  # whether the activation clamps what is below the zero point
    multiplier: int
    shift: int
    wide: bool  # weights of 16 bits in flash
    shared: bool  # one code for all layers, which know their shapes at run time

    @property
    def variant(self) -> str:
        """Wide weights or shared code, and whether it adds."""
        return " wide" * self.wide + " shared" * self.shared + self.layer.variant


@dataclass(frozen=True)
class DspRow(Dsp):
    """A fully connected layer of one row, whose loop takes `block` words at once."""

    block: int


@dataclass(frozen=True)
class DspColumns(Dsp):
    """A convolution by columns of `pixels` (1 or 4), whose loop takes `block` pairs at once."""

    block: int
    pixels: int


@dataclass(frozen=True)
class Dsp16x8(Params):
    """A layer of int16, see kernels/conv_16x8_dsp.h."""

    layer: Layer
    wide_sums: bool
    narrow: bool  # whether sums of 32 bits do
    run: int  # pairs whose products surely add up in 32 bits


@dataclass(frozen=True)
class DspColumns16x8(Dsp16x8):
    """A convolution by columns of `pixels` (1 or 4)."""

    pixels: int


def _columns(call: Call[DspColumns]) -> Mapping[str, int]:
    return by_columns(call.params.layer, call.params.pixels, call.args)


def _rows_kept(call: Call[Dsp]) -> Mapping[str, int]:
    layer = call.params.layer
    assert isinstance(layer, DepthwiseConv2d)
    return {"input": input_overlap.row_by_row(layer.geometry, layer.input_depth, layer.output_depth)}


def _columns_16x8(call: Call[DspColumns16x8]) -> Mapping[str, int]:
    p, layer = call.params, call.params.layer
    assert isinstance(layer, Conv2d)
    return {"input": by_channels(layer, layer.output_depth, p.pixels) * call.sizes[-1]}


def _fours_16x8(call: Call[Dsp16x8]) -> Mapping[str, int]:
    layer = call.params.layer
    assert isinstance(layer, DepthwiseConv2d)
    return {"input": by_channels(layer, 4) * call.sizes[-1]}


_ARGUMENTS = ("input", "weights", "channels", "columns", "output", "[addend]")
_HOST_ONLY = frozenset({"left_shift"})
FULLY_CONNECTED_DSP = Kernel(
    "fully_connected_dsp",
    "fully_connected_dsp.h",
    DspRow,
    ("input", "weights", "channels", "output"),
    host_only=_HOST_ONLY | {"rows", "shared"},
)
POINTWISE_DSP = Kernel(
    "pointwise_dsp", "conv_dsp.h", DspColumns, _ARGUMENTS, _columns, _HOST_ONLY | {"shared"}
)
CONV_2D_DSP = Kernel("conv_2d_dsp", "conv_dsp.h", DspColumns, _ARGUMENTS, _columns, _HOST_ONLY | {"groups"})
DEPTHWISE_CONV_2D_DSP = Kernel(
    "depthwise_conv_2d_dsp",
    "depthwise_conv_dsp.h",
    Dsp,
    ("input", "weights", "channels", "rows", "output"),
    _rows_kept,
    _HOST_ONLY
    | {"kernel_height", "kernel_width", "dilation_height", "dilation_width", "depth_multiplier", "padded"},
)

FULLY_CONNECTED_16X8_DSP = Kernel(
    "fully_connected_16x8_dsp", "conv_16x8_dsp.h", Dsp16x8, LAYER, host_only=UNSCALED | {"rows"}
)
CONV_2D_16X8_DSP = Kernel(
    "conv_2d_16x8_dsp",
    "conv_16x8_dsp.h",
    DspColumns16x8,
    (*LAYER[:-1], "columns", "output"),
    _columns_16x8,
    UNSCALED | {"groups", "input_zero_point"},
)
DEPTHWISE_CONV_2D_16X8_DSP = Kernel(
    "depthwise_conv_2d_16x8_dsp",
    "conv_16x8_dsp.h",
    Dsp16x8,
    LAYER,
    _fours_16x8,
    UNSCALED | {"depth_multiplier", "input_zero_point", "narrow", "run", "wide_sums"},
)
