"""The mean of the probabilities that several checkpoints or folds predict for the same samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.readers.rows import Rows, as_array, peek

Array = np.ndarray[Any, Any]


class AveragedRows:
    """Rows whose blocks are the mean over several predictions, in float64; probabilities where the task has classes.

    A row that is not finite in one of them is NaN; one whose probabilities are none in one of them is -inf.

    Args:
        sources: predictions of one shape.
        kinds: the kind of each, None for regression.
        softmax: the classes, axis 1, share one distribution.
        tolerances: how far the probabilities of each may sum from 1.

    Raises:
        EvaltoolError: the shapes differ.
    """

    path: Path | None = None
    dtype = np.dtype(np.float64)

    def __init__(
        self, sources: Sequence[Rows], kinds: Sequence[str | None], *, softmax: bool, tolerances: Sequence[float]
    ) -> None:
        self.sources, self.kinds, self.tolerances = list(sources), list(kinds), list(tolerances)
        self.softmax = softmax
        self.name = f"average of {len(self.sources)} predictions"
        self.shape = self.sources[0].shape
        for rows in self.sources[1:]:
            if rows.shape != self.shape:
                raise EvaltoolError(
                    f"predictions to average differ in shape\n  {self.sources[0].name}: {list(self.shape)}\n"
                    f"  {rows.name}: {list(rows.shape)}\n  Give predictions of the same samples and classes."
                )

    def read(self, start: int, stop: int) -> Array:
        """Return the mean of rows start to stop, float64."""
        return self._mean([rows.read(start, stop) for rows in self.sources])

    def peek(self, start: int, stop: int) -> Array:
        """Return the mean of rows start to stop, read out of order."""
        return self._mean([peek(rows, start, stop) for rows in self.sources])

    def _mean(self, blocks: Sequence[Any]) -> Array:
        total: Array | None = None
        for block, kind, tolerance in zip(blocks, self.kinds, self.tolerances, strict=True):
            values = probabilities(as_array(block).astype(np.float64), kind, softmax=self.softmax, tolerance=tolerance)
            total = values if total is None else total + values
        assert total is not None
        return total / len(blocks)


def probabilities(preds: Array, kind: str | None, *, softmax: bool, tolerance: float) -> Array:
    """Return predictions as probabilities; those of regression as they are.

    Args:
        preds: float64 [n, C, *S] (softmax), or any shape.
        kind: "logits", "probs", "log-probs", None for regression.
        softmax: the classes, axis 1, share one distribution.
        tolerance: how far probabilities may sum from 1.

    Returns:
        float64, -inf in rows whose probabilities are none; NaN where the predictions are.
    """
    if kind is None:
        return preds
    with np.errstate(all="ignore"):  # rows that are not finite stay so
        if kind == "logits" and softmax:
            shifted = np.exp(preds - preds.max(1, keepdims=True))
            return np.asarray(shifted / shifted.sum(1, keepdims=True))
        if kind == "logits":
            return np.asarray(np.where(preds == np.inf, np.nan, np.exp(-np.logaddexp(0, -preds))))
        probs = np.exp(preds) if kind == "log-probs" else preds
        bad = ((probs < 0) | (probs > 1 + tolerance)).reshape(len(probs), -1).any(1)
        if softmax:
            sums = probs.sum(1)
            bad |= (np.abs(sums - 1) > tolerance).reshape(len(probs), -1).any(1)
            probs = probs / sums[:, None]
    probs = np.array(probs)
    probs[bad & ~np.isnan(preds).reshape(len(probs), -1).any(1)] = -np.inf
    return probs
