"""The workshop: a float model, the samples, and the tools that quantise and run it and tell its figures."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tinydeploy.evaluate import accuracy, breakdown
from tinydeploy.host.interpreter import Array, Child
from tinydeploy.host.reference import Reference
from tinydeploy.model import samples as sample_files
from tinydeploy.model.graph import Graph
from tinydeploy.model.metric_choice import Judge
from tinydeploy.model.readers import tflite_model
from tinydeploy.model.samples import Samples
from tinydeploy.prepare.calibration_set import CalibrationSet
from tinydeploy.prepare.float_host import FloatHost, Noise, Range
from tinydeploy.prepare.float_model import FloatModel
from tinydeploy.prepare.tflite_quantizer import Quantizer
from tinydeploy.progress import Progress, silent
from tinydeploy.results import metric_table
from tinydeploy.results.closer_look import GroupFigure
from tinydeploy.results.measured import Accuracy

_STUDIED = 64  # samples that tensors are looked at with


@dataclass(frozen=True)
class Side:
    """One model's figures on the samples; without labels there is no accuracy."""

    bytes: int
    accuracy: Accuracy | None
    groups: tuple[GroupFigure, ...] = ()


@functools.cache
def _reference() -> Child:
    """One process of TFLite Micro for all, which ends with this one."""
    return Child("tinydeploy.host.reference")


class Workshop:
    """A float model, its samples, and the tools that quantise and run it."""

    def __init__(
        self,
        model: FloatModel,
        chosen: CalibrationSet,
        test: Samples,
        progress: Progress = silent,
        trained: Path | None = None,
    ) -> None:
        """`test` are the samples that figures are told of, in the float model's own types.

        `trained` is the file or folder that the model was converted from by TensorFlow, if it was.
        """
        self.trained = trained
        self.model, self.chosen, self.test, self.progress = model, chosen, test, progress
        self.host, self.quantizer = FloatHost(), Quantizer()
        rows = sample_files.spread(test.count, min(_STUDIED, test.count), strata_of(test))
        self._few = tuple(values[rows] for values in test.inputs)

    def ranges(self, model: FloatModel, chosen: CalibrationSet | None = None) -> list[Range]:
        """The ranges of the model's tensors over the calibration set."""
        return self.host.ranges(model.content, (chosen or self.chosen).inputs)

    def figure(self, graph: Graph, outputs: Sequence[Array]) -> Accuracy | None:
        """The accuracy of these outputs of a model of that graph; None without labels."""
        judge = self._judge(graph)
        if judge is None:
            return None
        found = accuracy.accuracy(judge, self.model.graph, self.test.inputs, outputs, None)
        return found if isinstance(found, Accuracy) else None

    def groups(self, graph: Graph, outputs: Sequence[Array]) -> tuple[GroupFigure, ...]:
        """The same by group."""
        judge = self._judge(graph)
        if judge is None or self.test.groups is None:
            return ()
        return breakdown.by_group(judge, self.model.graph, self.test.inputs, outputs, self.test.groups)

    def _judge(self, graph: Graph) -> Judge | None:
        """The judge of the samples for a model of that graph; None without labels."""
        judge = self.test.judge
        if judge is None:
            return None
        tensor = graph.tensors[graph.outputs[judge.output.position]]
        return replace(judge, output=replace(judge.output, tensor=tensor))

    def float_side(self) -> Side:
        """The float model's figures, by LiteRT."""
        outputs = self.host.run(self.model.content, self.test.inputs)
        graph = self.model.graph
        return Side(len(self.model.content), self.figure(graph, outputs), self.groups(graph, outputs))

    def int8_side(self, content: bytes) -> Side:
        """The quantised model's figures, by TFLite Micro: these are the firmware's, bit for bit."""
        graph = tflite_model.parse(content, "the quantised model")
        typed = sample_files.load(_by_name(self.test), graph, labelled=False)
        outputs = Reference(graph.content, child=_reference()).run(typed.inputs)
        return Side(len(content), self.figure(graph, outputs), self.groups(graph, outputs))

    def score(self, content: bytes) -> float:
        """One figure, larger is better: the metric, or without labels the outputs' signal to noise in dB."""
        side = self.int8_side(content)
        if side.accuracy is not None:
            return side.accuracy.value * _sign(side.accuracy.metric)
        return self.output_snr(content)

    def output_snr(self, content: bytes) -> float:
        """Signal to noise of the worst output, in dB, against the float model as it was given."""
        names = {self.model.graph.tensors[i].name for i in self.model.graph.outputs}
        found = [one.snr_db for one in self.noise(content) if one.name in names]
        return min(found, default=0.0)

    def noise(self, content: bytes, of: FloatModel | None = None) -> list[Noise]:
        """What the quantised model does to each tensor of the float one, `of` which it was made.

        Over some of the samples.
        """
        return self.host.noise((of or self.model).content, content, self._few)


def _by_name(samples: Samples) -> dict[str, Array]:
    """The samples' inputs as arrays by name."""
    names = ["x"] if len(samples.inputs) == 1 else [f"x{i}" for i in range(len(samples.inputs))]
    return dict(zip(names, samples.inputs, strict=True))


def strata_of(samples: Samples) -> Array | None:
    """The class of each sample, [n]; None where samples have no single class."""
    return samples.judge.strata if samples.judge is not None else None


def _sign(metric: str) -> float:
    found = metric_table.metric(metric)
    return -1.0 if found is not None and not found.higher_is_better else 1.0
