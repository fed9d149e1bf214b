"""95% intervals: Wilson's for proportions, a Poisson bootstrap of the counts for what has no formula.

A bootstrap that weights each sample by an independent Poisson(1) number makes every cell of a table of samples an
independent Poisson(count) number, so that replicates are drawn from the counts alone, exactly, whatever N is, and from
merged counts as well as from those of one job (Chamandy 2012, "Estimating uncertainty for massive data streams").
"""

import math
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from evaltool.report.document import Estimate

Array = np.ndarray[Any, Any]

Z = 1.959963984540054  # 97.5% quantile of the normal distribution
TAILS = (0.025, 0.975)
REPLICATES, FEWEST_REPLICATES = 200, 40
MOST_DRAWS = 1 << 25  # of one statistic: about a second
DRAWS_AT_ONCE = 1 << 20


def estimate(value: float | None, low: float | None = None, high: float | None = None) -> Estimate:
    """Return an estimate; NaN, infinite and missing numbers are None, and both ends where one of them is."""
    ends = [_number(low), _number(high)]
    if None in ends or _number(value) is None:
        ends = [None, None]
    return {"value": _number(value), "low": ends[0], "high": ends[1]}


def estimates(values: Array, low: Array | None = None, high: Array | None = None) -> list[Estimate]:
    """Return an estimate for each value, with its interval where there is one; NaN is None."""
    if low is None or high is None:
        return [{"value": value, "low": None, "high": None} for value in known_numbers(values)]
    nothing = ~np.isfinite(values) | ~np.isfinite(low) | ~np.isfinite(high)
    columns = (known_numbers(column) for column in (values, *(np.where(nothing, np.nan, end) for end in (low, high))))
    return [{"value": value, "low": one, "high": other} for value, one, other in zip(*columns, strict=True)]


def known_numbers(values: Array) -> list[float | None]:
    """Return float64 numbers as a list, None for those that are not finite."""
    numbers = np.asarray(values, np.float64).astype(object)
    numbers[~np.isfinite(values)] = None
    return list(numbers.tolist())


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def wilson(right: float, n: float) -> Estimate:
    """Return the proportion right / n with Wilson's interval; all None where n is 0.

    >>> wilson(0, 10)
    {'value': 0.0, 'low': 0.0, 'high': 0.277...}
    """
    low, high = wilson_bounds(np.array([right], np.float64), np.array([n], np.float64))
    return estimate(float(right) / float(n) if n else None, float(low[0]), float(high[0]))


def wilson_bounds(right: Array, n: Array) -> tuple[Array, Array]:
    """Return the ends of Wilson's interval (1927) of right / n, float64 in [0, 1]; NaN where n is 0.

    Args:
        right: numbers >= 0, at most n.
        n: independent trials.
    """
    right, n = np.asarray(right, np.float64), np.asarray(n, np.float64)
    some = np.where(n > 0, n, np.nan)
    share = right / some
    middle = share + Z**2 / (2 * some)
    half = Z * np.sqrt(share * (1 - share) / some + Z**2 / (4 * some**2))
    whole = 1 + Z**2 / some
    low, high = (middle - half) / whole, (middle + half) / whole
    # at 0 and n one end is the share itself, but for the last digit
    return np.where(right == 0, 0.0 * some, low), np.where(right == n, 0.0 * some + 1, high)


def f1_bounds(hits: Array, union: Array) -> tuple[Array, Array]:
    """Return the ends of the interval of F1 = 2 J / (1 + J), J = hits / union, float64; NaN where the union is 0.

    J, the Jaccard index, is a proportion of those that have the class as label or prediction, and F1 rises with it
    (Lam 2023, arXiv:2309.14621, "Wilson indirect"): unlike a bootstrap's, the interval of a class without a hit has a
    width.

    Args:
        hits: label and prediction are the class.
        union: label or prediction is.
    """
    low, high = wilson_bounds(hits, union)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def mean_proportion(right: Array, n: Array) -> Estimate:
    """Return the mean of independent proportions right / n with its interval; all None where every n is 0.

    The variances add up.  Each is taken at the middle of Wilson's interval and not at right / n, where that of a class
    with one sample would be 0, as it is in a bootstrap.

    Args:
        right: numbers >= 0, at most n; [k].
        n: independent trials, [k]; where there are none, the proportion is left out.
    """
    right, n = right[n > 0], n[n > 0]
    return _mean(right / n, _variances(right, n))


def mean_f1(hits: Array, union: Array, *, pairs: Array | None = None) -> Estimate:
    """Return the mean of F1 scores with its interval, as ``mean_proportion`` does; the arguments are f1_bounds'.

    Args:
        hits: label and prediction are the class, [k].
        union: label or prediction is, [k].
        pairs: int64 [3, m]: two classes that are taken for each other, as places in ``hits``, and how often. Each such
            mistake lowers both scores, so that they vary together; None where scores are independent.
    """
    size = np.maximum(union + hits, 1)
    scores = np.where(union > 0, 2 * hits / size, np.nan)
    slopes = 2 / (1 + _middles(hits, np.maximum(union, 1))) ** 2
    variances = _variances(hits, np.maximum(union, 1)) * slopes**2
    shared = 0.0
    if pairs is not None:
        per_mistake = scores / size
        shared = 2 * float((pairs[2] * per_mistake[pairs[0]] * per_mistake[pairs[1]]).sum())
    known = union > 0
    return _mean(scores[known], variances[known], shared)


def _middles(right: Array, n: Array) -> Array:
    return np.asarray((right + Z**2 / 2) / (n + Z**2))


def _variances(right: Array, n: Array) -> Array:
    middles = _middles(right, n)
    return np.asarray(middles * (1 - middles) / n)


def _mean(values: Array, variances: Array, shared: float = 0.0) -> Estimate:
    if not len(values):
        return estimate(None)
    mean, half = float(values.mean()), Z * float(np.sqrt(variances.sum() + shared)) / len(values)
    return estimate(mean, max(mean - half, 0.0), min(mean + half, 1.0))


class Resampler:
    """Draws Poisson replicates of counts; the same counts under the same name give the same numbers.

    Args:
        seed: of the draws.
        replicates: at most so many; of tables with very many cells fewer are drawn.
    """

    def __init__(self, *, seed: int = 0, replicates: int = REPLICATES) -> None:
        self.seed = seed
        self.replicates = replicates

    def number(self, cells: int) -> int:
        """Return how many replicates of a table with so many cells are drawn."""
        return min(self.replicates, max(FEWEST_REPLICATES, MOST_DRAWS // max(cells, 1)))

    def stream(self, name: str) -> np.random.Generator:
        """Return random numbers of their own for a statistic, whatever was drawn before."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def draws(self, counts: Array, name: str) -> Iterator[Array]:
        """Yield replicates of the counts, int64 [r, *shape of counts], some megabytes at a time.

        Args:
            counts: numbers >= 0.
            name: of the statistic; another name gives other draws.
        """
        counts = np.asarray(counts, np.float64)
        rng = self.stream(name)
        left = self.number(counts.size)
        step = max(1, DRAWS_AT_ONCE // max(counts.size, 1))
        while left > 0:
            now = min(step, left)
            yield rng.poisson(counts, size=(now, *counts.shape))
            left -= now

    def replicate(self, counts: Array, statistic: Callable[[Array], Array], name: str) -> Array:
        """Return a statistic of every replicate.

        Args:
            counts: as of ``draws``.
            statistic: of counts [r, *shape] gives float64 [r, ...]; NaN where it is undefined.
            name: as of ``draws``.
        """
        return np.concatenate([np.asarray(statistic(draw), np.float64) for draw in self.draws(counts, name)])

    def interval(self, counts: Array, statistic: Callable[[Array], Array], name: str) -> Estimate:
        """Return a number of counts with its percentile interval.

        Args:
            counts: as of ``draws``.
            statistic: of counts [r, *shape] gives float64 [r].
            name: as of ``draws``.
        """
        value = float(statistic(np.asarray(counts)[None])[0])
        low, high = percentile_bounds(self.replicate(counts, statistic, name))
        return estimate(value, float(low), float(high))


def percentile_bounds(replicates: Array) -> tuple[Array, Array]:
    """Return the 2.5% and 97.5% quantiles of replicates [r, ...], each [...].

    Undefined replicates (NaN) are left out. There is no interval (NaN) where they are more than half, nor where all are
    equal: counts that cannot vary, as of a class that is always found, say nothing of what may vary in others.
    """
    known = ~np.isnan(replicates)
    enough = known.sum(0) * 2 > len(replicates)
    least, most = (np.where(known, replicates, end) for end in (np.inf, -np.inf))
    enough &= most.max(0) - least.min(0) > 1e-12 * np.abs(most.max(0))  # more than rounding
    ordered = np.sort(replicates, axis=0)  # NaN last
    ends = []
    for tail in TAILS:
        place = tail * np.maximum(known.sum(0) - 1, 0)
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, np.maximum(known.sum(0) - 1, 0))
        first = np.take_along_axis(ordered, below[None], 0)[0]
        second = np.take_along_axis(ordered, above[None], 0)[0]
        ends.append(np.where(enough, first + (second - first) * (place - below), np.nan))
    return ends[0], ends[1]


def widened_bounds(values: Array, low: Array, high: Array, n: Array) -> tuple[Array, Array]:
    """Return a percentile interval as wide as few samples need it; NaN where n is below 2.

    A bootstrap takes the spread of n samples for that of all, which is too small by sqrt((n - 1) / n), and knows it too
    well: Student's quantile stands in for the normal one (Hesterberg 2014, arXiv:1411.5279, section 4.3). Of three
    exponential losses the mean is in the interval 0.72 of the time, and 0.90 with this.

    Args:
        values: float64 [k].
        low: their percentiles, [k].
        high: likewise.
        n: samples behind each value, [k].
    """
    freedom = np.maximum(np.asarray(n, np.float64) - 1, 1)
    # Student's quantile by the normal one (Cornish and Fisher); 2.5% too small for two degrees of freedom
    student = Z + (Z**3 + Z) / (4 * freedom) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * freedom**2)
    student += (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / (384 * freedom**3)
    factor = student / Z * np.sqrt((freedom + 1) / freedom)
    factor = np.where(np.asarray(n) > 1, factor, np.nan)
    return values - (values - low) * factor, values + (high - values) * factor
