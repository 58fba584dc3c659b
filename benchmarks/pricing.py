"""Prints how far prices are off what the emulator counts, and how many nets are priced an hour.

    PYTHONPATH=. python benchmarks/pricing.py [-b BOARD]… [--nets 12] [--space SPACE.py] [MODEL…]

The nets are random ones of tests/support/price_nets.py that no price was fitted to, each in a firmware of its
own; MODELs are priced besides. The rate is that of one core: with --space, of its candidates, from the
choices on (Keras builds one, TensorFlow converts it, the engine plans it, its kernels are priced); without,
from the .tflite on.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO / "tests" / "support"))
from price_nets import bundle  # noqa: E402

from tinydeploy.boards import lookup  # noqa: E402
from tinydeploy.evaluate.pricing import counted, price  # noqa: E402
from tinydeploy.model.graph import Graph  # noqa: E402
from tinydeploy.model.readers import tflite_model  # noqa: E402

_FIRST = 1000  # seeds from here on are none that prices were fitted to
_GOAL = 0.02


def _graphs(models: tuple[Path, ...], nets: int) -> Iterator[Graph]:
    for model in models:
        yield tflite_model.load(model)
    for number in range(nets):
        yield tflite_model.parse(bundle(_FIRST + number, 1), f"net {number}")


def _rate(space: Path, board: str, count: int) -> float:
    """Candidates an hour, on one core, once TensorFlow has started: by the CPU's time, whatever else runs."""
    once, more = (_cpu_seconds(space, board, builds) for builds in (1, 1 + count))
    print(f"  {count} candidates took {more - once:.1f} s of CPU")
    return 3600 * count / (more - once)


def _cpu_seconds(space: Path, board: str, count: int) -> float:
    """CPU seconds, user and system, of this process and TensorFlow's for so many candidates."""
    import optuna

    from tinydeploy.search.keras_space import KerasSpace

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    begun = sum(os.times()[:4])
    with tempfile.TemporaryDirectory() as scratch, KerasSpace(space) as keras:
        made = Path(scratch) / "candidate.tflite"
        for number in range(count):
            keras.build(study.ask(), number, number, None, made)
            price(tflite_model.parse(made.read_bytes(), made.name), lookup.board(board))
    return sum(os.times()[:4]) - begun


@click.command()
@click.argument("models", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("-b", "--board", "boards", multiple=True, default=("mps2-an386",))
@click.option("--nets", default=12, show_default=True)
@click.option("--space", type=click.Path(exists=True, path_type=Path))
@click.option("--candidates", default=20, show_default=True)
def main(
    models: tuple[Path, ...], boards: tuple[str, ...], nets: int, space: Path | None, candidates: int
) -> None:
    """Prints a line for each net, and the errors of all."""
    for board in boards:
        errors, spent = [], []
        print(f"{board}\n  {'':24} {'priced':>12} {'counted':>12} {'off':>8} {'said':>7}  arena")
        for graph in _graphs(models, nets):
            begun = time.process_time()
            found = price(graph, lookup.board(board))
            spent.append(time.process_time() - begun)
            real = counted(graph, board)
            errors.append(found.instructions / real.instructions - 1)
            said = found.off / max(1, found.instructions)
            equal = "equal" if real.arena_bytes == found.arena_bytes else "not equal"
            priced = f"{found.instructions:12,} {real.instructions:12,} {errors[-1]:+8.2%} {said:7.2%}"
            unknown = f", without {', '.join(found.unknown)}" if found.unknown else ""
            print(f"  {Path(graph.path).stem[:24]:24} {priced}  {equal}{unknown}", flush=True)
        sizes = sorted(map(abs, errors))
        within = sum(size <= _GOAL for size in sizes)
        median = statistics.median(sizes)
        print(f"  {within} of {len(sizes)} within 2 %, median {median:.2%}, most {sizes[-1]:.2%}")
        print(f"  plan and price: {3600 * len(spent) / sum(spent):,.0f} nets an hour on one core")
        if space is not None:
            print(f"  {_rate(space, board, candidates):,.0f} candidates of {space.name} an hour on one core")


if __name__ == "__main__":
    main()
