"""Runs in the Python that has TensorFlow, as a script: builds, converts and trains candidates for `search`.

It imports nothing of tinydeploy. Each line of stdin is a request in JSON, each line that it writes to what
was stdout an answer; what the user's file prints goes to stderr. A choice that `build(trial)` makes is a
question to the other side: {"ask": …}, answered by {"value": …}. When stdin ends it ends, whatever it does.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_CALIBRATE = 500  # samples that ranges are found with, once a candidate is trained
_PATIENCE = 5  # epochs without a better loss before training stops, and goes back to the best


class SpaceError(Exception):
    """What is wrong with the user's file, in a line."""


class Trial:
    """What `build` is given: optuna's way to make choices, which the other side takes."""

    def __init__(self, number: int, ask: Callable[[dict[str, Any]], Any]) -> None:
        self.number = number
        self.params: dict[str, Any] = {}
        self._ask = ask

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """See optuna.trial.Trial."""
        return int(self._suggest("suggest_int", name, low=low, high=high, step=step, log=log))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """See optuna.trial.Trial."""
        return float(self._suggest("suggest_float", name, low=low, high=high, step=step, log=log))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """See optuna.trial.Trial; a choice may be a tuple or a list, too."""
        listed = list(choices)
        if not listed:
            raise SpaceError(f"suggest_categorical('{name}') has no choices")
        plain = all(choice is None or isinstance(choice, str | int | float | bool) for choice in listed)
        told = listed if plain else [json.dumps(choice) for choice in listed]
        found = self._suggest("suggest_categorical", name, choices=told)
        return listed[told.index(found)]

    def _suggest(self, how: str, name: str, **given: Any) -> Any:
        self.params[name] = self._ask({"ask": how, "name": str(name), "given": given})
        return self.params[name]


class _Line:
    """The line to the other side."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        given = os.fdopen(os.dup(0), encoding="utf-8")
        os.dup2(2, 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(given,), daemon=True).start()

    def _read(self, given: Any) -> None:
        for line in given:
            self._lines.put(line)
        os._exit(0)

    def get(self) -> Any:
        return json.loads(self._lines.get())

    def put(self, told: dict[str, Any]) -> None:
        self._out.write(json.dumps(told) + "\n")
        self._out.flush()

    def ask(self, question: dict[str, Any]) -> Any:
        self.put(question)
        answer = self.get()
        if "error" in answer:
            raise SpaceError(answer["error"])
        return answer["value"]


class Candidates:
    """The user's file, and the candidate that was built last."""

    def __init__(self, space: Path, line: _Line) -> None:
        self._line = line
        self._made: Any = None
        self._user = _loaded(space)
        self._data: dict[str, Any] = {}

    def has(self) -> list[str]:
        """Which of the functions that may be there are."""
        return [name for name in ("build", "load", "train") if callable(getattr(self._user, name, None))]

    def load(self, to: str) -> dict[str, Any]:
        """Writes what the user's function of that name gives as an .npz at `to`."""
        import numpy as np

        found = self._user.load()
        if isinstance(found, tuple):
            names = {2: ("x", "y"), 4: ("x", "y", "x_test", "y_test")}.get(len(found))
            if len(found) == 2 and all(isinstance(part, tuple) and len(part) == 2 for part in found):
                found, names = (*found[0], *found[1]), ("x", "y", "x_test", "y_test")  # as keras.datasets
            if names is None:
                raise SpaceError(f"load() gives {len(found)} things, not x, y or x, y, x_test, y_test")
            found = dict(zip(names, found, strict=True))
        if not isinstance(found, dict) or not {"x", "y"} <= found.keys():
            raise SpaceError("load() must give x, y, or x, y, x_test, y_test, or a dictionary of them")
        arrays = {str(name): np.asarray(values) for name, values in found.items()}
        bad = [name for name, values in arrays.items() if values.dtype == object]
        if bad:
            raise SpaceError(f"load(): {bad[0]} is no array of numbers")
        np.savez(to, **arrays)  # type: ignore[arg-type]
        return {"arrays": {name: list(values.shape) for name, values in arrays.items()}}

    def build(self, number: int, seed: int, data: str, to: str) -> dict[str, Any]:
        """The candidate of so many choices, untrained, as an int8 .tflite at `to`."""
        import keras

        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        trial = Trial(number, self._line.ask)
        self._made = None
        model = self._user.build(trial)
        if not hasattr(model, "inputs") or not callable(model):
            raise SpaceError(f"build() gives {type(model).__name__}, not a Keras model")
        if not getattr(model, "built", True) or not model.inputs:
            raise SpaceError("build() gives a model without an input shape: begin with keras.Input")
        self._made = model
        samples = self._samples(data, model, 4) if data else _random(model)
        Path(to).write_bytes(_int8(model, samples))
        return {"parameters": int(model.count_params())}

    def train(self, epochs: int, seed: int, data: str, to: str) -> dict[str, Any]:
        """Trains the candidate that was built last: model.keras and model.tflite in the folder `to`."""
        import keras
        import numpy as np

        model = self._made
        keras.utils.set_random_seed(seed)
        arrays = self._arrays(data)
        own = getattr(self._user, "train", None)
        taken = inspect.signature(own).parameters if callable(own) else {}
        if callable(own):
            given = (
                model,
                {name: arrays[name] for name in ("x", "y", "x_validation", "y_validation")},
                epochs,
            )
            trained = own(*given[: len(taken)] if len(taken) < len(given) else given)
            model = trained if hasattr(trained, "inputs") else model
            done = epochs
        else:
            done = _fit(model, arrays, epochs)
        if not all(np.isfinite(weights).all() for weights in model.get_weights()):
            raise SpaceError("once trained, the model has weights that are no numbers")
        folder = Path(to)
        model.save(folder / "model.keras")
        (folder / "model.tflite").write_bytes(_int8(model, self._samples(data, model, _CALIBRATE)))
        return {"epochs": done}

    def _arrays(self, data: str) -> dict[str, Any]:
        import numpy as np

        if data not in self._data:
            with np.load(data) as file:
                self._data = {data: {name: file[name] for name in file.files}}
        return dict(self._data[data])

    def _samples(self, data: str, model: Any, count: int) -> Iterator[list[Any]]:
        """Inputs of a batch of 1, spread over the data."""
        import numpy as np

        x = self._arrays(data)["x"]
        shape = tuple(model.inputs[0].shape[1:])
        if len(model.inputs) == 1 and x.shape[1:] != shape:
            raise SpaceError(f"the data have samples of {list(x.shape[1:])}, the model takes {list(shape)}")
        rows = np.linspace(0, len(x) - 1, min(count, len(x))).astype(int)
        return ([x[row : row + 1].astype(np.float32)] for row in rows)


def _loaded(space: Path) -> Any:
    """The user's file as a module; its folder may be imported from."""
    sys.path.insert(0, str(space.parent))
    spec = importlib.util.spec_from_file_location("tinydeploy_space", space)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _fit(model: Any, arrays: dict[str, Any], epochs: int) -> int:
    """Adam on the loss that the labels ask for, until the validation loss gets no better; how many epochs."""
    import keras

    labels = arrays["y"]
    if not model.compiled:
        model.compile("adam", _loss(model, labels), jit_compile=False)
    stop = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=_PATIENCE, restore_best_weights=True, verbose=0
    )
    validation = (arrays["x_validation"], arrays["y_validation"])
    found = model.fit(
        arrays["x"], labels, epochs=epochs, validation_data=validation, callbacks=[stop], verbose=0
    )
    return len(found.epoch)


def _loss(model: Any, labels: Any) -> Any:
    import keras

    last = model.layers[-1]
    activation = getattr(getattr(last, "activation", last), "__name__", type(last).__name__).lower()
    if activation == "sigmoid":
        return "binary_crossentropy"
    if labels.dtype.kind in "iub" and labels.ndim <= 2 and labels.size == len(labels):
        logits = activation != "softmax"
        return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    if activation == "softmax":
        return "categorical_crossentropy"
    return "mse"


def _random(model: Any) -> Iterator[list[Any]]:
    import numpy as np

    numbers = np.random.default_rng(0)
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    return ([numbers.uniform(-1, 1, (1, *shape)).astype(np.float32) for shape in shapes] for _ in range(4))


def _int8(model: Any, samples: Iterator[list[Any]]) -> bytes:
    """The model as an int8 .tflite, with a batch of 1 and the ranges of these samples."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    if any(size is None for shape in shapes for size in shape):
        raise SpaceError(f"build() gives a model whose input is open: {shapes[0]}")
    specs = [tf.TensorSpec([1, *shape], tf.float32) for shape in shapes]
    function = tf.function(lambda *x: model(list(x) if len(x) > 1 else x[0], training=False))
    frozen = convert_variables_to_constants_v2(function.get_concrete_function(*specs))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def _told(error: BaseException, space: Path) -> dict[str, Any]:
    """An error as an answer: what it says, and at which line of the user's file it arose, if it did there."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0] if lines else type(error).__name__
    if not isinstance(error, SpaceError):
        said = f"{type(error).__name__}: {said}"
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == space]
    where = f"{space.name}, line {own[-1].lineno}" if own else ""
    return {"error": said[:400], "where": where, "kind": type(error).__name__}


def main(space: Path) -> None:
    """Answers until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other side is told of it, and ends this
    line = _Line()
    try:
        import tensorflow as tf

        tf.config.threading.set_inter_op_parallelism_threads(1)
        candidates = Candidates(space, line)
    except BaseException as error:  # sys.exit() in the user's file, too
        line.put(_told(error, space))
        return
    line.put({"has": candidates.has(), "tensorflow": tf.__version__})
    while True:
        asked = line.get()
        do: Callable[..., dict[str, Any]] = getattr(candidates, asked.pop("do"))
        try:
            line.put({"done": do(**asked)})
        except BaseException as error:
            line.put(_told(error, space))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
