"""Welch's t test from counts, means and variances, and Benjamini-Hochberg, without SciPy."""

from typing import Any, NamedTuple

import numpy as np

from evaltool.report.intervals import Z

Array = np.ndarray[Any, Any]

TINY = 1e-300
TERMS = 300  # of the continued fraction: far more than it takes
STEPS = 40


class Moments(NamedTuple):
    """Counts, means and unbiased variances of numbers; float64, [G] or []."""

    n: Array
    mean: Array
    variance: Array  # NaN where n < 2


def moments(n: Array, sums: Array, squares: Array, center: float) -> Moments:
    """Return the moments from the sums of x - center and of (x - center)^2; a center near the mean keeps the digits."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = sums / n
        variance = np.maximum(squares - sums * shift, 0.0) / (n - 1)
    return Moments(n, center + shift, np.where(n > 1, variance, np.nan))


class Welch(NamedTuple):
    """The difference of two means; float64 [G]."""

    difference: Array
    half_width: Array  # of its 95% interval
    p_value: Array  # two-sided; NaN where a variance is not known, or both are 0 and the means differ


def welch(a: Moments, b: Moments) -> Welch:
    """Return the difference of means a - b, whose variances may differ.  Welch 1947."""
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = (a.variance / a.n, b.variance / b.n)
        variance = parts[0] + parts[1]
        freedom = variance**2 / (parts[0] ** 2 / (a.n - 1) + parts[1] ** 2 / (b.n - 1))
        difference = a.mean - b.mean
        t = difference / np.sqrt(variance)
    known = np.isfinite(t) & np.isfinite(freedom)
    p = np.full(np.shape(t), np.nan)
    p[known] = two_sided(t[known], freedom[known])
    p[(variance == 0) & (difference == 0)] = 1.0
    half = np.full(np.shape(t), np.nan)
    half[known] = quantile(freedom[known]) * np.sqrt(variance[known])
    return Welch(difference, half, p)


def pooled_p_value(a: Moments, b: Moments) -> Array:
    """Return the two-sided chance of Student's test of equal means, whose variances are taken as one; float64 [G]."""
    freedom = a.n + b.n - 2
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = np.where(a.n > 1, a.variance * (a.n - 1), 0.0) + np.where(b.n > 1, b.variance * (b.n - 1), 0.0)
        t = (a.mean - b.mean) / np.sqrt(squares / freedom * (1 / a.n + 1 / b.n))
    known = np.isfinite(t) & (freedom > 0)
    p = np.full(np.shape(t), np.nan)
    p[known] = two_sided(t[known], freedom[known])
    return p


def mean_bounds(of: Moments) -> tuple[Array, Array]:
    """Return the ends of Student's 95% interval of each mean; NaN where n < 2."""
    half = np.full(of.n.shape, np.nan)
    known = of.n > 1
    half[known] = quantile(of.n[known] - 1.0) * np.sqrt(of.variance[known] / of.n[known])
    return of.mean - half, of.mean + half


def two_sided(t: Array, freedom: Array) -> Array:
    """Return the chance of a Student's t at least so far from 0, float64: I_x(v / 2, 1 / 2), x = v / (v + t^2)."""
    t, freedom = np.abs(np.asarray(t, np.float64)), np.asarray(freedom, np.float64)
    # 1 - x without a difference: both ends keep their digits
    x, rest = freedom / (freedom + t**2), t**2 / (freedom + t**2)
    return _incomplete_beta(freedom / 2, np.full_like(freedom, 0.5), x, rest)


def quantile(freedom: Array) -> Array:
    """Return the t that chance leaves, within its two signs, 95% of the time: Newton's steps from the normal's 1.96.

    Right of 0 the chance falls and is convex, so that steps from below never pass the solution.
    """
    freedom = np.asarray(freedom, np.float64)
    t = np.full_like(freedom, Z)
    for _ in range(STEPS):
        log_density = -_log_beta(freedom / 2, np.full_like(freedom, 0.5)) - 0.5 * np.log(freedom)
        density = np.exp(log_density - (freedom + 1) / 2 * np.log1p(t**2 / freedom))
        step = (two_sided(t, freedom) - 0.05) / (2 * density)
        t = t + step
        if np.all(np.abs(step) < 1e-10 * t):
            break
    return t


def _incomplete_beta(a: Array, b: Array, x: Array, rest: Array) -> Array:
    """Return the regularized incomplete beta function I_x(a, b), rest = 1 - x (DLMF 8.17.22, modified Lentz)."""
    swap = x > (a + 1) / (a + b + 2)  # there the fraction of I_rest(b, a) = 1 - I_x(a, b) converges faster
    a, b = np.where(swap, b, a), np.where(swap, a, b)
    x, rest = np.where(swap, rest, x), np.where(swap, x, rest)
    with np.errstate(divide="ignore", under="ignore"):
        front = np.exp(a * np.log(x) + b * np.log(rest) - _log_beta(a, b)) / a
    c, d = np.ones_like(x), 1 / _apart(1 - (a + b) * x / (a + 1))
    value = d.copy()
    for m in range(1, TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = np.ones_like(x)
        for term in (even, odd):
            d = 1 / _apart(1 + term * d)
            c = _apart(1 + term / c)
            change = change * c * d
        value *= change
        if np.all(np.abs(change - 1) < 1e-15):
            break
    found = np.where(x == 0, 0.0, front * value)
    return np.clip(np.where(swap, 1 - found, found), 0.0, 1.0)


def _apart(x: Array) -> Array:
    return np.where(np.abs(x) < TINY, TINY, x)


def _log_beta(a: Array, b: Array) -> Array:
    """Return log B(a, b) where one of the two is 1 / 2."""
    large = np.maximum(a, b)
    return np.asarray(0.5 * np.log(np.pi) - _log_gamma_step(large))


def _log_gamma_step(x: Array) -> Array:
    """Return log Gamma(x + 1/2) - log Gamma(x), x >= 1/2, by its series above 20 and the recurrence below."""
    start = np.asarray(x, np.float64)
    steps = np.maximum(np.ceil(20 - start), 0.0)
    back = np.zeros_like(start)
    for k in range(20):
        now = start + k
        back += np.where(k < steps, np.log1p(0.5 / now), 0.0)
    y = start + steps
    # Gamma(y + 1/2) / Gamma(y) = sqrt(y) exp(-1/(8y) + 1/(192y^3) - 1/(640y^5) + 17/(14336y^7) - ...)
    series = -1 / (8 * y) + 1 / (192 * y**3) - 1 / (640 * y**5) + 17 / (14336 * y**7)
    return np.asarray(0.5 * np.log(y) + series - back)


def benjamini_hochberg(p_values: Array) -> Array:
    """Return the q-values of p-values, in their order: the false discovery rate at which each is found.  BH 1995.

    NaN stays NaN and counts for nothing.
    """
    q = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    scaled = p_values[order] * len(order) / np.arange(1, len(order) + 1)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q
