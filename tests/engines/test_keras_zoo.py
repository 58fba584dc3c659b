"""Keras models of all common layers, made on the fly: identical to TFLite Micro, or refused.

With TINYDEPLOY_NIGHTLY=1, and where TensorFlow is: in the Python that runs the tests, in .venv-train, where
`make nightly` puts it, or in the virtual environment that TINYDEPLOY_TRAIN names. The cache keeps the files.
Every file is judged natively, and of every third model, if it runs, a file goes the whole way in QEMU.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import keras_zoo
import native
import numpy as np
import pytest
import tflite
from keras_zoo import FILES, ZOO

from tinydeploy import verbs
from tinydeploy.errors import ModelError
from tinydeploy.evaluate.deployment import prepare
from tinydeploy.host import paths
from tinydeploy.host.reference import Reference
from tinydeploy.model.canonicalize import dilated_convolution
from tinydeploy.model.readers import tflite_model

REPO = Path(__file__).resolve().parents[2]
SAMPLES = 4

# What becomes of a file, by the first pattern that it matches; all others run, identical to TFLite Micro.

# TensorFlow's converter refuses them, or crashes: its words.
NOT_CONVERTED = {
    "squeeze_excitation_open_16x8": "TensorFlow crashed",
    "*_loop_open_*": "TensorListReserve",
    "*_loop_fixed_*": "TensorFlow crashed",
    "lstm_fused_open_*": "TensorListReserve",
    "lstm_fused_fixed_16x8": "Unsupported input type INT16",
    "tutorial_text_*_16x8": "Max and min for dynamic tensors should be recorded",
    "argmax_int64_*": "BitwiseAnd",
    "pixel_shuffle_*_16x8": "Unsupported input type INT16",
    "l2_normalise_tf_*_16x8": "Unsupported output type INT16",
}

# TFLite Micro refuses them, and so do we: our words.
REFUSED = {
    # States that begin with zeros, as constants without a scale.
    **dict.fromkeys(("*_unrolled_open_16x8", "bidirectional_open_16x8", "stacked_lstm_open_16x8"), "scale"),
    "act_exponential_*": "EXP",
    "act_celu_*": "EXP",
    "act_selu_open_int8": "EXP",
    "act_selu_fixed_16x8": "EXP.*SELECT",
    "act_log_sigmoid_*": "EXP.*LOG",
    "unary_maths_*": "EXP",
    "act_softplus_*": "EXP.*LOG",
    "act_mish_*": "EXP.*LOG",
    "act_gelu*": "GELU",
    "lambda_slices_*_16x8": "MIRROR_PAD.*GATHER",
    "time_distributed_*": "STRIDED_SLICE .*5 dimensions",
    "upsampling_bilinear_*_16x8": "RESIZE_BILINEAR .*int16",
    "tutorial_simple_audio_*_16x8": "RESIZE_BILINEAR .*int16",
    "tutorial_text_*": "SELECT",
    "transformer_block_*": "GELU",
    **dict.fromkeys(
        ("bn_before_conv_*_16x8", "conv1d_global_*_16x8", "global_pools_*_16x8", "lambda_reductions_*_16x8"),
        "REDUCE_MAX .*int16",
    ),
}

# Known gaps: TFLite Micro runs them on a host, and we do not: our words.
GAPS = {
    # Of float, between DEQUANTIZE and QUANTIZE.
    "act_log_softmax_fixed_16x8": "LOG_SOFTMAX .*float32",
    # A layer that is always zero: its scale is next to none, and that of the weights behind it infinite.
    "squeeze_excitation_*_16x8": "saw nothing but zeros",
}


def _words(table: Mapping[str, str], file: str) -> str | None:
    return next((words for pattern, words in table.items() if fnmatch(file, pattern)), None)


def _runs(file: str) -> bool:
    return all(_words(table, file) is None for table in (NOT_CONVERTED, REFUSED, GAPS))


def _in_qemu() -> list[str]:
    """A file of every third model, of each form in turn, that runs."""
    listed = []
    for number, name in enumerate(list(ZOO)[::3]):
        files = [file for file in FILES if FILES[file][0] == name and _runs(file)]
        listed += files[number % len(files) :][:1] if files else []
    return listed


def _training_python() -> Path | None:
    if importlib.util.find_spec("tensorflow"):
        return Path(sys.executable)
    python = Path(os.environ.get("TINYDEPLOY_TRAIN") or REPO / ".venv-train") / "bin" / "python"
    return python if python.exists() else None


TRAINING_PYTHON = _training_python()

nightly = pytest.mark.skipif(
    not os.environ.get("TINYDEPLOY_NIGHTLY"), reason="the Keras zoo is made with TINYDEPLOY_NIGHTLY=1 only"
)
needs_tensorflow = pytest.mark.skipif(
    TRAINING_PYTHON is None, reason="TensorFlow, which makes the Keras zoo, is not here: scripts/setup train"
)


class Zoo:
    """The zoo's files, made on demand by a process with TensorFlow. Use as a context manager."""

    def __init__(self) -> None:
        source = Path(keras_zoo.__file__).read_bytes() + str(TRAINING_PYTHON).encode()
        self._folder = paths.cache_dir() / "keras-zoo" / hashlib.sha256(source).hexdigest()[:16]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Zoo:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *reason: object) -> None:
        if self._process is not None:
            self._process.communicate()

    def file(self, name: str) -> Path:
        """The .tflite, or the .refused that holds the converter's words."""
        path = self._folder / f"{name}.tflite"
        for found in (path, path.with_suffix(".refused")):
            if found.exists():
                return found
        self._make(name)
        return path if path.exists() else path.with_suffix(".refused")

    def _make(self, name: str) -> None:
        if self._process is None:
            log = self._folder / f"log{os.getpid()}.txt"
            self._process = subprocess.Popen(
                [str(TRAINING_PYTHON), "-P", keras_zoo.__file__, self._folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log.open("w"),
                text=True,
            )
            assert self._answer() == "ready", log.read_text()[-2000:]
        assert self._process.stdin is not None
        print(name, file=self._process.stdin, flush=True)
        if self._answer() != name:  # some models crash TensorFlow
            code, self._process = self._process.wait(), None
            (self._folder / f"{name}.refused").write_text(f"TensorFlow crashed: {code}")

    def _answer(self) -> str:
        assert self._process is not None and self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="module")
def zoo() -> Iterator[Zoo]:
    with Zoo() as made:
        yield made


def _zeros(model: bytes) -> list[np.ndarray[Any, Any]]:
    """A sample of zeros for a model that we cannot read."""
    graph = tflite.Model.GetRootAs(model, 0).Subgraphs(0)
    types = {
        number: name.lower() for name, number in vars(tflite.TensorType).items() if isinstance(number, int)
    }
    tensors = [graph.Tensors(graph.Inputs(i)) for i in range(graph.InputsLength())]
    return [np.zeros((1, *tensor.ShapeAsNumpy()), types[tensor.Type()]) for tensor in tensors]


def _accepts(path: Path) -> bool:
    try:
        prepare(tflite_model.load(path))
    except ModelError:
        return False
    return True


def _check_refused(path: Path, words: str) -> None:
    with pytest.raises(ModelError) as refused:
        prepare(tflite_model.load(path))
    said = f"{refused.value.message} ({refused.value.hint})"
    assert refused.value.hint and re.search(words, said), said


def _check_identical(path: Path) -> None:
    graph = tflite_model.load(path)
    prepare(graph)
    with np.load(path.with_suffix(".npz")) as judged:
        given = [judged[f"x{i}"] for i in range(len(graph.inputs))]
        lite = [judged[name] for name in judged.files if name.startswith("y")]
    shapes = [graph.tensors[index].shape for index in graph.inputs]
    inputs = [values.reshape(-1, *shape) for values, shape in zip(given, shapes, strict=True)]
    with Reference(graph.content) as reference:
        expected = reference.run(inputs)
    if dilated_convolution.EDIT in graph.edits:  # the reference does not run the file as it was
        for theirs, right in zip(expected, lite, strict=True):
            assert np.abs(theirs.astype(int) - right.reshape(theirs.shape)).max() <= 1
    compiled = native.compile_all([graph])[0]
    for number in range(len(inputs[0])):  # each from the initial state
        ours = compiled.run([[values[number] for values in inputs]])[0]
        for mine, theirs in zip(ours, expected, strict=True):
            assert np.array_equal(mine.ravel(), theirs[number].ravel())


def _settled(path: Path) -> bytes:
    """The file whose open shapes are settled, if we can read it."""
    try:
        return tflite_model.load(path).content
    except ModelError:
        return path.read_bytes()


def _refuses(model: bytes) -> bool:
    """Whether TFLite Micro refuses the model."""
    with Reference(model) as reference:
        try:
            reference.run(_zeros(model))
        except ModelError:
            return True
    return False


@nightly
@needs_tensorflow
@pytest.mark.parametrize("file", FILES)
def test_it_is_identical_to_tflite_micro_or_refused_with_the_right_words(file: str, zoo: Zoo) -> None:
    path = zoo.file(file)
    not_converted, refused, gap = (_words(table, file) for table in (NOT_CONVERTED, REFUSED, GAPS))
    if not_converted is not None or path.suffix == ".refused":
        words = path.read_text() if path.suffix == ".refused" else "TensorFlow converts it"
        assert not_converted is not None and re.search(not_converted, words), words
    elif refused is not None:
        _check_refused(path, refused)
        assert _refuses(path.read_bytes())
    elif gap is not None:
        assert not _accepts(path), "no gap any more: take it out of GAPS"
        _check_refused(path, gap)
        assert not _refuses(_settled(path)), "TFLite Micro refuses it, too: move it to REFUSED"
    else:
        _check_identical(path)


@nightly
@needs_tensorflow
@pytest.mark.parametrize("file", _in_qemu())
def test_it_runs_in_qemu(file: str, zoo: Zoo, tmp_path: Path) -> None:
    result, _ = verbs.run(zoo.file(file), samples=SAMPLES, out=tmp_path)
    assert result.parity is not None
    assert result.parity.identical == result.parity.outputs > 0


def test_the_tables_name_files_of_the_zoo() -> None:
    assert len(ZOO) >= 30
    for pattern in [*NOT_CONVERTED, *REFUSED, *GAPS]:
        assert any(fnmatch(file, pattern) for file in FILES), pattern
