"""tinydeploy cache."""

from __future__ import annotations

from tinydeploy.cli import options
from tinydeploy.cli.shell import show, show_json
from tinydeploy.errors import UsageError
from tinydeploy.host import cache
from tinydeploy.report import text
from tinydeploy.report.layout import Column, Columns


@options.verb("cache")
def command(trim: str | None, clear: bool | None, as_json: bool) -> None:
    """What is kept between runs: where, how much; drops the oldest of it, or all."""
    if clear and trim is not None:
        raise UsageError("--trim and --clear go one at a time")
    removed = cache.clear() if clear else cache.trim(_size(trim)) if trim is not None else None
    usage = cache.usage()
    if as_json:
        show_json(usage)
        return
    if removed is not None:
        show(f"{removed:,} entries dropped")
    rows = []
    for kind, size in usage.entry_bytes.items():
        count = usage.entries.get(kind)
        rows.append((kind, text.mib(size), "" if count is None else f"{count:,} entries"))
    rows.append(("all", text.mib(usage.bytes), f"of {text.mib(usage.limit)} ({cache.LIMIT_VARIABLE})"))
    show(str(usage.folder))
    show(Columns((Column(), Column(right=True), Column()), rows))


def _size(given: str) -> int:
    try:
        return cache.size(given)
    except ValueError as error:
        raise UsageError(f"--trim: {given} is no size", "1G, 500M, 0") from error
