"""Arrays of an untrusted .npz: what is read, and that every other file is refused in one line."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinydeploy.errors import DataError
from tinydeploy.model.readers import npz

X = np.arange(24, dtype=np.float32).reshape(4, 6)


def npy(values: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def headed(header: str, content: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """A .npy with this header, whatever it says."""
    text = header.encode("latin1")
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text + content


def described(shape: str = "(4,)", descr: str = "'<f4'", fortran: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


def archive(path: Path, method: int = zipfile.ZIP_STORED, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, content in members.items():
            made.writestr(f"{name}.npy", content)
    return path


def refusal(file: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        npz.read(file, ["x"], ["y"])
    assert "\n" not in caught.value.message and len(caught.value.message) < 400
    assert file.name in caught.value.message
    return caught.value


# What is read


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "values",
    [
        X,
        np.asfortranarray(X),
        X.astype(">f8"),
        X.astype(">i2"),
        X.astype(np.float16),
        X[:0],
        np.float32(3),
        np.array(["a", "bcd"]),
        np.array([b"a", b"bcd"]),
        X > 3,
        np.arange(2**16),
    ],
    ids=lambda values: f"{values.dtype} {values.shape}",
)
def test_arrays_are_what_was_saved(tmp_path: Path, save: Callable[..., None], values: Any) -> None:
    save(tmp_path / "d.npz", x=values, unread=np.array([{}], dtype=object))
    found = npz.read(tmp_path / "d.npz", ["x"], ["y"])
    assert [*found] == ["x"]
    np.testing.assert_array_equal(found["x"], values)
    assert found["x"].shape == values.shape
    assert found["x"].dtype == values.dtype.newbyteorder("=") and found["x"].flags.c_contiguous


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    file = archive(tmp_path / "d.npz", x=npy(X), y=npy(X), other=b"no array at all")
    assert [*npz.read(file, ["x"])] == ["x"]
    assert [*npz.read(file, ["x"], ["y"])] == ["x", "y"]


def test_an_array_that_python_2_wrote(tmp_path: Path) -> None:
    file = archive(tmp_path / "d.npz", x=headed(described("(2L,)"), bytes(8)))
    assert npz.read(file, ["x"])["x"].tolist() == [0, 0]


# What is no .npz


@pytest.mark.parametrize(
    ("name", "content", "message", "hint"),
    [
        (
            "a.csv",
            b"a,b,label\n1,2,0\n",
            "is a text file",
            "np.genfromtxt('a.csv', delimiter=','",
        ),
        ("a.npy", npy(X), "is a single array", "np.savez('data.npz', x=np.load('a.npy'), y=…)"),
        ("a.npz", b"", "is empty", "np.savez"),
        ("a.npz", b"PK\x03\x04", "cannot be read as an .npz file", "np.savez"),
        ("a.pkl", b"\x80\x04\x95\x00\x00", "is no .npz file", "np.savez"),
        ("a.png", b"\x89PNG\r\n\x1a\n\x00\x00", "is no .npz file", "np.savez"),
    ],
)
def test_other_files(tmp_path: Path, name: str, content: bytes, message: str, hint: str) -> None:
    (tmp_path / name).write_bytes(content)
    told = refusal(tmp_path / name)
    assert message in told.message and hint in told.hint


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path).message
    assert "no such data file" in refusal(tmp_path / "absent.npz").message


def test_names_that_are_like_those_wanted_are_offered(tmp_path: Path) -> None:
    names = ("x_test", "x_train", "y_test", "y_train")
    told = refusal(archive(tmp_path / "d.npz", **{name: npy(X) for name in names}))
    assert "has no array 'x': it holds x_test, x_train, y_test, y_train" in told.message
    assert told.hint == "np.savez(file, x=a['x_test'], y=a['y_test'])"
    many = refusal(archive(tmp_path / "many.npz", **{f"array{i:03}": npy(X) for i in range(100)}))
    assert "array007 and 92 more" in many.message


def test_a_zip_of_other_things(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as made:
        made.writestr("data.pkl", b"x")
    assert "a zip archive without arrays: it holds data.pkl" in refusal(tmp_path / "d.npz").message


# What is hostile

MIB = 1 << 20
BAD_MEMBERS = {
    "no header": (b"x = 1", "no array of numpy's format"),
    "half a header": (npy(X)[:9], "cannot be read"),
    "a format of the future": (headed(described(), version=(9, 9)), "format 9.9"),
    "half of its values": (npy(X)[:-40], "its header tells of 96 bytes, and 56 are there"),
    "more than its values": (npy(X) + b"more", "its header tells of 96 bytes, and 100 are there"),
    "objects": (npy(np.array([{}], dtype=object)), "holds Python objects"),
    "records": (npy(np.zeros(3, [("a", "f4"), ("b", "i4")])), "a table of records"),
    "nested records": (headed(described(descr="[('a', '<f4', (2,))]"), bytes(32)), "a table of records"),
    "dates": (npy(np.zeros(3, "M8[s]")), "datetime64[s]"),
    "complex": (npy(np.zeros(3, "c8")), "complex64"),
    "raw bytes": (npy(np.zeros(3, "V5")), "|V5"),
    "strings of no length": (headed(described(f"({10**18},)", "'<U0'")), "without room for a character"),
    "a terabyte": (headed(described(f"({2**38},)")), "would take 1,099,511,627,776 bytes"),
    "a size beyond 64 bits": (headed(described(f"({2**40}, {2**40})")), "more than any memory holds"),
    "a size of a thousand digits": (headed(described(f"({'9' * 1000},)")), "more than any memory holds"),
    "a negative size": (headed(described("(-4,)")), "x"),
    "a bool as size": (headed(described("(True,)"), bytes(4)), "the shape (True,)"),
    "no shape": (headed("{'descr': '<f4', 'fortran_order': False}\n"), "cannot be read"),
    "a call": (headed("__import__('os').abort()\n"), "cannot be read"),
    "an open bracket": (headed("{'descr': (\n"), "cannot be read"),
    "a thousand brackets": (headed("(" * 1000 + ")" * 1000), "cannot be read"),
    "a header of its own size": (headed(described() + " " * 5000), "cannot be read"),
    "a claim of 4 GB of header": (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}", "cannot be read"),
    "an unknown type": (headed(described(descr="'<f3'")), "cannot be read"),
    "null bytes": (headed("\0" * 40), "cannot be read"),
}


@pytest.mark.parametrize("what", BAD_MEMBERS)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_bad_members(tmp_path: Path, what: str, method: int) -> None:
    content, message = BAD_MEMBERS[what]
    told = refusal(archive(tmp_path / "d.npz", method, x=content, y=npy(X))).message
    assert message in told, told
    as_label = refusal(archive(tmp_path / "d.npz", method, x=npy(X), y=content)).message
    assert "y" in as_label


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that unpacks to 33 MiB of zeros, behind a header that asks for them."""
    file = tmp_path / "d.npz"
    monkeypatch.setattr(npz, "LIMIT_BYTES", 32 * MIB)
    archive(file, zipfile.ZIP_DEFLATED, x=headed(described(f"({33 * MIB // 4},)"), bytes(33 * MIB)))
    assert file.stat().st_size < MIB // 8
    tracemalloc.start()
    told = refusal(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "would take 34,603,008 bytes, and at most 33,554,432 are read of a file" in told.message
    assert peak < 2 * MIB


def test_the_limit_holds_for_all_arrays_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = archive(tmp_path / "d.npz", x=npy(X), y=npy(X))
    monkeypatch.setattr(npz, "LIMIT_BYTES", 2 * X.nbytes)
    npz.read(file, ["x", "y"])
    monkeypatch.setattr(npz, "LIMIT_BYTES", 2 * X.nbytes - 1)
    assert "d.npz: y would take 96 bytes" in refusal(file).message


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions(tmp_path: Path, method: int) -> None:
    assert "compressed in a way that numpy" in refusal(archive(tmp_path / "d.npz", method, x=npy(X))).message


def test_an_encrypted_member(tmp_path: Path) -> None:
    file = archive(tmp_path / "d.npz", x=npy(X))
    raw = bytearray(file.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + flags] |= 1
    file.write_bytes(raw)
    assert "x is encrypted" in refusal(file).message


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as made:
        for _ in range(2):
            made.writestr("x.npy", npy(X))
    assert "holds 'x' 2 times" in refusal(tmp_path / "d.npz").message


def test_names_that_steer_a_terminal_are_cut(tmp_path: Path) -> None:
    told = refusal(archive(tmp_path / "d.npz", **{"a" * 5000: npy(X)}))
    assert len(told.message) < 300


WHOLE = {
    "stored": lambda path: np.savez(path, x=X, y=np.arange(4)),
    "compressed": lambda path: np.savez_compressed(path, x=X, y=np.arange(4)),
}


@pytest.mark.parametrize("kind", WHOLE)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_anywhere_is_one_line_or_nothing(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / f"{kind}.npz"
    WHOLE[kind](file)
    raw = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(raw[: data.draw(st.integers(len(raw) // 2, len(raw)))])
    try:
        found = npz.read(file, ["x"], ["y"])
    except DataError as error:
        assert "\n" not in error.message
    else:
        assert found["x"].dtype.kind in "biufSU"
