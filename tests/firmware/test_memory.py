"""The firmware's own memcpy, memmove, memset and memcmp, at all alignments and overlaps."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import firmware_build
import pytest
from hypothesis import given
from hypothesis import strategies as st

NAMES = ("memcpy", "memmove", "memset", "memcmp")
SIZE = 160
places = st.integers(0, 70)
lengths = st.integers(0, 90)
contents = st.binary(min_size=SIZE, max_size=SIZE)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    path: Path = tmp_path_factory.mktemp("memory") / "memory.so"
    renamed = [f"-D{name}=our_{name}" for name in NAMES]  # the host keeps its own
    source = str(firmware_build.RUNTIME / "memory.cpp")
    command = ["g++", "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *renamed]
    subprocess.run([*command, source, "-o", str(path)], check=True, timeout=60)
    return ctypes.CDLL(str(path))


@given(content=contents, to=places, source=places, length=lengths)
def test_memmove(library: ctypes.CDLL, content: bytes, to: int, source: int, length: int) -> None:
    memory = ctypes.create_string_buffer(content, SIZE)
    library.our_memmove(ctypes.byref(memory, to), ctypes.byref(memory, source), ctypes.c_size_t(length))
    expected = bytearray(content)
    expected[to : to + length] = content[source : source + length]
    assert memory.raw == bytes(expected)


@given(content=contents, background=contents, to=places, source=places, length=lengths)
def test_memcpy(
    library: ctypes.CDLL, content: bytes, background: bytes, to: int, source: int, length: int
) -> None:
    memory, other = ctypes.create_string_buffer(background, SIZE), ctypes.create_string_buffer(content, SIZE)
    library.our_memcpy(ctypes.byref(memory, to), ctypes.byref(other, source), ctypes.c_size_t(length))
    assert memory.raw == background[:to] + content[source : source + length] + background[to + length :]


@given(content=contents, to=places, length=lengths, value=st.integers(-1, 256))
def test_memset(library: ctypes.CDLL, content: bytes, to: int, length: int, value: int) -> None:
    memory = ctypes.create_string_buffer(content, SIZE)
    library.our_memset(ctypes.byref(memory, to), value, ctypes.c_size_t(length))
    assert memory.raw == content[:to] + bytes([value % 256]) * length + content[to + length :]


@given(left=st.binary(max_size=9), right=st.binary(max_size=9), length=st.integers(0, 9))
def test_memcmp(library: ctypes.CDLL, left: bytes, right: bytes, length: int) -> None:
    left, right = left.ljust(9, b"\0"), right.ljust(9, b"\0")
    sign = library.our_memcmp(left, right, ctypes.c_size_t(length))
    a, b = left[:length], right[:length]
    assert (sign > 0) - (sign < 0) == (a > b) - (a < b)
