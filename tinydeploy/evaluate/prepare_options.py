"""Options of the verbs that prepare a model: rows of the table in option_table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tinydeploy.evaluate.budget_options import BUDGET
from tinydeploy.evaluate.deciding_options import MANY, SWEEP
from tinydeploy.evaluate.option import Option, Verb
from tinydeploy.words import COSTS

CALIBRATION = Option(
    "calibration",
    "Data that ranges are found with: 100 to 1,000 samples of what --data takes, spread over the classes.",
    kind=Path,
    metavar="FILE|FOLDER",
)
ACTIVATIONS = Option("activations", "The type between the layers.", default="int8", choices=("int8", "int16"))
WEIGHTS = Option(
    "weights",
    "The layers' weights; mixed is int4 where that costs little.",
    default="int8",
    choices=("int8", "int4", "mixed"),
)
MAX_LOSS = Option(
    "max_loss",
    "How much of the metric mixed weights may cost.",
    kind=float,
    default="0.01",
    metavar="NUMBER",
    any_number=True,
)
FLOAT_IO = Option("float_io", "Leave the model's inputs and outputs float.", kind=bool)
REPAIR = Option(
    "repair",
    "Equalise layers, clip ranges, correct biases: whatever makes the model better.",
    kind=bool,
)
EXPERIMENT = Option(
    "experiment",
    "Show what the calibration set is worth: 5 classes or all, 20 samples or 200.",
    choices=("calibration",),
)


FLOAT = Option(
    "float_model",
    "The float model, put beside: what quantisation lost, and what the device did.",
    kind=Path,
    flag="--float",
    metavar="MODEL",
)


def _recipes(written: object) -> tuple[str, ...]:
    words = written.split(",") if isinstance(written, str) else written
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"is {written!r}: write qat,filters=0.5,prune+qat")
    return tuple(word.strip() for word in words if word.strip())


RECIPE = Option(
    "recipe",
    "The recipes, with commas between them, + to combine, = for how much: qat,filters=0.5,prune+qat; or all.",
    metavar="NAME,…",
    parse=_recipes,
)
TRAIN = Option(
    "train",
    "What is trained with, as --data.",
    kind=Path,
    metavar="FILE|FOLDER",
    default="four fifths of --data",
)
EPOCHS = Option(
    "epochs", "How often each recipe sees the samples.", kind=int, default="10", metavar="N", most=10_000
)
SEED = Option("seed", "Of everything random.", kind=int, default="1", metavar="N", most=2**31 - 1)
RATE = Option(
    "rate", "The learning rate to begin with.", kind=float, default="0.001", metavar="NUMBER", any_number=True
)
TEMPERATURE = Option(
    "temperature",
    "Distillation: how far answers are softened.",
    kind=float,
    default="4",
    metavar="NUMBER",
    any_number=True,
)
SOFT_WEIGHT = Option(
    "soft_weight",
    "Distillation: the soft labels' share of the loss.",
    kind=float,
    default="0.7",
    metavar="NUMBER",
    any_number=True,
)
STUDENT = Option(
    "student",
    "Distillation: the student, a Keras model of the same inputs and outputs.",
    kind=Path,
    metavar="FILE",
    default="the model at half its width",
)


_BOARDS, _WORKERS = (option for option in SWEEP if option.name in ("boards", "workers"))


def compress(out: Option, data: Option, shared: tuple[Option, ...], always: tuple[Option, ...]) -> Verb:
    """The verb, with the table's own options where it has them; of a tinydeploy.toml it takes the budget."""
    return Verb(
        "A Keras model by recipes (qat, filters, prune …), side by side on the target.",
        (
            RECIPE,
            TRAIN,
            replace(data, help="The test set, which judges every row.", key=""),
            replace(CALIBRATION, default="--train"),
            *(EPOCHS, SEED, RATE, TEMPERATURE, SOFT_WEIGHT, STUDENT),
            replace(_BOARDS, short="-b", help="The boards, with commas between them.", default="mps2-an386"),
            *(replace(option, key="") for option in shared),
            _WORKERS,
            *BUDGET,
            replace(out, help="The folder to write to.", key="", variable="", untrusted=""),
            *always,
        ),
        ("compress",),
        MANY,
    )


def quantize(
    out: Option, data: Option, samples: Option, judged: tuple[Option, ...], always: tuple[Option, ...]
) -> Verb:
    """The verb, with the table's own options where it has them; none is read from a tinydeploy.toml."""
    test = replace(data, help="A test set: what is lost is told of it.", default="--calibration", key="")
    written = replace(out, help="The folder, or the .tflite, to write.", key="", variable="", untrusted="")
    count = replace(samples, help="How many samples calibrate.", default="500", key="")
    own = (ACTIVATIONS, WEIGHTS, MAX_LOSS, FLOAT_IO, REPAIR, EXPERIMENT)
    kept = (replace(option, key="") for option in judged)
    return Verb(
        "A float model as a good int8 one: .tflite, ONNX, Keras, PyTorch.",
        (CALIBRATION, written, test, count, *own, *kept, *always),
        ("quantize",),
    )


TRIALS = Option("trials", "How many candidates to try.", kind=int, default="50", metavar="N", most=1_000_000)
EPOCHS = Option(
    "epochs",
    "The most epochs that a candidate is trained for.",
    kind=int,
    default="30",
    metavar="N",
    most=100_000,
)
SEED = Option("seed", "Where choices and weights begin.", kind=int, default="0", metavar="N", most=1 << 31)


def _costs(written: object) -> tuple[str, ...]:
    """Costs with commas between them."""
    words = written.split(",") if isinstance(written, str) else list(written)  # type: ignore[call-overload]
    found = tuple(word.strip() for word in words)
    if not found or any(word not in COSTS for word in found):
        raise ValueError(f"is {written!r}: write some of {','.join(COSTS)}")
    return found


MINIMIZE = Option(
    "minimize",
    f"What is to be small besides the metric: {', '.join(COSTS)}, with commas between them.",
    default=COSTS[0],
    metavar="COST,…",
    parse=_costs,
)


def search(shared: tuple[Option, ...], out: Option, data: Option, always: tuple[Option, ...]) -> Verb:
    """The verb; `shared` are options of `run`. None is read from a tinydeploy.toml."""
    own = (TRIALS, EPOCHS, MINIMIZE, SEED)
    given = replace(data, help="Labelled samples: whatever run takes.", default="load() of the space", key="")
    written = replace(
        out, help="The folder of the search, where it goes on.", key="", variable="", untrusted=""
    )
    kept = (replace(option, key="") for option in shared)
    return Verb(
        "Architecture search: a Keras function with choices, priced, trained, run.",
        (given, written, *own, *kept, *always),
        ("search",),
        "search.searching",
    )
