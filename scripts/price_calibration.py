"""Fits what each term of a kernel takes on a core to what an emulator counts, and writes CORE.json.

    PYTHONPATH=. python scripts/price_calibration.py mps2-an386 [mps2-an385 …] [--bundles 8] [--counts FOLDER]

The file goes to tinydeploy/estimate/pricing. A bundle is several random nets of tests/support/price_nets.py
in one firmware, which takes half a minute to build. The counts are kept in the folder, so that a fit with
other terms needs no emulator. What is written as `off` was found by leaving each bundle out of the fit in
turn: the root of the mean square of its ops' errors, weighted by their size.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO / "tests" / "support"))
from price_nets import bundle  # noqa: E402

from tinydeploy.boards import lookup  # noqa: E402
from tinydeploy.engines.aot.pipeline import AotEngine  # noqa: E402
from tinydeploy.estimate.pricing import prices  # noqa: E402
from tinydeploy.evaluate.pricing import counted  # noqa: E402
from tinydeploy.model.readers import tflite_model  # noqa: E402

_NETS = 8  # of a bundle
_SMALL = 1000  # instructions: what an op of less is off by matters little
_RIDGE = 1e-4  # keeps terms that the ops cannot tell apart from running away
_LIKE = {"cortex-m7": "cortex-m4f", "cortex-m33": "cortex-m4f"}  # cores with another's kernels
_LIKE_RIDGE = 3e-3  # how much terms are held to those of that core, where ops do not say otherwise
_SCORED = 4  # ops of a kernel that were left out, from which on their errors are told


@dataclass(frozen=True, eq=False)
class Op:
    """An op that was counted: of which bundle, by which kernels, its terms, its instructions."""

    bundle: int
    kernels: tuple[str, ...]
    terms: Mapping[str, float]
    counted: int


def measured(board: str, seed: int, folder: Path) -> list[Op]:
    """The ops of a bundle with their counts, from the folder if they are there."""
    graph = tflite_model.parse(bundle(seed, _NETS), f"bundle {seed}")
    kept = folder / f"m-{board}-{seed}.json"
    if not kept.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({"ops": counted(graph, board, seed=seed).ops}))
    ops = json.loads(kept.read_text())["ops"]
    found = []
    for op, steps in AotEngine().program(graph, lookup.board(board)).ops:
        terms: dict[str, float] = {}
        for step in steps:
            for term, count in (prices.counts(step) or {}).items():
                terms[term] = terms.get(term, 0.0) + count
        names = tuple(dict.fromkeys(step.kernel.name for step in steps))
        if all(prices.counts(step) is not None for step in steps):
            found.append(Op(seed, names, terms, ops[str(op.index)]))
    return found


def fitted(ops: Sequence[Op], like: Mapping[str, float]) -> dict[str, float]:
    """The instructions of each term: least squares of the relative errors, with a ridge around `like`."""
    names = sorted({term for op in ops for term in op.terms})
    place = {name: number for number, name in enumerate(names)}
    matrix = np.zeros((len(ops), len(names)))
    for row, op in enumerate(ops):
        for term, count in op.terms.items():
            matrix[row, place[term]] = count
    counts = np.array([op.counted for op in ops], float)
    weight = 1 / (counts + _SMALL)
    matrix, counts = matrix * weight[:, None], counts * weight
    scale = np.linalg.norm(matrix, axis=0)
    matrix /= scale
    start = np.array([like.get(name, 0.0) for name in names]) * scale
    ridge = np.eye(len(names)) * (_LIKE_RIDGE if like else _RIDGE)
    found = start + np.linalg.solve(matrix.T @ matrix + ridge, matrix.T @ (counts - matrix @ start))
    return dict(zip(names, (found / scale).tolist(), strict=True))


def errors(ops: Sequence[Op], like: Mapping[str, float]) -> list[tuple[Op, float]]:
    """By how much each op is off, as a part, if its bundle is left out."""
    found = []
    for left_out in sorted({op.bundle for op in ops}):
        terms = fitted([op for op in ops if op.bundle != left_out], like)
        for op in ops:
            if op.bundle == left_out:
                said = sum(terms.get(term, 0.0) * count for term, count in op.terms.items())
                found.append((op, (said - op.counted) / op.counted))
    return found


def off(found: Sequence[tuple[Op, float]]) -> dict[str, float]:
    """The errors by kernel, weighted by the ops' instructions."""
    by_kernel: dict[str, list[tuple[float, float]]] = {}
    for op, error in found:
        if len(op.kernels) == 1:
            by_kernel.setdefault(op.kernels[0], []).append((op.counted, error * error))
    return {
        name: (sum(n * square for n, square in some) / sum(n for n, _ in some)) ** 0.5
        for name, some in sorted(by_kernel.items())
        if len(some) >= _SCORED
    }


@click.command()
@click.argument("boards", nargs=-1, required=True)
@click.option("--bundles", default=8, show_default=True)
@click.option("--counts", "folder", type=click.Path(path_type=Path), default=Path("price-counts"))
def main(boards: tuple[str, ...], bundles: int, folder: Path) -> None:
    """Writes the prices of each board's core, and prints the errors by kernel."""
    for board in boards:
        ops = [op for seed in range(1, bundles + 1) for op in measured(board, seed, folder)]
        core = lookup.board(board).core.id
        other = prices.of_core(_LIKE.get(core, ""))
        like = other.terms if other else {}
        found = errors(ops, like)
        total = sum(op.counted for op in ops)
        print(f"{core}: {len(ops)} ops")
        for name, error in sorted(off(found).items(), key=lambda pair: -pair[1]):
            share = sum(op.counted for op in ops if op.kernels == (name,)) / total
            print(f"  {name:36} off by {error:6.1%}, {share:6.1%} of the instructions", flush=True)
        terms = {name: float(f"{value:.5g}") for name, value in fitted(ops, like).items()}
        content = {
            "schema": prices.SCHEMA,
            "core": core,
            "made": f"scripts/price_calibration.py {board} --bundles {bundles}",
            "ops": len(ops),
            "off": {name: round(error, 4) for name, error in off(found).items()},
            "terms": terms,
        }
        path = REPO / "tinydeploy" / "estimate" / "pricing" / f"{core}.json"
        path.write_text(json.dumps(content, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
