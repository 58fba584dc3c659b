"""The families of ops, which share a colour in the report, and which pictures there are to draw."""

from __future__ import annotations

from collections.abc import Sequence

from tinydeploy.model.ops import catalogue
from tinydeploy.results.measured import Accuracy, ArenaBuffer
from tinydeploy.results.setting import OpInfo

_CONFUSION_CLASSES = 40  # more than that and a cell is too small to read
# What shares a colour, the CSS variable of the same name: the families of ops, and two more.
FAMILIES = {
    "conv": "Convolution",
    "depthwise": "Depthwise convolution",
    "dense": "Fully connected, recurrent",
    "elementwise": "Pooling, reduction, element-wise, activation",
    "movement": "Data movement, requantisation",
    "neutral": "Model input",
    "scratch": "Scratch of one op",
}


def family(kind: str) -> str:
    """The family, a key of FAMILIES, of an op by its builtin name."""
    return catalogue.of(kind).family.value


def buffer_family(buffer: ArenaBuffer, ops: Sequence[OpInfo]) -> str:
    """The family of the op that writes the buffer; what lives within a single op is that op's scratch."""
    if buffer.first_op == buffer.last_op:
        return "scratch"
    if 0 <= buffer.first_op < len(ops):
        return family(ops[buffer.first_op].op)
    return "neutral"


def has_confusion_figure(accuracy: Accuracy) -> bool:
    """Whether there is a confusion matrix, small enough to be drawn."""
    return 0 < len(accuracy.confusion) <= _CONFUSION_CLASSES
