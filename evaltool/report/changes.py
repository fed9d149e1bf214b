"""Differences between two runs of the same samples, with intervals that know of the pairing.

Each run is judged by its own labels. A sample whose label was corrected leaves one class and joins another, so that the
two numbers of a class may be of different samples: the intervals take the samples that they share as correlated.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from evaltool.report.document import Estimate
from evaltool.report.intervals import Z, estimate, wilson_bounds
from evaltool.report.student import quantile

Array = np.ndarray[Any, Any]
EXACT = 10_000  # samples that changed; beyond, the binomial distribution is normal for every purpose here


class RightCounts:
    """Who was right about the samples of each class, before and after.

    Args:
        groups: how many classes; 1 for all samples together.
    """

    def __init__(self, groups: int) -> None:
        self.groups = groups
        self.both = np.zeros((groups, 2, 2), np.int64)  # in the class in both runs: [right before, right after]
        self.left = np.zeros((groups, 2), np.int64)  # in the class before only: [right]
        self.joined = np.zeros((groups, 2), np.int64)  # in the class after only: [right]
        self.gained = np.zeros(groups, np.int64)  # wrong before, right after; of the class after
        self.lost = np.zeros(groups, np.int64)

    def add(self, before: Array, after: Array, right_before: Array, right_after: Array) -> None:
        """Count samples.

        Args:
            before: class in the first run, int64 [n].
            after: class in the second.
            right_before: bool [n].
            right_after: bool [n].
        """
        same = before == after
        keys = (before * 2 + right_before) * 2 + right_after
        self.both += np.bincount(keys[same], minlength=4 * self.groups).reshape(-1, 2, 2)
        self.left += np.bincount((before * 2 + right_before)[~same], minlength=2 * self.groups).reshape(-1, 2)
        self.joined += np.bincount((after * 2 + right_after)[~same], minlength=2 * self.groups).reshape(-1, 2)
        self.gained += np.bincount(after[~right_before & right_after], minlength=self.groups)
        self.lost += np.bincount(after[right_before & ~right_after], minlength=self.groups)

    def shares(self) -> tuple[Array, Array, Array, Array]:
        """Return right and all before, right and all after; int64 [groups] each."""
        right_before = self.both[:, 1].sum(1) + self.left[:, 1]
        right_after = self.both[:, :, 1].sum(1) + self.joined[:, 1]
        kept = self.both.sum((1, 2))
        return right_before, kept + self.left.sum(1), right_after, kept + self.joined.sum(1)

    def correlation(self) -> Array:
        """Return the correlation of the two shares, float64 [groups].

        It is phi of the 2 x 2 table, corrected as in Newcombe (1998), times the part of the samples that both share.
        """
        wrong, lost, gained, right = (
            self.both[:, i, j].astype(np.float64) for i, j in ((0, 0), (1, 0), (0, 1), (1, 1))
        )
        n = wrong + lost + gained + right
        agree = right * wrong - gained * lost
        agree = np.where(agree > 0, np.maximum(agree - n / 2, 0), agree)
        scale = np.sqrt((right + lost) * (gained + wrong) * (right + gained) * (lost + wrong))
        phi = np.divide(agree, scale, out=np.zeros_like(agree), where=scale > 0)
        _, all_before, _, all_after = self.shares()
        shared = np.sqrt(all_before.astype(np.float64) * all_after)
        return phi * np.divide(n, shared, out=np.zeros_like(n), where=shared > 0)

    def differences(self) -> list[Estimate]:
        """Return share right after minus share right before, with Newcombe's paired interval (1998, method 10)."""
        right_before, before, right_after, after = self.shares()
        with np.errstate(invalid="ignore", divide="ignore"):
            p, q = right_before / before, right_after / after
            low_p, high_p = wilson_bounds(right_before, before)
            low_q, high_q = wilson_bounds(right_after, after)
            phi = self.correlation()
            down = _joined(q - low_q, high_p - p, phi)
            up = _joined(high_q - q, p - low_p, phi)
        return [estimate(*map(float, row)) for row in zip(q - p, q - p - down, q - p + up, strict=True)]

    def mean_difference(self, groups: Sequence[int]) -> dict[str, Any]:
        """Return the mean over some classes of the shares, before and after, and the difference with its interval.

        Classes without a sample are left out on their side. Variances are taken at the middle of Wilson's interval:
        at 0 and 1 the plain ones are 0.
        """
        chosen = np.asarray(groups, np.int64)
        right_before, before, right_after, after = (counts[chosen] for counts in self.shares())
        known = (before > 0) & (after > 0)
        some_before, some_after = np.maximum(before, 1), np.maximum(after, 1)
        var = [_middle_variance(right_before, some_before), _middle_variance(right_after, some_after)]
        shared = 2 * self.correlation()[chosen] * np.sqrt(var[0] * var[1])
        n_before, n_after = int((before > 0).sum()), int((after > 0).sum())
        if not n_before or not n_after:
            return {"before": None, "after": None, "difference": estimate(None)}
        p = float((right_before / some_before)[before > 0].mean())
        q = float((right_after / some_after)[after > 0].mean())
        variance = var[0][before > 0].sum() / n_before**2 + var[1][after > 0].sum() / n_after**2
        half = Z * math.sqrt(max(0.0, variance - float(shared[known].sum()) / (n_before * n_after)))
        return {"before": p, "after": q, "difference": estimate(q - p, max(-1, q - p - half), min(1, q - p + half))}


def _joined(one: Array, other: Array, correlation: Array) -> Array:
    return np.asarray(np.sqrt(np.maximum(one**2 - 2 * correlation * one * other + other**2, 0)))


def _middle_variance(right: Array, n: Array) -> Array:
    middle = (right + Z**2 / 2) / (n + Z**2)
    return np.asarray(middle * (1 - middle) / n)


class MeanCounts:
    """Sums behind the difference of two weighted means in each of some groups: sum w x / sum w, after minus before.

    Args:
        groups: how many.
    """

    def __init__(self, groups: int) -> None:
        self.groups = groups
        self.n = np.zeros(groups, np.int64)
        self.moved = np.zeros(groups, np.int64)  # rows whose weight changed
        self._sums = np.zeros((16, groups))

    def add(self, group: Array, before: Array, after: Array, weight_before: Array, weight_after: Array) -> None:
        """Count rows; a value whose weight is 0 is not looked at.

        Args:
            group: int64 [n].
            before: float64 [n].
            after: float64 [n].
            weight_before: float64 [n], >= 0.
            weight_after: float64 [n].
        """
        w, v = weight_before, weight_after
        x, y = np.where(w > 0, before, 0.0), np.where(v > 0, after, 0.0)
        both = w * v
        terms = (
            *(w, v, w * x, v * y),
            *(w * w, w * w * x, w * w * x * x),
            *(v * v, v * v * y, v * v * y * y),
            *(both, both * x, both * y, both * x * y),
            *(both * (y - x), both * (y - x) ** 2),
        )
        for k, term in enumerate(terms):
            self._sums[k] += np.bincount(group, term, minlength=self.groups)
        self.n += np.bincount(group[(w > 0) | (v > 0)], minlength=self.groups)
        self.moved += np.bincount(group[w != v], minlength=self.groups)

    def means(self) -> tuple[Array, Array]:
        """Return the means before and after, float64 [groups]; NaN without weight."""
        w, v, wx, vy = self._sums[:4]
        with np.errstate(invalid="ignore", divide="ignore"):
            return wx / w, vy / v

    def differences(self) -> list[Estimate]:
        """Return mean after minus mean before, with Student's interval for paired rows."""
        p, q = self.means()
        w, v, _, _, ww, wwx, wwxx, vv, vvy, vvyy, wv, wvx, wvy, wvxy, wvd, wvdd = self._sums
        with np.errstate(invalid="ignore", divide="ignore"):
            d = q - p
            paired = (wvdd - 2 * d * wvd + d * d * wv) / w**2
            general = (wwxx - 2 * p * wwx + p * p * ww) / w**2 + (vvyy - 2 * q * vvy + q * q * vv) / v**2
            general -= 2 * (wvxy - p * wvy - q * wvx + p * q * wv) / (w * v)
            # where no weight changed, the differences themselves: equal runs differ by 0 and not by a rounding error
            variance = np.maximum(np.where(self.moved > 0, general, paired), 0.0) * self.n / (self.n - 1)
            half = np.where(self.n > 1, quantile(np.maximum(self.n - 1, 1)), np.nan) * np.sqrt(variance)
        return [estimate(*map(float, row)) for row in zip(d, d - half, d + half, strict=True)]


def chance(gained: int, lost: int) -> float:
    """Return the two-sided p-value of McNemar's exact test: would chance alone part the changed samples so unevenly."""
    n, fewer = gained + lost, min(gained, lost)
    if n > EXACT:
        return math.erfc(max(0.0, abs(gained - lost) - 1) / math.sqrt(2 * n))
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(fewer + 1)]
    return min(1.0, 2 * sum(math.exp(value - n * math.log(2)) for value in logs))
