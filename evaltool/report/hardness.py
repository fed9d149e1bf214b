"""How a loss is spread over the samples, from what is in each of its bins."""

from typing import Any

import numpy as np

from evaltool.report.document import Hardness
from evaltool.report.imbalance import lorenz
from evaltool.report.loss_bins import ZERO, edges
from evaltool.report.scan import Scan
from evaltool.run.reader import Run

Array = np.ndarray[Any, Any]

SHOWN_BINS = 120
SHOWN_OCTAVES = 29  # below the largest loss; what is smaller still (1e-9 of it) is one bin
BINS_PER_OCTAVE = 16


def hardness_of(run: Run, scan: Scan) -> dict[str, Hardness]:
    """Return the section for each loss; shares are None where the loss is 0 everywhere or below 0 anywhere."""
    return {name: _spread(scan.bins[i], scan.sums[i]) for i, name in enumerate(run.losses)}


def _spread(counts: Array, sums: Array) -> Hardness:
    some = counts > 0
    shares = bool(some.any()) and not counts[: ZERO - 1].any() and sums.sum() > 0
    points = lorenz(counts[some].astype(np.float64), sums[some]) if shares else []
    return {
        "histogram": _histogram(counts, sums),
        "lorenz": points,
        "easy_half_share": easy_share(counts, sums, 0.5) if shares else None,
        "hardest_tenth_share": 1 - easy_share(counts, sums, 0.9) if shares else None,
        "hardest_hundredth_share": 1 - easy_share(counts, sums, 0.99) if shares else None,
    }


def easy_share(counts: Array, sums: Array, share: float) -> float:
    """Return what share of the loss the samples with the lowest losses carry; a bin that is divided is so evenly.

    Args:
        counts: int64 [bins], the lowest losses first, not all 0.
        sums: float64 [bins] >= 0, not all 0.
        share: of the samples, in [0, 1].
    """
    some = counts > 0
    across = np.concatenate([[0], np.cumsum(counts[some])])
    up = np.concatenate([[0.0], np.cumsum(sums[some])])
    return float(np.interp(share * across[-1], across, up) / up[-1])


def _histogram(counts: Array, sums: Array) -> list[dict[str, float]]:
    """Return bins of equal width in log2, and one from 0 (or the lowest loss below 0) for what is smaller."""
    some = np.flatnonzero(counts)
    if not len(some):
        return []
    above = some[some > ZERO]
    if not len(above):
        return [_bin(float(np.nan_to_num(edges()[some[0]])), 0.0, counts, sums)]
    end = (above[-1] // BINS_PER_OCTAVE + 1) * BINS_PER_OCTAVE
    start = max(above[0] // BINS_PER_OCTAVE * BINS_PER_OCTAVE, end - SHOWN_OCTAVES * BINS_PER_OCTAVE)
    step = next(size for size in (1, 2, 4) if (end - start) // size < SHOWN_BINS)
    rows = []
    if some[0] < start:
        low = 0.0 if some[0] >= ZERO - 1 else float(np.nan_to_num(edges()[some[0]]))
        rows.append(_bin(low, float(edges()[start]), counts[:start], sums[:start]))
    first = max(start, above[0] // step * step)
    for place in range(first, above[-1] + 1, step):
        part = slice(place, place + step)
        rows.append(_bin(float(edges()[place]), float(edges()[place + step]), counts[part], sums[part]))
    return rows


def _bin(low: float, high: float, counts: Array, sums: Array) -> dict[str, float]:
    return {"low": low, "high": high, "count": int(counts.sum()), "loss": float(sums.sum())}
