"""The tflm engine: the model as an ordinary TensorFlow Lite Micro program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinydeploy.boards.board import Board
from tinydeploy.engines.engine import EngineSources, Library, Refusal
from tinydeploy.engines.tflm import host_check, library
from tinydeploy.errors import ModelError
from tinydeploy.host import paths, templates
from tinydeploy.model.graph import DType, Graph, Op
from tinydeploy.model.ops import catalogue

_COPIED = ("debug_log.cpp", "model_data.h")
_WITHOUT_SYSTEM = ("newlib.cpp",)  # an Arduino core brings its own


@dataclass(frozen=True)
class TflmEngine:
    """Wraps TFLite Micro. `source` is the library to use (see `library.find`); None for the usual one."""

    source: str | None = None
    name: ClassVar[str] = "tflm"
    goals: ClassVar[tuple[str, ...]] = ()

    @property
    def evidence(self) -> str:
        """See RegisteredEngine: TFLite Micro itself is asked where it is installed."""
        if host_check.asked():
            return "TFLite Micro ran it on this machine"
        return "by its ops; TFLite Micro is not here to be asked"

    def configured(self, optimize: str | None, library: str | None) -> TflmEngine:
        """See RegisteredEngine; there is no goal to choose."""
        return TflmEngine(library) if library else self

    def refusals(self, graph: Graph) -> tuple[Refusal, ...]:
        """Every op that TFLite Micro cannot run, as it says itself where it is installed."""
        return host_check.refusals(graph)

    def whole_tensors(self, graph: Graph) -> frozenset[int]:
        """All that are no constants."""
        used = {i for op in graph.running for i in (*op.inputs, *op.outputs) if i >= 0} | {*graph.inputs}
        return frozenset(i for i in used if graph.tensors[i].data is None)

    def generate(self, graph: Graph, board: Board) -> EngineSources:
        """model.cpp, model_data.{h,cpp} and what ties the library to the runtime.

        Raises ModelError if an op is refused.
        """
        refusals = self.refusals(graph)
        if refusals:
            first = refusals[0]
            where = f"op {first.op}, {graph.ops[first.op].kind}" if first.op >= 0 else "the model"
            raise ModelError(f"tflm cannot run {where}: {first.reason}")
        digest = bytes.fromhex(graph.sha256)
        model = templates.render(
            "tflm_model.cpp.j2",
            sha256=graph.sha256,
            sha256_bytes=",\n     ".join(
                ", ".join(f"0x{b:02x}" for b in digest[i : i + 16]) for i in (0, 16)
            ),
            inputs=len(graph.inputs),
            outputs=len(graph.outputs),
            ops=len(graph.running),
        )
        copied = _COPIED if board.arduino else _COPIED + _WITHOUT_SYSTEM
        data = templates.render("tflm_model_data.cpp.j2", bytes=[str(b) for b in graph.content])
        return EngineSources(
            engine=self.name,
            model={
                "model.cpp": model,
                "model_data.cpp": data,
                **{name: (paths.FIRMWARE / "tflm" / name).read_text(encoding="utf-8") for name in copied},
            },
            profiled_ops=tuple(op.index for op in graph.running),
            arena=None,
        )

    def library(self, graph: Graph, board: Board) -> Library:
        """TFLite Micro as a library that holds every op of the graph. Raises ToolError or ModelError."""
        return library.find(self.source, board, _variants(graph), per_channel=_has_per_channel_fc(graph))


ENGINE = TflmEngine()


def _variants(graph: Graph) -> dict[str, str]:
    """The resolver's method for each kind of op, and what ends the name of a kernel for its types alone.

    That is empty where not all ops of the kind have the types of such a kernel.
    """
    suffixes: dict[str, set[str]] = {}
    for op in graph.running:
        suffixes.setdefault(catalogue.of(op.kind).resolver, set()).add(_suffix(graph, op))
    return {adder: found.pop() if len(found) == 1 else "" for adder, found in sorted(suffixes.items())}


def _suffix(graph: Graph, op: Op) -> str:
    tensors = [graph.tensors[index] for index in (*op.inputs, *op.outputs) if index >= 0]
    if any(tensor.is_int4 for tensor in tensors):
        return ""
    types = {tensor.dtype for tensor in tensors} - {DType.INT32, DType.INT64}  # those of biases, shapes, axes
    first = [graph.tensors[index].dtype for index in (*op.inputs[:1], *op.outputs[:1]) if index >= 0]
    if types == {DType.INT8}:
        return "_INT8"
    if first == [DType.INT8, DType.INT16] and types == {*first}:
        return "_INT8_INT16"
    return "_INT16" if types <= {DType.INT8, DType.INT16} and set(first) == {DType.INT16} else ""


def _has_per_channel_fc(graph: Graph) -> bool:
    weights = (graph.tensors[op.inputs[1]] for op in graph.running if op.kind == "FULLY_CONNECTED")
    return any(tensor.quantization is not None and tensor.quantization.per_channel for tensor in weights)
