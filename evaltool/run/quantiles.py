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
LOW_MASK = np.uint32((1 << LOW_BITS) - 1)
PIECE = 1 << 15  # values looked at together, which stay in a core's cache


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
    places = sorted(set(bin_of.values()))
    number = np.full(len(histogram), -1, np.int8)  # of a wanted bin among them
    number[places] = np.arange(len(places))
    fine = np.zeros((len(places), 1 << LOW_BITS), np.int64)
    for chunk in chunks():
        for start in range(0, len(chunk), PIECE):
            bits = ordered_bits(chunk[start : start + PIECE])  # NaN and infinities are in bins of their own
            which = number[bits >> LOW_BITS]
            wanted = np.flatnonzero(which >= 0)
            places_of = (which[wanted].astype(np.intp) << LOW_BITS) | (bits[wanted] & LOW_MASK).astype(np.intp)
            np.add.at(fine.reshape(-1), places_of, 1)
    values = {}
    for rank, place in bin_of.items():
        before = int(ends[place] - histogram[place])
        rest = int(np.searchsorted(np.cumsum(fine[number[place]]), rank - before, side="right"))
        ordered = (place << LOW_BITS) | rest
        stored = ordered & 0x7FFFFFFF if ordered >> 31 else ordered ^ 0xFFFFFFFF
        values[rank] = float(np.array([stored], np.uint32).view(np.float32)[0])
    return values
