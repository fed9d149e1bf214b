"""Runs of every task with a few rows mined from them by hand, and pictures."""

import numpy as np
import pyarrow as pa

import evaltool
from evaltool.mine.mined import Mined
from evaltool.run.inputs import Inputs
from evaltool.run.reader import open_run

CLASSES = ['a "b" & <c>', "=1+1", "über/x"]


def mined(scores, rows, preds, labels):
    run = open_run(scores)
    return Mined(pa.Table.from_pylist(rows), run, Inputs(run, preds=preds, labels=labels))


def multiclass(rng, n=12):
    labels = rng.integers(0, 3, n)
    preds = rng.normal(size=(n, 3)).astype(np.float32)
    ids = [f"img {k}" for k in range(n)]
    scores = evaltool.score(preds, labels, class_names=CLASSES, ids=ids)
    rows = [
        {
            "rank": r,
            "index": index,
            "id": ids[index],
            "label": int(labels[index]),
            "pred": int(preds[index].argmax()),
            "suggested": [0, 1, 2, None][r],
            "score": [3.5, 2.0, 1.0, float("nan")][r],
            "p_suggested": [0.9, 0.8, 0.7, None][r],
            "by": "label-error",
            "why": 'label "<&>"',
        }
        for r, index in enumerate([7, 2, 11, 4])
    ]
    return mined(scores, rows, preds, labels)


def multilabel(rng, n=8):
    labels = rng.integers(0, 2, (n, 3))
    preds = rng.normal(size=(n, 3)).astype(np.float32)
    scores = evaltool.score(preds, labels, class_names=CLASSES, task="multilabel")
    rows = [
        {"index": i, "class": k, "label": int(labels[i, k]), "suggested": 1 - int(labels[i, k]), "score": 1.0}
        for i, k in [(3, 0), (3, 2), (5, 1)]
    ]
    return mined(scores, rows, preds, labels)


def segmentation(rng, n=5, size=(9, 7)):
    labels = rng.integers(0, 3, (n, *size))
    labels[:, 0, :2] = -100
    preds = rng.normal(size=(n, 3, *size)).astype(np.float32)
    scores = evaltool.score(preds, labels, class_names=CLASSES)
    rows = [{"index": i, "score": float(-i), "box": [0, 1, 2, 3]} for i in (4, 0, 3)]
    return mined(scores, rows, preds, labels)


def foreground(rng, n=3, size=(8, 6)):
    labels = rng.integers(0, 2, (n, *size))
    preds = rng.normal(size=(n, 1, *size)).astype(np.float32)
    scores = evaltool.score(preds, labels, task="segmentation")
    return mined(scores, [{"index": 1, "score": 1.0}], preds, labels)
