"""What a verb was asked for: the model read, the options settled, the samples and how they are judged."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinydeploy.errors import UsageError
from tinydeploy.estimate.energy import duty
from tinydeploy.evaluate import arena_sizing, config, data_request, result_folder
from tinydeploy.evaluate.config import Config
from tinydeploy.evaluate.deployment import model_path
from tinydeploy.evaluate.estimation import Wanted
from tinydeploy.evaluate.option_table import ESTIMATED, JUDGED, VERBS, from_file
from tinydeploy.model import card as cards
from tinydeploy.model import outputs
from tinydeploy.model import samples as sample_files
from tinydeploy.model.card import Card, FloatFigure
from tinydeploy.model.graph import Graph
from tinydeploy.model.logits import without_softmax
from tinydeploy.model.metric_choice import Wishes
from tinydeploy.model.preparation import AS_IS, Preparation
from tinydeploy.model.readers import tflite_model
from tinydeploy.model.samples import Data, Samples
from tinydeploy.progress import Progress
from tinydeploy.report import report_files
from tinydeploy.results.gates import Budget
from tinydeploy.results.limits import LIMITS, parse
from tinydeploy.words import DEFAULT_TIMEOUT

RANDOM_SAMPLES = 16

Model = str | Path | bytes
"""A .tflite: its path, that of a folder that holds it, or its content."""


@dataclass(frozen=True)
class Beside:
    """What files beside a model say of it: its card, and how raw data become its input."""

    card: Card | None = None
    preparation: Preparation = AS_IS

    @classmethod
    def of(cls, model: Model) -> Beside:
        """Of a file's or a folder's model; nothing of one that is given as bytes."""
        if isinstance(model, bytes):
            return cls()
        path = model_path(model)
        card, said = cards.load(path), config.preparation(path)
        return cls(card, said.over(card.preparation) if card else said)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes that the card gives; none without one."""
        return self.card.labels if self.card else ()


@dataclass(frozen=True)
class Run:
    """What a run was asked for: a model, the samples and how they are judged, and where the result goes."""

    graph: Graph
    options: dict[str, Any]
    data: Data | None
    count: int | None
    wishes: Wishes
    folder: Path
    mark: str  # what the folder is told apart by from others of its name; "" if somebody has named it
    timeout: float
    budget: Budget
    command: str  # that asks for the same
    beside: Beside
    wanted: Wanted

    @classmethod
    def of(cls, model: Model, settled: dict[str, Any]) -> Run:
        """From all that is settled; only what says how to deploy is left in `options`."""
        graph = load_model(model, settled)
        command = _command(graph, settled)
        budget = taken_budget(settled)
        if settled.get("out"):
            folder, mark = Path(settled["out"]), ""
        else:
            folder, mark = result_folder.folder(Path("tinydeploy-out"), graph, settled, report_files.mark)
        own = {name: settled.pop(name, None) for name in (*JUDGED, *ESTIMATED, "out", "timeout")}
        beside = Beside.of(model)
        return cls(
            graph,
            settled,
            own["data"],
            own["samples"],
            Wishes.of(own, beside.labels),
            folder,
            mark,
            own["timeout"] or DEFAULT_TIMEOUT,
            budget,
            command,
            beside,
            Wanted(duty(own["every"], own["battery"], own["extra_uj"]), bool(own["profile"]), own["meter"]),
        )

    def float_figure(self) -> FloatFigure | None:
        """How good the float model was, if the card says it."""
        return self.beside.card.figure if self.beside.card else None

    def samples(self, progress: Progress) -> Samples:
        """The samples in the model's own types."""
        progress("reading the samples", 0, 0)
        return _samples(self.graph, self.data, self.count, self.wishes, self.beside)


def _command(graph: Graph, settled: Mapping[str, Any]) -> str:
    """What is asked for as a command line; "" for arrays and models in memory, which have none."""
    words = ["tinydeploy", "run", graph.path]
    for option in VERBS["run"].options:
        value = settled.get(option.name)
        if value is None or value is False or option.name == "out":
            continue
        if not option.on_command_line or not isinstance(value, str | int | float | Path):
            if option.name in ("data", "engine"):
                return ""
            continue
        words += [option.long] if option.kind is bool else [option.long, f"{value}"]
    return shlex.join(words)


def taken_budget(settled: dict[str, Any]) -> dict[str, float]:
    """The limits, which are taken out of all that is settled. Raises UsageError for one that is none."""
    budget = {}
    for name in [name for name in settled if name in LIMITS]:
        try:
            budget[name] = parse(LIMITS[name], settled.pop(name))
        except ValueError as error:
            raise UsageError(f"{name} {error}") from error
    return budget


def with_usual(model: Model, options: Mapping[str, Any], verb: str) -> dict[str, Any]:
    """What is given, and what the tinydeploy.toml beside the model says of the verb's other options."""
    file = Config() if isinstance(model, bytes) else config.load(model_path(model))
    return config.settled(file, options, from_file(verb))


def load_model(model: Model, options: Mapping[str, Any]) -> Graph:
    """The model's graph: of `options`, `signature` says which function, `logits` whether its SOFTMAX goes."""
    if isinstance(model, bytes):
        name = f"model-{hashlib.sha256(model).hexdigest()[:8]}.tflite"
        graph = tflite_model.parse(model, name, options.get("signature"))
    else:
        graph = tflite_model.load(model_path(model), options.get("signature"))
    return without_softmax(graph) if options.get("logits") else graph


def _samples(graph: Graph, data: Data | None, count: int | None, wishes: Wishes, beside: Beside) -> Samples:
    """`count` samples of the file `data`, held against its labels; without a file, random inputs."""
    if data is not None:
        return labelled_samples(graph, data, count, wishes, beside)
    if wishes.metric is not None or wishes.threshold is not None:
        raise UsageError("a metric or a threshold needs labels", "give --data, an .npz with x and y")
    if wishes.output is not None:
        outputs.named(graph, wishes.output)
    return sample_files.random(graph, count or RANDOM_SAMPLES, arena_sizing.SEED)


def labelled_samples(graph: Graph, data: Data, count: int | None, wishes: Wishes, beside: Beside) -> Samples:
    """`count` samples of `data`, prepared as the files beside the model say, and held against its card."""
    read = data_request.read(data, graph, beside.preparation)
    found = sample_files.load(read, graph, count, wishes)
    if beside.card is None:
        return found
    doubts = cards.doubts(beside.card, graph.file), beside.card.check(found.given[0])
    return replace(found, warnings=(*filter(None, doubts), *found.warnings))


def unlabelled_samples(graph: Graph, data: Data | None, count: int, beside: Beside) -> Samples:
    """`count` samples of the file or the arrays `data`, without labels; without data, random inputs."""
    if data is not None:
        read = data_request.read(data, graph, beside.preparation)
        return sample_files.load(read, graph, count, labelled=False)
    return sample_files.random(graph, count, arena_sizing.SEED)
