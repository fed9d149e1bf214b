"""Classes by how frequent they are: many, medium, few, or LVIS' frequent, common, rare (arXiv:1908.03195)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.report.class_table import ClassTable, share
from evaltool.report.document import ClassLoss, Estimate, GroupRow, Groups
from evaltool.report.intervals import estimate, mean_f1, mean_proportion

Array = np.ndarray[Any, Any]

SPLITS = ("many-medium-few", "lvis")
# name, the least count, and the rule
_RULES = {
    "many-medium-few": (("many", 100, "more than 100"), ("medium", 19, "20 to 100"), ("few", -1, "fewer than 20")),
    "lvis": (("frequent", 100, "more than 100"), ("common", 10, "11 to 100"), ("rare", -1, "at most 10")),
}


class Group(NamedTuple):
    """A frequency group that has classes."""

    name: str
    rule: str
    classes: list[int]


def split_classes(table: ClassTable, train_counts: Sequence[float] | None, split: str) -> list[Group]:
    """Return the groups that have classes, the most frequent first.

    Args:
        table: the run's counts, by which classes are grouped where ``train_counts`` is None.
        train_counts: how often each class is in the training set; with ``split="lvis"`` in how many of its images.
        split: one of ``SPLITS``.

    Raises:
        EvaltoolError: the training counts are not one number >= 0 per class.
        ValueError: there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"split={split!r}, expected one of {', '.join(SPLITS)}")
    counts = table.count if train_counts is None else checked_counts(train_counts, len(table.count))
    what = "labels" if train_counts is None else "training images" if split == "lvis" else "training samples"
    groups, above = [], np.inf
    for name, bound, rule in _RULES[split]:
        # counts between whole numbers belong to the lower group
        least = bound if bound != 19 else np.nextafter(20, 0)
        classes = np.flatnonzero((counts > least) & (counts <= above)).tolist()
        above = least
        if classes:
            groups.append(Group(name, f"{rule} {what}", classes))
    return groups


def checked_counts(train_counts: Sequence[float], classes: int) -> Array:
    """Return training counts as float64 [C]; raises EvaltoolError as ``split_classes`` does."""
    counts = np.asarray(train_counts, np.float64)
    if counts.shape != (classes,):
        raise EvaltoolError(
            f"the training counts do not match the classes\n  got {counts.size} numbers, expected {classes}, one per "
            "class\n  Give how often each class is in the training set, in the order of the classes."
        )
    wrong = np.flatnonzero(~(np.isfinite(counts) & (counts >= 0)))
    if len(wrong):
        raise EvaltoolError(
            f"a training count is no count\n  class {wrong[0]}: {counts[wrong[0]]:g}, expected a number of 0 or more\n"
            "  Give how often each class is in the training set."
        )
    return counts


def groups_of(
    table: ClassTable,
    groups: Sequence[Group],
    losses: Sequence[dict[str, ClassLoss]],
    *,
    split: str,
    by_training: bool,
    independent: bool,
) -> Groups:
    """Return the section.

    Rates are means over the group's classes where they are defined.

    Args:
        table: the run's counts.
        groups: as ``split_classes`` gives them.
        losses: of each group.
        split: one of ``SPLITS``.
        by_training: whether training counts made the groups.
        independent: whether decisions are; positions of one image are not, and their rates have no interval.
    """
    rows = [_row(table, group, own, independent) for group, own in zip(groups, losses, strict=True)]
    return {"split": split, "by": "training counts" if by_training else "label counts", "rows": rows}


def _row(table: ClassTable, group: Group, losses: dict[str, ClassLoss], independent: bool) -> GroupRow:
    classes = np.array(group.classes)
    count, predicted, hits = table.count[classes], table.predicted[classes], table.hits[classes]
    rates = {
        "recall": mean_proportion(hits, count),
        "precision": mean_precision(hits, predicted, count),
        "f1": mean_f1_score(table, classes),
    }
    if not independent:
        rates = {name: estimate(rate["value"]) for name, rate in rates.items()}
    return {
        "name": group.name,
        "rule": group.rule,
        "classes": group.classes,
        "count": int(count.sum()),
        "share": share(count.sum(), table.count.sum()),
        "recall": rates["recall"],
        "precision": rates["precision"],
        "f1": rates["f1"],
        "losses": losses,
    }


def mean_precision(hits: Array, predicted: Array, count: Array) -> Estimate:
    """Return the mean precision of classes; that of a class with labels that is never predicted is 0, as in its row."""
    return _with_zeros(mean_proportion(hits, predicted), predicted > 0, (predicted == 0) & (count > 0))


def mean_f1_score(table: ClassTable, classes: Array) -> Estimate:
    """Return the mean F1 of classes that are labelled or predicted; without a label it is 0 for certain."""
    labelled = table.count[classes] > 0
    own = classes[labelled]
    mean = mean_f1(table.hits[own], table.union[own], pairs=_mistakes_within(table, own))
    return _with_zeros(mean, labelled, ~labelled & (table.predicted[classes] > 0))


def _with_zeros(mean: Estimate, known: Array, zeros: Array) -> Estimate:
    if not zeros.any():
        return mean
    if mean["value"] is None:
        return estimate(0.0)
    kept = known.sum() / (known.sum() + zeros.sum())
    return estimate(*(None if end is None else end * kept for end in (mean["value"], mean["low"], mean["high"])))


def _mistakes_within(table: ClassTable, classes: Array) -> Array | None:
    """Return the mistakes between some classes, int64 [3, m], for ``mean_f1``; None for multilabel."""
    if table.pairs is None:
        return None
    label, pred, n = table.pairs
    place = np.full(len(table.count), -1)
    place[classes] = np.arange(len(classes))
    within = (label != pred) & (place[label] >= 0) & (place[pred] >= 0)
    return np.stack([place[label[within]], place[pred[within]], n[within]])
