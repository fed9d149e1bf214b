"""95% intervals of calibration errors, which chance makes larger: from above and below by different means.

The error of a bin, |rights - confidences|, is never below 0, so that few samples make a calibrated model look
miscalibrated (Bröcker 2012, "Estimating reliability and resolution of probability forecasts through decomposition of
the empirical score"; Kumar 2019, arXiv:1909.10155), and the replicates of a bootstrap are further off still: its
interval leaves out 0 for a calibrated model four times in ten.  Here the low end inverts a test: it is the smallest
error under which what was seen lies within the upper 97.5%, 0 where a calibrated model gives as much by chance (Bröcker
and Smith 2007, "Increasing the reliability of reliability diagrams").  The high end takes nothing off the error, which
is at least the truth on average, and adds what chance may have hidden.

Rights less confidences of a bin is taken as normal, so that its size is folded normal (Leone 1961), with mean and
variance in closed form: no draws.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from evaltool.report.intervals import Z

Array = np.ndarray[Any, Any]

SCALES = np.linspace(0, 2, 81)  # of the gaps that were seen, for the low end
SKEWNESS = 0.9953  # of |X|, X normal around 0; around another mean it is smaller
RATIOS = np.linspace(0, 8, 8001)
INSIDE = np.array([math.erf(ratio / math.sqrt(2)) for ratio in RATIOS])  # P(|X| < ratio), 2e-7 off between its points


class Errors(NamedTuple):
    """What calibration errors may be by chance; float64, K classes."""

    seen: Array  # [K]
    true: Array  # [S, K], at each scale of the gaps
    mean: Array  # [S, K], expected of such a model
    variance: Array  # [S, K]
    third: Array  # [S, K], central moment
    spread: Array  # [K], variance for the high end


def class_bounds(n: Array, right: Array, confidence: Array) -> tuple[Array, Array]:
    """Return the ends of the interval of each class's calibration error, float64 [K]; NaN where it has no case.

    Args:
        n: cases, [K, B].
        right: how many are right, [K, B].
        confidence: sums of their confidences, [K, B].
    """
    ends = np.full((2, len(n)), np.nan)
    known = n.sum(1) > 0
    if known.any():
        ends[:, known] = _ends(_errors(n[known], right[known], confidence[known]))
    return ends[0], ends[1]


def mean_bounds(n: Array, right: Array, confidence: Array, *, softmax: bool) -> tuple[float, float]:
    """Return the ends of the interval of the mean of the classes' calibration errors; NaN where there is no case.

    The probabilities of a softmax add up to 1, so that its classes err together: residuals of K even ones correlate by
    -1 / (K - 1), which makes the variance of the mean K / (K - 1) times that of independent ones.  Of sigmoids nothing
    is known of the kind, and they are taken as independent.

    Args:
        n: as in ``class_bounds``.
        right: likewise.
        confidence: likewise.
        softmax: whether the classes are those of a softmax, all of them.
    """
    known = n.sum(1) > 0
    size = int(known.sum())
    if not size:
        return math.nan, math.nan
    of = _errors(n[known], right[known], confidence[known])
    together = size / (size - 1) if softmax and size > 1 else 1.0
    seen, true, mean = (part.mean(-1, keepdims=True) for part in (of.seen, of.true, of.mean))
    variance, spread = (part.mean(-1, keepdims=True) * together / size for part in (of.variance, of.spread))
    third = of.third.mean(-1, keepdims=True) * together**1.5 / size**2
    low, high = _ends(Errors(seen, true, mean, variance, third, spread))
    return float(low[0]), float(high[0])


def _errors(n: Array, right: Array, confidence: Array) -> Errors:
    """Return the errors of classes that have cases, of arrays [K, B]."""
    classes, total = len(n), n.sum(1).astype(np.float64)
    at, bins = np.nonzero(n)  # most bins of many classes are empty
    cases, hits, sure = (part[at, bins].astype(np.float64) for part in (n, right, confidence))
    believed = np.clip(sure / cases, 0, 1)
    gap = hits - cases * believed

    def summed(sizes: Array, power: int = 1) -> Array:
        return np.asarray(np.bincount(at, sizes, classes) / total**power)

    # the part of a gap that its variance does not account for
    own = np.sign(gap) * np.sqrt(np.maximum(gap**2 - cases * believed * (1 - believed), 0))
    true, mean, variance, third = [], [], [], []
    for scale in SCALES:
        chance = np.clip(believed + scale * own / cases, 0, 1)
        size, spread = folded_normal(scale * own, cases * chance * (1 - chance))
        true.append(summed(np.abs(scale * own)))
        mean.append(summed(size))
        variance.append(summed(spread, 2))
        third.append(summed(SKEWNESS * spread**1.5, 3))
    # the middle of Wilson's interval, not the share itself: of a bin that is all right that would vary by nothing
    middle = (hits + Z**2 / 2) / (cases + Z**2)
    widest = cases * middle * (1 - middle)
    # a gap of 0 may be one of a standard deviation, and then its size varies by more
    _, spread = folded_normal(np.abs(gap) + np.sqrt(widest), widest)
    return Errors(
        summed(np.abs(gap)), np.stack(true), np.stack(mean), np.stack(variance), np.stack(third), summed(spread, 2)
    )


def _ends(of: Errors) -> tuple[Array, Array]:
    """Return the ends of the intervals, float64 [K]."""
    # Cornish and Fisher's term for the skewness, which is large where one bin has most cases
    skewed = np.divide(of.third, of.variance, where=of.variance > 0, out=np.zeros_like(of.third))
    most = of.mean + Z * np.sqrt(of.variance) + (Z**2 - 1) / 6 * skewed
    # less rounding: a model that is always right and sure errs by 0 and varies by 0
    holds = most >= of.seen - 1e-12
    first = np.where(holds.any(0), holds.argmax(0), len(SCALES))
    low = np.take_along_axis(of.true, np.maximum(first - 1, 0)[None], 0)[0]
    return np.minimum(low, of.seen), of.seen + Z * np.sqrt(of.spread)


def folded_normal(mean: Array, variance: Array) -> tuple[Array, Array]:
    """Return mean and variance of |X|, X normal; float64 of the same shape.

    >>> [x.round(4).tolist() for x in folded_normal(np.array([0.0, 3.0]), np.array([1.0, 0.0]))]
    [[0.7979, 3.0], [0.3634, 0.0]]
    """
    deviation, size = np.sqrt(variance), np.abs(mean)
    ratio = np.divide(size, deviation, where=deviation > 0, out=np.full(size.shape, RATIOS[-1]))
    ratio = np.minimum(ratio, RATIOS[-1])
    folded = deviation * math.sqrt(2 / math.pi) * np.exp(-(ratio**2) / 2) + size * np.interp(ratio, RATIOS, INSIDE)
    return folded, np.maximum(size**2 + variance - folded**2, 0.0)
