"""The option of a meter."""

from __future__ import annotations

from tinydeploy.evaluate.option import Option

METER = Option(
    "meter",
    "Measure energy on the board: by a recording, or a PPK2 at a port.",
    metavar="csv:FILE|ppk2:PORT@VOLTS",
)
