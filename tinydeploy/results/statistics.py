"""Statistics of samples that were right or wrong: an interval for their share, and a test of two of them."""

from __future__ import annotations

from math import comb, sqrt

_Z = 1.959964  # of a normal distribution, for 95 %


def interval(share: float, samples: int) -> tuple[float, float]:
    """Wilson's interval: where the share lies at 95 % confidence, seen of so many samples.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if samples < 1:
        return 0.0, 1.0
    square = _Z * _Z
    middle = (share + square / (2 * samples)) / (1 + square / samples)
    half = _Z / (1 + square / samples) * sqrt(share * (1 - share) / samples + square / (4 * samples**2))
    return max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))


def mcnemar(lost: int, won: int) -> float:
    """The exact p-value of McNemar's test: how likely so uneven a split is if neither model is better.

    `lost` samples were right before and are wrong, `won` the other way round. The split of both together is
    binomial with a half: Q. McNemar, 1947, in the exact form, doubled for both sides.
    """
    both, fewer = lost + won, min(lost, won)
    ways: int = sum(comb(both, k) for k in range(fewer + 1))
    return min(1.0, 2 * ways / (1 << both))
