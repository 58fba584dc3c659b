"""Prints what a second `tinydeploy run` of the same model and board takes, and where the time goes.

    python benchmarks/second_run.py [MODEL] [-b BOARD]

The first run builds; the second must find everything in the cache: PlatformIO is not started, and
nothing is compiled. CPU seconds are user and system time: of tinydeploy's own process (what it does while
the target runs, so the link, apart), and of all that it calls (QEMU, the reference, the second opinion).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

REPO = Path(__file__).resolve().parent.parent
_RUN = """
import json, os, resource, sys
from tinydeploy.evaluate import run as evaluation
from tinydeploy.cli import main
timed, spent = evaluation._timed, {}
class Timed:
    def __init__(self, way, name): self.inner, self.name = timed(way, name), name
    def __enter__(self): self.start = time(); return self.inner.__enter__()
    def __exit__(self, *error):
        spent[self.name] = spent.get(self.name, 0.0) + time() - self.start
        return self.inner.__exit__(*error)
def time():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
evaluation._timed = Timed
try: main()
finally:
    called = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(os.environ["SPLIT"], "w") as file:
        json.dump({"own": time(), "called": called.ru_utime + called.ru_stime, "phases": spent}, file)
"""


def _measured(model: Path, board: str, folder: Path) -> tuple[float, dict[str, float], dict[str, Any]]:
    """Wall-clock seconds in all and by phase, and the CPU seconds."""
    split = folder / "split.json"
    command = [
        sys.executable,
        "-c",
        _RUN,
        "run",
        str(model),
        "-b",
        board,
        "-o",
        str(folder / "out"),
        "--json",
    ]
    started = time.monotonic()
    finished = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "SPLIT": str(split)}
    )
    total = time.monotonic() - started
    return total, json.loads(finished.stdout)["provenance"]["phases_s"], json.loads(split.read_text())


@click.command()
@click.argument("model", type=click.Path(path_type=Path), default=REPO / "models" / "mnist")
@click.option("-b", "--board", default="mps2-an386", show_default=True)
def main(model: Path, board: str) -> None:
    """Print what a first and a second run take."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first", "second"):
            total, phases, cpu = _measured(model, board, Path(folder))
            parts = ", ".join(f"{phase} {seconds:.2f} s" for phase, seconds in phases.items())
            print(f"{name} run: {total:.2f} s ({parts})")
            link = cpu["phases"].get("target", 0.0)
            own = cpu["own"] - link
            print(f"  CPU of tinydeploy itself: {own:.2f} s, and {link:.2f} s while the target runs")
            print(f"  CPU of QEMU, the reference and others: {cpu['called']:.2f} s")


if __name__ == "__main__":
    main()
