"""Predictions and labels of every task."""

import numpy as np

from evaltool.detect.probe import _pieces
from evaltool.readers import open_preds

TASKS = ["multiclass", "binary", "multilabel", "segmentation", "foreground", "regression"]


def problem(task, n=60, seed=0):
    """Return predictions and labels of a task."""
    rng = np.random.default_rng(seed)
    if task == "multiclass":
        return rng.normal(0, 3, (n, 5)).astype(np.float32), rng.integers(0, 5, n)
    if task == "binary":
        return rng.normal(0, 3, n).astype(np.float32), rng.integers(0, 2, n)
    if task == "multilabel":
        return rng.normal(0, 3, (n, 5)).astype(np.float32), rng.integers(0, 2, (n, 5))
    if task == "segmentation":
        return rng.normal(0, 3, (n, 4, 6, 5)).astype(np.float32), rng.integers(0, 4, (n, 6, 5))
    if task == "foreground":
        return rng.normal(0, 3, (n, 1, 6, 5)).astype(np.float32), rng.integers(0, 2, (n, 6, 5))
    return rng.normal(0, 3, (n, 3)).astype(np.float32), rng.normal(0, 3, (n, 3)).astype(np.float32)


def unprobed(preds):
    """Return the rows that detection does not look at."""
    probed = np.concatenate([np.arange(start, stop) for start, stop in _pieces(open_preds(preds))])
    return np.setdiff1d(np.arange(len(preds)), probed)
