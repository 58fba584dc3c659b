"""What `tinydeploy quantize` may be given: a float model in any format, by its content, not its name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tinydeploy.errors import ModelError, UsageError
from tinydeploy.evaluate.deployment import model_path
from tinydeploy.model.readers import foreign
from tinydeploy.model.readers.tflite_model import MAX_FILE_BYTES
from tinydeploy.prepare.float_model import FloatModel
from tinydeploy.prepare.tflite_quantizer import Quantizer
from tinydeploy.progress import Progress


@dataclass(frozen=True, eq=False)
class Source:
    """A float model, or the .tflite of one whose file says already how it is quantised (ONNX with QDQ).

    `notes` say what was changed on the way. TensorFlow has the layers of a `trained` model.
    """

    path: Path
    floats: FloatModel | None
    quantised: bytes = b""
    notes: tuple[str, ...] = ()
    trained: bool = False


def load(model: str | Path, progress: Progress) -> Source:
    """Reads and converts it. Raises ModelError, UsageError, or ToolError where a package is missing."""
    path = Path(model)
    if path.is_dir() and (known := foreign.folder(path)):
        if "SavedModel" not in known[0]:
            raise ModelError(*known)
        return _trained(path, progress)
    path = model_path(model)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ModelError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MB: no microcontroller's model")
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    if content[4:8] == b"TFL3":
        return _floats(path, content)
    what, hint = foreign.data(content, str(path))
    if "an ONNX model" in what:
        return _onnx(path, content, progress)
    if "a Keras model" in what and "weights" not in what:
        return _trained(path, progress)
    if "a program exported from PyTorch" in what:
        return _torch(path, progress)
    raise ModelError(what, hint)


def _floats(path: Path, content: bytes, notes: tuple[str, ...] = ()) -> Source:
    FloatModel.parse(content, str(path))  # refuses in its words, before others do in theirs
    settled = Quantizer().settle(content)
    return Source(path, FloatModel.parse(settled, str(path)), notes=notes)


def _onnx(path: Path, content: bytes, progress: Progress) -> Source:
    from tinydeploy.prepare.onnx_to_tflite import convert

    progress("converting from ONNX", 0, 0)
    made = convert(content, str(path))
    if made.is_quantised:
        return Source(path, None, made.content, made.notes)
    return _floats(path, made.content, made.notes)


def _trained(path: Path, progress: Progress) -> Source:
    from tinydeploy.prepare import tensorflow_bridge

    progress("converting by TensorFlow", 0, 0)
    notes = ("converted by TensorFlow, with a batch of 1",)
    return replace(_floats(path, tensorflow_bridge.to_tflite(path), notes), trained=True)


def _torch(path: Path, progress: Progress) -> Source:
    from tinydeploy.prepare import torch_bridge

    progress("converting by litert-torch", 0, 0)
    return _floats(path, torch_bridge.to_tflite(path), ("converted by litert-torch",))
