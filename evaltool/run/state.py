"""Counts of a run that add up over blocks and shards: everything the summary needs but the quantiles' last digits.

All are whole numbers (but the largest losses), so that their sums are the same bits in any order.  ``run.counts`` reads
them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaltool.block import Block, count_shapes
from evaltool.numerics.float_bits import OCTAVES, octave_units, ordered_bits
from evaltool.numerics.sparse_sums import sums_by_key, without_zeros
from evaltool.schema import OK, STATUSES

Array = np.ndarray[Any, Any]

HISTOGRAM_BINS = 8192  # float32 by its upper 13 bits: sign, exponent and 16 bins per octave
LOW_BITS = 19
BAD_LABELS_KEPT = 64
DENSE_PAIRS = 1 << 20  # 1,000 classes: 8 MB


class State:
    """The counts of a run.

    Args:
        losses: the loss columns.
        task: one of ``schema.TASKS``.
        num_classes: C, 0 for regression.
        foreground: segmentation of one foreground class.
    """

    def __init__(self, losses: Sequence[str], *, task: str, num_classes: int, foreground: bool = False) -> None:
        self.num_classes = num_classes
        self.losses = list(losses)
        self.multilabel = task == "multilabel"  # the confusion counts are per class, [C, 2, 2]
        self.status = np.zeros(len(STATUSES), np.int64)
        self.n_clamped = 0
        self.n_infinite = 0
        self.n_failed = 0
        self.loss_octaves = np.zeros((len(losses), OCTAVES), np.int64)
        self.loss_count = np.zeros(len(losses), np.int64)
        self.loss_max = np.full(len(losses), -np.inf)
        self.histogram = np.zeros((len(losses), HISTOGRAM_BINS), np.int64)
        self.class_loss_count = np.zeros((len(losses), num_classes), np.int64)
        self._class_loss = PairCounts(len(losses) * num_classes * OCTAVES)
        shapes = count_shapes(task, num_classes, foreground)
        self.counts = {name: np.zeros(shape, np.int64) for name, shape in shapes.items()}
        self._pairs = PairCounts(num_classes * 4 if self.multilabel else num_classes**2)
        self.bad_labels: dict[int, int] = {}

    @property
    def confusion(self) -> Array:
        """Pairs label * C + pred (multilabel: class * 4 + label * 2 + pred), sorted, and their counts; int64 [2, k]."""
        return self._pairs.pairs()

    @property
    def n_samples(self) -> int:
        """How many rows were read."""
        return int(self.status.sum())

    def add(self, block: Block) -> None:
        """Add the counts of a block; of one that its engine counts, only the bad labels."""
        self._add_bad_labels(block)
        if not block.counted:
            self._add_counts(block)

    def _add_counts(self, block: Block) -> None:
        ok = block.status == OK
        self.status += np.bincount(block.status, minlength=len(STATUSES))
        self.n_clamped += block.n_clamped
        infinite = np.zeros(len(ok), bool)
        failed = np.zeros(len(ok), bool)
        for i, name in enumerate(self.losses):
            values = block.columns[name]
            infinite |= ok & np.isinf(values)
            failed |= ok & np.isnan(values)
            finite = values[ok & np.isfinite(values)]
            octaves, units = octave_units(finite)
            self.loss_octaves[i] += np.bincount(octaves, units, OCTAVES).astype(np.int64)  # exact for 2^29 values
            self.loss_count[i] += len(finite)
            self.loss_max[i] = max(self.loss_max[i], finite.max(initial=-np.inf))
            self.histogram[i] += np.bincount(ordered_bits(finite) >> LOW_BITS, minlength=HISTOGRAM_BINS)
            if name in block.class_loss:
                sums, counts = block.class_loss[name]
                self._class_loss.add(sums + np.array([[i * self.num_classes * OCTAVES], [0]]))
                self.class_loss_count[i] += counts
        self.n_infinite += int(infinite.sum())
        self.n_failed += int(failed.sum())
        self._pairs.add(block.confusion)
        for name, block_counts in block.counts.items():
            self.counts[name] += block_counts
        for name, places in block.places.items():
            np.add.at(self.counts[name].reshape(-1), places, 1)

    def add_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Add the counts of other rows of the same job, in the layout of ``arrays``."""
        for name, counts in arrays.items():
            if name == "loss_max":
                np.maximum(self.loss_max, counts, out=self.loss_max)
            elif name == "class_loss":
                self._class_loss.add(counts)
            elif name == "confusion_pairs":
                self._pairs.add(counts)
            elif name == "confusion":
                self._pairs.add_dense(counts)
            elif name == "clamped_infinite_failed":
                clamped, infinite, failed = counts.tolist()
                self.n_clamped += clamped
                self.n_infinite += infinite
                self.n_failed += failed
            elif name in self.counts:
                self.counts[name] += counts
            elif name != "losses":
                mine = getattr(self, name)
                mine += counts

    def _add_bad_labels(self, block: Block) -> None:
        for value, count in block.bad_labels.T.tolist():
            if value in self.bad_labels or len(self.bad_labels) < BAD_LABELS_KEPT:
                self.bad_labels[value] = self.bad_labels.get(value, 0) + count

    def arrays(self) -> dict[str, Array]:
        """Return the counts as arrays, for ``state.npz``.

        ``confusion`` is [label, pred] or, multilabel, [class, label, pred]; above 1,000 classes ``confusion_pairs``
        holds label * C + pred and how often each occurs, [2, k].  ``class_loss`` holds (loss * C + class) * 255 +
        octave and the sum in the octave's units, [2, k].
        """
        keep = ("status", "loss_octaves", "loss_count", "loss_max", "histogram", "class_loss_count")
        arrays = {name: getattr(self, name) for name in keep} | self.counts
        arrays["class_loss"] = without_zeros(self._class_loss.pairs())
        if self._pairs.dense is None:
            arrays["confusion_pairs"] = self.confusion
        else:
            shape = (-1, 2, 2) if self.multilabel else (self.num_classes, self.num_classes)
            arrays["confusion"] = self._pairs.dense.reshape(shape)
        counts = np.array([self.n_clamped, self.n_infinite, self.n_failed], np.int64)
        return {**arrays, "losses": np.array(self.losses, dtype=np.str_), "clamped_infinite_failed": counts}


class PairCounts:
    """Counts of integer keys: a plain array for few possible keys, sorted pairs for many.

    Args:
        size: keys are in 0..size-1.
    """

    def __init__(self, size: int) -> None:
        self.dense = np.zeros(size, np.int64) if size <= DENSE_PAIRS else None
        self._sorted = np.zeros((2, 0), np.int64)
        self._waiting: list[Array] = []

    def add(self, pairs: Array) -> None:
        """Add int64 [2, k]: distinct keys and their counts."""
        if self.dense is not None:
            self.dense[pairs[0]] += pairs[1]
            return
        self._waiting.append(pairs)
        # merging only when as much waits as is there keeps the whole linear in the number of pairs
        if sum(pairs.shape[1] for pairs in self._waiting) > max(DENSE_PAIRS, self._sorted.shape[1]):
            self._merge()

    def add_dense(self, counts: Array) -> None:
        """Add a count for every key, int64 of as many numbers as there are keys."""
        keys = np.flatnonzero(counts)
        self.add(np.stack([keys, counts.reshape(-1)[keys]]))

    def pairs(self) -> Array:
        """Return the keys that occur, sorted, and their counts; int64 [2, k]."""
        if self.dense is not None:
            keys = np.flatnonzero(self.dense)
            return np.stack([keys, self.dense[keys]])
        self._merge()
        return self._sorted

    def _merge(self) -> None:
        self._sorted = sums_by_key(*np.concatenate([self._sorted, *self._waiting], axis=1))
        self._waiting = []
