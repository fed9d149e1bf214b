"""The bins that losses are counted in: 16 per octave, as in ``state.npz``."""

from functools import cache
from typing import Any

import numpy as np

from evaltool.run.state import HISTOGRAM_BINS, LOW_BITS

Array = np.ndarray[Any, Any]

LEAST = 2.0**-126  # the smallest normal float32; what is below counts as 0
ZERO = HISTOGRAM_BINS // 2  # the bin of 0


@cache
def edges() -> Array:
    """Return the lower ends of the bins, float64 [8193]; NaN where a bin holds no finite number."""
    ordered = np.arange(HISTOGRAM_BINS + 1, dtype=np.int64) << LOW_BITS
    bits = np.where(ordered >= 1 << 31, ordered ^ (1 << 31), ordered ^ 0xFFFFFFFF).astype(np.uint32)
    with np.errstate(invalid="ignore"):  # the bits of NaN
        ends = bits.view(np.float32).astype(np.float64)
    infinite = int(np.flatnonzero(np.isposinf(ends))[0])
    ends[~np.isfinite(ends)] = np.nan
    ends[infinite:] = np.nan
    ends[infinite] = 2.0**128  # the last finite bin ends where float32 does
    return ends


@cache
def middles() -> Array:
    """Return the middles of the bins, float64 [8192], each within 1/32 of every number in its bin; 0 next to 0."""
    ends = edges()
    middle = (ends[:-1] + ends[1:]) / 2
    middle[np.abs(middle) < LEAST] = 0.0
    return np.nan_to_num(middle)


def order_statistics(counts: Array, starts: Array, n: Array, at: float) -> Array:
    """Return the places, in sorted sparse counts, of the samples at floor(at (n - 1)) of each group; int64 [groups].

    Args:
        counts: int64 [k], group after group.
        starts: int64 [groups], where a group's counts begin.
        n: int64 [groups] > 0, their sums.
        at: the quantile, in [0, 1].
    """
    ends = np.cumsum(counts)
    before = np.concatenate([[0], ends])[starts]
    ranks = before + np.floor(at * (n - 1)).astype(np.int64)
    return np.searchsorted(ends, ranks, side="right")
