"""Prints how long a second `tinydeploy run` of the same model and board takes, and where the time goes.

    python benchmarks/second_run.py [MODEL] [-b BOARD]

The first run builds; the second must find everything in the cache: PlatformIO is not started, and
nothing is compiled. Time is wall-clock on this machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

REPO = Path(__file__).resolve().parent.parent


def _timed_run(model: Path, board: str, folder: str) -> tuple[float, dict[str, float]]:
    command = [sys.executable, "-m", "tinydeploy", "run", str(model), "-b", board, "-o", folder, "--json"]
    started = time.monotonic()
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.monotonic() - started, json.loads(finished.stdout)["provenance"]["phases_s"]


@click.command()
@click.argument("model", type=click.Path(path_type=Path), default=REPO / "models" / "mnist")
@click.option("-b", "--board", default="mps2-an386", show_default=True)
def main(model: Path, board: str) -> None:
    """Print how long a first and a second run take."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first", "second"):
            total, phases = _timed_run(model, board, folder)
            outside = total - phases["target"] - (phases["build"] if name == "first" else 0.0)
            parts = ", ".join(f"{phase} {seconds:.2f} s" for phase, seconds in phases.items())
            print(f"{name} run: {total:.2f} s ({parts}); outside PlatformIO and QEMU {outside:.2f} s")


if __name__ == "__main__":
    main()
