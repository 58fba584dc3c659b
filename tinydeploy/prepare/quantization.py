"""The way from a float model to an int8 one, and what that costs, in whole and in parts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tinydeploy.errors import ModelError, UsageError
from tinydeploy.model import samples as sample_files
from tinydeploy.model.graph import DType, Graph
from tinydeploy.model.readers import tflite_model
from tinydeploy.model.samples import Samples
from tinydeploy.prepare import calibration_set, repair, tensorflow_bridge
from tinydeploy.prepare.float_host import Noise, Range
from tinydeploy.prepare.float_model import FloatModel
from tinydeploy.prepare.tflite_quantizer import Recipe
from tinydeploy.prepare.workshop import Side, Workshop, strata_of

_USUAL = "ai-edge-quantizer"
_MOST_LAYERS = 64  # whose loss alone is measured


@dataclass(frozen=True)
class LayerStudy:
    """One layer: its signal to noise in the whole int8 model (dB), the metric if it alone is quantised.

    `low`, `high` and `counts` are the range and the histogram of its output; `advice` says what would help.
    """

    name: str
    op: str
    snr_db: float | None
    alone: float | None
    low: float
    high: float
    counts: tuple[int, ...]
    int4: bool = False
    advice: str = ""


@dataclass(frozen=True)
class RepairStep:
    """One repair: what was done, the figure that judged it before and after, and whether it was kept."""

    step: str
    before: float
    after: float
    kept: bool


@dataclass(frozen=True, eq=False)
class Quantized:
    """What `quantize` made, of which recipe and data, and what it lost.

    `instead` says why TensorFlow's converter made it; "" of what ai-edge-quantizer did.
    """

    content: bytes = field(repr=False)
    recipe: Recipe
    float_side: Side
    int8_side: Side
    layers: tuple[LayerStudy, ...]
    repairs: tuple[RepairStep, ...]
    calibration: str
    calibration_samples: int
    warnings: tuple[str, ...]
    instead: str = ""


def quantize(
    shop: Workshop,
    recipe: Recipe,
    *,
    max_loss: float | None = None,
    repaired: bool = False,
    studied: bool = True,
) -> Quantized:
    """The shop's model by this recipe; with `max_loss` weights of 4 bits where they cost no more than that.

    With `repaired` each repair is tried, and kept if the model is better by it; `studied` looks at each
    layer. Raises ModelError for a model of which some op stays float.
    """
    shop.progress("finding the ranges", 0, 0)
    model, ranges = shop.model, shop.ranges(shop.model)
    shop.progress("quantising", 0, 0)
    content, instead = _first(shop, ranges, recipe)
    if instead and (repaired or max_loss is not None or recipe.weight_bits == 4):
        raise ModelError(
            f"{instead}, and TensorFlow's converter neither repairs nor has weights of 4 bits",
            "leave --repair and --weights out",
        )
    repairs: list[RepairStep] = []
    if repaired:
        model, ranges, content, repairs = _repaired(shop, recipe, ranges, content)
    if max_loss is not None:
        recipe = _mixed(shop, model, ranges, recipe, max_loss)
        content = shop.quantizer.quantize(model.content, ranges, recipe)
    shop.progress("running both models", 0, 0)
    float_side, int8_side = shop.float_side(), shop.int8_side(content)
    layers = _studied(shop, model, ranges, recipe, content) if studied else ()
    outliers = calibration_set.ruled_by_outliers(ranges)
    warnings = [*shop.chosen.warnings, *(_told_outliers(outliers) if not repaired else ())]
    return Quantized(
        content,
        recipe,
        float_side,
        int8_side,
        layers,
        tuple(repairs),
        shop.chosen.source,
        len(shop.chosen.inputs[0]),
        tuple(warnings),
        instead,
    )


def _first(shop: Workshop, ranges: list[Range], recipe: Recipe) -> tuple[bytes, str]:
    """The model quantised, and why it had to be by TensorFlow's converter, which needs the trained model."""
    try:
        content = shop.quantizer.quantize(shop.model.content, ranges, recipe)
        _check(content, recipe, _USUAL)
    except ModelError as error:
        if shop.trained is None or len(shop.chosen.inputs) != 1:
            raise
        instead = error.message
    else:
        return content, ""
    shop.progress("quantising by TensorFlow", 0, 0)
    bits, (samples,) = recipe.activation_bits, shop.chosen.inputs
    content = tensorflow_bridge.to_int8(shop.trained, samples, bits, recipe.float_io)
    _check(content, recipe, "TensorFlow's converter")
    return content, instead


def _told_outliers(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
    return [f"outliers rule the range of {len(names)} tensors: {shown}; --repair clips them"]


def _check(content: bytes, recipe: Recipe, by: str) -> None:
    """Raises ModelError unless the model is integer but for its edges."""
    graph = tflite_model.parse(content, "the quantised model", may_be_float=True)
    kinds = _floats(graph)
    if kinds:
        hint = "write the layer by ops that it knows"
        if by == _USUAL:
            hint += ", or give the .keras, .h5 or SavedModel, which TensorFlow's converter may know better"
        raise ModelError(f"{by} leaves these in float: {', '.join(kinds)}", hint)
    if not recipe.float_io and any(graph.tensors[i].dtype is DType.FLOAT32 for i in graph.inputs):
        raise ModelError(f"{by} leaves an input in float", "--float-io accepts that")


def _floats(graph: Graph) -> tuple[str, ...]:
    """The kinds of ops that compute in float."""
    found = set()
    for op in graph.running:
        outputs = {graph.tensors[i].dtype for i in op.outputs}
        if DType.FLOAT32 in outputs and op.kind != "DEQUANTIZE":
            found.add(op.kind)
    return tuple(sorted(found))


def _repaired(
    shop: Workshop, recipe: Recipe, ranges: list[Range], content: bytes
) -> tuple[FloatModel, list[Range], bytes, list[RepairStep]]:
    """Each repair in turn, kept if the model is better by it."""
    model, steps = shop.model, []
    score = shop.score(content)

    def measure(changed: FloatModel) -> list[Noise]:
        return shop.noise(shop.quantizer.quantize(changed.content, ranges, recipe), model)

    def tried() -> Iterator[tuple[str, FloatModel, list[Range]]]:
        changed, pairs = repair.equalised(model)
        yield f"equalisation of {pairs} pairs of layers", changed, shop.ranges(changed) if pairs else ranges
        yield "ranges clipped by mean squared error", model, repair.clipped(ranges, recipe.activation_bits)
        changed, count = repair.bias_corrected(model, measure)
        yield f"correction of {count} biases", changed, ranges

    for step, changed, other in tried():
        shop.progress(f"repairing: {step}", 0, 0)
        made = shop.quantizer.quantize(changed.content, other, recipe)
        after = shop.score(made)
        kept = after > score or (after == score and shop.output_snr(made) > shop.output_snr(content))
        steps.append(RepairStep(step, score, after, kept))
        if kept:
            model, ranges, content, score = changed, other, made, after
    return model, ranges, content, steps


def _mixed(shop: Workshop, model: FloatModel, ranges: list[Range], recipe: Recipe, max_loss: float) -> Recipe:
    """The recipe with weights of 4 bits in as many layers as cost at most `max_loss` of the figure together.

    Layers are tried from the one with most weights to the one with fewest.
    """
    best = shop.score(shop.quantizer.quantize(model.content, ranges, recipe))
    layers = [op for op in model.layers if op.kind in ("CONV_2D", "FULLY_CONNECTED")]
    for number, op in enumerate(sorted(layers, key=lambda op: -model.weights(op).size)):
        shop.progress("trying weights of 4 bits", number, len(layers))
        wider = replace(recipe, int4=(*recipe.int4, model.name(op)))
        with contextlib.suppress(ModelError):  # TFLite Micro has no kernel for it
            if shop.score(shop.quantizer.quantize(model.content, ranges, wider)) >= best - max_loss:
                recipe = wider
    return recipe


def _studied(
    shop: Workshop, model: FloatModel, ranges: Sequence[Range], recipe: Recipe, content: bytes
) -> tuple[LayerStudy, ...]:
    """Every layer with weights: its noise in the whole, and what it loses by itself."""
    noise = {one.name: one for one in shop.noise(content, model)}
    spans = {one.name: one for one in ranges}
    outliers = {*calibration_set.ruled_by_outliers(ranges)}
    found = []
    layers = model.layers
    for number, op in enumerate(layers):
        name = model.name(op)
        shop.progress("quantising each layer by itself", number, len(layers))
        alone = None
        if len(layers) <= _MOST_LAYERS and shop.test.judge is not None:
            with contextlib.suppress(ModelError):
                one = replace(recipe, only=(name,), int4=(), float_io=True)
                part = shop.quantizer.quantize(model.content, ranges, one)
                figure = shop.figure(model.graph, shop.host.run(part, shop.test.inputs))
                alone = figure.value if figure else None
        span = spans.get(name)
        snr = noise[name].snr_db if name in noise else None
        found.append(
            LayerStudy(
                name,
                op.kind,
                None if snr is None or not np.isfinite(snr) else snr,
                alone,
                span.low if span else 0.0,
                span.high if span else 0.0,
                tuple(int(n) for n in span.counts.reshape(32, -1).sum(axis=1)) if span else (),
                name in recipe.int4 or recipe.weight_bits == 4,
                _advice(name in outliers, snr, recipe, name),
            )
        )
    return tuple(found)


def _advice(has_outliers: bool, snr: float | None, recipe: Recipe, name: str) -> str:
    if has_outliers:
        return "clipping (--repair)"
    if snr is None or snr >= 20:
        return ""
    if name in recipe.int4 or recipe.weight_bits == 4:
        return "weights of 8 bits"
    return "equalisation (--repair), or --activations int16" if recipe.activation_bits == 8 else ""


@dataclass(frozen=True)
class Trial:
    """One row of the experiment: how many samples of how many classes calibrated, and the figure then."""

    samples: int
    classes: int | None
    value: float | None


def experiment(shop: Workshop, recipe: Recipe, samples: Samples) -> tuple[Trial, ...]:
    """What the calibration set is worth: 5 classes against all, 20 samples against 200."""
    strata = strata_of(samples)
    if strata is None:
        raise UsageError("the experiment needs classes in the calibration data", "an .npz with x and y")
    every = np.unique(strata)
    found = []
    for kinds, count in ((min(5, len(every)), 200), (len(every), 20), (len(every), 200)):
        own = np.flatnonzero(np.isin(strata, every[:kinds]))
        rows = own[sample_files.spread(len(own), min(count, len(own)), strata[own])]
        inputs = tuple(
            given[rows].astype(typed.dtype)
            for given, typed in zip(samples.given, samples.inputs, strict=True)
        )
        chosen = replace(shop.chosen, inputs=inputs)
        content = shop.quantizer.quantize(shop.model.content, shop.ranges(shop.model, chosen), recipe)
        side = shop.int8_side(content)
        found.append(Trial(len(rows), kinds, side.accuracy.value if side.accuracy else None))
    return tuple(found)
