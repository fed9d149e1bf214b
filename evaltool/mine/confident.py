"""How many labels are wrong: the confident joint of Northcutt, Jiang & Chuang 2021, arXiv:1911.00068.

A row counts for class j if p_j reaches that class's threshold, the mean of p_j over the rows labelled j; of several
such classes the most probable one counts.  Rows that count for another class than their label are errors; each label's
share of errors is taken for all rows of that label.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SLACK = 1e-6  # below a threshold: equal probabilities reach their own mean


class Thresholds:
    """Means of the label's probability by label, which add up over blocks.

    Args:
        num_labels: how many labels there are, C of a softmax and 2 C of sigmoids (class * 2 + label).
    """

    def __init__(self, num_labels: int) -> None:
        self.sums = np.zeros(num_labels)
        self.counts = np.zeros(num_labels, np.int64)

    def add(self, p_label: Array, labels: Array) -> None:
        """Add the label's probability, float64 [n], of rows with labels int64 [n]."""
        self.sums += np.bincount(labels, p_label, minlength=len(self.sums))
        self.counts += np.bincount(labels, minlength=len(self.sums))

    def values(self) -> Array:
        """Return the thresholds, float64 [num_labels]; infinite for a label that no row has."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.counts > 0, self.sums / self.counts - SLACK, np.inf)


class ConfidentCounts:
    """Rows of each label that count for their label, and those that count for another; they add up over blocks."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds = thresholds.values()
        self.counts = thresholds.counts
        self.right = np.zeros(len(self.counts), np.int64)
        self.wrong = np.zeros(len(self.counts), np.int64)

    def add_softmax(self, probs: Array, labels: Array) -> None:
        """Add rows: probs float64 [n, C], labels int64 [n]."""
        reached = np.where(probs >= self.thresholds, probs, -1.0)
        best = reached.argmax(1)
        counts = reached[np.arange(len(labels)), best] >= 0
        self._add(labels[counts], best[counts] == labels[counts])

    def add_sigmoid(self, probs: Array, labels: Array, valid: Array) -> None:
        """Add rows: probs of class c being there, float64 [n, C]; labels int64 and valid bool, [n, C]."""
        there = probs >= self.thresholds[1::2]
        absent = 1 - probs >= self.thresholds[::2]
        best = np.where(there & absent, probs > 0.5, there)
        counts = (there | absent) & valid
        by_label = 2 * np.arange(probs.shape[1]) + labels
        self._add(by_label[counts], (best == labels)[counts])

    def _add(self, labels: Array, right: Array) -> None:
        self.right += np.bincount(labels[right], minlength=len(self.right))
        self.wrong += np.bincount(labels[~right], minlength=len(self.wrong))

    def expected(self) -> Array:
        """Return the expected number of errors of each label, float64 [num_labels]."""
        return np.asarray(self.counts * self.wrong / np.maximum(self.right + self.wrong, 1))
