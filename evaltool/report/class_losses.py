"""The losses at the labels of each class, and of each group of classes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from evaltool.report.class_table import ClassTable
from evaltool.report.document import ClassLoss
from evaltool.report.intervals import Resampler, estimates, known_numbers, percentile_bounds, widened_bounds
from evaltool.report.loss_bins import middles, order_statistics
from evaltool.report.scan import Scan
from evaltool.run.counts import class_loss_sums
from evaltool.run.reader import Run
from evaltool.run.state import HISTOGRAM_BINS

Array = np.ndarray[Any, Any]

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
MOST_NAMED = 10  # classes with infinite losses that a note names


class _Cells(NamedTuple):
    """Samples of one loss by group and bin, sorted by group."""

    group: Array  # int64 [g], those that occur, ascending
    starts: Array  # int64 [g], where their cells begin
    bins: Array  # int64 [k]
    counts: Array  # int64 [k]
    n: Array  # int64 [g]


def class_losses(
    run: Run, table: ClassTable, scan: Scan, groups: Sequence[Sequence[int]], resampler: Resampler
) -> tuple[list[dict[str, ClassLoss]], list[dict[str, ClassLoss]]]:
    """Return the losses of each class, and of each of some groups of classes, by the loss's column.

    Mean and share are exact, from ``state.npz``, and of the finite losses.  The share ratio is the loss share over the
    share of what the loss is summed over: labels with a finite loss, in multilabel decisions (positive and negative of
    each label; the loss of positives alone is not stored), in segmentation positions.  The parts of a region loss have
    no count of their own, and all labels (decisions, positions) stand for them.

    A quantile is the middle of the bin of the order statistic at floor(q (n - 1)), off by 1/32 (3.2%) of itself at
    most.  Intervals are percentiles of a Poisson bootstrap of the bins, widened where samples are few.  Quantiles and
    intervals are None where a sample has no single label, and intervals of fewer than two samples.

    Args:
        run: the run.
        table: its confusion counts.
        scan: the pass over its rows.
        groups: classes, each in one group.
        resampler: for the intervals.
    """
    member = np.full(run.num_classes, -1)
    for g, classes in enumerate(groups):
        member[list(classes)] = g
    of_classes: list[dict[str, ClassLoss]] = [{} for _ in range(run.num_classes)]
    of_groups: list[dict[str, ClassLoss]] = [{} for _ in groups]
    sums, counts, sizes = class_loss_sums(run.state), run.state["class_loss_count"], _sizes(table)
    for i, name in enumerate(run.losses):
        cells = _cells(scan.by_class[i], np.arange(run.num_classes))
        draws = _replicates(cells, sums[i], counts[i], resampler, f"class losses {name}")
        summed = counts[i] if counts[i].any() else sizes
        rows = _rows(sums[i], counts[i], summed, cells, draws)
        for place, row in zip(of_classes, rows, strict=True):
            place[name] = row
        whole, n, summed = (np.bincount(member, x, len(groups)) for x in (sums[i], counts[i], summed))
        rows = _rows(
            whole, n, summed, _cells(scan.by_class[i], member), _grouped(draws, member[cells.group], len(groups))
        )
        for place, row in zip(of_groups, rows, strict=True):
            place[name] = row
    return of_classes, of_groups


def infinite_notes(run: Run, table: ClassTable | None) -> list[str]:
    """Return a sentence for each loss that is not finite somewhere: at which classes, and how often.

    Args:
        run: the run.
        table: its confusion counts, None for regression.
    """
    if table is None:
        return []
    sizes, notes = _sizes(table), []
    what = "infinite" if not run.summary["n_failed"] else "infinite or undefined"
    of = {"multilabel": "decisions", "segmentation": "positions"}.get(run.task, "labels")
    for i, name in enumerate(run.losses):
        missing = _not_finite(run, i, sizes)
        worst = np.argsort(-missing, kind="stable")[: min(MOST_NAMED, int((missing > 0).sum()))].tolist()
        if worst:
            parts = [f"{missing[c]:,} of the {sizes[c]:,} {of} of {_name(run, c)}" for c in worst]
            more = int((missing > 0).sum()) - len(worst)
            listed = ", ".join(parts) + (f" and in {more:,} more classes" if more else "")
            notes.append(f"{name} is {what} at {listed}: means, shares and ratios leave them out")
    return notes


def _name(run: Run, index: int) -> str:
    name = run.class_names[index]
    return f"class {index}" if name is None else f"class {name}"


def _not_finite(run: Run, loss: int, sizes: Array) -> Array:
    """Return at how many labels of each class a loss has no finite value, int64 [C]; 0 where that is not counted."""
    counts = run.state["class_loss_count"][loss]
    if counts.any():
        return np.asarray(np.maximum(sizes - counts, 0))
    # a region loss counts no labels: all that is known of it is whether any sample had a finite value
    return np.zeros_like(sizes) if run.state["loss_count"][loss] else sizes


def _sizes(table: ClassTable) -> Array:
    """Return the labels of each class, of multilabel all decisions about it; int64 [C]."""
    return table.count if table.rejected is None else np.asarray(table.count + table.rejected[1])


class _Draws(NamedTuple):
    """Replicates of the sum and the number of a loss in each group that occurs; float64 [r, g]."""

    sums: Array
    counts: Array


def _cells(by_class: Array, member: Array) -> _Cells:
    keys, counts = by_class
    group, bins = member[keys // HISTOGRAM_BINS], keys % HISTOGRAM_BINS
    merged, places = np.unique(group * HISTOGRAM_BINS + bins, return_inverse=True)
    counts = np.bincount(places, counts, len(merged)).astype(np.int64)
    group, starts = np.unique(merged // HISTOGRAM_BINS, return_index=True)
    n = np.add.reduceat(counts, starts) if len(starts) else counts
    return _Cells(group, starts, merged % HISTOGRAM_BINS, counts, n)


def _replicates(cells: _Cells, sums: Array, counts: Array, resampler: Resampler, name: str) -> _Draws:
    if not len(cells.group):
        return _Draws(np.zeros((1, 0)), np.zeros((1, 0)))
    values = middles()[cells.bins]
    found = np.add.reduceat(cells.counts * values, cells.starts)
    exact = sums[cells.group]
    # so that the bins add up to the exact sums
    scales = np.divide(exact, found, where=found != 0, out=np.ones_like(found))
    totals, numbers = [], []
    for draw in resampler.draws(cells.counts, name):
        totals.append(np.add.reduceat(draw * values, cells.starts, axis=1) * scales)
        numbers.append(np.add.reduceat(draw, cells.starts, axis=1).astype(np.float64))
    return _Draws(np.concatenate(totals), np.concatenate(numbers))


def _grouped(draws: _Draws, member: Array, size: int) -> _Draws:
    present = np.unique(member)
    together = np.zeros((len(member), len(present)))
    together[np.arange(len(member)), np.searchsorted(present, member)] = 1.0
    return _Draws(draws.sums @ together, draws.counts @ together)


def _rows(sums: Array, counts: Array, summed: Array, cells: _Cells, draws: _Draws) -> list[ClassLoss]:
    size = len(sums)
    ends = ratio_ends = np.full((2, size), np.nan)
    quantiles = {name: np.full(size, np.nan) for name in QUANTILES}
    means = _ratio(sums, counts)
    shares = _ratio(sums, np.full(size, sums.sum()))
    if counts.any():
        shares[counts == 0] = np.nan  # all its losses infinite, or no label: not the smallest share, but none
    ratios = _ratio(shares, _ratio(summed, np.full(size, summed.sum())))
    if len(cells.group):
        for name, at in QUANTILES.items():
            places = order_statistics(cells.counts, cells.starts, cells.n, at)
            # the mean of one sample is itself
            quantiles[name][cells.group] = np.where(cells.n == 1, means[cells.group], middles()[cells.bins[places]])
        replicates = _ratio(draws.sums, draws.counts)
        ends = _placed(_bounds(means[cells.group], replicates, cells.n), cells.group, size)
        whole = _ratio(draws.sums.sum(1, keepdims=True), draws.counts.sum(1, keepdims=True))
        ratio_ends = _placed(_bounds(ratios[cells.group], _ratio(replicates, whole), cells.n), cells.group, size)
    columns = (
        estimates(means, *ends),
        *(known_numbers(quantiles[name]) for name in QUANTILES),
        known_numbers(shares),
        estimates(ratios, *ratio_ends),
    )
    return [
        {"mean": mean, "p50": p50, "p90": p90, "p99": p99, "share": of_all, "share_ratio": ratio}
        for mean, p50, p90, p99, of_all, ratio in zip(*columns, strict=True)
    ]


def _bounds(values: Array, replicates: Array, n: Array) -> Array:
    """Return the ends of the intervals, float64 [2, g]; where no replicate is below 0, neither are they."""
    low, high = widened_bounds(values, *percentile_bounds(replicates), n)
    return np.stack([low if (replicates < 0).any() else np.maximum(low, 0), high])


def _placed(ends: Array, group: Array, size: int) -> Array:
    placed = np.full((2, size), np.nan)
    placed[:, group] = ends
    return placed


def _ratio(part: Array, whole: Array) -> Array:
    """Return part / whole, NaN where whole is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.asarray(np.divide(part, whole, where=whole != 0, out=np.full(part.shape, np.nan)))
