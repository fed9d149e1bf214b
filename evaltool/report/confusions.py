"""Confusions by the loss that they carry."""

from typing import Any

import numpy as np

from evaltool.report.class_table import ClassTable, share
from evaltool.report.document import Confusions, Pair
from evaltool.report.scan import Scan
from evaltool.run.reader import Run

Array = np.ndarray[Any, Any]

PAIRS_SHOWN = 50
BLOCK_CLASSES = 25


def confusions_of(run: Run, table: ClassTable, scan: Scan) -> Confusions | None:
    """Return the section; None for multilabel, whose labels do not exclude each other.

    Pairs are ordered by the ranking loss of their samples, those of segmentation, whose positions have no loss of their
    own in a run, by count.

    Args:
        run: the run.
        table: its confusion counts.
        scan: the pass over its rows.
    """
    if table.pairs is None:
        return None
    label, pred, n = table.pairs
    wrong = np.flatnonzero(label != pred)
    amounts = scan.pair_sums if scan.one_label else n.astype(np.float64)
    order = wrong[np.lexsort((pred[wrong], label[wrong], -n[wrong], -amounts[wrong]))]
    whole = float(scan.sums[0].sum()) if scan.one_label else 0.0
    most = order[: BLOCK_CLASSES**2]  # so many pairs cannot be within the block
    block = block_classes(label[most], pred[most], len(table.count))
    return {
        "loss": run.losses[0] if scan.one_label else None,
        "pairs": [_pair(table, scan, int(place), whole) for place in order[:PAIRS_SHOWN]],
        "n_pairs": len(wrong),
        "block": block,
        "counts": _block(table, block),
    }


def _pair(table: ClassTable, scan: Scan, place: int, whole: float) -> Pair:
    assert table.pairs is not None
    label, pred, n = (int(column[place]) for column in table.pairs)
    known = scan.one_label
    loss = float(scan.pair_sums[place]) if known else None
    return {
        "label": label,
        "pred": pred,
        "count": n,
        "share_of_label": share(n, table.count[label]),
        "loss": loss,
        "loss_share": None if loss is None else share(loss, whole),
        "mean_loss": None if loss is None else share(loss, scan.pair_counts[place]),
    }


def block_classes(label: Array, pred: Array, classes: int) -> list[int]:
    """Return the classes of the heat map, ascending: all of 25 or fewer, else those that the first pairs join."""
    if classes <= BLOCK_CLASSES:
        return list(range(classes))
    chosen: set[int] = set()
    for pair in zip(label.tolist(), pred.tolist(), strict=True):
        if len(chosen.union(pair)) > BLOCK_CLASSES:
            break
        chosen.update(pair)
    return sorted(chosen)


def _block(table: ClassTable, block: list[int]) -> list[list[int]]:
    assert table.pairs is not None
    label, pred, n = table.pairs
    place = np.full(len(table.count), -1)
    place[block] = np.arange(len(block))
    inside = (place[label] >= 0) & (place[pred] >= 0)
    counts = np.zeros((len(block), len(block)), np.int64)
    counts[place[label[inside]], place[pred[inside]]] = n[inside]
    rows: list[list[int]] = counts.tolist()
    return rows
