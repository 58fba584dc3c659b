"""The data of `compress`: what is trained with, calibrated with and judged by, the same for every row."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinydeploy.errors import DataError, UsageError
from tinydeploy.evaluate import accuracy, config, data_request
from tinydeploy.host import output_folder
from tinydeploy.model import card as cards
from tinydeploy.model import samples as sample_files
from tinydeploy.model.card import Card
from tinydeploy.model.graph import Graph
from tinydeploy.model.held_back import held_back
from tinydeploy.model.metric_choice import Wishes
from tinydeploy.model.preparation import Preparation
from tinydeploy.model.samples import Samples
from tinydeploy.prepare.float_host import FloatHost
from tinydeploy.prepare.float_model import FloatModel
from tinydeploy.prepare.making import MANIFEST, Asked
from tinydeploy.progress import Notice
from tinydeploy.results.measured import Accuracy
from tinydeploy.version import __version__

_TESTED = 0.2  # of the data test, where nothing else does


@dataclass(frozen=True, eq=False)
class Material:
    """`floats` is the given model as a float .tflite; `value` its figure on the test set, by LiteRT.

    `trained_with` are the training data's name, hash and count. `quantizing` is how each row is quantised.
    """

    floats: Path
    card: Card
    train: Samples
    trained_with: tuple[str, str, int]
    calibration: Path
    test_path: Path
    metric: str
    value: float | None
    quantizing: Asked

    def key(self, content: bytes) -> str:
        """What a row's int8 model is made of: its float model, the calibration and the test data."""
        digests = [data_request.content(str(path)) for path in (self.calibration, self.test_path)]
        said = [__version__, hashlib.sha256(content).hexdigest(), *digests, str(self.quantizing.wishes)]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def read(model: Path, floats: FloatModel, given: Mapping[str, Any], out: Path, notice: Notice) -> Material:
    """Reads all data, and refuses what does not fit the model, whose file will be where it says.

    Without `train`, a part of `data` is trained with, and the rest tests; both are then in OUT/data. Raises
    DataError, UsageError.
    """
    if given.get("data") is None:
        raise UsageError(
            "recipes are judged by labelled data, and none are given", "--data TEST --train TRAIN"
        )
    card, said = cards.load(model), config.preparation(model)
    reader = _Reader(
        floats.graph,
        said.over(card.preparation) if card else said,
        Wishes.of(given, card.labels if card else ()),
        notice,
    )
    test_path, train_path = Path(given["data"]), given.get("train")
    if train_path is None:
        train_path, test_path = _split(reader.samples(test_path, "data"), out, notice)
    train_path = Path(train_path)
    test, train = reader.samples(test_path, "test"), reader.samples(train_path, "training")
    if test.judge is None:
        raise DataError(f"{test_path} cannot judge the model: {test.unjudged or 'it holds no labels'}")
    sha = train.source.partition("sha256 ")[2][:64]
    name = "".join(char if char.isprintable() else "?" for char in str(train_path))
    return Material(
        Path(floats.path),
        replace(card or Card(), preparation=reader.preparation),
        train,
        (name, sha, train.count),
        Path(given.get("calibration") or train_path),
        test_path,
        test.judge.metric,
        _float_value(floats, test),
        Asked(data=test_path, wishes=reader.wishes, studied=False),
    )


@dataclass(frozen=True)
class _Reader:
    """Reads data for a graph, and tells what was understood of them."""

    graph: Graph
    preparation: Preparation
    wishes: Wishes
    notice: Notice

    def samples(self, path: Path, name: str) -> Samples:
        """All samples of a file or a folder, in the float model's own types."""
        data = data_request.read(path, self.graph, self.preparation)
        found = sample_files.load(data, self.graph, None, self.wishes)
        for line in found.told:
            self.notice(line.replace("data:", f"{name}:", 1))
        return found


def _float_value(floats: FloatModel, test: Samples) -> float | None:
    """The float model's figure on the test set, by LiteRT."""
    assert test.judge is not None
    outputs = FloatHost().run(floats.content, test.inputs)
    figure = accuracy.accuracy(test.judge, floats.graph, test.inputs, outputs, None)
    return figure.value if isinstance(figure, Accuracy) else None


def _split(samples: Samples, out: Path, notice: Notice) -> tuple[Path, Path]:
    """Parts the data, and writes both parts as .npz files; returns that to train with, and that to test."""
    count = samples.count
    assert samples.loaded is not None
    rows = held_back(samples, np.arange(count), _TESTED)
    is_test = np.zeros(count, bool)
    is_test[rows] = True
    files = {}
    for name, chosen in (("train", ~is_test), ("test", is_test)):
        packed = io.BytesIO()
        arrays: dict[str, Any] = {key: values[chosen] for key, values in samples.loaded.arrays.items()}
        np.savez_compressed(packed, **arrays)
        files[f"{name}.npz"] = packed.getvalue()
    output_folder.write(out / "data", files, MANIFEST)
    notice(
        f"without --train, {count - len(rows):,} of the {count:,} samples are trained with and {len(rows):,} "
        "test: if the model was trained with them before, its own figure is flattered"
    )
    return out / "data" / "train.npz", out / "data" / "test.npz"
