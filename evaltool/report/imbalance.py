"""How uneven the labels are, and how far the predictions are from them."""

from typing import Any

import numpy as np

from evaltool.report.class_table import ClassTable
from evaltool.report.document import Imbalance
from evaltool.run.summary import imbalance

Array = np.ndarray[Any, Any]

COUNTED = {"multilabel": "positives", "segmentation": "positions"}
LORENZ_POINTS = 200


def imbalance_of(table: ClassTable, task: str) -> Imbalance:
    """Return the section; what has no meaning without a label is None."""
    count = table.count.astype(np.float64)
    n, classes = count.sum(), len(count)
    known = imbalance(table.count)
    entropy = known["entropy"]
    return {
        "counted": COUNTED.get(task, "samples"),
        "ratio": known["ratio"],
        "entropy": entropy,
        "entropy_share": entropy / float(np.log(classes)) if entropy is not None and classes > 1 else None,
        "effective_classes": known["effective_classes"],
        "lrid": likelihood_ratio(count) if n else None,
        "gini": known["gini"],
        "n_absent": int((table.count == 0).sum()),
        "lorenz": lorenz(np.ones(classes), np.sort(count)) if n else [],
        "prior_shift": _distance(count, table.predicted.astype(np.float64)),
    }


def likelihood_ratio(count: Array) -> float:
    """Return the likelihood-ratio imbalance degree, -2 Σ n_c ln(N / (C n_c)); Zhu 2018.

    It is twice the log-likelihood ratio of the label counts against equal chances, 2 N (ln C - entropy): 0 where they
    are equal, else above 0, and growing with N.

    Args:
        count: float64 [C], not all 0.
    """
    present = count[count > 0]
    return max(0.0, float(-2 * (present * np.log(count.sum() / (len(count) * present))).sum()))


def lorenz(sizes: Array, amounts: Array) -> list[list[float]]:
    """Return points (share of the sizes, share of the amounts) from (0, 0) to (1, 1), at most 200.

    Args:
        sizes: float64 [k] >= 0, in the order to add up.
        amounts: likewise; their sum is not 0.
    """
    across = np.concatenate([[0.0], np.cumsum(sizes)])
    up = np.concatenate([[0.0], np.cumsum(amounts)])
    across, up = across / across[-1], up / up[-1]
    if len(across) > LORENZ_POINTS:
        places = np.linspace(0, 1, LORENZ_POINTS)
        across, up = places, np.interp(places, across, up)
    return [[float(x), float(y)] for x, y in zip(across, up, strict=True)]


def _distance(count: Array, predicted: Array) -> float | None:
    if not count.sum() or not predicted.sum():
        return None
    return float(np.abs(count / count.sum() - predicted / predicted.sum()).sum() / 2)
