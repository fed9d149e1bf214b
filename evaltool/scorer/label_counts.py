"""How often each class is labelled: read once, and only if something asks."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from evaltool.detect import Decision
from evaltool.errors import EvaltoolError
from evaltool.numerics.weight_rules import rule_weights
from evaltool.readers import Rows, as_array
from evaltool.schema import WEIGHT_WORDS, is_softmax

Array = np.ndarray[Any, Any]
LABELS_PER_READ = 1 << 22


class Counts(NamedTuple):
    """Counts of the valid labels, float64; soft labels count by their shares."""

    classes: Array  # [C]; multilabel: the positives of each class
    pair: Array  # [2], the negatives and positives of all sigmoids


class LabelCounts:
    """The label counts of a job.

    Args:
        labels: the labels.
        decision: what they are.
        ignore_index: label that counts for nothing.
    """

    def __init__(self, labels: Rows, decision: Decision, ignore_index: int) -> None:
        self.labels = labels
        self.decision = decision
        self.ignore_index = ignore_index

    def classes(self, asked: str) -> list[float]:
        """Return how often each class occurs; ``asked`` is what the user wrote.

        Raises:
            EvaltoolError: there is no valid label.
        """
        counts: list[float] = self._some(self._counts.classes, asked).tolist()
        return counts

    def weights(self, word: str, asked: str) -> list[float]:
        """Return one weight per class by a rule, one of ``WEIGHT_WORDS``; raises as ``classes``."""
        return _weights(self._some(self._counts.classes, asked), word)

    def pair_weights(self, word: str, asked: str, outputs: str) -> list[float]:
        """Return the weights of (negatives, positives) by a rule; raises as ``classes``.

        Args:
            word: one of ``WEIGHT_WORDS``.
            asked: what the user wrote.
            outputs: as what the loss is given the classes; of a softmax, each class stands against the rest.
        """
        classes, pair = self._counts
        if outputs == "softmax":
            pair = np.array([classes.sum() * (len(classes) - 1), classes.sum()])
        return _weights(self._some(pair, asked), word)

    def _some(self, counts: Array, asked: str) -> Array:
        if not counts.sum():
            raise EvaltoolError(
                f"no label to count\n  {self.labels.name}: {asked}\n  Is --ignore-index right? Else give numbers."
            )
        return counts

    @cached_property
    def _counts(self) -> Counts:
        multilabel = self.decision.task == "multilabel"
        softmax = is_softmax(self.decision.task, self.decision.foreground)
        shares = self.decision.soft_labels or self.decision.one_hot
        columns = self.decision.num_classes if softmax or multilabel else 1
        positives, valid = np.zeros(columns), np.zeros(columns)
        row = max(1, int(np.prod(self.labels.shape[1:], dtype=np.int64)))
        step = max(1, LABELS_PER_READ // row)
        for start in range(0, self.labels.shape[0], step):
            block = as_array(self.labels.read(start, min(start + step, self.labels.shape[0]))).astype(np.float64)
            known = (block != self.ignore_index) & (block >= 0)
            if softmax and not shares:
                classes = block[known & (block < columns) & (block == np.floor(block))].astype(np.int64)
                positives += np.bincount(classes, minlength=columns)
            else:
                known = (known & (block <= 1)).reshape(-1, columns)
                positives += np.where(known, block.reshape(-1, columns), 0).sum(0)
                valid += known.sum(0)
        pair = np.array([(valid - positives).sum(), positives.sum()])
        return Counts(positives if softmax or multilabel else pair, pair)


def _weights(counts: Array, word: str) -> list[float]:
    weights: list[float] = rule_weights(counts, WEIGHT_WORDS[word]).tolist()
    return weights
