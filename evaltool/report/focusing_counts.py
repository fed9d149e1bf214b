"""How a focal loss spreads over decisions or positions, from counts of their log-odds: one pass, fixed memory."""

from typing import Any

import numpy as np

from evaltool.report.document import GammaRow

Array = np.ndarray[Any, Any]

GAMMAS = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0)
LOW, HIGH, PER_NAT = -64, 128, 256  # bins of u = log((1 - p) / p) of the label; beyond the ends in the outermost


class OddsCounts:
    """Counts decisions by the log-odds against their label.

    A focal loss (1 - p)^gamma (-log p) rises with u, so that the easiest come first whatever gamma is.  A bin is 1/256
    of a nat wide: its middle gives the mean loss within 0.01 %.
    """

    def __init__(self) -> None:
        self.counts = np.zeros((HIGH - LOW) * PER_NAT, np.int64)

    def add(self, against: Array) -> None:
        """Add decisions by their log-odds against the label, float64; infinities count at the ends, NaN not at all."""
        known = against[~np.isnan(against)]
        place = np.floor((np.clip(known, LOW, HIGH) - LOW) * PER_NAT).astype(np.int64)
        self.counts += np.bincount(np.minimum(place, len(self.counts) - 1), minlength=len(self.counts))

    def rows(self) -> list[GammaRow]:
        """Return how the loss of each gamma spreads; [] where nothing was counted."""
        if not self.counts.any():
            return []
        middles = LOW + (np.arange(len(self.counts)) + 0.5) / PER_NAT
        small = np.exp(-np.abs(middles))
        entropy = np.maximum(middles, 0) + np.log1p(small)
        miss = np.where(middles >= 0, 1.0, small) / (1 + small)
        return [self._row(gamma, miss**gamma * entropy) for gamma in GAMMAS]

    def _row(self, gamma: float, losses: Array) -> GammaRow:
        n = float(self.counts.sum())
        total = float(self.counts @ losses)
        squares = float(self.counts @ losses**2)
        return {
            "gamma": gamma,
            "easy_half_share": self._lowest(losses, n / 2) / total if total else None,
            "hardest_tenth_share": 1 - self._lowest(losses, 0.9 * n) / total if total else None,
            "effective_samples": total**2 / squares if squares else None,
        }

    def _lowest(self, losses: Array, n: float) -> float:
        """Return the sum of the n lowest losses, a part of a bin's where it is split."""
        before = self.counts.cumsum() - self.counts
        return float(np.clip(n - before, 0, self.counts) @ losses)
