"""The element types of tensors."""

from __future__ import annotations

from enum import Enum

import numpy as np


class DType(Enum):
    """Element types that a model may hold; the value is numpy's name."""

    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float32"
    BOOL = "bool"

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The numpy dtype."""
        return np.dtype(self.value)

    @property
    def bytes(self) -> int:
        """Size of one element."""
        return self.numpy.itemsize
