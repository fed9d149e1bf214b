"""The confusion counts of a run, class by class."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from evaltool.run.counts import confusion_pairs, label_confusion
from evaltool.run.reader import Run

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ClassTable:
    """What is labelled, predicted and both of each class; int64 [C]."""

    count: Array
    predicted: Array
    hits: Array
    right: int  # decisions that are right
    total: int  # decisions
    pairs: tuple[Array, Array, Array] | None  # label, pred and count that occur, by label, then pred; not of multilabel
    rejected: tuple[Array, Array] | None  # multilabel: without the class and not given it, and all without it

    @property
    def union(self) -> Array:
        """How often label or prediction is the class; int64 [C]."""
        return np.asarray(self.count + self.predicted - self.hits)


def class_table(run: Run) -> ClassTable | None:
    """Return the counts of a run's classes, None for regression."""
    if run.task == "regression" or not run.num_classes:
        return None
    classes = run.num_classes
    if run.task == "multilabel":
        cells = label_confusion(run.state)
        hits, count, predicted = cells[:, 1, 1], cells[:, 1].sum(1), cells[:, :, 1].sum(1)
        right = int(cells[:, 0, 0].sum() + hits.sum())
        rejected = cells[:, 0, 0], cells[:, 0].sum(1)
        return ClassTable(count, predicted, hits, right, int(cells.sum()), None, rejected)
    label, pred, n = confusion_pairs(run.state)
    hit = label == pred
    count, predicted, hits = (
        _sums(place, number, classes) for place, number in ((label, n), (pred, n), (label[hit], n[hit]))
    )
    return ClassTable(count, predicted, hits, int(hits.sum()), int(n.sum()), (label, pred, n), None)


def _sums(place: Array, counts: Array, size: int) -> Array:
    sums = np.zeros(size, np.int64)
    np.add.at(sums, place, counts)
    return sums


def share(part: float, whole: float) -> float | None:
    """Return part / whole, None where whole is 0."""
    return float(part) / float(whole) if whole else None
