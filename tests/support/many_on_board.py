"""Many models in one firmware on an emulated board: a checksum of each one's outputs, sample by sample."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import bundle
import native
import numpy as np

from tinydeploy.boards.board import Board
from tinydeploy.engines.engine import EngineSources
from tinydeploy.firmware import build, project
from tinydeploy.firmware.build import Firmware
from tinydeploy.link.device import Device
from tinydeploy.model.graph import Graph
from tinydeploy.targets.target_registry import choose_target, open_target

GUARDS = 64  # bytes around a model's arena


def checksum(outputs: Sequence[native.Array]) -> int:
    """What a board says of a sample with these outputs."""
    crc = 0
    for values in outputs:
        crc = (crc * 31 + zlib.crc32(values.tobytes())) % 2**32
    return crc


@dataclass(frozen=True, eq=False)
class OnBoard:
    """A firmware of so many models, each with its samples of native.random_samples()."""

    board: Board
    models: int
    samples: int
    arena_bytes: int
    firmware: Firmware

    def checksums(self) -> list[list[int]]:
        """Per model, of each sample's outputs; 0 if it failed, or wrote beyond its arena."""
        with open_target(self.board, self.firmware.elf, _link(self.board)) as target:
            device = Device(target.start(), timeout=300)
            device.hello()
            device.setup(self.arena_bytes)
            device.invoke()
            words = np.frombuffer(device.read_output(0), np.uint32)
        return words.reshape(self.models, self.samples).tolist()


def built(models: Sequence[bundle.Model], samples: int, board: Board) -> OnBoard:
    """One firmware of all of them."""
    arena = max(model.sources.arena.bytes for model in models if model.sources.arena) + GUARDS
    files = bundle.files(models, parts=4)
    files["engine.cpp"] = "".join(
        [
            f"#define LAYER_COUNT {len(models)}\n#define LAYER_SAMPLES {samples}\n",
            (bundle.FOLDER / "engine.cpp").read_text(),
        ]
    )
    sources = EngineSources("aot", files, (0,), None)
    graph = Graph("layers.tflite", b"TFL3", "", (), (), (), ())
    target = choose_target(board, None)
    made = project.generate(graph, board, sources, _link(board), arena, target=target)
    return OnBoard(board, len(models), samples, arena, build.build(made, board))


def _link(board: Board) -> str:
    return "uart" if board.arduino else "pipe"
