"""Intervals of AUROC and average precision, from the counts that ``metrics.AUROC`` and ``AveragePrecision`` read.

Only bins with positives have a part in them, and what lies between two of those can be drawn as one number, for a sum
of Poisson numbers is one: a class has three cells for each bin with positives, however many bins there are.
"""

from typing import Any, NamedTuple

import numpy as np

from evaltool.report.intervals import Resampler, percentile_bounds, widened_bounds

Array = np.ndarray[Any, Any]

RANKINGS = ("auroc", "average_precision")
CELLS_AT_ONCE = 1 << 20


class RankingBounds(NamedTuple):
    """Ends of the intervals of each class, float64 [K], and of the mean over the classes; NaN where there is none."""

    low: Array
    high: Array
    mean_low: float
    mean_high: float


class _Cells(NamedTuple):
    """Counts of the bins that hold positives, class after class, from the lowest."""

    classes: Array  # int64 [k], those with positives
    starts: Array  # int64 [k], where a class begins
    gaps: Array  # negatives below the bin, down to the bin before
    tied: Array  # negatives in the bin
    positives: Array
    above: Array  # int64 [k], negatives above the class's last bin


def ranking_bounds(ranking: Array, resampler: Resampler) -> dict[str, RankingBounds]:
    """Return the intervals of ``RANKINGS``, percentiles of a Poisson bootstrap.

    A class with fewer than two positives or negatives has none. The mean's takes the classes as independent, though a
    sample that is a negative of many moves all of them, a little; what the replicates' mean is too high by (an average
    precision's is) is taken off twice, for the value itself is too high by about as much.

    Args:
        ranking: int64 [K, 2, B], negatives and positives of each class by bins of the log-odds.
        resampler: draws.
    """
    cells = _cells(ranking)
    classes = len(ranking)
    fewest = ranking.sum(2).min(1)
    replicates: dict[str, list[Array]] = {name: [] for name in RANKINGS}
    names = ("gaps", "tied", "positives", "above")
    number = resampler.number(sum(len(getattr(cells, name)) for name in names))
    streams = {name: resampler.stream(f"ranking {name}") for name in names}
    step = max(1, CELLS_AT_ONCE // max(len(cells.positives), 1))
    for start in range(0, number if len(cells.classes) else 0, step):
        size = min(step, number - start)
        drawn = cells._replace(
            **{
                name: rng.poisson(getattr(cells, name), (size, len(getattr(cells, name)))).astype(np.float64)
                for name, rng in streams.items()
            }
        )
        for name, values in zip(RANKINGS, _values(drawn), strict=True):
            replicates[name].append(values)
    if not replicates[RANKINGS[0]]:
        nothing = RankingBounds(np.full(classes, np.nan), np.full(classes, np.nan), np.nan, np.nan)
        return dict.fromkeys(RANKINGS, nothing)
    whole = cells._replace(**{name: getattr(cells, name)[None].astype(np.float64) for name in names})
    return {
        name: _bounds(values[0], np.concatenate(replicates[name]), cells.classes, fewest)
        for name, values in zip(RANKINGS, _values(whole), strict=True)
    }


def _bounds(values: Array, replicates: Array, present: Array, fewest: Array) -> RankingBounds:
    low, high = np.full(len(fewest), np.nan), np.full(len(fewest), np.nan)
    ends = widened_bounds(values, *percentile_bounds(replicates), fewest[present])
    low[present], high[present] = (np.clip(end, 0, 1) for end in ends)
    certain = fewest[present] > 1
    means, mean = _means(replicates[:, certain]), _means(values[None, certain])[0]
    too_high = np.nanmean(means) - mean if not np.isnan(means).all() else np.nan
    mean_low, mean_high = (np.clip(end - 2 * too_high, 0, 1) for end in percentile_bounds(means))
    return RankingBounds(low, high, min(float(mean_low), float(mean)), max(float(mean_high), float(mean)))


def _means(values: Array) -> Array:
    """Return the means of rows, NaN left out; NaN where there is nothing else."""
    known = ~np.isnan(values)
    sums, n = np.where(known, values, 0).sum(1), known.sum(1)
    return np.asarray(np.divide(sums, n, where=n > 0, out=np.full(len(values), np.nan)))


def _cells(ranking: Array) -> _Cells:
    parts = []
    step = max(1, CELLS_AT_ONCE // max(ranking.shape[2], 1))
    for start in range(0, len(ranking), step):
        negatives, positives = ranking[start : start + step, 0], ranking[start : start + step, 1]
        of_class, bins = np.nonzero(positives)
        upto = np.cumsum(negatives, axis=1)
        tied, reached = negatives[of_class, bins], upto[of_class, bins]
        classes, starts = np.unique(of_class, return_index=True)
        before = np.concatenate([[0], reached[:-1]]) if len(reached) else reached
        before[starts] = 0
        lasts = np.append(starts[1:], len(reached)) - 1 if len(starts) else starts
        above = upto[classes, -1] - reached[lasts]
        parts.append((classes + start, starts, reached - tied - before, tied, positives[of_class, bins], above))
    lengths = np.concatenate([[0], np.cumsum([len(part[3]) for part in parts])])
    moved = [(part[0], part[1] + length, *part[2:]) for part, length in zip(parts, lengths[:-1], strict=True)]
    return _Cells(*(np.concatenate(columns) for columns in zip(*moved, strict=True)))


def _values(cells: _Cells) -> tuple[Array, Array]:
    """Return AUROC and average precision of drawn counts, [r, k] each; NaN where undefined."""
    starts = cells.starts
    lengths = np.diff(np.append(starts, cells.positives.shape[1]))
    n = np.add.reduceat(cells.positives, starts, axis=1)
    within = cells.gaps + cells.tied
    of_class = np.add.reduceat(within, starts, axis=1)
    below = np.cumsum(within, axis=1) - cells.tied
    # cumulated over all classes: take off what came before the class
    below -= np.repeat(np.cumsum(of_class, axis=1) - of_class, lengths, axis=1)
    negatives = of_class + cells.above
    area = np.add.reduceat(cells.positives * (below + cells.tied / 2), starts, axis=1)
    true_upto = cells.positives - np.cumsum(cells.positives, axis=1)
    true_upto += np.repeat(np.cumsum(n, axis=1), lengths, axis=1)
    false_upto = np.repeat(negatives, lengths, axis=1) - below
    upto = true_upto + false_upto
    precise = np.divide(true_upto, upto, where=upto > 0, out=np.zeros_like(upto))
    precise = np.add.reduceat(cells.positives * precise, starts, axis=1)
    nothing = np.full(n.shape, np.nan)
    pairs = n * negatives
    return (
        np.divide(area, pairs, where=pairs > 0, out=nothing.copy()),
        np.divide(precise, n, where=n > 0, out=nothing),
    )
