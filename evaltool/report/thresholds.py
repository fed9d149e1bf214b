"""The threshold of each sigmoid that gives the best F1, exact at the edges of the bins that a run counts."""

from typing import Any

import numpy as np

from evaltool.report.document import Threshold

Array = np.ndarray[Any, Any]

RANGE = 32.0  # the bins divide log-odds from -32 to 32


def thresholds_of(ranking: Array, now: Array) -> list[Threshold]:
    """Return the best threshold of each class, chosen on the very rows it is measured on.

    A row is predicted positive where its probability is at least the threshold.  Where no edge does better than 0.5, it
    is 0.5; the edges lie 64 / B nats apart.  Of edges with nothing between them, that predict the same rows, it is the
    middle in log-odds, as far from the rows on either side, and 0.5 where that lies among them.

    Args:
        ranking: int64 [K, 2, B], negatives and positives of each class by bins of the log-odds.
        now: int64 [K, 3], predicted at 0.5 and right, predicted, and labelled positive.

    Returns:
        one per class; its numbers are None where a class has no positive.
    """
    return [_threshold(k, *ranking[k], *now[k].tolist()) for k in range(len(ranking))]


def _threshold(index: int, negatives: Array, positives: Array, both: int, predicted: int, labelled: int) -> Threshold:
    if labelled == 0:
        return {
            "index": index,
            "threshold": None,
            "f1_before": None,
            "f1_after": None,
            "recall_after": None,
            "precision_after": None,
        }
    found = positives[::-1].cumsum()[::-1]
    taken = found + negatives[::-1].cumsum()[::-1]
    scores = 2 * found / (labelled + taken)
    best = int(scores.argmax())
    before = 2 * both / (labelled + predicted)
    if scores[best] <= before:
        threshold, after, hits, size = 0.5, before, both, predicted
    else:
        threshold = _middle(np.flatnonzero(taken == taken[best]), len(found))
        after, hits, size = float(scores[best]), int(found[best]), int(taken[best])
    return {
        "index": index,
        "threshold": threshold,
        "f1_before": before,
        "f1_after": after,
        "recall_after": hits / labelled,
        "precision_after": hits / size if size else None,
    }


def _middle(edges: Array, bins: int) -> float:
    """Return the threshold in the middle of edges that predict the same rows, a probability.

    Args:
        edges: int64 [k], consecutive, by their number.
        bins: how many there are.
    """
    first, last = (-RANGE + 2 * RANGE * float(edge) / bins for edge in (edges[0], edges[-1]))
    if first <= 0 <= last:
        return 0.5
    if last == -RANGE:
        return 0.0  # there are rows in the first bin, which holds whatever lies below
    return float(1 / (1 + np.exp(-(first + last) / 2)))
