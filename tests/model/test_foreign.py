"""What is given as a model and is none: one line says what it is, and what makes a .tflite of it."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from model_builder import ModelBuilder

from tinydeploy.errors import ModelError, UsageError
from tinydeploy.evaluate import deployment
from tinydeploy.model.readers import tflite_model


def archive(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name in names:
            file.writestr(name, "x" * 50)
    return packed.getvalue()


def npz() -> bytes:
    packed = io.BytesIO()
    np.savez(packed, x=np.zeros(3))
    return packed.getvalue()


ONNX = b"\x08\x08\x12\x07pytorch\x1a\x051.9.0:\xdb\x03" + b"x" * 90
KERAS = archive("metadata.json", "config.json", "model.weights.h5")
GRAPH = b"\x0a\x29\x0a\x05input\x12\x0bPlaceholder*\x0b\x0a\x05dtype\x12\x020\x01" + b"x" * 90


@pytest.mark.parametrize(
    ("name", "content", "what", "hint"),
    [
        ("m.keras", KERAS, "a Keras model", "from_keras_model"),
        ("m.tflite", KERAS, "a Keras model", "from_keras"),
        ("m.keras", b"no zip at all", "a Keras model", "from_keras_model"),
        ("m.h5", b"\x89HDF\r\n\x1a\n" + b"x" * 90 + b"model_config", "a Keras model", "from_keras_model"),
        ("m.weights.h5", b"\x89HDF\r\n\x1a\n" + b"x" * 90, "weights of a Keras model", "load them"),
        ("m.onnx", ONNX, "an ONNX model", "onnx2tf"),
        ("m.onnx", ONNX, "an ONNX model", "tinydeploy quantize MODEL"),
        ("m.tflite", b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "Git LFS", "git lfs pull"),
        ("m.tflite", b"\n<!DOCTYPE html><html>", "a web page", "Raw"),
        ("model", ONNX, "an ONNX model", "onnx2tf"),
        ("m.onnx", b"\0" * 90, "an ONNX model", "onnx2tf"),
        ("m.pt", archive("m/data.pkl", "m/version", "m/data/0"), "a PyTorch file", "litert_torch"),
        ("m.bin", archive("m/data.pkl", "m/version", "m/data/0"), "a PyTorch file", "litert_torch"),
        ("m.pt", archive("m/code/m.py", "m/constants.pkl"), "a PyTorch file", "litert_torch"),
        ("m.pth", pickle.dumps(0x1950A86A20F9469CFC6C, 2) + b"x" * 90, "a PyTorch file", "litert_torch"),
        ("m.pt2", archive("m/archive_format", "m/models/m.json"), "from PyTorch", "litert_torch"),
        ("m.pt2", archive("version", "serialized_exported_program.json"), "from PyTorch", "litert_torch"),
        ("m.pte", b"\x20\0\0\0ET12" + b"x" * 90, "an ExecuTorch program", "litert_torch"),
        ("m.pb", GRAPH, "a TensorFlow graph", "from_saved_model"),
        ("m.zip", archive("m/saved_model.pb", "m/variables/variables.index"), "a SavedModel in it", "unpack"),
        ("m.zip", archive("a/model.tflite"), "an archive with a .tflite", "unpack it"),
        ("x.npz", npz(), "data, not a model", "--data"),
        ("x.npy", b"\x93NUMPY\x01\0" + b"x" * 90, "data, not a model", "--data"),
        ("m.cc", b'#include "m.h"\nalignas(16) const unsigned char g_model[] = {', "C source", ".tflite"),
        ("m.h", b"unsigned char model_tflite[] = {\n  0x1c,", "C source", ".tflite"),
        ("m.tflite.gz", b"\x1f\x8b\x08\0" + b"x" * 90, "compressed", "unpack"),
        ("m.tflite", b"\x7fELF" + b"x" * 90, "not a TFLite file", "TFL3"),
        ("m.tflite", b"PK\x03\x04" + b"x" * 90, "not a TFLite file", "TFL3"),
        ("m.zip", archive("readme.txt"), "not a TFLite file", "TFL3"),
    ],
)  # fmt: skip
def test_other_forms_of_a_model(name: str, content: bytes, what: str, hint: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ModelError, match=what) as caught:
        tflite_model.load(file)
    assert hint in caught.value.hint and "\n" not in caught.value.message + caught.value.hint


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(UsageError, match="is a SavedModel") as caught:
        deployment.model_path(tmp_path)
    assert "from_saved_model" in caught.value.hint
    with pytest.raises(ModelError, match="is a SavedModel"):
        tflite_model.load(tmp_path)
    (tmp_path / "m.tflite").write_bytes(b"x")
    assert deployment.model_path(tmp_path) == tmp_path / "m.tflite"


@pytest.mark.parametrize(
    ("kind", "custom", "message", "hint"),
    [
        ("WHILE", False, "op 1 is WHILE: a loop", "unroll=True"),
        ("IF", False, "op 1 is IF: control flow", "without branches"),
        ("CALL", False, "op 1 is CALL: control flow", "without branches"),
        ("ethos-u", True, "op 1 is ethos_u: Vela has compiled", "before Vela"),
        ("SignalWindow", True, "op 1 is SignalWindow: .* not supported yet", "features"),
        ("SignalFilterBankSpectralSubtraction", True, "SignalFilterBankSpec.* not supported yet", "features"),
        ("FlexErf", True, "op 1 is FlexErf: an op of TensorFlow itself", "SELECT_TF_OPS"),
        ("edgetpu-custom-op", True, "Edge TPU", "before the Edge TPU"),
    ],
)
def test_ops_that_say_what_file_it_is(kind: str, custom: bool, message: str, hint: str) -> None:
    """Whatever else is odd about it: here a tensor of a type that nothing here knows."""
    model = ModelBuilder()
    x, a, b = (model.tensor((1, 4), dtype, scale=0.1) for dtype in ("int8", "int8", "uint32"))
    y = model.tensor((1, 4), "int8", scale=0.1)
    model.op("RELU", [x], [a])
    model.op(kind, [a], [b], custom=custom)
    model.op("CAST", [b], [y])
    with pytest.raises(ModelError, match=message) as caught:
        tflite_model.parse(model.build([x], [y]), "m.tflite")
    assert hint in caught.value.hint
