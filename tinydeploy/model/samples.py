"""Samples for the model's inputs: from an .npz file with labels, or random."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import DataError
from tinydeploy.model import outputs, preprocessing_hints
from tinydeploy.model.affine import dequantize, quantize
from tinydeploy.model.graph import DType, Graph, Tensor, positions_below
from tinydeploy.model.metric_choice import NO_WISHES, Judge, Wishes, choose
from tinydeploy.model.readers import array_samples, npz
from tinydeploy.model.readers.loaded import Loaded

Array = npt.NDArray[Any]

Data = array_samples.Data | Loaded
"""Where samples come from: a path, or arrays by their names in an .npz, or (x, y); or what was read."""
names = array_samples.names
digest = array_samples.digest

SEED = 0  # of the choice of samples

# Thresholds of the warnings, all fractions.
NARROW_SPAN = 1 / 8
CLIPPED = 0.05

_MOST_RANDOM_BYTES = 1 << 30
_NAMED = 12  # so many classes and groups are named


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples in the model's own input types.

    `inputs` holds an array [n, *shape] per model input. `judge` says how answers are held against the labels;
    without it, `unjudged` says why labels cannot be used ("" without labels). `source` says where the samples
    come from: a file, its sha256 and which of its samples, or a seed. `groups` names the group of each, [n].
    `told` are the lines that say what was understood of the data; `given` are the values before they were
    quantised.
    """

    inputs: tuple[Array, ...]
    judge: Judge | None
    source: str
    warnings: tuple[str, ...] = ()
    unjudged: str = ""
    groups: Array | None = None
    told: tuple[str, ...] = ()
    given: tuple[Array, ...] = ()
    loaded: Loaded | None = None

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.inputs[0])


def load(
    data: Data,
    graph: Graph,
    limit: int | None = None,
    wishes: Wishes = NO_WISHES,
    *,
    labelled: bool = True,
) -> Samples:
    """Samples of an .npz file, or arrays, with `x` and, if there are labels, `y`.

    A model with several inputs takes `x0`, `x1` …. Floats are quantised with the model's own scale and zero
    point; integers must be of the input's type. Each x is [n, *shape]; the shape's leading and trailing 1 may
    be left out. With a `limit` that many are taken, as `spread` does. Unless they are `labelled`, y is not
    read. Raises DataError, and UsageError for wishes that the model cannot fulfil.
    """
    loaded = _loaded(data, names(graph), labelled)
    arrays = loaded.arrays
    shaped = _all_shaped(loaded, graph)
    total = len(shaped[0])
    judge = _judge(loaded.file, graph, arrays.get("y") if labelled else None, total, wishes)
    groups = _groups(loaded, total)
    rows, source = np.arange(total), loaded.source
    if limit is not None and limit < total:
        strata = judge.strata if isinstance(judge, Judge) else None
        rows = spread(total, limit, strata)
        how = "over the file" if strata is None else "by class"
        source += f"; {limit:,} of its {total:,} samples, spread {how}, seed {SEED}"
    inputs, given, warnings = [], [], []
    for key, index, values in zip(names(graph), graph.inputs, shaped, strict=True):
        tensor = graph.tensors[index]
        given.append(values if len(rows) == total else values[rows])
        codes, clipped = _in_model_type(f"{loaded.file}: {key}", key, given[-1], tensor)
        inputs.append(codes)
        warnings += _range_warnings(key, given[-1], codes, tensor, clipped)
    judged = judge.of(rows) if isinstance(judge, Judge) else None
    return Samples(
        tuple(inputs),
        judged,
        source,
        tuple(warnings),
        judge if isinstance(judge, str) else "",
        None if groups is None else groups[rows],
        _told(loaded, shaped, judge, groups),
        tuple(given),
        loaded,
    )


def _loaded(data: Data, wanted: list[str], labelled: bool) -> Loaded:
    """What was read, or is read now of an .npz or of arrays."""
    if isinstance(data, Loaded):
        return data
    if isinstance(data, str | Path):
        arrays = npz.read(Path(data), wanted, ["y", "group"] if labelled else [])
        source = f"{data}, sha256 {_digest(Path(data))}"
        return Loaded(arrays, f"{', '.join(arrays)} of {data}", source=source, file=str(data))
    arrays = array_samples.arrays(data, wanted)
    source = f"arrays, sha256 {digest(arrays)}"
    return Loaded(arrays, f"arrays {', '.join(arrays)}", source=source, file="the data")


def _all_shaped(loaded: Loaded, graph: Graph) -> list[Array]:
    """The inputs' arrays, each [n, *shape of its input]."""
    shaped: list[Array] = []
    for key, index in zip(names(graph), graph.inputs, strict=True):
        shaped.append(_shaped(f"{loaded.file}: {key}", key, loaded.arrays[key], graph.tensors[index]))
        if len(shaped[-1]) != len(shaped[0]):
            raise DataError(
                f"{loaded.file}: {key} has {len(shaped[-1])} samples, {names(graph)[0]} has {len(shaped[0])}"
            )
    return shaped


def _groups(loaded: Loaded, total: int) -> Array | None:
    groups = loaded.arrays.get("group")
    if groups is None:
        return None
    if groups.shape not in ((total,), (total, 1)):
        raise DataError(
            f"{loaded.file}: group has shape {list(groups.shape)} for {total} samples",
            "a group for each sample",
        )
    return groups.reshape(-1).astype(str)


def _told(loaded: Loaded, shaped: list[Array], judge: Judge | str, groups: Array | None) -> tuple[str, ...]:
    """What was understood of the data, in two lines."""
    shapes = [[len(values), *values.shape[1 + (values.shape[1:2] == (1,)) :]] for values in shaped]
    parts = [
        f"{values.dtype} {shape} from {values.min():.4g} to {values.max():.4g}"
        if values.dtype.kind in "iuf"
        else f"{values.dtype} {shape}"
        for values, shape in zip(shaped, shapes, strict=True)
    ]
    if isinstance(judge, Judge):
        parts.append(_told_classes(judge))
    elif not judge:
        parts.append("no labels")
    if groups is not None:
        found, counts = np.unique(groups, return_counts=True)
        parts.append(f"{len(found)} groups: {_counted(found.tolist(), counts)}")
    return (f"data: {loaded.what}", f"data: {'; '.join(parts)}")


def _told_classes(judge: Judge) -> str:
    if judge.strata is None:
        return judge.told
    found, counts = np.unique(judge.strata, return_counts=True)
    named = [judge.names[number] if 0 <= number < len(judge.names) else str(number) for number in found]
    return f"{len(found)} classes: {_counted(named, counts)}"


def _counted(found: list[str], counts: Array) -> str:
    some = [f"{name} ({n:,})" for name, n in zip(found, counts, strict=True)][:_NAMED]
    return ", ".join(some) + (f" and {len(found) - _NAMED} more" if len(found) > _NAMED else "")


def _judge(file: str, graph: Graph, y: Array | None, samples: int, wishes: Wishes) -> Judge | str:
    if y is None:
        if wishes.metric is not None or wishes.threshold is not None:
            raise DataError(
                f"{file} holds no y, which a metric or a threshold needs", "np.savez(…, y=labels)"
            )
        if wishes.output is not None:
            outputs.named(graph, wishes.output)
        return ""
    if y.ndim == 0 or len(y) != samples:
        held = "a single value" if y.ndim == 0 else f"{len(y)} labels"
        raise DataError(
            f"{file}: y has {held} for {samples} samples", preprocessing_hints.of_labels(y.shape, samples)
        )
    try:
        return choose(graph, y, wishes)
    except DataError as error:
        raise DataError(f"{file}: {error.message}", error.hint) from error


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def spread(total: int, count: int, strata: Array | None = None) -> Array:
    """`count` of `total` positions, ascending and the same every time.

    They are drawn one from each of `count` stretches of equal length, so that what lies anywhere in a file
    has a part. With `strata` (the class of each, [total]) every class has its share of them, by largest
    remainder, and at least one if there are enough.
    """
    generator = np.random.default_rng(SEED)
    if strata is None:
        return _one_of_each_stretch(generator, np.arange(total), count)
    _, which, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    shares = _shares(sizes, count)
    members = np.split(np.argsort(which, kind="stable"), np.cumsum(sizes)[:-1])
    taken = [_one_of_each_stretch(generator, own, n) for own, n in zip(members, shares, strict=True)]
    return np.sort(np.concatenate(taken))


def _one_of_each_stretch(generator: np.random.Generator, positions: Array, count: int) -> Array:
    edges = np.arange(count + 1) * len(positions) // max(count, 1)
    return np.asarray(positions[generator.integers(edges[:-1], edges[1:])]) if count else positions[:0]


def _shares(sizes: Array, count: int) -> Array:
    """How many of `count` each class of these sizes gets; never more than it has."""
    least = np.minimum(sizes, 1 if count >= len(sizes) else 0)
    exact = (count - least.sum()) * (sizes - least) / max((sizes - least).sum(), 1)
    shares = least + np.floor(exact).astype(np.int64)
    largest = np.argsort(-(exact - np.floor(exact)), kind="stable")
    shares[largest[: count - shares.sum()]] += 1
    return np.asarray(shares)


def random(graph: Graph, n: int, seed: int) -> Samples:
    """`n` samples that are uniform over every input's codes (for float inputs: over what the model keeps)."""
    if n * sum(graph.tensors[i].bytes for i in graph.inputs) > _MOST_RANDOM_BYTES:
        raise DataError(f"{n:,} random samples would not fit into memory", "run fewer: --samples 16")
    generator = np.random.default_rng(seed)
    inputs = tuple(_random_input(generator, graph, graph.tensors[i], n) for i in graph.inputs)
    return Samples(inputs, None, f"random, seed {seed}")


def _shaped(where: str, key: str, values: Array, tensor: Tensor) -> Array:
    """`values` as [n, *shape of the tensor]."""
    if not preprocessing_hints.fits(values.shape, tensor.shape):
        wanted = " or ".join(
            str(["n", *short]).replace("'", "") for short in preprocessing_hints.accepted_shapes(tensor.shape)
        )
        raise DataError(
            f"{where} has shape {list(values.shape)} where the model takes {wanted}",
            preprocessing_hints.of_shape(key, values.shape, tensor.shape),
        )
    if len(values) == 0:
        raise DataError(f"{where} holds no samples")
    return values.reshape(len(values), *tensor.shape)


def _in_model_type(where: str, key: str, values: Array, tensor: Tensor) -> tuple[Array, float]:
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
                f"{where} is {values.dtype}, and the model's {wanted} input has no scale to quantise it",
                f"{key}.astype('{wanted}')",
            )
        return quantize(values, tensor)
    if values.dtype != tensor.dtype.numpy:
        given = f"text ({values.dtype})" if values.dtype.kind in "SU" else str(values.dtype)
        raise DataError(
            f"{where} is {given} where the model takes {wanted}",
            preprocessing_hints.of_type(key, values, tensor),
        )
    return values, 0.0


def _range_warnings(key: str, given: Array, codes: Array, tensor: Tensor, clipped: float) -> list[str]:
    """Signs of data that were prepared unlike the training data, which nothing else would show."""
    if tensor.dtype not in (DType.INT8, DType.UINT8, DType.INT16):
        return []
    span = 1 << (8 * tensor.dtype.bytes)
    low, high = int(codes.min()), int(codes.max())
    advice = preprocessing_hints.of_range(key, given, tensor)
    warnings = []
    if high - low + 1 < span * NARROW_SPAN:
        warnings.append(
            f"{key} hardly touches the input's range: its codes lie between {low} and {high}, of {span:,}; "
            f"{advice}"
        )
    if clipped > CLIPPED:
        warnings.append(
            f"{key} saturates the input: {clipped:.0%} of the values lie outside of what it can hold; "
            f"{advice}"
        )
    return warnings


def _random_input(generator: np.random.Generator, graph: Graph, tensor: Tensor, n: int) -> Array:
    shape = (n, *tensor.shape)
    if tensor.dtype is DType.FLOAT32:
        low, high = -1.0, 1.0
        for op in graph.running:
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
