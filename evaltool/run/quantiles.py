"""Exact quantiles in a second pass, in memory that does not grow with the number of values.

The first pass leaves a histogram over the upper 13 bits of each float32 (``state.State.histogram``); the second counts
the lower 19 bits inside the few bins that hold the wanted ranks.  Sorting would need every value at once.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from evaltool.numerics.float_bits import ordered_bits
from evaltool.run.state import LOW_BITS

Array = np.ndarray[Any, Any]


def exact_quantiles(histogram: Array, chunks: Callable[[], Iterable[Array]], at: Sequence[float]) -> list[float | None]:
    """Return quantiles as ``numpy.quantile`` does by default: linear between two order statistics.

    Args:
        histogram: int64 [8192], counts of the finite values by their upper bits.
        chunks: gives the values again, float32 [n] each; others than the finite ones are passed over.
        at: the quantiles, in [0, 1].

    Returns:
        One number for each; None where there is no value.
    """
    count = int(histogram.sum())
    if not count:
        return [None for _ in at]
    places = [q * (count - 1) for q in at]
    ranks = sorted({rank for place in places for rank in (math.floor(place), math.ceil(place))})
    value_at = _order_statistics(histogram, chunks, ranks)
    results: list[float | None] = []
    for place in places:
        low, high = value_at[math.floor(place)], value_at[math.ceil(place)]
        share = place - math.floor(place)
        results.append(high - (high - low) * (1 - share) if share >= 0.5 else low + (high - low) * share)
    return results


def _order_statistics(
    histogram: Array, chunks: Callable[[], Iterable[Array]], ranks: Sequence[int]
) -> dict[int, float]:
    ends = np.cumsum(histogram)
    bin_of = {rank: int(np.searchsorted(ends, rank, side="right")) for rank in ranks}
    fine = {place: np.zeros(1 << LOW_BITS, np.int64) for place in set(bin_of.values())}
    for chunk in chunks():
        bits = ordered_bits(chunk[np.isfinite(chunk)])
        for place, counts in fine.items():
            low = bits[bits >> LOW_BITS == place] & ((1 << LOW_BITS) - 1)
            counts += np.bincount(low, minlength=1 << LOW_BITS)
    values = {}
    for rank, place in bin_of.items():
        before = int(ends[place] - histogram[place])
        rest = int(np.searchsorted(np.cumsum(fine[place]), rank - before, side="right"))
        ordered = (place << LOW_BITS) | rest
        stored = ordered & 0x7FFFFFFF if ordered >> 31 else ordered ^ 0xFFFFFFFF
        values[rank] = float(np.array([stored], np.uint32).view(np.float32)[0])
    return values
