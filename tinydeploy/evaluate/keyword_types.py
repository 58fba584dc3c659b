"""The keywords of the Python functions: the names of the table of options, with their types and meaning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from tinydeploy.evaluate.budget_options import Budgeted, BuildBudget

if TYPE_CHECKING:
    from tinydeploy.engines.engine import Engine
    from tinydeploy.model.samples import Data


class Deploying(TypedDict, total=False):
    """How to deploy a model.

    `signature` names one of the file's functions; the first is the default. `logits` leaves out the SOFTMAX
    at the model's end. `engine` may be one that is not in the registry.
    `optimize` is what the aot engine strives for, one of its GOALS; `arena` is one of ARENAS. `link` is for
    targets that have several: elsewhere there is but the UART. `target` is as choose_target says. `port` is
    a device, a URL of pyserial's, a USB serial number, or "auto" for the one port with the board's USB ids;
    with it the target is the board, flashed by `upload_command` or as its PlatformIO platform does it, or
    with `no_upload` not at all. `dtr` and `rts`, one of LEVELS, are what becomes of the port's control lines;
    else the board's file says it.
    """

    signature: str | None
    logits: bool
    board: str
    engine: str | Engine
    optimize: str
    arena: str
    tflm_library: str | None
    target: str | None
    link: str
    port: str | None
    upload_command: str
    no_upload: bool
    dtr: str
    rts: str


class Running(Deploying, total=False):
    """How to deploy a model, and how long (seconds) its target may take for one answer."""

    timeout: float | None


class Building(Deploying, BuildBudget, total=False):
    """How to deploy a model, and what its firmware may take."""


class Held(Budgeted, total=False):
    """The limits of a result, and the baseline that it may not be worse than, but for what `allow` says.

    `baseline` is a file, a folder, or git:REF; `allow` is as "instructions=2%,stack=64". With `force` even
    results that cannot be compared are.
    """

    baseline: str | Path | None
    allow: str | None
    force: bool


SWEPT = {"boards": "board", "engines": "engine", "goals": "optimize"}
"""The keywords of a sweep that are lists of values, by the option that each is a list for."""


class Judging(Running, Held, total=False):
    """The same, which samples to run, how their outputs are judged, the limits, and where the result goes.

    `data` is whatever --data takes, or arrays; without it, seeded random inputs are run and no accuracy is
    told. `samples` takes so many, spread over the file. `labels` names the classes. `metric`, a name of
    METRICS, `output`, by number or tensor name, and `threshold` say how outputs are held against y;
    see docs/accuracy.md. `every` ("1s") and `battery` ("220mAh") are the duty cycle that energy is estimated
    for, `extra_uj` what each turn of it takes besides. With `profile` the result says where the cycles go;
    `meter` ("csv:FILE", "ppk2:PORT@3.3") measures energy on a board; `float_model` is put beside; `pdf`
    writes the report as PDF, too.
    """

    data: Data | None
    samples: int | None
    labels: Sequence[str]
    metric: str | None
    output: str | int | None
    threshold: float | None
    float_model: str | Path | None
    out: str | Path | None
    pdf: bool
    every: str | None
    battery: str | None
    extra_uj: float | None
    profile: bool
    meter: str | None


class Sweeping(TypedDict, total=False):
    """What a sweep combines, and what all its runs share; the folder `out` is the sweep's."""

    boards: Sequence[str]
    engines: Sequence[str]
    goals: Sequence[str]
    data: str | Path | None
    samples: int | None
    metric: str | None
    target: str | None
    timeout: float | None
    out: str | Path | None


class Quantizing(TypedDict, total=False):
    """How to quantise a model: see making.Asked; `data` is a test set."""

    data: Data | None
    samples: int | None
    activations: str
    weights: str
    max_loss: float
    float_io: bool
    repair: bool
    experiment: str
    labels: Sequence[str]
    metric: str | None
    output: str | int | None
    threshold: float | None


class Compressing(Budgeted, total=False):
    """How recipes are followed (see training.Taught), on which boards, and what each row is held against.

    `data` is the test set, `train` what is trained with, `calibration` as of quantize: files or folders.
    """

    train: str | Path | None
    data: str | Path | None
    calibration: str | Path | None
    epochs: int
    seed: int
    rate: float
    temperature: float
    soft_weight: float
    student: str | Path | None
    boards: Sequence[str]
    labels: Sequence[str]
    metric: str | None
    output: str | int | None
    threshold: float | None
    samples: int | None
    optimize: str
    target: str | None
    timeout: float | None
    workers: int | None


class Searching(Budgeted, total=False):
    """How to search: how many candidates, trained for how long, for which board, and what to minimise.

    `minimize` are costs, of instructions, ms, flash, arena and ram. Limits that a candidate's price misses
    keep it from training; the others are held on the target, at the end.
    """

    trials: int | None
    epochs: int | None
    minimize: str | Sequence[str]
    seed: int | None
    board: str
    optimize: str
    metric: str | None
    threshold: float | None
    labels: Sequence[str]
    out: str | Path | None
