"""The table of the classes: what each is, how well it is found, and what it costs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evaltool.report.calibration_bounds import class_bounds
from evaltool.report.class_table import ClassTable, share
from evaltool.report.document import ClassLoss, ClassRow, Estimate
from evaltool.report.groups import Group
from evaltool.report.intervals import estimates, f1_bounds, wilson_bounds
from evaltool.report.rankings import RankingBounds
from evaltool.run.metric_values import OF_A_CLASS, class_metric_values
from evaltool.run.reader import Run

Array = np.ndarray[Any, Any]

CONFIDENCE_UNITS = 2.0**28  # of the sums in ``calibration_class_wise``


def rows_of(
    table: ClassTable,
    names: Sequence[str],
    groups: Sequence[Group],
    losses: Sequence[dict[str, ClassLoss]],
    metrics: dict[str, list[Estimate]],
    *,
    train_counts: Sequence[float] | None,
    independent: bool,
) -> list[ClassRow]:
    """Return a row for each class.

    A class with labels that is never predicted has precision 0, one without either has none.

    Args:
        table: the run's counts.
        names: of the classes.
        groups: of the classes.
        losses: of each class.
        metrics: as ``class_metrics`` gives them.
        train_counts: of each class, or None.
        independent: whether decisions are; positions of one image are not, and their rates have no interval.
    """
    rates = _rates(table, independent)
    group_of = {c: group.name for group in groups for c in group.classes}
    labels, predictions = int(table.count.sum()), int(table.predicted.sum())
    return [
        {
            "index": c,
            "name": names[c],
            "group": group_of[c],
            "count": int(table.count[c]),
            "train_count": None if train_counts is None else float(train_counts[c]),
            "share": share(table.count[c], labels),
            "predicted": int(table.predicted[c]),
            "predicted_share": share(table.predicted[c], predictions),
            "recall": rates["recall"][c],
            "precision": rates["precision"][c],
            "f1": rates["f1"][c],
            "iou": rates["iou"][c],
            "average_precision": metrics["average_precision"][c],
            "auroc": metrics["auroc"][c],
            "ece": metrics["ece"][c],
            "losses": losses[c],
            "per_image": None,
        }
        for c in range(len(table.count))
    ]


def _rates(table: ClassTable, independent: bool) -> dict[str, list[Estimate]]:
    hits, union = table.hits, table.union
    no_precision = np.where(table.count > 0, 0.0, np.nan)
    values = {
        "recall": (_ratio(hits, table.count), *wilson_bounds(hits, table.count)),
        "precision": (
            np.where(table.predicted > 0, _ratio(hits, table.predicted), no_precision),
            *wilson_bounds(hits, table.predicted),
        ),
        "f1": (_ratio(2 * hits, table.count + table.predicted), *f1_bounds(hits, union)),
        "iou": (_ratio(hits, union), *wilson_bounds(hits, union)),
    }
    return {name: estimates(*(rate if independent else rate[:1])) for name, rate in values.items()}


def class_metrics(run: Run, bounds: dict[str, RankingBounds] | None, *, independent: bool) -> dict[str, list[Estimate]]:
    """Return average precision, AUROC and calibration error of each class against the rest.

    Args:
        run: the run.
        bounds: intervals of the rankings of ``both_labels``, None where there are none.
        independent: whether decisions are.
    """
    counts = both_labels(run)
    # of a class 0 that has no counts of its own the summary knows nothing
    known = class_metric_values(counts) if len(counts) and len(run.state["ranking"]) == 1 else None
    values = {
        name: np.array([np.nan if value is None else value for value in column])
        for name, column in ((name, known[name] if known else _column(run, name)) for name in OF_A_CLASS)
    }
    ends: dict[str, tuple[Array, Array]] = {name: (bound.low, bound.high) for name, bound in (bounds or {}).items()}
    if independent and "calibration_class_wise" in counts:
        n, right, confident = (counts["calibration_class_wise"][..., i] for i in range(3))
        ends["ece"] = class_bounds(n, right, confident / CONFIDENCE_UNITS)
    return {name: estimates(column, *ends.get(name, ())) for name, column in values.items()}


def _column(run: Run, name: str) -> list[float | None]:
    return [row[name] for row in run.summary["classes"]]


def both_labels(run: Run) -> dict[str, Array]:
    """Return the counts of ranking and calibration of every class; nothing where a run has none.

    Where only label 1 has them (binary, one foreground class), those of label 0 stand before: what is a positive of
    one is a negative of the other, at the opposite log-odds and probability.
    """
    if "ranking" not in run.state:
        return {}
    counts = {name: run.state[name] for name in ("ranking", "calibration_class_wise", "class_loss_count")}
    if len(counts["ranking"]) != 1 or run.num_classes != 2:
        return counts
    ranking, bins = counts["ranking"], counts["calibration_class_wise"]
    n, right, confident = (bins[:, ::-1, i] for i in range(3))
    other = np.stack([n, n - right, n * np.int64(CONFIDENCE_UNITS) - confident], 2)
    return counts | {
        "ranking": np.concatenate([ranking[:, ::-1, ::-1], ranking]),
        "calibration_class_wise": np.concatenate([other, bins]),
    }


def _ratio(part: Array, whole: Array) -> Array:
    """Return part / whole, NaN where whole is 0."""
    return np.asarray(np.divide(part, whole, where=whole > 0, out=np.full(len(whole), np.nan)))
