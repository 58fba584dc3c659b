"""Words that options take, and their defaults, for those who must not load what gives them a meaning.

The command line shows them in its help, where nothing may be slow.
"""

from __future__ import annotations

DEFAULT_BOARD = "mps2-an386"
GOALS = ("balanced", "speed", "size", "ram")
LINKS = ("pipe", "uart", "uart-tcp")
"""The ways to the firmware: semihosting over pipes; the UART as it is, or a pseudo-terminal; over TCP."""
DEFAULT_LINK = "pipe"
LEVELS = ("on", "off", "reset")
"""What can be done with DTR or RTS once a port is open: assert it, release it, assert it for a moment."""
ARENAS = ("sram", "psram")
"""Where the arena may lie: in the chip's own RAM, or outside of it."""
DEFAULT_TIMEOUT = 30.0  # seconds
SELFTEST_SAMPLES = 3
TFLM_VARIABLE = "TINYDEPLOY_TFLM"
"""The environment variable that names the TFLite Micro library."""
EXPORTED_SAMPLES = 4
FORMS = ("c", "cmake", "platformio", "arduino", "esp-idf", "zephyr", "cmsis-pack")
COSTS = ("instructions", "ms", "flash", "arena", "ram")
"""What a search may make small."""
