"""What git knows of files: their content at a commit, and which commit a folder is at."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tinydeploy.errors import ToolError, UsageError

_SECONDS = 20
_MOST_COMMITS = 500


def at(ref: str, file: Path) -> str:
    """The text of the file as committed at `ref`. Raises UsageError, in one line, if it is not there."""
    if not ref or ref.startswith("-") or any(c.isspace() for c in ref):
        raise UsageError(f"{ref!r} is no git ref", "git:main, git:v1.2, git:HEAD~1")
    folder, path = _folder(file), _path(file)
    if path is None:
        said = _git(folder, "rev-parse", "--show-toplevel").stderr
        if "safe.directory" in said:
            hint = f"it belongs to another user: git config --global --add safe.directory {folder}"
            raise UsageError(f"git does not trust the repository of {folder}", hint)
        raise UsageError(f"{folder} is in no git repository", "commit the result, and name its commit")
    if _git(folder, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").returncode:
        shallow = _git(folder, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"
        hint = "the clone is shallow: git fetch --unshallow, or fetch-depth: 0 in a GitHub workflow"
        raise UsageError(
            f"there is no commit '{ref}' here", hint if shallow else "git fetch brings branches and tags"
        )
    shown = _git(folder, "show", f"{ref}:{path}")
    if shown.returncode:
        raise UsageError(f"commit '{ref}' has no {path}", "commit a result there first")
    return shown.stdout


def versions(file: Path) -> list[tuple[str, str]]:
    """Each commit that changed the file, the newest first, and the file's text there; none without git."""
    try:
        folder, path = _folder(file), _path(file)
        log = _git(folder, "log", "--format=%H", "--", str(file.resolve()))
    except ToolError:
        return []
    commits = log.stdout.split() if log.returncode == 0 else []
    texts = ((commit, _git(folder, "show", f"{commit}:{path}")) for commit in commits[:_MOST_COMMITS])
    return [(commit, shown.stdout) for commit, shown in texts if shown.returncode == 0]  # else it was removed


def commit(folder: Path) -> str | None:
    """The commit that the folder is at, with "+" after it if something is changed; None without git."""
    try:
        head = _git(_folder(folder / "x"), "rev-parse", "HEAD")
        if head.returncode:
            return None
        status = _git(_folder(folder / "x"), "status", "--porcelain", "--untracked-files=no")
    except ToolError:
        return None
    return head.stdout.strip() + ("+" if status.stdout.strip() else "")


def _folder(file: Path) -> Path:
    """The nearest folder above the file that is there."""
    return next(parent for parent in file.resolve().parents if parent.is_dir())


def _path(file: Path) -> str | None:
    """The file's path in its repository; None outside of one."""
    top = _git(_folder(file), "rev-parse", "--show-toplevel")
    return (
        None if top.returncode else file.resolve().relative_to(Path(top.stdout.strip()).resolve()).as_posix()
    )


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"git cannot be asked: {error}", "apt-get install git") from error
