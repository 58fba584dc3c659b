"""The doctor's diagnosis: what is installed here, which version, what is missing and how to get it."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata

from tinydeploy.errors import ToolError
from tinydeploy.host import paths, tools
from tinydeploy.host.tools import Tool
from tinydeploy.targets.target import Program
from tinydeploy.targets.target_registry import KINDS

_TIMEOUT = 20.0  # seconds for a program to say its version


@dataclass(frozen=True)
class Finding:
    """One thing that tinydeploy uses. `default_path` says that the default board cannot do without it.

    `version` says what is wrong if `ok` is False, and `install` is the command that mends it.
    """

    name: str
    version: str
    ok: bool
    needed_for: str
    install: str
    default_path: bool
    packages: tuple[str, ...] = ()  # with the installer first: "apt", "gcc-arm-none-eabi"


def install_all(findings: Sequence[Finding]) -> str:
    """The one command that installs all that is missing, as far as commands can; "" if nothing is."""
    missing = [finding.packages for finding in findings if not finding.ok and finding.packages]
    commands = []
    for installer, command in (("apt", _apt()), ("pip", (sys.executable, "-m", "pip", "install"))):
        wanted = dict.fromkeys(name for first, *names in missing if first == installer for name in names)
        if wanted:
            commands.append(shlex.join([*command, *wanted]))
    return " && ".join(commands)


def _apt() -> tuple[str, ...]:
    root = () if os.geteuid() == 0 else ("sudo",)
    return (*root, "apt-get", "install", "--no-install-recommends")


def doctor() -> tuple[Finding, ...]:
    """Looks at everything that tinydeploy uses; the cache is tried by writing to it."""
    programs = [_program(tool) for tool in tools.TOOLS if tool.needed_for != "the tests"]
    return (
        _python(),
        _distribution("platformio", "building firmware", default_path=True),
        _distribution("scons", "building firmware without a download", default_path=True),
        _distribution("esptool", "images for ESP32-C2, C3 and H2, and their upload", default_path=False),
        *programs,
        _cxx_library(),
        *(_wanted(program) for kind in KINDS.values() for program in kind.programs()),
        _distribution("tflite-micro", "parity and the reference's accuracy", default_path=False),
        _cache(),
    )


def _python() -> Finding:
    return Finding(
        name="python",
        version=platform.python_version(),
        ok=sys.version_info >= (3, 11),
        needed_for="tinydeploy",
        install="apt-get install python3 python3-venv",
        default_path=True,
    )


def _distribution(name: str, needed_for: str, *, default_path: bool) -> Finding:
    try:
        version, ok = tools.version(name), True
    except metadata.PackageNotFoundError:
        version, ok = "not installed", False
    wanted = _requirement(name)
    install = f"pip install {shlex.quote(wanted)}"
    if name == "tflite-micro":
        install += " (wheels exist for Linux on x86-64 and Python 3.11 to 3.13 only)"
    return Finding(name, version, ok, needed_for, install, default_path, ("pip", wanted))


def _requirement(name: str) -> str:
    """The distribution, with the versions that tinydeploy asks for where its own metadata are there."""
    with suppress(metadata.PackageNotFoundError):
        for line in metadata.requires("tinydeploy") or ():
            wanted = line.partition(";")[0].strip()
            if re.split(r"[^\w.-]", wanted, maxsplit=1)[0] == name:
                return wanted
    return name


def _program(tool: Tool) -> Finding:
    try:
        done = subprocess.run(
            [tool.program, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=True,
        )
        # A distribution's own package version stands in parentheses.
        found = re.search(r"\d+(\.\d+)+", re.sub(r"\([^)]*\)", "", done.stdout.partition("\n")[0]))
        version, ok = (found[0] if found else "unknown"), True
    except FileNotFoundError:
        version, ok = "not on PATH", False
    except (OSError, subprocess.SubprocessError):
        version, ok = "does not start", False
    command = tools.install_command(tool.program)
    return Finding(
        tool.program,
        version,
        ok,
        tool.needed_for,
        command,
        default_path="demo" in tool.goals,
        packages=("apt", tools.package(tool.program)),
    )


def _cxx_library() -> Finding:
    toolchain = "arm-none-eabi-"
    ok = tools.has_cxx_library(toolchain)
    return Finding(
        "libstdc++ for Arm",
        "installed" if ok else "not installed (1.6 GB)",
        ok,
        "the tflm engine",
        tools.cxx_library_hint(toolchain),
        default_path=False,
        packages=("apt", tools.cxx_library_hint(toolchain).rpartition(" ")[2]),
    )


def _wanted(program: Program) -> Finding:
    try:
        version, ok = program.version(), True
    except ToolError as error:
        version, ok = error.message, False
    return Finding(program.name, version, ok, program.needed_for, program.install, default_path=False)


def _cache() -> Finding:
    folder = paths.cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            version, ok = str(folder), True
    except OSError as error:
        version, ok = f"{folder}: {error.strerror}", False
    return Finding(
        "cache",
        version,
        ok,
        "keeping builds",
        "export TINYDEPLOY_CACHE=a-folder-to-write-to",
        default_path=True,
    )
