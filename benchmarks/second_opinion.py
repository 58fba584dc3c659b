"""Prints which ops TFLite Micro and LiteRT compute differently: the table in docs/second-opinion.md.

    python benchmarks/second_opinion.py [--layers N]

Random layers of every op kind, as the tests have them, on random inputs. The output is Markdown.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from importlib import metadata
from pathlib import Path

import click

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests" / "support"))
import random_graphs

from tinydeploy.errors import ModelError, UsageError
from tinydeploy.evaluate import second_opinion
from tinydeploy.host.interpreter import Child
from tinydeploy.host.reference import Reference, version
from tinydeploy.model.graph import DType
from tinydeploy.model.readers import tflite_model
from tinydeploy.model.samples import random


def _layers(count: int) -> dict[str, Counter[str]]:
    """By kind of op and type: layers compared and refused; outputs, and those off by one and worse."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    kinds, tflm, litert = (
        list(random_graphs.KINDS),
        Child("tinydeploy.host.reference"),
        Child(second_opinion.__name__),
    )
    for seed in range(count):
        makers = (random_graphs.Maker, random_graphs.LayerMaker)
        model = random_graphs.make(seed, kinds[seed % len(kinds)], makers[seed % 2])
        graph = tflite_model.parse(model, "layer")
        inputs = random(graph, 4, seed).inputs
        wide = any(graph.tensors[i].dtype is DType.INT16 for i in (*graph.inputs, *graph.outputs))
        row = found[kinds[seed % len(kinds)] + (", int16" if wide else "")]
        try:
            outputs = Reference(model, child=tflm).run(inputs)
        except ModelError:
            row["refused"] += 1
            continue
        parity = second_opinion.ask(model, inputs, outputs, litert).parity
        if parity is None:
            row["refused"] += 1
            continue
        row["outputs"] += parity.outputs
        row["off by one"] += parity.off_by_one
        row["worse"] += parity.worse
        row["layers"] += 1
    return found


@click.command()
@click.option("--layers", default=1000, show_default=True)
def main(layers: int) -> None:
    """Print the ops that differ, and those that LiteRT refused."""
    if not second_opinion.available():
        raise UsageError("ai-edge-litert is not installed", "pip install tinydeploy[litert]")
    found = _layers(layers)
    litert = metadata.version("ai-edge-litert")
    click.echo(f"{version()}, ai-edge-litert {litert}, {layers:,} random layers.\n")
    click.echo("| Op | Layers | Outputs | off by one | worse | not run by LiteRT |")
    click.echo("|---|--:|--:|--:|--:|--:|")
    same = []
    for kind, row in sorted(found.items()):
        if not (row["off by one"] or row["worse"] or row["refused"]):
            same.append(kind)
            continue
        cells = (f"{row[name]:,}" for name in ("layers", "outputs", "off by one", "worse", "refused"))
        click.echo(f"| {kind} | {' | '.join(cells)} |")
    click.echo(f"\nIdentical in every output: {', '.join(same)}.")


if __name__ == "__main__":
    main()
