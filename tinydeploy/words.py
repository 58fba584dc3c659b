"""The words that options take, and their defaults, for those who must not load what gives them a meaning.

The command line shows them in its help, where nothing may be slow. A test holds them against the modules
that know them.
"""

from __future__ import annotations

DEFAULT_BOARD = "mps2-an386"
ENGINES = ("aot", "tflm")
DEFAULT_ENGINE = "aot"
GOALS = ("balanced", "speed", "size", "ram")
TARGETS = ("qemu", "renode", "board")
LINKS = ("pipe", "uart", "uart-tcp")
DEFAULT_LINK = "pipe"
LEVELS = ("on", "off", "reset")
"""What can be done with DTR or RTS once a port is open: assert it, release it, assert it for a moment."""
METRICS = (
    *("top1", "accuracy", "balanced_accuracy", "precision", "recall", "f1", "macro_f1", "auc", "mean_iou"),
    *("subset_accuracy", "hamming_accuracy", "mae", "rmse", "r2"),
)
DEFAULT_TIMEOUT = 30.0  # seconds
SELFTEST_SAMPLES = 3
