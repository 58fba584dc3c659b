"""What `--data` names, whatever it is: read once by the reader of its kind, then kept by its content."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinydeploy.errors import DataError, UsageError
from tinydeploy.evaluate import python_data
from tinydeploy.host import memo
from tinydeploy.model import samples as sample_files
from tinydeploy.model.graph import Graph, Tensor
from tinydeploy.model.preparation import Preparation
from tinydeploy.model.readers import npy_files, table_file, wav_folder
from tinydeploy.model.readers.loaded import Loaded
from tinydeploy.model.samples import Data

_FORMAT = "data/2"  # changes with what the readers make of a file
_LOOKED_AT = 100_000  # files of a folder, to know what it holds
_MOST_KEPT = 256 << 20  # bytes: what is larger is read anew
_KINDS = "an .npz, x.npy,y.npy, a .csv or .parquet with a header, a folder of images or WAV files, or a .py"

_Reader = Callable[[Path, Tensor, Preparation], Loaded]


def read(data: Data, graph: Graph, preparation: Preparation) -> Data:
    """The arrays of a folder, a table, single arrays or a Python file; an .npz and arrays as they are.

    Raises DataError and UsageError.
    """
    if not isinstance(data, str | Path):
        return data
    named = str(data)
    if not named:
        raise DataError("data are named by an empty string", f"data are {_KINDS}")
    if python_data.is_python(named):
        return _of_inputs(python_data.load(named), graph, named)
    if npy_files.is_named(named):
        found = npy_files.read(npy_files.paths(named))
        return replace(found, file=named, source=f"{named}, sha256 {_arrays_digest(found)}")
    path = Path(data)
    reader = _reader(path)
    if reader is None:
        return data
    if len(graph.inputs) != 1:
        raise UsageError(
            f"{path} holds one input's data, and the model has {len(graph.inputs)}",
            "give an .npz with x0, x1 … and y",
        )
    return _kept(path, reader, graph.tensors[graph.inputs[0]], preparation)


def anchored(named: str, folder: Path) -> str:
    """The same data as they are named in `folder`: each path that is not absolute is meant from there."""
    if npy_files.is_named(named):
        return ",".join(map(str, npy_files.paths(named, folder)))
    return str(folder / named)


def content(named: str) -> str:
    """What `digest` says of all files that data are named by; "" where one is not there. Raises DataError.

    Of a Python file that is the file itself, whatever it reads.
    """
    found = files(named)
    return ",".join(map(digest, found)) if all(file.exists() for file in found) else ""


def files(named: str) -> list[Path]:
    """The files, or the folder, that data are named by."""
    return npy_files.paths(named) if npy_files.is_named(named) else [Path(python_data.file(named))]


def _of_inputs(found: Loaded, graph: Graph, named: str) -> Loaded:
    wanted = sample_files.names(graph)
    for name in wanted:
        if name not in found.arrays:
            raise DataError(
                f"{named} returns no '{name}'", f"return {', '.join(wanted)}, y by name, or (x, y)"
            )
    return replace(found, file=named, source=f"{named}, sha256 {_arrays_digest(found)}")


def _reader(path: Path) -> _Reader | None:
    """The reader of a folder or a table; None for what is taken for an .npz."""
    suffix = path.suffix.lower()
    try:
        if path.is_file() and suffix in (*table_file.CSV, *table_file.PARQUET):
            return table_file.read
        if not path.is_dir():
            return None
        some = itertools.islice(path.rglob("*"), _LOOKED_AT)
        suffixes = {file.suffix.lower() for file in some if file.is_file()}
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    from tinydeploy.model.readers import image_folder  # loads Pillow

    kinds: list[_Reader] = []
    if suffixes & {*image_folder.SUFFIXES}:
        kinds.append(image_folder.read)
    if suffixes & {*wav_folder.SUFFIXES}:
        kinds.append(wav_folder.read)
    if len(kinds) != 1:
        held = "both images and WAV files" if kinds else "neither images nor WAV files"
        raise DataError(f"{path} is a folder with {held}", f"data are {_KINDS}")
    return kinds[0]


def _kept(path: Path, reader: _Reader, tensor: Tensor, preparation: Preparation) -> Loaded:
    content = digest(path)
    asked: list[Any] = [
        _FORMAT,
        reader.__module__,
        content,
        tensor.shape,
        tensor.dtype.value,
        asdict(preparation),
    ]
    asked.append(tensor.quantization and [tensor.quantization.scale, tensor.quantization.zero_point])
    key = json.dumps(asked)
    if (kept := memo.read(key)) is not None:
        with np.load(io.BytesIO(kept), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        said = json.loads(str(arrays.pop("said")))
        prepared = Preparation.parse("kept", said["prepared"])
        found = Loaded(arrays, said["what"], prepared)
    else:
        found = reader(path, tensor, preparation)
        if sum(array.nbytes for array in found.arrays.values()) <= _MOST_KEPT:
            memo.write(key, _packed(found))
    return replace(found, file=str(path), source=f"{path}, sha256 {content}")


def _packed(found: Loaded) -> bytes:
    said = {"what": found.what, "prepared": found.prepared.to_toml() if found.prepared else {}}
    packed = io.BytesIO()
    arrays: dict[str, Any] = {**found.arrays, "said": np.array(json.dumps(said))}
    np.savez_compressed(packed, **arrays)
    return packed.getvalue()


def digest(path: Path) -> str:
    """SHA-256 of a file; of a folder, over the names and the contents of all its files. Raises DataError."""
    try:
        if path.is_file():
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        found = hashlib.sha256()
        for file in sorted(path.rglob("*")):
            if file.is_file():
                with file.open("rb") as stream:
                    own = hashlib.file_digest(stream, "sha256").hexdigest()
                found.update(f"{file.relative_to(path)}\0{own}\n".encode("utf-8", "surrogateescape"))
        return found.hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _arrays_digest(found: Loaded) -> str:
    return sample_files.digest(found.arrays)
