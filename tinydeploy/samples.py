"""Samples for the model's inputs: from an .npz file with labels, or random."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import DataError
from tinydeploy.graph import DType, Graph, Tensor, class_count, positions_below

Array = npt.NDArray[Any]

# Thresholds of the warnings, all fractions.
NARROW_SPAN = 1 / 8
CLIPPED = 0.05

_MOST_RANDOM_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples in the model's own input types.

    `inputs` holds an array [n, *shape] per model input. `labels` belong to the model's first output: class
    numbers (int64, [n]) or wanted values (float32, [n, *shape]); None without labels. `source` says
    where they come from: a file and its sha256, or a seed.
    """

    inputs: tuple[Array, ...]
    labels: Array | None
    source: str
    warnings: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.inputs[0])

    @property
    def is_classification(self) -> bool:
        """Whether the labels are class numbers."""
        return self.labels is not None and self.labels.dtype == np.int64


def load(path: Path | str, graph: Graph, limit: int | None = None) -> Samples:
    """The first `limit` samples (None: all) of an .npz file with `x` and, if there are labels, `y`.

    A model with several inputs takes `x0`, `x1` …. Floats are quantised with the model's own scale and zero
    point; integers must be of the input's type. Each x is [n, *shape]; the shape's leading and
    trailing 1 may be left out. Raises DataError.
    """
    file = Path(path)
    arrays = _read(file)
    wanted = ["x"] if len(graph.inputs) == 1 else [f"x{i}" for i in range(len(graph.inputs))]
    for key in wanted:
        if key not in arrays:
            found = ", ".join(sorted(arrays)) or "nothing"
            raise DataError(
                f"{file} has no array '{key}': it holds {found}",
                f"np.savez(file, {', '.join(f'{k}=…' for k in wanted)}, y=labels)",
            )
    inputs, warnings = [], []
    for key, index in zip(wanted, graph.inputs, strict=True):
        tensor = graph.tensors[index]
        shaped = _shaped(f"{file}: {key}", arrays[key], tensor)
        if len(shaped) != len(arrays[wanted[0]]):
            raise DataError(
                f"{file}: {key} has {len(shaped)} samples, {wanted[0]} has {len(arrays[wanted[0]])}"
            )
        values, clipped = _in_model_type(f"{file}: {key}", shaped[:limit], tensor)
        inputs.append(values)
        warnings += _range_warnings(key, values, tensor, clipped)
    labels = None
    if "y" in arrays:
        given, samples = np.atleast_1d(arrays["y"]), len(arrays[wanted[0]])
        if len(given) != samples:
            raise DataError(f"{file}: y has {len(given)} labels for {samples} samples")
        labels = _labels(f"{file}: y", given[:limit], graph.tensors[graph.outputs[0]], class_count(graph))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Samples(tuple(inputs), labels, f"{path}, sha256 {digest}", tuple(warnings))


def random(graph: Graph, n: int, seed: int) -> Samples:
    """`n` samples that are uniform over every input's codes (for float inputs: over what the model keeps)."""
    if n * sum(graph.tensors[i].bytes for i in graph.inputs) > _MOST_RANDOM_BYTES:
        raise DataError(f"{n:,} random samples would not fit into memory", "run fewer: --samples 16")
    generator = np.random.default_rng(seed)
    inputs = tuple(_random_input(generator, graph, graph.tensors[i], n) for i in graph.inputs)
    return Samples(inputs, None, f"random, seed {seed}")


def quantize(values: Array, tensor: Tensor) -> tuple[Array, float]:
    """Real values in the tensor's codes, and which fraction of them had to be clipped.

    As TFLite's QUANTIZE computes it: float32 division, halves rounded away from zero. The tensor must
    have a per-tensor quantisation.
    """
    assert tensor.quantization is not None
    limits = np.iinfo(tensor.dtype.value)
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


def _read(file: Path) -> dict[str, Array]:
    try:
        if not file.is_file():
            raise DataError(f"no such data file: {file}")
        loaded = np.load(file, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise DataError(
                f"{file} is a single array", "an .npz with x and y is wanted: np.savez(file, x=…, y=…)"
            )
        with loaded:
            return {key: loaded[key] for key in loaded.files}
    except (
        OSError,
        ValueError,
        EOFError,
        MemoryError,
        KeyError,
        zipfile.BadZipFile,
        NotImplementedError,
    ) as error:
        if "allow_pickle" in str(error) or "Object arrays" in str(error):
            raise DataError(
                f"{file} holds Python objects or is no .npz file", "save plain numeric arrays"
            ) from error
        raise DataError(
            f"{file} cannot be read as an .npz file", "np.savez(file, x=…, y=…) writes one"
        ) from error


def _shaped(where: str, values: Array, tensor: Tensor) -> Array:
    """`values` as [n, *shape of the tensor]."""
    shape = tensor.shape
    accepted = [shape]
    if shape[:1] == (1,):
        accepted.append(shape[1:])
    accepted += [short[:-1] for short in accepted if short[-1:] == (1,)]
    given = values.shape[1:]
    if values.ndim == 0 or given not in accepted:
        wanted = " or ".join(str(["n", *short]).replace("'", "") for short in accepted)
        raise DataError(f"{where} has shape {list(values.shape)} where the model takes {wanted}")
    if len(values) == 0:
        raise DataError(f"{where} holds no samples")
    return values.reshape(len(values), *shape)


def _in_model_type(where: str, values: Array, tensor: Tensor) -> tuple[Array, float]:
    """`values` in the tensor's type, and which fraction of them had to be clipped."""
    wanted = tensor.dtype.value
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise DataError(f"{where} holds NaN or infinite values")
        if tensor.dtype is DType.FLOAT32:
            if np.abs(values).max() > np.finfo(np.float32).max:
                raise DataError(f"{where} holds values beyond float32's range")
            return values.astype(np.float32), 0.0
        if tensor.quantization is None:
            raise DataError(
                f"{where} is {values.dtype}, and the model's {wanted} input has no scale to quantise it"
            )
        return quantize(values, tensor)
    if values.dtype != tensor.dtype.numpy:
        hint = "give floats, scaled as in training, and they are quantised with the model's own scale"
        if tensor.dtype is DType.FLOAT32:
            hint = "give floats, scaled as in training"
        elif values.dtype == np.uint8 and tensor.dtype is DType.INT8:
            hint += "; pixels of 0 to 255 become (x.astype(int) - 128).astype('int8') if the scale is 1/255"
        elif tensor.quantization is None:
            hint = f"x.astype('{wanted}')"
        raise DataError(f"{where} is {values.dtype} where the model takes {wanted}", hint)
    return values, 0.0


def _range_warnings(key: str, values: Array, tensor: Tensor, clipped: float) -> list[str]:
    """Signs of data that were prepared unlike the training data, which nothing else would show."""
    if tensor.dtype not in (DType.INT8, DType.UINT8, DType.INT16):
        return []
    codes = 1 << (8 * tensor.dtype.bytes)
    low, high = int(values.min()), int(values.max())
    warnings = []
    if high - low + 1 < codes * NARROW_SPAN:
        warnings.append(
            f"{key} hardly touches the input's range: its codes lie between {low} and {high}, of {codes:,}; "
            f"was it scaled as in training?{_representable(tensor)}"
        )
    if clipped > CLIPPED:
        warnings.append(
            f"{key} saturates the input: {clipped:.0%} of the values lie outside of what it can hold; "
            f"was it scaled as in training?{_representable(tensor)}"
        )
    return warnings


def _representable(tensor: Tensor) -> str:
    if tensor.quantization is None:
        return ""
    limits = np.iinfo(tensor.dtype.value)
    low, high = dequantize(np.array([limits.min, limits.max]), tensor)
    return f" (the input holds {low:.4g} to {high:.4g})"


def _labels(where: str, labels: Array, output: Tensor, count: int) -> Array:
    """Numbers of one of `count` classes, int64 [n], or wanted values, float32 [n, *shape of the output]."""
    if labels.dtype.kind in "iu" and count > 1 and labels.size == len(labels):
        classes = labels.reshape(-1).astype(np.int64)
        low, high = classes.min(), classes.max()
        if low < 0 or high >= count:
            raise DataError(
                f"{where} has labels {low} to {high} for a model of {count} classes",
                "classes are numbered from 0",
            )
        return classes
    if labels.dtype.kind not in "iuf":
        raise DataError(
            f"{where} is {labels.dtype}: class numbers (integers) or wanted values (floats) are needed"
        )
    if not np.isfinite(labels).all():
        raise DataError(f"{where} holds NaN or infinite values")
    if labels.size != len(labels) * output.elements:
        hint = "labels of a classifier are integers of shape [n]" if output.elements > 1 else ""
        raise DataError(
            f"{where} is {labels.dtype} of shape {list(labels.shape)} where the model's output has shape "
            f"{list(output.shape)}",
            hint,
        )
    return labels.reshape(len(labels), *output.shape).astype(np.float32)


def _random_input(generator: np.random.Generator, graph: Graph, tensor: Tensor, n: int) -> Array:
    shape = (n, *tensor.shape)
    if tensor.dtype is DType.FLOAT32:
        low, high = -1.0, 1.0
        for op in graph.ops:
            if op.kind != "QUANTIZE" or tensor.index not in op.inputs:
                continue
            output = graph.tensors[op.outputs[0]]
            if output.quantization is not None:
                limits = np.iinfo(output.dtype.value)
                low, high = dequantize(np.array([limits.min, limits.max]), output)
        return generator.uniform(low, high, shape).astype(np.float32)
    if tensor.dtype is DType.BOOL:
        return generator.integers(0, 2, shape).astype(np.bool_)
    bound = positions_below(graph, tensor)
    if bound is not None:
        return generator.integers(0, bound, shape, dtype=tensor.dtype.numpy)
    limits = np.iinfo("int8" if tensor.dtype in (DType.INT32, DType.INT64) else tensor.dtype.value)
    return generator.integers(limits.min, limits.max, shape, dtype=tensor.dtype.numpy, endpoint=True)
