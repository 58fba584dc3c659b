"""The verb `quantize` as a function: reads model and data, quantises, and writes what it made."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinydeploy.errors import UsageError
from tinydeploy.evaluate import data_request
from tinydeploy.evaluate.keyword_types import Quantizing
from tinydeploy.evaluate.request import Beside
from tinydeploy.host import output_folder
from tinydeploy.host.output_folder import Manifest
from tinydeploy.model import card as cards
from tinydeploy.model import samples as sample_files
from tinydeploy.model.card import Card, FloatFigure, Training
from tinydeploy.model.graph import Graph
from tinydeploy.model.metric_choice import NO_WISHES, Wishes
from tinydeploy.model.readers import foreign, tflite_model
from tinydeploy.model.samples import Data, Samples
from tinydeploy.prepare import calibration_set, sources
from tinydeploy.prepare.float_model import FloatModel
from tinydeploy.prepare.quantization import Quantized, Trial, experiment, quantize
from tinydeploy.prepare.sources import Source
from tinydeploy.prepare.tflite_quantizer import Recipe
from tinydeploy.prepare.workshop import Workshop
from tinydeploy.progress import Notice, Progress

MANIFEST = Manifest("quantize-files.json", "tinydeploy.quantize-files/1")
REPORT = "quantize.json"
SCHEMA = "tinydeploy.quantize/1"

_BITS = {"int8": 8, "int16": 16}
_WEIGHTS = ("int8", "int4", "mixed")


@dataclass(frozen=True)
class Asked:
    """What `quantize` was asked for, besides model and calibration data.

    `mixed` lets layers have weights of 4 bits while the figure loses no more than `max_loss`. `experiment`
    is "calibration" or nothing. Unless it is `studied`, nothing is told of single layers. `made` is what the
    card says of how the model came to be, if that is more than this.
    """

    data: Data | None = None
    samples: int | None = None
    activation_bits: int = 8
    weights: str = "int8"
    max_loss: float = 0.01
    float_io: bool = False
    repair: bool = False
    experiment: str = ""
    wishes: Wishes = NO_WISHES
    studied: bool = True
    made: str = ""

    @classmethod
    def of(cls, options: Quantizing) -> Asked:
        """From the keywords of the verb. Raises UsageError for a type that there is not."""
        activations, weights = options.get("activations", "int8"), options.get("weights", "int8")
        if activations not in _BITS or weights not in _WEIGHTS:
            raise UsageError("activations are int8 or int16, weights int8, int4 or mixed")
        return cls(
            options.get("data"),
            options.get("samples"),
            _BITS[activations],
            weights,
            options.get("max_loss", 0.01),
            options.get("float_io", False),
            options.get("repair", False),
            options.get("experiment", ""),
            Wishes.of(options),
        )


@dataclass(frozen=True, eq=False)
class Made:
    """What was made, and where it lies; `quantized` is None of a model that was quantised already.

    `notes` say what was changed on the way.
    """

    path: Path
    source: str
    bytes: int
    quantized: Quantized | None
    trials: tuple[Trial, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The content of quantize.json."""
        quantized = _plain(self.quantized) if self.quantized else {}
        own = {"schema": SCHEMA, "source": self.source, "file": self.path.name, "bytes": self.bytes}
        return own | quantized | {"experiment": _plain(self.trials), "notes": list(self.notes)}


def _plain(value: Any) -> Any:
    """Dataclasses as dictionaries, without bytes, and without what is None."""
    if dataclasses.is_dataclass(value):
        pairs = ((item.name, getattr(value, item.name)) for item in dataclasses.fields(value))
        return {name: _plain(item) for name, item in pairs if not isinstance(item, bytes | None)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def make(
    model: str | Path,
    calibration: Data | None,
    out: str | Path,
    asked: Asked,
    progress: Progress,
    notice: Notice,
) -> Made:
    """Quantises, and writes the .tflite, its card and a report into the folder `out`, or as it.

    Nothing is written unless all of it can be. Raises ModelError, DataError, UsageError, ToolError.
    """
    folder, name = _place(Path(model), Path(out))
    progress("reading the model", 0, 0)
    source = sources.load(model, progress)
    beside = Beside() if Path(model).is_dir() and foreign.folder(Path(model)) else Beside.of(model)
    for note in source.notes:
        notice(note)
    if source.floats is None:
        if calibration is not None:
            notice("the file says how it is quantised, so --calibration is not used")
        made = Made(folder / name, str(source.path), len(source.quantised), None, (), source.notes)
        return _written(made, source.quantised, _bare_card(source, beside, name))
    if calibration is None:
        raise UsageError("a float model needs data to calibrate with", "--calibration: 100 to 1,000 samples")
    given, test = _samples(source.floats, calibration, asked, beside, notice)
    held_back = test if asked.data is not None else None
    chosen = calibration_set.choose(given, asked.samples, held_back, beside.card)
    recipe = Recipe(asked.activation_bits, 4 if asked.weights == "int4" else 8, asked.float_io)
    shop = Workshop(source.floats, chosen, test, progress, source.path if source.trained else None)
    limit = asked.max_loss if asked.weights == "mixed" else None
    found = quantize(shop, recipe, max_loss=limit, repaired=asked.repair, studied=asked.studied)
    trials = experiment(shop, recipe, given) if asked.experiment else ()
    made = Made(folder / name, str(source.path), len(found.content), found, trials, source.notes)
    card = _card(source, beside, name, given, found)
    return _written(made, found.content, replace(card, made=asked.made) if asked.made else card)


def _place(model: Path, out: Path) -> tuple[Path, str]:
    """The folder to write to, and the name of the .tflite."""
    if out.suffix == ".tflite":
        if out.resolve() == model.resolve():
            raise UsageError(f"{out} is the model itself", "name another file by -o")
        return out.parent, out.name
    stem = model.resolve().name if model.is_dir() else model.stem
    return out, f"{stem.removesuffix('-float')}.tflite"


def _samples(
    floats: FloatModel, calibration: Data, asked: Asked, beside: Beside, notice: Notice
) -> tuple[Samples, Samples]:
    """The calibration data, and the data that figures are told of: the same without a test set."""
    wishes = replace(asked.wishes, names=asked.wishes.names or beside.labels)
    given = _read(floats.graph, calibration, wishes, beside)
    for line in given.told:
        notice(line.replace("data:", "calibration:", 1))
    if asked.data is None:
        notice("accuracy is told of the calibration set itself: --data names a test set")
        return given, given
    test = _read(floats.graph, asked.data, wishes, beside)
    for line in test.told:
        notice(line)
    return given, test


def _read(graph: Graph, data: Data, wishes: Wishes, beside: Beside) -> Samples:
    found = sample_files.load(data_request.read(data, graph, beside.preparation), graph, None, wishes)
    if beside.card is not None and (doubt := beside.card.check(found.given[0])):
        return replace(found, warnings=(doubt, *found.warnings))
    return found


def _card(source: Source, beside: Beside, name: str, given: Samples, found: Quantized) -> Card:
    """The card of what was made: that of its source, with what is known now."""
    old = beside.card or Card()
    prepared = given.loaded.prepared if given.loaded and given.loaded.prepared else beside.preparation
    judge = given.judge
    named = judge.names if judge is not None else ()
    labels = old.labels or (named if not all(name.isdecimal() for name in named) else ())
    figure, floats = found.float_side.accuracy, source.floats
    assert floats is not None
    return replace(
        old,
        file=name,
        sha256=hashlib.sha256(found.content).hexdigest(),
        made=_command(source, found.recipe) + (", by TensorFlow's converter" if found.instead else ""),
        labels=tuple(labels),
        preparation=prepared,
        calibration=Training(
            given.source.split(", sha256")[0], _hash_in(given.source), found.calibration_samples
        ),
        figure=FloatFigure(
            figure.metric, figure.value, figure.samples, hashlib.sha256(floats.content).hexdigest()
        )
        if figure
        else old.figure,
        **cards.statistics(given.given[0]),
    )


def _command(source: Source, recipe: Recipe) -> str:
    words = f"tinydeploy quantize {source.path.name}"
    if recipe.activation_bits == 16:
        words += " --activations int16"
    if recipe.weight_bits == 4 or recipe.int4:
        words += f" --weights {'mixed' if recipe.int4 else 'int4'}"
    words += " --float-io" if recipe.float_io else ""
    return "".join(char if char.isprintable() else "?" for char in words)


def _hash_in(source: str) -> str:
    return source.partition("sha256 ")[2][:64]


def _bare_card(source: Source, beside: Beside, name: str) -> Card:
    return replace(
        beside.card or Card(),
        file=name,
        sha256=hashlib.sha256(source.quantised).hexdigest(),
        made=f"tinydeploy quantize {source.path.name}, as the file says",
        preparation=beside.preparation,
    )


def _written(made: Made, content: bytes, card: Card) -> Made:
    """Writes the files, all or none."""
    tflite_model.parse(content, made.path.name)  # what cannot be read again is not written
    folder = made.path.parent
    files = {
        made.path.name: content,
        cards.path_for(made.path).name: card.to_toml().encode(),
        f"{made.path.stem}.{REPORT}": (json.dumps(made.to_json(), indent=1) + "\n").encode(),
    }
    output_folder.write(folder, files, MANIFEST)
    return made
