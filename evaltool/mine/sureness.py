"""How sure it is that a label is wrong: the model's odds, multiplied by one number for all labels.

Where the predictions have learned the flips too, the posterior of the transitions takes the noise into account twice
and calls too few labels wrong; the confident joint calls too many wrong in long tails.  The number is the one with
which the mean of p_wrong is halfway between the two.  The order of the labels stays.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

WIDEST = 80.0  # log-odds beyond it count as it: a p_wrong of e^-80 adds nothing to a mean
PER_UNIT = 32  # bins per unit of log-odds
ROUNDS = 80  # of bisection


class OddsCounts:
    """How many labels have which log-odds of being wrong, in bins; they add up over blocks."""

    def __init__(self) -> None:
        bins = int(2 * WIDEST * PER_UNIT) + 1
        self.counts = np.zeros(bins, np.int64)
        self.sums = np.zeros(bins)

    def add(self, odds: Array) -> None:
        """Add log-odds, float64 [n]."""
        odds = np.clip(odds, -WIDEST, WIDEST)
        place = ((odds + WIDEST) * PER_UNIT).astype(np.int64)
        self.counts += np.bincount(place, minlength=len(self.counts))
        self.sums += np.bincount(place, odds, minlength=len(self.sums))

    def shift(self, expected_share: float) -> float:
        """Return what to add to all log-odds; 0 without labels.

        Args:
            expected_share: of wrong labels, in 0..1, by the confident joint.
        """
        there = self.counts > 0
        if not there.any():
            return 0.0
        odds, weights = self.sums[there] / self.counts[there], self.counts[there] / self.counts.sum()
        target = (float(weights @ sigmoid(odds)) + expected_share) / 2
        least, most = -2 * WIDEST, 2 * WIDEST
        for _ in range(ROUNDS):
            middle = (least + most) / 2
            least, most = (middle, most) if weights @ sigmoid(odds + middle) < target else (least, middle)
        return (least + most) / 2


def sigmoid(odds: Array) -> Array:
    """Return the probability of log-odds."""
    small = np.exp(-np.abs(odds))
    return np.asarray(np.where(odds >= 0, 1, small) / (1 + small))
