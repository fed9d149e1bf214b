"""How far reviewers agree, and how sure a share is.

Cohen 1960 (kappa of two), Fleiss 1971 (of several; here items may have different numbers of votes), Wilson 1927.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

Z = NormalDist().inv_cdf(0.975)


class Share(NamedTuple):
    """A share with its 95 % interval; None where nothing was counted."""

    hits: int
    total: int
    value: float | None
    low: float | None
    high: float | None


def share_of(hits: int, total: int) -> Share:
    """Return a share and Wilson's 95 % interval of it."""
    if not total:
        return Share(hits, total, None, None, None)
    p = hits / total
    middle = (p + Z * Z / (2 * total)) / (1 + Z * Z / total)
    half = Z / (1 + Z * Z / total) * sqrt(p * (1 - p) / total + Z * Z / (4 * total * total))
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    high = 1.0 if hits == total else min(1.0, middle + half)
    return Share(hits, total, p, low, high)


def pairs_agreeing(items: Sequence[Sequence[Hashable]]) -> tuple[int, int]:
    """Return how many pairs of votes on one item agree, and how many there are."""
    agreeing = sum(n * (n - 1) // 2 for votes in items for n in Counter(votes).values())
    return agreeing, sum(len(votes) * (len(votes) - 1) // 2 for votes in items)


def cohen_kappa(pairs: Sequence[tuple[Hashable, Hashable]]) -> float | None:
    """Return Cohen's kappa of two reviewers; None without votes, and where chance alone would have them agree."""
    if not pairs:
        return None
    n = len(pairs)
    observed = sum(a == b for a, b in pairs) / n
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    expected = sum(first[label] * second[label] for label in first) / (n * n)
    return None if expected == 1 else (observed - expected) / (1 - expected)


def fleiss_kappa(items: Sequence[Sequence[Hashable]]) -> float | None:
    """Return Fleiss' kappa; the agreement of each item with two votes or more counts the same.

    None where chance alone would have them agree, or no item has two votes.
    """
    items = [votes for votes in items if len(votes) > 1]
    if not items:
        return None
    observed = 0.0
    for votes in items:
        agreeing, pairs = pairs_agreeing([votes])
        observed += agreeing / pairs / len(items)
    totals = Counter(label for votes in items for label in votes)
    n = sum(totals.values())
    expected = sum((count / n) ** 2 for count in totals.values())
    return None if expected == 1 else (observed - expected) / (1 - expected)
