"""Many models' generated sources as one program, because a compiler or a build for each would take hours.

Each model's code is put into a namespace of its own, and is called as firmware_engines/bundle/layers.h says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np

from tinydeploy.engines.engine import EngineSources
from tinydeploy.model.graph import DType, Graph, Tensor, positions_below

FOLDER = Path(__file__).with_name("firmware_engines") / "bundle"
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER), undefined=jinja2.StrictUndefined, trim_blocks=True
)


@dataclass(frozen=True)
class Fill:
    """An input's elements: `span` integers from `low` on; of a float, sixteenths."""

    low: int
    span: int
    bytes: int
    is_float: bool


def fill_of(graph: Graph, tensor: Tensor) -> Fill:
    """What may be in this input of the graph."""
    if tensor.dtype is DType.FLOAT32:
        return Fill(-128, 257, 4, True)
    if tensor.dtype is DType.BOOL:
        return Fill(0, 2, 1, False)
    if (bound := positions_below(graph, tensor)) is not None:
        return Fill(0, bound, tensor.dtype.bytes, False)
    limits = np.iinfo(tensor.dtype.value)
    return Fill(int(limits.min), (int(limits.max) - int(limits.min) + 1) % 2**64, tensor.dtype.bytes, False)


@dataclass(frozen=True, eq=False)
class Model:
    """A graph, its generated sources, and the seed of its samples on a board."""

    graph: Graph
    sources: EngineSources
    seed: int = 0


def called(sources: EngineSources) -> str:
    """What the aot engine calls the model."""
    (header,) = (path for path in sources.model if path.endswith(".h") and "/include/" in path)
    return Path(header).stem


def code(sources: EngineSources) -> str:
    """The source file with the calls of its kernels."""
    return sources.model[f"model/src/{called(sources)}.cpp"]


def _renamed(text: str, old: str, new: str) -> str:
    """A model's source with another name for it."""
    text = re.sub(rf"\btinydeploy_{old}\b", f"tinydeploy_{new}", text)
    text = re.sub(rf"\b{old}_", f"{new}_", text)
    return re.sub(rf"\b{old.upper()}_", f"{new.upper()}_", text)


def _without_includes(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith(("#include", "#pragma")))


def files(models: Sequence[Model], parts: int = 1) -> dict[str, str]:
    """The program's sources by path, for any main or engine; the models are spread over so many files."""
    names = [f"model{i}" for i in range(len(models))]
    found = {
        "layers.h": (FOLDER / "layers.h").read_text(),
        "layers.cpp": _render("layers.cpp.j2", names=names),
    }
    for part in range(parts):
        some = range(part, len(models), parts)
        headers: set[str] = set()
        rendered = []
        for i in some:
            sources = models[i].sources
            headers |= {*re.findall(r'^#include "(kernels/.+)"', code(sources), re.M)}
            found |= {p.removeprefix("model/src/"): text for p, text in sources.kernels.items()}
            rendered.append(_model(models[i], names[i]))
        found[f"models{part}.cpp"] = _render("models.cpp.j2", headers=sorted(headers), models=rendered)
    return found


def _render(template: str, **values: object) -> str:
    return _TEMPLATES.get_template(template).render(**values)


def _model(model: Model, name: str) -> dict[str, object]:
    made, old = model.sources.model, called(model.sources)
    of_model = (f"include/{old}.h", f"src/{old}_data.h", f"src/{old}_data.cpp", f"src/{old}.cpp")
    texts = [_without_includes(_renamed(made[f"model/{path}"], old, name)) for path in of_model]
    assert model.sources.arena is not None
    fills = [fill_of(model.graph, model.graph.tensors[index]) for index in model.graph.inputs]
    return {
        "name": name,
        "code": "\n".join(texts),
        "engine": _without_includes(_renamed(made["engine_aot.cpp"], old, name)),
        "seed": model.seed,
        "arena_bytes": model.sources.arena.bytes,
        "fills": [
            {
                "low": f"-{-fill.low - 1}LL - 1" if fill.low < 0 else str(fill.low),
                "span": f"{fill.span}u" if fill.span < 2**32 else f"UINT64_C({fill.span})",
                "bytes": fill.bytes,
                "is_float": str(fill.is_float),
            }
            for fill in fills
        ],
    }
