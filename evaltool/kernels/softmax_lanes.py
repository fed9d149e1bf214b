"""Scratch of 64 softmaxes that are looked at together, a lane each: what of each is known before and after its finish.

Every quantity has 64 places of one flat array, at an offset that the compiler knows: so it sees that no two of them
overlap, which of separate arrays it would have to test, and does not beyond a few.
"""

from typing import Any, NamedTuple

import numpy as np

from evaltool.kernels.loading import aligned
from evaltool.kernels.transposition import LARGEST_SQUARE

Array = np.ndarray[Any, Any]

LANES = 64
MOST_IN_TILES = 128  # classes up to which 64 rows are looked at together; measured: 256 bytes each, beside a 1 MB cache
FOLD = 16  # classes whose float32 terms are summed before they go to a float64 sum

# offsets in Lanes.sums, float32: the terms of a few classes
ODDS, HEAT, SQUARES, TIES, GAP = (LANES * i for i in range(5))
SUMS = 5 * LANES

# offsets in Lanes.rows, float64: what a finish needs ...
TOTAL = 0 * LANES  # sum of r_c = p_c / p_top over the other classes
WARMTH = 1 * LANES  # sum of r_c log(1 / r_c)
SQUARE = 2 * LANES  # sum of r_c^2
NEXT = 3 * LANES  # the smallest difference to the top class, in the predictions' kind
PEAK = 4 * LANES  # the top class's prediction
OWN = 5 * LANES  # the label's
LEAST = 6 * LANES  # the smallest prediction, of probabilities
# ... and what it gives
CE = 7 * LANES
MISS = 8 * LANES  # 1 - p_label
P_LABEL = 9 * LANES
P_PRED = 10 * LANES
MARGIN = 11 * LANES
ENTROPY = 12 * LANES
OTHERS = 13 * LANES  # sum over c != label of p_c^2
VALUE = 14 * LANES  # a loss
OFF = 15 * LANES  # 1 where probabilities contradict their kind, else 0
ROWS = 16 * LANES

# offsets in Lanes.codes, int64
LABEL = 0 * LANES  # the label, 0 where it is none
STATUS = 1 * LANES
PLACE = 2 * LANES  # the top class
CODES = 3 * LANES


class Lanes(NamedTuple):
    """Arrays of 64 softmaxes."""

    tile: Array  # float32 or float64 [classes * 64]: class by class, 64 lanes each
    copy: Array  # the same dtype: 64 rows that cannot be used where they are
    tops: Array  # the same dtype [64], each lane's largest
    owns: Array  # the same dtype [64], each lane's label's
    keys: Array  # int32 or int64 [64], ``order_key`` of it
    places: Array  # int32 [64], the first class that has it
    sums: Array  # float32
    rows: Array  # float64
    codes: Array  # int64


def lanes(num_classes: int, dtype: Any) -> Lanes:
    """Return the scratch for tiles of some classes."""
    wide = np.dtype(dtype) == np.float64
    tile = aligned((-(-num_classes // LARGEST_SQUARE) * LARGEST_SQUARE + 1) * LANES, dtype)
    tile.fill(-np.inf)
    copy = aligned(num_classes * LANES + LARGEST_SQUARE, dtype)
    copy.fill(0.0)
    rows = aligned(ROWS, np.float64)
    rows.fill(0.0)
    owns = aligned(LANES, dtype)
    owns.fill(0.0)
    codes = aligned(CODES, np.int64)
    codes.fill(0)
    return Lanes(
        tile,
        copy,
        aligned(LANES, dtype),
        owns,
        aligned(LANES, np.int64 if wide else np.int32),
        aligned(LANES, np.int32),
        aligned(SUMS, np.float32),
        rows,
        codes,
    )
