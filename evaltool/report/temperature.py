"""The temperature that mends calibration: p^(1/T), scaled to sum to 1.  Guo et al. 2017, arXiv:1706.04599.

One half of the decisions fits it, the other measures it.  The cross-entropy is convex in b = 1 / T, with the derivative
E[mean of log p under p^b - log p of the label]: Newton's steps on it, kept within a bracket.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from evaltool.report.document import Temperature
from evaltool.report.row_sample import Sample, label_weights

Array = np.ndarray[Any, Any]

CHUNK = 1 << 19  # numbers computed at once
LOWEST = float(np.log(np.finfo(np.float32).tiny))  # what probabilities of 0 are taken as, as the losses do
BINS = 15
FEWEST = 20  # decisions in each half
INVERSE_RANGE = (1e-3, 1e3)  # of b
CLOSE = 1e-9  # of b, between two steps


def unknown(reason: str, n_rows: int = 0) -> Temperature:
    """Return that the temperature is not known, and why."""
    return {
        "value": None,
        "nll_before": None,
        "nll_after": None,
        "ece_before": None,
        "ece_after": None,
        "n_rows": n_rows,
        "reason": reason,
    }


def temperature_of(sample: Sample | None, counts: Sequence[int], *, clamp: bool) -> Temperature:
    """Return the temperature and what it changes on the held-out half.

    Args:
        sample: decisions.
        counts: labels of each class in the run, which a sample's weights make up; [] where all weigh the same.
        clamp: take probabilities of 0 as the smallest normal float32, as the losses do of ``probs``; otherwise what has
            them at its label is left out.
    """
    if sample is None:
        return unknown("no scored row")
    weights = label_weights(sample, counts)
    fitted, measured = (_Decisions(sample.part(held_out), weights, clamp) for held_out in (False, True))
    n_rows = fitted.n + measured.n
    if min(fitted.n, measured.n) < FEWEST:
        return unknown(f"too few rows to fit and measure it: {n_rows}", n_rows)
    inverse, reason = _minimum(fitted)
    if inverse is None:
        return unknown(reason, n_rows)
    before, after = measured.nll_and_ece(1.0), measured.nll_and_ece(inverse)
    return {
        "value": 1 / inverse,
        "nll_before": before[0],
        "nll_after": after[0],
        "ece_before": before[1],
        "ece_after": after[1],
        "n_rows": n_rows,
        "reason": "",
    }


def _minimum(decisions: "_Decisions") -> tuple[float | None, str]:
    """Return b of the least cross-entropy, or why there is none."""
    low, high = INVERSE_RANGE
    if decisions.slope(low)[0] >= 0:
        return None, "the predictions say no more about the labels than chance: the flattest ones have the least loss"
    if decisions.slope(high)[0] <= 0:
        return None, "no row of the half that fits is wrong: the loss falls with every sharpening"
    b = 1.0
    for _ in range(100):
        slope, curvature = decisions.slope(b)
        low, high = (b, high) if slope < 0 else (low, b)
        step = b - slope / curvature if curvature > 0 else low
        if abs(step - b) <= CLOSE * b:
            return b, ""
        b = step if low < step < high else float(np.sqrt(low * high))
    return b, ""


class _Decisions:
    """Half of a sample, with its weights; of multilabel every valid pair of a sample and a class is a decision."""

    def __init__(self, half: Sample, of_label: Array, clamp: bool) -> None:
        self.softmax = half.softmax
        odds = np.maximum(half.odds, np.float32(LOWEST)) if clamp else half.odds
        if self.softmax:
            own = odds[np.arange(len(odds)), half.labels]
        else:
            odds = np.clip(odds, LOWEST, -LOWEST) if clamp else odds
            own = np.where(half.labels > 0, odds, -odds)
        finite = (own > -np.inf) & half.valid
        self.classes = odds.shape[1]
        if self.softmax:
            self.odds, self.labels = odds[finite], half.labels[finite]
            self.places = np.zeros(len(self.labels), np.int64)
        else:
            _, self.places = np.nonzero(finite)
            self.odds, self.labels = odds[finite][:, None], half.labels[finite]
        self.weights = of_label[self.labels] if len(of_label) else np.ones(len(self.labels))
        self.n = len(self.labels)

    def _chunks(self) -> Iterator[tuple[Array, Array, Array, Array]]:
        step = max(1, CHUNK // self.odds.shape[1])
        for start in range(0, self.n, step):
            part = slice(start, start + step)
            yield self.odds[part].astype(np.float64), self.labels[part], self.weights[part], self.places[part]

    def slope(self, b: float) -> tuple[float, float]:
        """Return the first and the second derivative of the mean cross-entropy."""
        first = second = 0.0
        for odds, labels, weights, _ in self._chunks():
            if self.softmax:
                p, logs = _softened(odds, b)
                mean = (p * logs).sum(1)
                own = logs[np.arange(len(logs)), labels]
                first += float(weights @ (mean - own))
                second += float(weights @ ((p * logs**2).sum(1) - mean**2))
            else:
                signed = np.where(labels > 0, odds[:, 0], -odds[:, 0])
                miss = _sigmoid(-b * signed)
                # a right decision of infinite odds loses nothing at any b
                near = np.where(np.isfinite(signed), signed, 0.0)
                first -= float(weights @ (near * miss))
                second += float(weights @ (near**2 * miss * (1 - miss)))
        total = float(self.weights.sum())
        return first / total, second / total

    def nll_and_ece(self, b: float) -> tuple[float, float]:
        """Return the mean cross-entropy in nats and the calibration error, class-wise of several sigmoids."""
        nll = 0.0
        groups = 1 if self.softmax else self.classes
        sums = np.zeros((3, groups * BINS))
        for odds, labels, weights, places in self._chunks():
            if self.softmax:
                p, _ = _softened(odds, b)
                own = p[np.arange(len(p)), labels]
                confidence, right = p.max(1), p.argmax(1) == labels
            else:
                one = _sigmoid(b * odds[:, 0])
                own = np.where(labels > 0, one, _sigmoid(-b * odds[:, 0]))
                top = self.classes == 1
                confidence = np.maximum(one, 1 - one) if top else one
                right = (odds[:, 0] > 0) == (labels > 0) if top else labels > 0
            nll -= float(weights @ np.log(np.maximum(own, np.finfo(np.float64).tiny)))
            bins = places * BINS + np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
            for row, values in enumerate((weights, weights * right, weights * confidence)):
                sums[row] += np.bincount(bins, values, minlength=groups * BINS)
        count, right_sum, confident = sums.reshape(3, groups, BINS)
        of_class = count.sum(1)
        errors = np.abs(right_sum - confident).sum(1)[of_class > 0] / of_class[of_class > 0]
        return nll / float(self.weights.sum()), float(errors.mean())


def _softened(odds: Array, b: float) -> tuple[Array, Array]:
    """Return p^b to sum 1 and the finite logarithms of p, float64 [n, C]; p of 0 stays 0."""
    scaled = b * odds
    p = np.exp(scaled - scaled.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return p, np.where(np.isfinite(odds), odds, 0.0)


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, small) / (1 + small))
