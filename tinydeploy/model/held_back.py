"""Which samples are held back from training: whole groups, so that nobody is in two parts of the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydeploy.model.samples import Array, Samples, spread

_FEWEST_GROUPS = 3  # of two, one would be half of the data


def held_back(samples: Samples, rows: Array, share: float, seed: int = 0) -> Array:
    """A share of the rows, at least one, in order.

    They are whole groups, in an order that the seed settles, where the rows have three groups or more; else
    they are spread over the classes.
    """
    count = max(1, round(share * len(rows)))
    if samples.groups is not None and len(names := np.unique(samples.groups[rows])) >= _FEWEST_GROUPS:
        taken: list[Any] = []
        for name in np.random.default_rng(seed).permutation(names).tolist():
            if taken and np.isin(samples.groups[rows], [*taken, name]).sum() > count:
                continue
            taken.append(name)
        return np.asarray(rows[np.isin(samples.groups[rows], taken)])
    strata = samples.judge.strata if samples.judge else None
    picked = spread(len(rows), count, None if strata is None else strata[rows])
    return np.asarray(np.sort(rows[picked]))
