"""A bias per class that makes mean probabilities those of the labels: what a shifted prior wants (Saerens 2002).

One half of the decisions fits it, the other measures it.  With the bias, the cross-entropy is least where the mean
probability of each class is its share of the labels; each step adds the logarithm of what is missing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evaltool.report.adjustment import FEWEST, accuracy, balanced_accuracy, cells_of, gains, offset_code
from evaltool.report.document import Correction
from evaltool.report.intervals import estimate, percentile_bounds
from evaltool.report.row_sample import Sample, label_weights

Array = np.ndarray[Any, Any]

CHUNK = 1 << 19  # numbers computed at once
STEPS = 50
CLOSE = 1e-3  # nats
LARGEST = 20.0  # nats a bias may reach: a class that is always masked asks for any amount
WAYS = ("before", "after")


def unknown(reason: str) -> Correction:
    """Return that the correction is not known, and why."""
    return {
        "values": [],
        "accuracy_before": None,
        "accuracy_after": None,
        "balanced_accuracy_before": None,
        "balanced_accuracy_after": None,
        "gain": estimate(None),
        "n_rows": 0,
        "torch": "",
        "reason": reason,
    }


def correction_of(sample: Sample | None, counts: Sequence[int], *, grouped: bool) -> Correction:
    """Return the bias and the accuracy that it gains on the held-out half; the arguments are ``adjustment_of``'s."""
    if sample is None:
        return unknown("no scored row")
    fitted, measured, weights = sample.part(False), sample.part(True), label_weights(sample, counts)
    if min(len(fitted.labels), len(measured.labels)) < FEWEST:
        return unknown(f"too few rows to fit and measure it: {len(sample.labels)}")
    bias = _fitted(fitted, weights)
    if np.abs(bias).max() >= LARGEST:
        return unknown("no finite bias brings a class to the frequency of its labels")
    bias -= bias.mean() if sample.softmax else 0.0
    cells = cells_of(measured, -bias, 1.0)
    before, after = accuracy(cells[None], weights, "before"), accuracy(cells[None], weights, "after")
    balanced = [None if np.isnan(rate) else rate for rate in (balanced_accuracy(cells, way) for way in WAYS)]

    def gain(draws: Array) -> Array:
        return accuracy(draws, weights, "after") - accuracy(draws, weights, "before")

    low, high = percentile_bounds(gains(measured, -bias, 1.0, cells, gain, grouped=grouped, name="prior correction"))
    return {
        "values": bias.tolist(),
        "accuracy_before": float(before[0]),
        "accuracy_after": float(after[0]),
        "balanced_accuracy_before": balanced[0],
        "balanced_accuracy_after": balanced[1],
        "gain": estimate(float(after[0] - before[0]), float(low), float(high)),
        "n_rows": len(measured.labels),
        "torch": offset_code((-bias).tolist(), "what the prior shift takes off", softmax=sample.softmax),
        "reason": "",
    }


def _fitted(half: Sample, of_label: Array) -> Array:
    classes = half.odds.shape[1]
    labels = half.labels if half.softmax else half.labels[:, 0]
    single = len(of_label) > 0
    weights = of_label[labels] if single else np.ones(len(labels))
    if half.softmax:
        wanted = np.bincount(labels, weights, classes)
        total = np.full(classes, wanted.sum())
    else:
        wanted = (weights[:, None] * (half.labels * half.valid)).sum(0)
        total = (weights[:, None] * half.valid).sum(0)
    # half a label, so that none is asked to vanish
    share = np.clip(wanted, 0.5, np.maximum(total - 0.5, 0.5)) / np.maximum(total, 1.0)
    bias = np.zeros(classes)
    for _ in range(STEPS):
        mean = _mean_probability(half, weights, bias) / np.maximum(total, 1.0)
        mean = np.clip(mean, 1e-12, 1 - 1e-12)
        step = np.log(share) - np.log(mean)
        if not half.softmax:
            step -= np.log1p(-share) - np.log1p(-mean)
        bias = np.clip(bias + step, -LARGEST, LARGEST)
        if np.abs(step).max() < CLOSE:
            break
    return bias


def _mean_probability(half: Sample, weights: Array, bias: Array) -> Array:
    """Return the weighted sums of the probabilities of each class under a bias, float64 [C]."""
    sums = np.zeros(len(bias))
    step = max(1, CHUNK // len(bias))
    for start in range(0, len(half.labels), step):
        part = slice(start, start + step)
        odds = half.odds[part] + bias
        if half.softmax:
            p = np.exp(odds - odds.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
        else:
            small = np.exp(-np.abs(odds))
            p = np.where(odds >= 0, 1.0, small) / (1 + small) * half.valid[part]
        sums += weights[part] @ p
    return sums
