"""The data of a search: for training, for choosing between candidates, and for the figures at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import DataError, UsageError
from tinydeploy.evaluate import data_request
from tinydeploy.model import samples as sample_files
from tinydeploy.model.graph import Graph
from tinydeploy.model.held_back import held_back
from tinydeploy.model.metric_choice import CLASSES, Wishes
from tinydeploy.model.preparation import AS_IS
from tinydeploy.model.readers.loaded import Loaded
from tinydeploy.model.samples import Data, Samples

Array = npt.NDArray[Any]

_PART = 0.2  # of the data: held back for the end, and of the rest, for choosing
_FEWEST = 20


@dataclass(frozen=True, eq=False)
class StudyData:
    """x and y of each part. `sha256` is of all of them, `source` what they were read from."""

    train: tuple[Array, Array]
    validation: tuple[Array, Array]
    test: tuple[Array, Array]
    source: str
    sha256: str
    told: tuple[str, ...] = ()

    def for_training(self, to: Path) -> None:
        """What the training's process reads: an .npz of x, y, x_validation, y_validation."""
        x, y = self.train
        x_validation, y_validation = self.validation
        np.savez(to, x=x, y=y, x_validation=x_validation, y_validation=y_validation)

    @property
    def held_back(self) -> dict[str, Array]:
        """The part for the end, as `run --data` takes it."""
        return {"x": self.test[0], "y": self.test[1]}


def split(graph: Graph, data: Data, test: Mapping[str, Array] | None, wishes: Wishes, seed: int) -> StudyData:
    """The data in three parts, spread over classes, or of whole groups; `test` is the last, if it is given.

    Raises DataError for data that a model of this graph cannot be judged by, or too few of them.
    """
    if len(graph.inputs) != 1:
        raise UsageError(f"the model has {len(graph.inputs)} inputs", "search takes models of one")
    found = _read(graph, data_request.read(data, graph, AS_IS), wishes)
    x, y = _arrays(found, graph)
    if test is not None:
        held = _read(graph, test, wishes)
        rest, back = np.arange(found.count), _arrays(held, graph)
    else:
        rows = held_back(found, np.arange(found.count), _PART, seed)
        rest, back = np.setdiff1d(np.arange(found.count), rows), (x[rows], y[rows])
    choosing = held_back(found, rest, _PART, seed + 1)
    training = np.setdiff1d(rest, choosing)
    if min(map(len, (training, choosing, back[0]))) * 5 < _FEWEST or found.count < _FEWEST:
        raise DataError(f"{found.count} samples are too few to train, choose and judge by")
    digest = sample_files.digest({"x": x, "y": y, "x_test": back[0], "y_test": back[1]})
    source = found.source.split(", sha256")[0]
    return StudyData((x[training], y[training]), (x[choosing], y[choosing]), back, source, digest, found.told)


def _read(graph: Graph, data: Data, wishes: Wishes) -> Samples:
    found = sample_files.load(data, graph, None, wishes)
    if found.judge is None:
        raise DataError(found.unjudged or "the data have no labels y", "a search needs x and y")
    values = found.given[0]
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError("x holds what is no number: NaN or an infinity")
    return found


def _arrays(samples: Samples, graph: Graph) -> tuple[Array, Array]:
    """The inputs as they are trained with, and the labels: classes as their numbers."""
    assert samples.judge is not None and samples.loaded is not None
    shape = graph.tensors[graph.inputs[0]].shape[1:]  # without the batch of 1
    x = samples.given[0].astype(np.float32).reshape(samples.count, *shape)
    if samples.judge.task is CLASSES and samples.judge.strata is not None:
        return x, samples.judge.strata.astype(np.int64)
    return x, np.asarray(samples.loaded.arrays["y"])


def of_load(path: Path, space: Path) -> tuple[Loaded, dict[str, Array] | None]:
    """What load() of a space gave: its data, and those of the test if it has them."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    named = f"{space.name}: load()"
    test = {"x": arrays["x_test"], "y": arrays["y_test"]} if {"x_test", "y_test"} <= arrays.keys() else None
    kept = {name: arrays[name] for name in ("x", "y", "group") if name in arrays}
    return Loaded(kept, f"{', '.join(kept)} of {named}", source=named, file=named), test
