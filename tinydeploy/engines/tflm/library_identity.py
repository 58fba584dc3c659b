"""Which TFLite Micro a folder holds: its name and version, by all that it tells."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

_SOURCES = ("signal", "tensorflow", "third_party", "src", "include")
_HASHED = (".h", ".hpp", ".c", ".cc", ".cpp", ".S")


def identity(folder: Path, root: Path) -> tuple[str, str]:
    """The library's name, and its version by all that it tells: release, commit, age, content."""
    name, facts = "TFLite Micro", []
    for manifest in (_library_json(folder), _library_properties(folder)):
        if manifest:
            name, release = manifest
            facts.append(release)
            break
    commit = _git_commit(folder)
    if commit:
        facts.append(f"commit {commit[:12]}")
    digest, year = _content(root)
    if not commit and year:
        facts.append(f"copyright {year}")
    return name, ", ".join([*facts, f"content {digest[:12]}"])


def _library_json(folder: Path) -> tuple[str, str] | None:
    try:
        manifest = json.loads((folder / "library.json").read_text(encoding="utf-8"))
        return str(manifest["name"]), str(manifest["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _library_properties(folder: Path) -> tuple[str, str] | None:
    try:
        lines = (folder / "library.properties").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    return fields.get("name", "TFLite Micro"), fields.get("version", "")


def _git_commit(folder: Path) -> str:
    """The commit that the folder is a checkout of; empty if it is none."""
    if not (folder / ".git").exists():
        return ""
    try:
        command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _content(root: Path) -> tuple[str, str]:
    """SHA-256 over names and bytes of all sources, and the latest year in their copyright notices."""
    digest, year = hashlib.sha256(), b""
    for path in _sources(root):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)} {len(content)}\n".encode())
        digest.update(content)
        claimed = re.match(rb"/\* Copyright (20\d\d) The TensorFlow Authors", content)
        year = max(year, claimed[1]) if claimed else year
    return digest.hexdigest(), year.decode()


def _sources(root: Path) -> Iterator[Path]:
    for folder in _SOURCES:
        yield from (
            path for path in sorted((root / folder).rglob("*")) if path.suffix in _HASHED and path.is_file()
        )
