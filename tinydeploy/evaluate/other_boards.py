"""Which other boards a model that was run would fit, done for the same goal: what `fit` says, kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from math import isfinite
from pathlib import Path

import tinydeploy
from tinydeploy.boards import lookup
from tinydeploy.errors import TinydeployError
from tinydeploy.evaluate import fit
from tinydeploy.evaluate.deployment import Job
from tinydeploy.host import memo, paths
from tinydeploy.results.setting import BoardFit


def other_boards(job: Job) -> tuple[BoardFit, ...] | None:
    """The boards that people can buy, but for the job's own, the roomiest first.

    None for an engine without goals, of which `fit` says nothing.
    """
    goal = job.sources.optimize
    if goal is None:
        return None
    key = json.dumps(["other boards", _programs(), hashlib.sha256(job.graph.content).hexdigest(), goal])
    kept = memo.read(key)
    if kept is None:
        among = [board for board in lookup.all_boards() if not board.only_emulated]
        try:
            found = [_told(one) for one in fit.fits(job.graph, among, goals=(goal,))]
        except TinydeployError:  # the run stands without
            return None
        kept = json.dumps([asdict(one) for one in found]).encode()
        memo.write(key, kept)
    every = (BoardFit(**one) for one in json.loads(kept))
    return tuple(one for one in every if one.board != job.board.id)


def _told(one: fit.Fit) -> BoardFit:
    return BoardFit(one.board, one.verdict.value, one.room if isfinite(one.room) else None)


@cache
def _programs() -> str:
    """What decides it, by content: tinydeploy, its kernels and its boards."""
    package = Path(tinydeploy.__file__).parent
    sources = [*package.rglob("*.py"), *paths.BOARDS.glob("*.toml"), *(paths.FIRMWARE / "kernels").iterdir()]
    found = hashlib.sha256()
    for file in sorted(sources):
        found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()
