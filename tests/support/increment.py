"""A model that is none: tests/firmware_unit/app/engine.cpp as the sources that an engine would generate."""

from __future__ import annotations

from pathlib import Path

from tinydeploy.boards import lookup
from tinydeploy.engines.engine import EngineSources
from tinydeploy.firmware import project
from tinydeploy.firmware.project import Project
from tinydeploy.model.graph import Graph
from tinydeploy.targets.target_registry import choose_target

APP = Path(__file__).parents[1] / "firmware_unit" / "app"
GRAPH = Graph("somewhere/in crement.tflite", b"TFL3", "", (), (), (), ())


def sources(extra: str = "") -> EngineSources:
    """The engine's sources; `extra` is C++ that is appended to them."""
    files = {
        "model.cpp": (APP / "engine.cpp").read_text() + extra,
        "model_data.cpp": (APP / "model_data.cpp").read_text(),
    }
    return EngineSources("aot", files, (0,), None)


def make(
    board: str = "mps2-an386", *, link: str = "pipe", arena: int | None = 64, extra: str = ""
) -> Project:
    """The firmware project of that engine."""
    chosen = lookup.board(board)
    target = choose_target(chosen, None, stand_ins=False)
    return project.generate(GRAPH, chosen, sources(extra), link, arena, target=target)
