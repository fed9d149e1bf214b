"""The numbers of a report that need nothing but the run: its counts, and one pass over its rows."""

from collections.abc import Sequence
from typing import Any

from evaltool.report.class_losses import class_losses
from evaltool.report.class_rows import both_labels, class_metrics, rows_of
from evaltool.report.class_table import class_table
from evaltool.report.confusions import confusions_of
from evaltool.report.distributions import distributions_of
from evaltool.report.focusing import focusing_of
from evaltool.report.groups import SPLITS, groups_of, split_classes
from evaltool.report.hardness import hardness_of
from evaltool.report.imbalance import imbalance_of
from evaltool.report.intervals import Resampler
from evaltool.report.rankings import ranking_bounds
from evaltool.report.rates import rates_of
from evaltool.report.scan import Scan
from evaltool.run.reader import Run


def numbers_of(run: Run, *, train_counts: Sequence[float] | None = None, split: str = SPLITS[0]) -> dict[str, Any]:
    """Return the keys of a ``document.Report`` that a run answers for itself.

    The same run gives the same numbers: what is drawn is drawn from a fixed seed.

    Args:
        run: the run.
        train_counts: how often each class is in the training set, which then groups the classes.
        split: one of ``groups.SPLITS``.

    Raises:
        EvaltoolError: the training counts are not one number >= 0 per class.
        ValueError: there is no such split.
    """
    table = class_table(run)
    groups = [] if table is None else split_classes(table, train_counts, split)
    scan = Scan(run, table)
    numbers: dict[str, Any] = {
        "name": run.name,
        "task": run.task,
        "preds_are": run.summary["preds_are"],
        "n_samples": run.n_samples,
        "n_scored": int(run.summary["n_scored"]),
        "names": [str(i) if name is None else str(name) for i, name in enumerate(run.class_names)],
        "rates": {},
        "losses": run.summary["losses"],
        "imbalance": None,
        "classes": [],
        "groups": None,
        "confusions": None,
        "hardness": hardness_of(run, scan),
        "focusing": focusing_of(run, scan),
        "distributions": distributions_of(run),
        "hardest": run.summary["hardest"],
    }
    if table is None:
        return numbers
    resampler = Resampler()
    independent = run.task != "segmentation"
    counts = both_labels(run)
    bounds = ranking_bounds(counts["ranking"], resampler) if independent and counts else None
    metrics = class_metrics(run, bounds, independent=independent)
    of_classes, of_groups = class_losses(run, table, scan, [group.classes for group in groups], resampler)
    return numbers | {
        "rates": rates_of(run, table, scan, bounds, resampler),
        "imbalance": imbalance_of(table, run.task),
        "classes": rows_of(
            table, numbers["names"], groups, of_classes, metrics, train_counts=train_counts, independent=independent
        ),
        "groups": groups_of(
            table, groups, of_groups, split=split, by_training=train_counts is not None, independent=independent
        ),
        "confusions": confusions_of(run, table, scan),
    }
