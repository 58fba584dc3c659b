"""The recipes of `compress` by their names, and what is written of them: "prune=0.6+qat"."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from tinydeploy.errors import UsageError


@dataclass(frozen=True)
class Kind:
    """What a recipe does, and what the number behind it means; "" if it takes none."""

    does: str
    amount: str = ""


KINDS = {
    "tune": Kind("trains on as it is: what the epochs alone bring"),
    "qat": Kind("trains with weights and values rounded as int8 rounds them"),
    "filters": Kind("takes whole filters out, so that layers are smaller", "the share of filters that goes"),
    "low-rank": Kind("makes two of each large dense layer", "the share of its weights that the two may have"),
    "distill": Kind("has a narrower model learn from the given one", "how wide the student is"),
    "prune": Kind("makes the smallest weights zero", "the share of weights that become zero"),
}
ALL = "all"
"""Stands for one of each, of which those are left out that do not apply."""


@dataclass(frozen=True)
class Combination:
    """One row: recipes that are followed together, each with its number, if one was given."""

    name: str
    parts: tuple[tuple[str, float | None], ...]


def parse(written: Sequence[str]) -> tuple[tuple[Combination, ...], bool]:
    """The rows that are asked for, and whether those that do not apply are just left out.

    Raises UsageError for a recipe that there is not, a number that means nothing, or a row given twice.
    """
    if not written:
        raise UsageError("no recipe is named", f"--recipe {','.join(KINDS)}, prune+qat, or all")
    lenient = ALL in written
    names: list[str] = []
    for name in written:
        names += list(KINDS) if name == ALL else [name]
    rows = tuple(map(_combination, names))
    keys = [frozenset(row.parts) for row in rows]
    for number, key in enumerate(keys):
        if key in keys[:number] and not lenient:
            raise UsageError(f"the recipe {rows[number].name} is there twice", "name each once")
    return tuple(row for number, row in enumerate(rows) if keys[number] not in keys[:number]), lenient


def _combination(name: str) -> Combination:
    parts = tuple(_part(part.strip()) for part in name.split("+"))
    kinds = [kind for kind, _ in parts]
    if len({*kinds}) < len(kinds):
        raise UsageError(f"{name} has a recipe twice", "combine different ones: prune+qat")
    return Combination("+".join(part.strip() for part in name.split("+")), parts)


def _part(written: str) -> tuple[str, float | None]:
    name, equals, number = written.partition("=")
    if name not in KINDS:
        near = difflib.get_close_matches(name.lower(), (*KINDS, ALL), n=1, cutoff=0.4)
        known = ", ".join((*KINDS, ALL))
        raise UsageError(
            f"there is no recipe '{written}'", f"did you mean {near[0]}?" if near else f"recipes: {known}"
        )
    if not equals:
        return name, None
    if not KINDS[name].amount:
        raise UsageError(f"the recipe {name} takes no number", name)
    try:
        amount = float(number)
    except ValueError:
        amount = -1.0
    if not 0 < amount < 1:
        raise UsageError(f"{written}: {KINDS[name].amount} lies between 0 and 1", f"{name}=0.5")
    return name, amount
