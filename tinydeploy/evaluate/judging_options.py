"""Options that say which samples are run, and how the outputs are judged."""

from __future__ import annotations

from pathlib import Path

from tinydeploy.evaluate.option import Option
from tinydeploy.results.metric_table import METRICS

MOST_SAMPLES = 10_000_000

DATA = Option(
    "data",
    "Labelled samples: an .npz with x and y, x.npy,y.npy, a table (CSV, Parquet), a folder of images or WAV "
    "files, or a Python file's load().",
    kind=Path,
    metavar="FILE|FOLDER",
    key="data",
)
SAMPLES = Option(
    "samples",
    "How many samples to run, spread over the file.",
    kind=int,
    default="all",
    metavar="N",
    most=MOST_SAMPLES,
    key="samples",
)
LABELS = Option(
    "labels", "The names of the classes, by their numbers.", kind=tuple, key="labels", on_command_line=False
)
METRIC = Option(
    "metric",
    f"How to judge: {', '.join(METRICS)}, or topK.",
    default="as the output",
    metavar="NAME",
    completions=lambda: METRICS,
    key="metric",
)
OUTPUT = Option(
    "output",
    "The model's output that y belongs to.",
    default="the first that y fits",
    metavar="NAME|INDEX",
    key="output",
    also=int,
)
THRESHOLD = Option(
    "threshold",
    "From here on an output, or an anomaly score, says yes.",
    kind=float,
    default="0.5 of LOGISTIC",
    metavar="NUMBER",
    any_number=True,
    key="threshold",
)

JUDGING = (DATA, SAMPLES, LABELS, METRIC, OUTPUT, THRESHOLD)
