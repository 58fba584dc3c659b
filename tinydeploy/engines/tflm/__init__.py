"""The tflm engine: the model as an ordinary TensorFlow Lite Micro program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinydeploy import paths, templates
from tinydeploy.boards import Board
from tinydeploy.engines import EngineSources, Library, Refusal
from tinydeploy.engines.tflm import library
from tinydeploy.engines.tflm.ops import ADDERS, HYBRID, NOT_UINT8
from tinydeploy.errors import ModelError
from tinydeploy.graph import DType, Graph, Op

_COPIED = ("debug_log.cpp", "model_data.h")
_WITHOUT_SYSTEM = ("newlib.cpp",)  # an Arduino core brings its own


@dataclass(frozen=True)
class TflmEngine:
    """Wraps TFLite Micro. `source` is the library to use (see `library.find`); None for the usual one."""

    source: str | None = None
    name: ClassVar[str] = "tflm"

    def refusals(self, graph: Graph) -> tuple[Refusal, ...]:
        """Every op that TFLite Micro has no kernel for, at all or in its types."""
        reasons = ((op.index, _reason(graph, op)) for op in graph.ops)
        return tuple(Refusal(index, reason) for index, reason in reasons if reason)

    def whole_tensors(self, graph: Graph) -> frozenset[int]:
        """All that are no constants."""
        used = {i for op in graph.ops for i in (*op.inputs, *op.outputs) if i >= 0} | {*graph.inputs}
        return frozenset(i for i in used if graph.tensors[i].data is None)

    def generate(self, graph: Graph, board: Board) -> EngineSources:
        """src/model.cpp, src/model_data.{h,cpp} and what ties the library to the runtime.

        Raises ModelError if an op is refused.
        """
        refusals = self.refusals(graph)
        if refusals:
            first = refusals[0]
            raise ModelError(f"tflm cannot run op {first.op}, {graph.ops[first.op].kind}: {first.reason}")
        digest = bytes.fromhex(graph.sha256)
        model = templates.render(
            "tflm_model.cpp.j2",
            sha256=graph.sha256,
            sha256_bytes=",\n     ".join(
                ", ".join(f"0x{b:02x}" for b in digest[i : i + 16]) for i in (0, 16)
            ),
            adders=_adders(graph),
            inputs=len(graph.inputs),
            outputs=len(graph.outputs),
            ops=len(graph.ops),
        )
        copied = _COPIED if board.arduino else _COPIED + _WITHOUT_SYSTEM
        data = templates.render("tflm_model_data.cpp.j2", bytes=[str(b) for b in graph.content])
        return EngineSources(
            engine=self.name,
            files={
                "src/model.cpp": model,
                "src/model_data.cpp": data,
                **{
                    f"src/{name}": (paths.FIRMWARE / "tflm" / name).read_text(encoding="utf-8")
                    for name in copied
                },
            },
            profiled_ops=tuple(op.index for op in graph.ops),
            arena=None,
        )

    def library(self, graph: Graph, board: Board) -> Library:
        """TFLite Micro as a library that holds every op of the graph. Raises ToolError or ModelError."""
        return library.find(self.source, board, _adders(graph), per_channel=_has_per_channel_fc(graph))


def _adders(graph: Graph) -> list[str]:
    return sorted({ADDERS[op.kind] for op in graph.ops})


def _has_per_channel_fc(graph: Graph) -> bool:
    weights = (graph.tensors[op.inputs[1]] for op in graph.ops if op.kind == "FULLY_CONNECTED")
    return any(tensor.quantization is not None and tensor.quantization.per_channel for tensor in weights)


def _reason(graph: Graph, op: Op) -> str:
    if op.kind not in ADDERS:
        return "TFLite Micro has no kernel"
    tensors = [graph.tensors[index] for index in op.inputs if index >= 0]
    if op.kind in NOT_UINT8 and any(tensor.dtype is DType.UINT8 for tensor in tensors):
        return "no kernel for uint8"
    if op.kind in HYBRID and tensors[0].dtype is DType.FLOAT32 and tensors[1].dtype is not DType.FLOAT32:
        return "no kernel for float activations with integer weights"
    return ""
