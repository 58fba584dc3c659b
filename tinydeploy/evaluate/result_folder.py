"""The folder of a result that nobody named: called after all that makes it another result.

Names are for people: of a model, its data and a library they hold the last part of the path. A folder's mark
is a hash of the whole, which its manifest keeps: where a name is another result's, some of it follows.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board
from tinydeploy.engines.engine_registry import DEFAULT_ENGINE
from tinydeploy.evaluate import data_request
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import array_samples
from tinydeploy.targets.target_registry import choose_target, target_at_port
from tinydeploy.words import ARENAS, DEFAULT_BOARD, DEFAULT_LINK, GOALS

_LONGEST = 40  # characters of one of the name's parts
_MOST_BYTES = 200  # of the name: file systems take 255
_DIGITS = 8  # of a hash


def folder(
    root: Path, graph: Graph, settled: Mapping[str, Any], marked: Callable[[Path], str]
) -> tuple[Path, str]:
    """The result's folder in `root`, and its mark. `marked` tells a folder's mark, "" of one without.

    The name is that of the model and the board's id, then whatever is not as it is by default.
    """
    board = lookup.board(settled.get("board", DEFAULT_BOARD))
    words = [*_words(graph, settled, board)]
    name = "-".join((_short(Path(graph.path).stem), board.id, *map(_short, words)))
    place = root / name.encode()[:_MOST_BYTES].decode(errors="ignore")
    named = [graph.path, settled.get("data"), settled.get("tflm_library")]
    paths = [part for one in named if isinstance(one, str | Path) for part in data_request.files(str(one))]
    places = [os.path.relpath(os.path.realpath(path)) for path in paths]
    mark = hashlib.sha256(json.dumps([board.id, *words, *places]).encode()).hexdigest()
    if marked(place) not in ("", mark):
        place = place.with_name(f"{place.name}-{mark[:_DIGITS]}")
    return place, mark


def _short(word: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", word)[:_LONGEST]


def _words(graph: Graph, settled: Mapping[str, Any], board: Board) -> Iterator[str]:
    engine = settled.get("engine", DEFAULT_ENGINE)
    engine = engine if isinstance(engine, str) else engine.name
    if engine != DEFAULT_ENGINE:
        yield engine.replace(",", "+")
    if settled.get("tflm_library"):
        yield Path(settled["tflm_library"]).name
    if settled.get("optimize", GOALS[0]) != GOALS[0]:
        yield settled["optimize"]
    if settled.get("arena", ARENAS[0]) != ARENAS[0]:
        yield settled["arena"]
    if settled.get("signature"):
        yield settled["signature"]
    if settled.get("logits"):
        yield "logits"
    target = target_at_port().name if settled.get("port") else settled.get("target")
    if target is not None and target != choose_target(board, None).name:
        yield target
    if settled.get("link", DEFAULT_LINK) != DEFAULT_LINK:
        yield settled["link"]
    yield from _data(settled.get("data"), graph)
    if settled.get("samples"):
        yield f"{settled['samples']}_samples"
    for name in ("metric", "output", "threshold"):
        if settled.get(name) is not None:
            yield settled[name] if name == "metric" else f"{name}_{settled[name]}"


def _data(data: Any, graph: Graph) -> Iterator[str]:
    """Nothing for the file test.npz beside the model, which is what it is mostly held against."""
    if data is None:
        yield "random"
    elif not isinstance(data, str | Path):
        arrays = array_samples.arrays(data, array_samples.names(graph))
        yield f"arrays_{array_samples.digest(arrays)[:_DIGITS]}"
    elif Path(data).name != "test.npz":
        yield Path(data).stem
    elif Path(data).resolve().parent != Path(graph.path).resolve().parent:
        yield f"{Path(data).resolve().parent.name}_test"
