"""How hard decisions or positions are, counted by their log-odds in fixed memory: what focusing starts from."""

from typing import Any

import numpy as np

from evaltool.numerics.float_bits import ordered_bits
from evaltool.report.document import Focusing
from evaltool.report.focusing import focusing_from
from evaltool.report.scan import GAMMAS
from evaltool.run.state import HISTOGRAM_BINS, LOW_BITS

Array = np.ndarray[Any, Any]

LOW, HIGH, PER_NAT = -64, 128, 256  # bins of u = log((1 - p) / p) of the label; beyond the ends in the outermost


class OddsCounts:
    """Counts decisions by the log-odds against their label.

    A focal loss (1 - p)^gamma (-log p) rises with u, whatever gamma is.  A bin is 1/256 of a nat wide: its middle gives
    the mean of the losses in it within 0.01%.
    """

    def __init__(self) -> None:
        self.counts = np.zeros((HIGH - LOW) * PER_NAT, np.int64)

    def add(self, against: Array) -> None:
        """Add decisions by their log-odds against the label, float64; infinities count at the ends, NaN not at all."""
        known = against[~np.isnan(against)]
        place = np.floor((np.clip(known, LOW, HIGH) - LOW) * PER_NAT).astype(np.int64)
        self.counts += np.bincount(np.minimum(place, len(self.counts) - 1), minlength=len(self.counts))

    def focusing(self, unit: str) -> Focusing:
        """Return what gamma would do; ``unit`` is what was counted, in the plural."""
        middles = LOW + (np.arange(len(self.counts)) + 0.5) / PER_NAT
        small = np.exp(-np.abs(middles))
        entropy = np.maximum(middles, 0) + np.log1p(small)
        miss = np.where(middles >= 0, 1.0, small) / (1 + small)
        place = ordered_bits(entropy.astype(np.float32)) >> LOW_BITS
        counts = np.bincount(place, self.counts, HISTOGRAM_BINS).astype(np.int64)
        losses = [miss**gamma * entropy for gamma in GAMMAS]
        sums = np.stack([np.bincount(place, self.counts * values, HISTOGRAM_BINS) for values in losses])
        squares = np.array([float(self.counts @ values**2) for values in losses])
        return focusing_from(counts, sums, squares, unit=unit)
