"""Selection of a library's sources: a first build compiles what a model needs, not all of TFLite Micro.

Kernels are found as a linker would find them: the resolver names the functions that register an op's
kernel, a source file defines each, and what that one includes has sources of the same name. CMSIS-NN has a
function or a few in each file, and tables of constants, so there the names that are used lead on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

RESOLVER = Path("tensorflow/lite/micro/micro_mutable_op_resolver.h")
KERNELS = Path("tensorflow/lite/micro/kernels")
FOR_ESP_NN = KERNELS / "esp_nn"
_SIGNAL = Path("signal")
_CMSIS_NN = Path("third_party/cmsis_nn/Source")
_SUFFIXES = (".cc", ".cpp", ".c")
_LISTS = ("micro_ops.h", RESOLVER.name)  # headers that include those of all kernels

_ADDER = re.compile(r"\bTfLiteStatus\s+(Add\w+)\(")
_REGISTRATION = re.compile(r"\b(Register_\w+)\s*\(\s*\)")
_DEFINES_REGISTRATION = re.compile(r"\b(Register_\w+)\s*\(\s*\)\s*\{")
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
_NAME = re.compile(r"\b[A-Za-z_]\w+")
_DEFINES_FUNCTION = re.compile(r"^[A-Za-z_][\w \t*]*?\b(arm_\w+)\s*\([^;{}]*\)\s*\{", re.M)
_DEFINES_TABLE = re.compile(r"^const\s+\w+\s+(\w+)\s*\[[^\]]*\]\s*=", re.M)


@dataclass(frozen=True)
class Registrations:
    """The functions of a library that register kernels, as its resolver and its headers name them."""

    adders: frozenset[str]  # the resolver's methods
    by_adder: Mapping[str, str]  # what they register: AddConv2D: Register_CONV_2D
    declared: frozenset[str]  # in the kernels' headers, variants for one type among them

    def variant(self, adder: str, suffix: str) -> str | None:
        """The function that registers an op's kernel for some types alone, if the library has one."""
        name = f"{self.by_adder.get(adder, '')}{suffix}"
        return name if name in self.declared else None


def registrations(root: Path) -> Registrations:
    """Those of the library whose folder `tensorflow` is in `root`."""
    resolver = (root / RESOLVER).read_text(errors="replace")
    adders = list(_ADDER.finditer(resolver))
    by_adder: dict[str, str] = {}
    for adder, following in zip(adders, [*adders[1:], None], strict=True):
        body = resolver[adder.end() : following.start() if following else len(resolver)]
        if found := _REGISTRATION.search(body):
            by_adder.setdefault(adder[1], found[1])
    headers = (path.read_text(errors="replace") for path in sorted((root / KERNELS).glob("*.h")))
    declared = frozenset(name for text in headers for name in _REGISTRATION.findall(text))
    return Registrations(frozenset(adder[1] for adder in adders), by_adder, declared)


@dataclass(frozen=True)
class Sources:
    """The source files below `root` that register, or help, kernels. `esp_nn` takes those for ESP-NN."""

    root: Path
    esp_nn: bool = False

    def needed(self, registering: Iterable[str]) -> tuple[str, ...] | None:
        """Paths below `root` of the files that these functions need; None if one is defined nowhere."""
        wanted, found = set(registering), set[Path]()
        for path in self._kernels:
            if wanted & set(_DEFINES_REGISTRATION.findall(self._text(path))):
                found.add(path)
        defined = {name for path in found for name in _DEFINES_REGISTRATION.findall(self._text(path))}
        if not wanted <= defined:
            return None
        found |= self._included_by(found)
        found |= self._called_by(found)
        return tuple(sorted(str(path.relative_to(self.root)) for path in found))

    @cached_property
    def _kernels(self) -> list[Path]:
        paths = [
            path
            for folder in (KERNELS, _SIGNAL)
            for path in sorted((self.root / folder).rglob("*"))
            if path.suffix in _SUFFIXES
        ]
        for_esp_nn = {path.name for path in paths if path.parent == self.root / FOR_ESP_NN}
        if not self.esp_nn:
            return [path for path in paths if path.parent != self.root / FOR_ESP_NN]
        return [path for path in paths if path.parent != self.root / KERNELS or path.name not in for_esp_nn]

    def _included_by(self, sources: Iterable[Path]) -> set[Path]:
        """What goes with the headers that these include, directly or not: x.cc and x_common.cc with x.h."""
        by_stem: dict[str, list[Path]] = {}
        for path in self._kernels:
            by_stem.setdefault(path.stem.removesuffix("_common"), []).append(path)
        seen, left, found = set[Path](), list(sources), set[Path]()
        while left:
            path = left.pop()
            for name in _INCLUDE.findall(self._text(path)):
                header = next((at for at in (self.root / name, path.parent / name) if at.is_file()), None)
                if header is None or header in seen or header.name in _LISTS:
                    continue
                seen.add(header)
                place = next((at for at in (KERNELS, _SIGNAL) if header.is_relative_to(self.root / at)), None)
                stem = by_stem.get(header.stem, ()) if place else ()
                beside = [source for source in stem if source.is_relative_to(self.root / (place or ""))]
                left += [header, *(source for source in beside if source not in found)]
                found |= set(beside)
        if any(path.is_relative_to(self.root / _SIGNAL) for path in (*found, *sources)):
            # Its headers are split over several sources each.
            found |= {path for path in self._kernels if path.is_relative_to(self.root / _SIGNAL)}
        return found

    def _called_by(self, sources: Iterable[Path]) -> set[Path]:
        """The files of CMSIS-NN with the functions and tables that these use, directly or not."""
        home: dict[str, Path] = {}
        for path in sorted((self.root / _CMSIS_NN).rglob("*.c")):
            text = self._text(path)
            for name in (*_DEFINES_FUNCTION.findall(text), *_DEFINES_TABLE.findall(text)):
                home.setdefault(name, path)
        found = set[Path]()
        left = list(sources)
        while left:
            names = set(_NAME.findall(self._text(left.pop())))
            fresh = {home[name] for name in names if name in home} - found
            found |= fresh
            left += fresh
        return found

    @staticmethod
    def _text(path: Path) -> str:
        return path.read_text(errors="replace")
