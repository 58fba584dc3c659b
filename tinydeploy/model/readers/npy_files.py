"""Single .npy arrays as samples: `x.npy,y.npy`, or x.npy alone."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

from tinydeploy.errors import DataError
from tinydeploy.model.readers import npz
from tinydeploy.model.readers.loaded import Array, Loaded

SUFFIX = ".npy"


def is_named(named: str) -> bool:
    """Whether data are named as single arrays."""
    return _parts(named)[0].endswith(SUFFIX)


def paths(named: str, folder: Path = Path()) -> list[Path]:
    """The files in `folder` that "x.npy,y.npy" names; the others are looked for beside the first, too."""
    first, *rest = (folder / part for part in _parts(named))
    return [
        first,
        *(
            path if path.exists() else first.parent / name
            for path, name in zip(rest, _parts(named)[1:], strict=True)
        ),
    ]


def _parts(named: str) -> list[str]:
    """A comma parts two names only behind an array's suffix: folders may have one in theirs."""
    return [part.strip() for part in re.split(rf"(?<={re.escape(SUFFIX)})\s*,", named)]


def read(files: list[Path]) -> Loaded:
    """x, and y if there is a second file, and group if there is a third. Raises DataError."""
    names = ("x", "y", "group")
    if len(files) > len(names):
        raise DataError(f"{len(files)} arrays are named where {', '.join(names)} are wanted")
    arrays = {name: _array(path) for name, path in zip(names, files, strict=False)}
    told = ", ".join(f"{name} of {path.name}" for name, path in zip(names, files, strict=False))
    return Loaded(arrays, told + ("" if len(files) > 1 else ", without labels"))


def _array(file: Path) -> Array:
    """One array, judged as a member of an .npz is."""
    try:
        if not file.exists():
            raise DataError(f"no such data file: {file}")
        if not file.is_file():
            raise DataError(f"{file} is no regular file", f"np.save('x{SUFFIX}', x) writes one")
        if file.stat().st_size > npz.LIMIT_BYTES + 4096:
            raise DataError(f"{file} is larger than {npz.LIMIT_BYTES:,} bytes", "give fewer samples")
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x.npy", content)
    with zipfile.ZipFile(packed) as archive:
        return npz.member(archive, str(file), "x.npy", npz.LIMIT_BYTES)
