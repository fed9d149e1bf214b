"""The rates of a run as a whole."""

from typing import Any

import numpy as np

from evaltool.report.class_table import ClassTable, share
from evaltool.report.document import Estimate
from evaltool.report.groups import mean_f1_score, mean_precision
from evaltool.report.intervals import (
    Resampler,
    estimate,
    mean_proportion,
    percentile_bounds,
    wilson,
)
from evaltool.report.rankings import RankingBounds
from evaltool.report.scan import Scan
from evaltool.run.reader import Run

Array = np.ndarray[Any, Any]


def rates_of(
    run: Run, table: ClassTable, scan: Scan, bounds: dict[str, RankingBounds] | None, resampler: Resampler
) -> dict[str, Estimate]:
    """Return the rates of a classification by name; macro rates are means over classes where they are defined.

    Intervals of segmentation are of resampled images, where a run has the numbers of each; positions of one image are
    not independent. Those of multilabel's means take the classes as independent.

    Args:
        run: the run.
        table: its confusion counts.
        scan: the pass over its rows.
        bounds: intervals of the rankings, None where there are none.
        resampler: for the intervals.
    """
    hits, count = table.hits, table.count
    if table.rejected is not None:  # of both labels of each class
        hits, count = np.concatenate([hits, table.rejected[0]]), np.concatenate([count, table.rejected[1]])
    rates = {
        "accuracy": wilson(table.right, table.total),
        "balanced_accuracy": mean_proportion(hits, count),
        "macro_precision": mean_precision(table.hits, table.predicted, table.count),
        "macro_f1": mean_f1_score(table, np.arange(len(table.count))),
    }
    if table.rejected is not None:
        rates["accuracy"] = _label_accuracy(table, scan, resampler)
        rates["exact_match"] = wilson(int(scan.wrong[0]), int(scan.wrong.sum()))
    values = run.summary["metrics"]
    rates |= _agreement(table, values, resampler)
    for name, key in (("auroc", "auroc_macro"), ("average_precision", "average_precision_macro")):
        rates[name] = estimate(values[key], *_mean_ends(run, bounds, name))
    if run.task == "segmentation":
        rates = {name: estimate(rate["value"]) for name, rate in rates.items()}
        rates |= _image_rates(table, scan)
    return rates


def _mean_ends(run: Run, bounds: dict[str, RankingBounds] | None, name: str) -> tuple[float | None, float | None]:
    if bounds is None:
        return None, None
    if len(run.state["ranking"]) == 1:  # the value is that of label 1
        return float(bounds[name].low[-1]), float(bounds[name].high[-1])
    return bounds[name].mean_low, bounds[name].mean_high


def _label_accuracy(table: ClassTable, scan: Scan, resampler: Resampler) -> Estimate:
    """Return the accuracy of a multilabel run's decisions, resampled by samples: those of one are not independent."""
    value = share(table.right, table.total)
    if not table.total or not scan.wrong.sum():
        return estimate(value)
    wrong = np.arange(len(scan.wrong))
    of_sample = table.total / float(scan.wrong.sum())

    def accuracy(draw: Array) -> Array:
        n = draw.sum(1)
        return np.asarray(1 - np.divide(draw @ wrong, n * of_sample, where=n > 0, out=np.full(len(n), np.nan)))

    low, high = percentile_bounds(resampler.replicate(scan.wrong, accuracy, "accuracy"))
    return estimate(value, float(low), float(high))


def _agreement(table: ClassTable, values: dict[str, float | None], resampler: Resampler) -> dict[str, Estimate]:
    """Return MCC and Cohen's kappa with percentiles of a Poisson bootstrap of the pairs."""
    if table.pairs is None:
        return {}
    label, pred, n = table.pairs
    if not len(n):
        return {"mcc": estimate(None), "kappa": estimate(None)}
    by_pred = np.argsort(pred, kind="stable")
    starts = np.unique(label, return_index=True)[1], np.unique(pred[by_pred], return_index=True)[1]
    classes = len(table.count)
    places = label[starts[0]], pred[by_pred][starts[1]]
    hit = label == pred
    replicates = []
    for draw in resampler.draws(n, "agreement"):
        labelled, predicted = np.zeros((2, len(draw), classes))
        labelled[:, places[0]] = np.add.reduceat(draw, starts[0], axis=1)
        predicted[:, places[1]] = np.add.reduceat(draw[:, by_pred], starts[1], axis=1)
        whole, right = draw.sum(1).astype(np.float64), draw[:, hit].sum(1).astype(np.float64)
        replicates.append(_mcc_and_kappa(labelled, predicted, whole, right))
    low, high = percentile_bounds(np.concatenate(replicates))
    return {name: estimate(values[name], low[i], high[i]) for i, name in enumerate(("mcc", "kappa"))}


def _mcc_and_kappa(labelled: Array, predicted: Array, n: Array, right: Array) -> Array:
    """Return both of replicates, float64 [r, 2], as ``evaltool.metrics`` has them."""
    wholes = n[:, None]
    spread = np.sqrt((labelled * (wholes - labelled)).sum(1)) * np.sqrt((predicted * (wholes - predicted)).sum(1))
    shared = n * right - (labelled * predicted).sum(1)
    by_chance = (labelled * (wholes - predicted)).sum(1)
    mcc = np.divide(shared, spread, where=spread > 0, out=np.zeros_like(n))
    kappa = 1 - np.divide(n * (n - right), by_chance, where=by_chance > 0, out=np.full_like(n, np.nan))
    return np.stack([mcc, kappa], 1)


def _image_rates(table: ClassTable, scan: Scan) -> dict[str, Estimate]:
    images, iou, right, positions = scan.images.T
    rates = {"accuracy": estimate(share(table.right, table.total), *_ends(right, positions))}
    union = table.union
    rates["mean_iou"] = estimate(float((table.hits[union > 0] / union[union > 0]).mean()) if union.any() else None)
    rates["image_iou"] = estimate(share(scan.iou[1], scan.iou[0]), *_ends(iou, images))
    return rates


def _ends(part: Array, whole: Array) -> tuple[float, float]:
    replicates = np.divide(part, whole, where=whole > 0, out=np.full(len(whole), np.nan))
    low, high = percentile_bounds(replicates)
    return float(low), float(high)
