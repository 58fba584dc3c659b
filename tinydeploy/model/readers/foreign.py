"""Files that are no .tflite for a microcontroller: what each is, and what to do about it."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

Words = tuple[str, str]  # a message and a hint

_QUANTIZE = "tinydeploy quantize MODEL --calibration X makes an int8 .tflite of it; by hand: "
_FROM_KERAS = "tf.lite.TFLiteConverter.from_keras_model(tf.keras.models.load_model(path)), quantised to int8"
_FROM_TORCH = "litert_torch.convert(module, sample_inputs).export('model.tflite'), quantised to int8"
_FROM_ONNX = "onnx2tf -i model.onnx -oiqt, which writes an int8 .tflite"
_FROM_FOLDER = "tf.lite.TFLiteConverter.from_saved_model(path), quantised to int8"

_KERAS = ("a Keras model", f"{_QUANTIZE}{_FROM_KERAS}")
_KERAS_WEIGHTS = ("weights of a Keras model", f"load them into the model, and convert that: {_FROM_KERAS}")
_PT2 = ("a program exported from PyTorch", f"{_QUANTIZE}{_FROM_TORCH}")
_TORCH = (
    "a PyTorch file",
    f"save the module by torch.export.save as a .pt2, for tinydeploy quantize; by hand: {_FROM_TORCH}",
)
_ONNX = ("an ONNX model", f"{_QUANTIZE}{_FROM_ONNX}")
_GRAPH = ("a TensorFlow graph", f"convert the SavedModel that it is of: {_FROM_FOLDER}")
LFS_START = b"version https://git-lfs."
LFS = ("a pointer of Git LFS, not the file itself", "git lfs pull")
_DATA = ("data, not a model", "name the model first, and these by --data")
_SOURCE = ("C source", "take the .tflite that it was made from")
_PAGE = ("a web page", "download the file itself: at GitHub, what its Raw button gives")
_UNKNOWN = ("not a TFLite file", "a .tflite file has 'TFL3' at byte 4")

# What a zip holds that tells what it is; the first that fits.
_ZIPS = (
    (r"(.*/)?model\.weights\.h5", _KERAS),
    (r".*\.tflite", ("an archive with a .tflite in it", "unpack it, and name the .tflite")),
    (r"(.*/)?(serialized_exported_program\.json|archive_format|models/[^/]+\.json)", _PT2),
    (r"(.*/)?(data\.pkl|constants\.pkl)", _TORCH),
    (
        r"(.*/)?saved_model\.pb",
        ("an archive with a SavedModel in it", f"unpack and convert it: {_FROM_FOLDER}"),
    ),
    (r".*\.npy", _DATA),
)
_STARTS = (
    (b"\x89HDF\r\n\x1a\n", _KERAS),
    (b"\x93NUMPY", _DATA),
    (b"\x1f\x8b", ("compressed", "unpack it first: gunzip, or tar -xf")),
    (LFS_START, LFS),
)
_PICKLE = re.compile(rb"\x80[\x02-\x05].{0,200}?(torch|\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19)", re.DOTALL)
# A ModelProto: ir_version, then most often the producer's name; a GraphDef: nodes with a name and an op.
_ONNX_START = re.compile(rb"\x08[\x01-\x20](\x12.[\x20-\x7e]|\x3a|\x42)", re.DOTALL)
_GRAPH_START = re.compile(
    rb"\x0a[\x05-\xff].{0,2}\x0a.{1,120}?\x12.(Const|Placeholder|VarHandleOp|NoOp)", re.DOTALL
)
_PAGE_START = re.compile(rb"\s*<(!doctype html|html|head)\b", re.IGNORECASE)
_SOURCE_START = re.compile(rb"\s*(//|/\*|#include|#if|(alignas\(\d+\) )?(static )?(const )?unsigned char)")

# Ops that say what kind of file this is: a pattern, what it is, and what to do.
_OPS = (
    (
        r"WHILE|STABLEHLO_WHILE",
        "a loop, which cannot be compiled",
        "a recurrent layer is converted without a loop with unroll=True: tf.keras.layers.RNN(…, unroll=True)",
    ),
    (
        r"IF|CALL|STABLEHLO_(CASE|COMPOSITE)",
        "control flow, which cannot be compiled",
        "export one function without branches or calls",
    ),
    (
        r"CUSTOM:ethos.u",
        "Vela has compiled this file for an Arm Ethos-U",
        "take the file before Vela: the .tflite that was given to it",
    ),
    (
        r"CUSTOM:Signal.*",
        "TFLite Micro's signal ops are not supported yet",
        "compute the features outside, and take the model behind them",
    ),
    (
        r"CUSTOM:Flex.*",
        "an op of TensorFlow itself, which no microcontroller has",
        "convert with TFLITE_BUILTINS_INT8 alone, without SELECT_TF_OPS",
    ),
    (
        r"CUSTOM:edgetpu.custom.op",
        "this file is compiled for an Edge TPU",
        "take the file before the Edge TPU compiler",
    ),
)


def op(kind: str) -> Words | None:
    """What a file with such an op is, as the end of a message and a hint; None if the op says nothing."""
    for pattern, what, hint in _OPS:
        if re.fullmatch(pattern, kind):
            return f"{kind.removeprefix('CUSTOM:')}: {what}", hint
    return None


def folder(path: Path) -> Words | None:
    """What the folder is, as a message and a hint; None if nothing is known of it."""
    if (path / "saved_model.pb").is_file() or (path / "keras_metadata.pb").is_file():
        return f"{path} is a SavedModel", f"{_QUANTIZE}{_FROM_FOLDER}"
    if (path / "Data" / "com.apple.CoreML").is_dir():
        return f"{path} is a Core ML model", "convert the model that it was made from"
    return None


def data(content: bytes, path: str) -> Words:
    """What a file that does not hold a .tflite is by its content, or else its name: a message and a hint."""
    what, hint = _by_content(content) or _by_name(path) or _UNKNOWN
    return f"{path} is {what}", hint


def _by_content(content: bytes) -> Words | None:
    for start, words in _STARTS:
        if content.startswith(start):
            weights = words is _KERAS and b"model_config" not in content
            return _KERAS_WEIGHTS if weights else words
    if content.startswith(b"PK\x03\x04"):
        return _by_members(content)
    if content[4:8] in (b"ET12", b"ET13"):
        return "an ExecuTorch program", f"convert the module: {_FROM_TORCH}"
    head = content[:4096]
    for pattern, words in ((_PICKLE, _TORCH), (_ONNX_START, _ONNX), (_GRAPH_START, _GRAPH)):
        if pattern.match(head):
            return words
    if _PAGE_START.match(head):
        return _PAGE
    return _SOURCE if _SOURCE_START.match(head) else None


def _by_members(content: bytes) -> Words | None:
    try:
        names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return None
    for pattern, words in _ZIPS:
        if any(re.fullmatch(pattern, name) for name in names):
            return words
    return None


def _by_name(path: str) -> Words | None:
    return {
        ".keras": _KERAS,
        ".h5": _KERAS,
        ".hdf5": _KERAS,
        ".onnx": _ONNX,
        ".pt": _TORCH,
        ".pth": _TORCH,
        ".pt2": _PT2,
        ".pb": _GRAPH,
        ".npz": _DATA,
        ".npy": _DATA,
    }.get(Path(path).suffix.lower())
