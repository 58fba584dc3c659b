"""A model as a part of somebody's own firmware: compiled, named, and with a self-test from the reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinydeploy.boards import lookup
from tinydeploy.boards.core import CORES, Core
from tinydeploy.engines.aot.identifiers import checked_name, model_name
from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.errors import UsageError
from tinydeploy.evaluate import board_checks
from tinydeploy.evaluate.deployment import model_path
from tinydeploy.evaluate.export_options import TESTED
from tinydeploy.evaluate.request import Beside, Model, load_model, unlabelled_samples, with_usual
from tinydeploy.evaluate.selftest import reference_run
from tinydeploy.firmware.export.library_model import LibraryModel, SelfTestData
from tinydeploy.words import DEFAULT_BOARD, EXPORTED_SAMPLES


def library_model(model: Model, given: Mapping[str, Any], core: Core | None) -> LibraryModel:
    """The model, by the options `given`, for `core`, or for the board that they name.

    `model` may be NAME=FILE. Raises UsageError or ModelError if it cannot be had so.
    """
    name, model = _named(model)
    settled = with_usual(model, given, "export")
    board = None if core else lookup.board(settled.get("board", DEFAULT_BOARD))
    graph = load_model(model, settled)
    engine = AotEngine().configured(settled.get("optimize"), None)
    board_checks.check_ops(graph, engine)
    if board is not None:
        board_checks.check_memories(graph, engine, board)
        core, room = engine.limits(board)
        code = engine.code(graph, core, room)
        board_checks.check_arena(code.scratch_bytes + code.state_bytes, board)
    else:
        assert core is not None
        code = engine.code(graph, core)
    count, beside = settled.get("samples") or EXPORTED_SAMPLES, Beside.of(model)
    if count > TESTED["most"]:
        raise UsageError(f"a self-test cannot have {count} samples", f"at most {TESTED['most']}")
    samples = unlabelled_samples(graph, settled.get("data"), count, beside)
    inputs, expected = reference_run(graph, samples)
    test = SelfTestData(len(samples.inputs[0]), inputs, expected)
    name = name or model_name(Path(graph.path).stem)
    return LibraryModel(name, code, core, tuple(settled.get("labels") or beside.labels), test)


PORTABLE = CORES["avr"]
"""A core whose kernels run anywhere."""


def core_of(given: Mapping[str, Any]) -> Core | None:
    """The core that the options name, without a board; None if they name a board, or nothing."""
    named = [name for name in ("board", "core", "portable") if given.get(name)]
    if len(named) > 1:
        raise UsageError(f"--{named[0]} and --{named[1]} exclude each other", "give one of them")
    if given.get("portable"):
        return PORTABLE
    word = given.get("core")
    if word and word not in CORES:
        raise UsageError(f"there is no core '{word}'", f"it is one of {', '.join(CORES)}")
    return CORES[word] if word else None


def _named(model: Model) -> tuple[str, Model]:
    """The name that `model` gives itself, "" if none, and the model."""
    if isinstance(model, bytes) or "=" not in str(model) or Path(model).exists():
        return "", model
    name, _, path = str(model).partition("=")
    if "/" in name:
        return "", model
    return checked_name(name), model_path(path)
