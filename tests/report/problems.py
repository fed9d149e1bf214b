"""Runs to report on: of every task, small, with what real ones have (rare and absent classes, rows that are bad)."""

from typing import Any

import numpy as np

import evaltool
from evaltool.run.reader import Run, open_run


def scored(preds: Any, labels: Any, **options: Any) -> Run:
    """Return the run of scores in memory."""
    return open_run(
        evaltool.score(preds, labels, **{"preds_are": "logits", "progress": None, "max_bad": 1.0} | options)
    )


def long_tail(rng: np.random.Generator, n: int = 900, classes: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and labels whose class c is half as frequent as the one before; the last is absent."""
    chance = 0.5 ** np.arange(classes)
    chance[-1] = 0
    labels = rng.choice(classes, n, p=chance / chance.sum())
    preds = rng.normal(size=(n, classes)).astype(np.float32)
    preds[np.arange(n), labels] += 1.5
    preds[:, -1] -= 1  # hardly predicted, and never labelled
    return preds, labels


def binary(rng: np.random.Generator, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Return logits [N] and labels, a fifth of them 1."""
    labels = (rng.uniform(size=n) < 0.2).astype(np.int64)
    return (rng.normal(size=n) + 1.5 * labels - 0.5).astype(np.float32), labels


def multilabel(rng: np.random.Generator, n: int = 300, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and labels [N, C], label c rarer than the one before."""
    labels = (rng.uniform(size=(n, classes)) < 0.5 ** np.arange(1, classes + 1)).astype(np.int64)
    return (rng.normal(size=(n, classes)) + 1.5 * labels - 0.7).astype(np.float32), labels


def segmentation(rng: np.random.Generator, n: int = 20, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return logits [N, C, 8, 8] and labels [N, 8, 8], the last class small."""
    labels = rng.choice(classes, (n, 8, 8), p=[0.7, 0.25, 0.05])
    preds = rng.normal(size=(n, classes, 8, 8))
    preds += 2 * (labels[:, None] == np.arange(classes)[:, None, None])
    return preds.astype(np.float32), labels
