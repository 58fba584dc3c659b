"""Affine quantisation: real = scale * (code - zero point)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.model.graph import Tensor

Array = npt.NDArray[Any]


def quantize(values: Array, tensor: Tensor) -> tuple[Array, float]:
    """Real values in the tensor's codes, and which fraction of them had to be clipped.

    As TFLite's QUANTIZE computes it: float32 division, halves rounded away from zero. The tensor must
    have a per-tensor quantisation.
    """
    assert tensor.quantization is not None
    limits = np.iinfo(tensor.dtype.value)
    with np.errstate(over="ignore"):  # what is beyond float32 is clipped like all that is too large
        scaled = values.astype(np.float32) / np.float32(tensor.quantization.scale)
    codes = np.trunc(scaled.astype(np.float64) + np.copysign(0.5, scaled)) + tensor.quantization.zero_point
    clipped = float(np.mean((codes < limits.min) | (codes > limits.max)))
    return np.clip(codes, limits.min, limits.max).astype(tensor.dtype.numpy), clipped


def dequantize(codes: Array, tensor: Tensor) -> Array:
    """Codes of the tensor as float32; values of an unquantised tensor as they are."""
    if tensor.quantization is None:
        return codes.astype(np.float32)
    shifted = codes.astype(np.int64) - tensor.quantization.zero_point
    return (shifted * np.float64(np.float32(tensor.quantization.scale))).astype(np.float32)
