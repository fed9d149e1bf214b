"""What a thread counts of softmaxes it has scored: whole numbers that add up over threads, as a run's state has them.

Of each row that is ok: its losses (histogram, octaves, at which class), label and prediction, how sure the prediction
was, Brier's term, the label's rank.  ``softmax_class_counts`` counts its classes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy import uint64

from evaltool.block import CALIBRATION_BINS, count_shapes
from evaltool.kernels.compiled import inlined, part
from evaltool.kernels.elementary import int_of_float
from evaltool.kernels.softmax_class_counts import UNITS, ClassCounts
from evaltool.kernels.softmax_lanes import LABEL, LANES, MISS, OTHERS, PLACE, STATUS
from evaltool.numerics.float_bits import OCTAVES, octave_units
from evaltool.numerics.sparse_sums import few_sums, sums_by_key
from evaltool.schema import OK, STATUSES

Array = np.ndarray[Any, Any]

HISTOGRAM_BINS = 8192  # as the run's state has them
LOW_BITS = 19
DENSE = 1 << 20  # of more possible keys only those that occur are kept
FLUSH_ROWS = 1 << 30  # of an int32 count at most one per row
AT_SMALLEST = np.float32(1.18e-38)  # what is below has been raised to the smallest normal float32


class RowCounts(NamedTuple):
    """Counts of rows; L losses, C classes.  Arrays of more than ``DENSE`` keys are empty."""

    status: Array  # int64 [5]
    special: Array  # int64 [3]: probabilities raised, rows with an infinite loss, rows with a loss that failed
    histogram: Array  # int64 [L, 8192]
    largest: Array  # float64 [L]
    finite: Array  # int64 [L, C]
    class_loss: Array  # int64 [L * C * 255]
    confusion: Array  # int64 [C * C]
    brier: Array  # int64 [256]
    top_label: Array  # int64 [15, 3]
    rank: Array  # int64 [R + 1]


class SparseCounts:
    """Sums of whole numbers by key, of which few of many possible ones occur."""

    def __init__(self) -> None:
        self._sorted = np.zeros((2, 0), np.int64)
        self._waiting: list[Array] = []

    def add(self, pairs: Array) -> None:
        """Add int64 [2, k]: distinct keys and what is to be added to their sums."""
        self._waiting.append(pairs)
        # merging only when as much waits as is there keeps the whole linear in the number of pairs
        if sum(pairs.shape[1] for pairs in self._waiting) > max(DENSE, self._sorted.shape[1]):
            self.pairs()

    def pairs(self) -> Array:
        """Return the keys, sorted, and their sums; int64 [2, k]."""
        self._sorted = sums_by_key(*np.concatenate([self._sorted, *self._waiting], axis=1))
        self._waiting = []
        return self._sorted


class SoftmaxCounts:
    """The counts of one thread.

    Args:
        task: "multiclass" or "segmentation".
        num_classes: C.
        losses: the loss columns.
    """

    def __init__(self, task: str, num_classes: int, losses: Sequence[str]) -> None:
        self._losses = list(losses)
        self._classes = num_classes
        shapes = count_shapes(task, num_classes, False)
        class_keys = len(losses) * num_classes * OCTAVES
        pair_keys = num_classes**2
        self.rows = RowCounts(
            np.zeros(len(STATUSES), np.int64),
            np.zeros(3, np.int64),
            np.zeros((len(losses), HISTOGRAM_BINS), np.int64),
            np.full(len(losses), -np.inf),
            np.zeros((len(losses), num_classes), np.int64),
            np.zeros(class_keys if class_keys <= DENSE else 0, np.int64),
            np.zeros(pair_keys if pair_keys <= DENSE else 0, np.int64),
            np.zeros(shapes["brier"], np.int64),
            np.zeros((CALIBRATION_BINS, 3), np.int64),
            np.zeros(shapes["label_rank"], np.int64),
        )
        # of too many classes nothing is counted class by class: the arrays are empty
        ranking = shapes.get("ranking", (0, 2, 0))
        class_wise = shapes.get("calibration_class_wise", (0, CALIBRATION_BINS, 3))
        self.by_class = ClassCounts(np.zeros(ranking, np.int32), np.zeros(class_wise, np.int64))
        self._ranking = np.zeros(ranking, np.int64)
        self._waiting = 0
        self._class_loss = SparseCounts()
        self._pairs = SparseCounts()

    def add_sparse(self, values: Array, labels: Array, pred: Array, status: Array) -> None:
        """Add what compiled code has left out of a block: sums whose keys are too many.

        Args:
            values: float32 [L, n], the losses.
            labels: int64 [n].
            pred: int64 [n].
            status: int8 [n].
        """
        self._waiting += len(status)
        if self._waiting > FLUSH_ROWS:
            self._flush()
        ok = status == OK
        if not len(self.rows.confusion):
            pairs = labels[ok] * self._classes + pred[ok]
            self._pairs.add(few_sums(pairs, np.ones_like(pairs), self._classes**2))
        if len(self.rows.class_loss):
            return
        for i, column in enumerate(values):
            some = ok & np.isfinite(column)
            octaves, units = octave_units(column[some])
            keys = (i * self._classes + labels[some]) * OCTAVES + octaves
            self._class_loss.add(few_sums(keys, units, len(values) * self._classes * OCTAVES))

    def _flush(self) -> None:
        self._ranking += self.by_class.ranking
        self.by_class.ranking[:] = 0
        self._waiting = 0

    def arrays(self) -> dict[str, Array]:
        """Return the counts by the names of ``state.npz``."""
        rows, classes, number = self.rows, self._classes, len(self._losses)
        if len(rows.class_loss):
            keys = np.flatnonzero(rows.class_loss)
            class_loss = np.stack([keys, rows.class_loss[keys]])
        else:
            class_loss = self._class_loss.pairs()
            class_loss = class_loss[:, class_loss[1] != 0]
        octaves = np.zeros((number, OCTAVES), np.int64)
        of_loss = class_loss[0] // (classes * OCTAVES)
        np.add.at(octaves, (of_loss, class_loss[0] % OCTAVES), class_loss[1])
        arrays = {
            "status": rows.status.copy(),
            "losses": np.array(self._losses, dtype=np.str_),
            "loss_octaves": octaves,
            "loss_count": rows.finite.sum(1),
            "loss_max": rows.largest.copy(),
            "histogram": rows.histogram.copy(),
            "class_loss_count": rows.finite.copy(),
            "class_loss": class_loss,
            "brier": rows.brier.copy(),
            "calibration_top_label": rows.top_label[None].copy(),
            "label_rank": rows.rank.copy(),
            "clamped_infinite_failed": rows.special.copy(),
        }
        if len(rows.confusion):
            arrays["confusion"] = rows.confusion.reshape(classes, classes).copy()
        else:
            arrays["confusion_pairs"] = self._pairs.pairs()
        if len(self._ranking):
            self._flush()
            class_wise = self.by_class.class_wise.copy()
            class_wise[:, 0, 0] = rows.status[OK] - class_wise[:, 1:, 0].sum(1)
            arrays |= {"ranking": self._ranking.copy(), "calibration_class_wise": class_wise}
        return arrays


@part
def count_rows(
    lanes: Any, count: Any, values: Any, losses: Any, start: Any, probs: Any, ranks: Any, counts: Any
) -> None:
    """Count the rows of some lanes.

    Args:
        lanes: finished.
        count: how many are in use.
        values: float32 [4 + L, n], the columns: p_label and p_pred come first, the losses from ``losses``.
        losses: the place of the first loss.
        start: where the lanes stand in the columns.
        probs: None for logits and log-probs, anything else for probabilities.
        ranks: int32 [64], each label's rank.
        counts: a ``RowCounts``.
    """
    codes, rows = lanes.codes, lanes.rows
    classes = counts.finite.shape[1]
    for lane in range(count):
        status = codes[STATUS + lane]
        counts.status[status] += 1
        if status != OK:
            continue
        row = uint64(start + lane)
        label, pred = codes[LABEL + lane], codes[PLACE + lane]
        if probs is not None:
            counts.special[0] += values[0, row] < AT_SMALLEST
        infinite, failed = False, False
        for i in range(len(counts.largest)):
            value = values[uint64(losses + i), row]
            bits = int_of_float(value)
            octave = (bits >> 23) & 255
            if octave == OCTAVES:
                infinite |= value == value
                failed |= value != value
                continue
            units = (bits & 0x7FFFFF) | (min(octave, 1) << 23)
            place = (~bits if bits < 0 else bits | (1 << 31)) & 0xFFFFFFFF
            counts.histogram[uint64(i), uint64(place >> LOW_BITS)] += 1
            counts.finite[uint64(i), uint64(label)] += 1
            counts.largest[i] = max(counts.largest[i], np.float64(value))
            if len(counts.class_loss):
                key = uint64((i * classes + label) * OCTAVES + octave)
                counts.class_loss[key] += -units if bits < 0 else units
        counts.special[1] += infinite
        counts.special[2] += failed
        if len(counts.confusion):
            counts.confusion[uint64(label * classes + pred)] += 1
        square = np.float32(rows[MISS + lane] * rows[MISS + lane] + rows[OTHERS + lane])
        bits = int_of_float(square)
        octave = (bits >> 23) & 255
        counts.brier[octave] += (bits & 0x7FFFFF) | (min(octave, 1) << 23)
        counts.brier[OCTAVES] += 1
        sure = np.float64(values[1, row])
        cell = min(np.int64(sure * CALIBRATION_BINS), CALIBRATION_BINS - 1)
        counts.top_label[cell, 0] += 1
        counts.top_label[cell, 1] += label == pred
        counts.top_label[cell, 2] += np.int64(sure * UNITS + 0.5)
        counts.rank[min(ranks[lane], len(counts.rank) - 1)] += 1


@part
def tile_ranks(lanes: Any, classes: Any, ranks: Any) -> None:
    """Fill in how many classes stand before each lane's label: larger ones, and equal ones with a lower index."""
    for lane in range(LANES):
        ranks[lane] = 0
    for c in range(classes):
        for lane in range(LANES):
            ranks[lane] += is_before(
                lanes.tile[uint64(c * LANES + lane)], lanes.owns[lane], c, lanes.codes[LABEL + lane]
            )


@part
def row_rank(row: Any, own: Any, label: Any) -> Any:
    """Return how many classes stand before the label of a row."""
    larger, equal = np.int32(0), np.int32(0)
    for c in range(len(row)):
        larger = np.int32(larger + np.int32(row[uint64(c)] > own))
        equal = np.int32(equal + np.int32(row[uint64(c)] == own))
    rank = np.int64(larger)
    if equal > 1:
        for c in range(label):
            rank += row[uint64(c)] == own
    return rank


@inlined
def is_before(value: Any, own: Any, c: Any, label: Any) -> Any:
    """Return 1 where a class stands before the label, else 0; int32."""
    return np.int32((value > own) | ((value == own) & (c < label)))
