"""What a thread counts of softmaxes it has scored: whole numbers that add up over threads, as a run's state has them.

Of each row that is ok: its losses (histogram, octaves, at which class), label and prediction, how sure the prediction
was, Brier's term, the label's rank.  ``softmax_class_counts`` counts its classes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy import uint64

from evaltool.block import CALIBRATION_BINS, count_shapes
from evaltool.kernels.compiled import inlined, part, summing_part
from evaltool.kernels.elementary import float_of_int, int_of_float
from evaltool.kernels.loading import aligned
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
# of a class's bins: with a power of two those in use of all classes would share a few places of a cache
PADDING = 16
AT_SMALLEST = np.float32(1.18e-38)  # what is below has been raised to the smallest normal float32

_NONE = np.int32(0)
_MANTISSA, _SIGN, _LOW_BITS = np.int32(23), np.int32(31), np.int32(LOW_BITS)
_MAGNITUDE, _INFINITE = np.int32(0x7FFFFFFF), np.int32(0x7F800000)
_HIDDEN, _FRACTION = np.int32(1 << 23), np.int32(0x7FFFFF)
_HALF_BINS, _OCTAVES = np.int32(HISTOGRAM_BINS // 2), np.int32(OCTAVES)
_LEAST_KEY = np.int32(0x7F800000 ^ -1)  # of -inf

# offsets in RowCounts.facts: of each lane 1 if it is scored, its label; of a value 1 if it is finite, a number in
# the values' order, its bin, where it is added up and how many units it is
SCORED, LABEL_OF, FINITE, KEY, BIN, OCTAVE, UNIT = (LANES * i for i in range(7))
FACTS = 7 * LANES


class RowCounts(NamedTuple):
    """Counts of rows; L losses, C classes.  Arrays of more than ``DENSE`` keys are empty."""

    status: Array  # int64 [5]
    special: Array  # int64 [3]: probabilities raised, rows with an infinite loss, rows with a loss that failed
    histogram: Array  # int64 [L, 8192]
    largest: Array  # float64 [L]
    labels: Array  # int64 [C]
    unfit: Array  # int64 [L, C]: labels of the values that are not finite
    class_loss: Array  # int64 [L * C * 255]
    confusion: Array  # int64 [C * C]
    brier: Array  # int64 [256]
    top_label: Array  # int64 [15, 3]
    rank: Array  # int64 [R + 1]
    facts: Array  # int32 [7 * 64], scratch


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
            np.zeros(num_classes, np.int64),
            np.zeros((len(losses), num_classes), np.int64),
            np.zeros(class_keys if class_keys <= DENSE else 0, np.int64),
            np.zeros(pair_keys if pair_keys <= DENSE else 0, np.int64),
            np.zeros(shapes["brier"], np.int64),
            np.zeros((CALIBRATION_BINS, 3), np.int64),
            np.zeros(shapes["label_rank"], np.int64),
            aligned(FACTS, np.int32),
        )
        # of too many classes nothing is counted class by class: the arrays are empty
        ranking = shapes.get("ranking", (0, 2, 0))
        class_wise = shapes.get("calibration_class_wise", (0, CALIBRATION_BINS, 3))
        self.by_class = ClassCounts(
            np.zeros((*ranking[:2], ranking[2] + PADDING), np.int32), np.zeros(class_wise, np.int64)
        )
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
        self._ranking += self.by_class.ranking[..., : self._ranking.shape[2]]
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
        finite = rows.labels - rows.unfit
        arrays = {
            "status": rows.status.copy(),
            "losses": np.array(self._losses, dtype=np.str_),
            "loss_octaves": octaves,
            "loss_count": finite.sum(1),
            "loss_max": rows.largest.copy(),
            "histogram": rows.histogram.copy(),
            "class_loss_count": finite,
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
        count: how many are in use; the status of the others is not OK.
        values: float32 [4 + L, n + 64], the columns: p_label and p_pred come first, the losses from ``losses``.
        losses: the place of the first loss.
        start: where the lanes stand in the columns.
        probs: None for logits and log-probs, anything else for probabilities.
        ranks: int32 [64], each label's rank.
        counts: a ``RowCounts``.
    """
    codes, facts, special, largest = lanes.codes, counts.facts, counts.special, counts.largest
    scored = _scored(codes, count, facts, counts.status)
    if probs is not None:
        for lane in range(count):
            special[0] += facts[SCORED + lane] & (values[0, uint64(start + lane)] < AT_SMALLEST)
    unfit = 0
    classes = len(counts.labels)
    for i in range(len(largest)):
        _loss_facts(values, losses + i, start, facts)
        others, best = _loss_ends(facts)
        unfit += others
        largest[i] = max(largest[i], np.float64(best))
        _count_loss(i, i * classes * OCTAVES, facts, counts.histogram, counts.class_loss)
    if unfit:
        _count_unfit(values, losses, start, count, facts, special, counts.unfit)
    _count_labels(codes, classes, facts, counts.labels, counts.confusion)
    _count_chances(lanes.rows, codes, values, start, facts, ranks, counts.brier, counts.top_label, counts.rank)
    counts.brier[OCTAVES] += scored


@inlined
def _scored(codes: Any, count: Any, facts: Any, statuses: Any) -> Any:
    """Fill in SCORED and LABEL_OF, count each status; return how many lanes are ok."""
    scored = 0
    for lane in range(LANES):
        facts[SCORED + lane] = np.int32(codes[STATUS + lane] == OK)
        facts[LABEL_OF + lane] = np.int32(codes[LABEL + lane])
    for lane in range(LANES):
        scored += facts[SCORED + lane]
    statuses[OK] += scored
    if scored < count:
        for lane in range(count):
            statuses[codes[STATUS + lane]] += 1 - facts[SCORED + lane]
    return scored


@inlined
def _count_loss(which: Any, first: Any, facts: Any, histogram: Any, class_loss: Any) -> None:
    for lane in range(LANES):
        histogram[uint64(which), uint64(facts[BIN + lane])] += facts[FINITE + lane]
    if len(class_loss):
        for lane in range(LANES):
            class_loss[uint64(first) + uint64(facts[OCTAVE + lane])] += facts[UNIT + lane]


@inlined
def _count_labels(codes: Any, classes: Any, facts: Any, labels: Any, confusion: Any) -> None:
    for lane in range(LANES):
        labels[uint64(facts[LABEL_OF + lane])] += facts[SCORED + lane]
    if len(confusion):
        for lane in range(LANES):
            key = codes[LABEL + lane] * classes + codes[PLACE + lane]
            confusion[uint64(key)] += facts[SCORED + lane]


@part
def _loss_facts(values: Any, which: Any, start: Any, facts: Any) -> None:
    """Fill in FINITE, KEY, BIN, OCTAVE and UNIT of 64 values."""
    for lane in range(LANES):
        bits = int_of_float(values[uint64(which), uint64(start + lane)])
        magnitude = np.int32(bits & _MAGNITUDE)
        finite = facts[SCORED + lane] if magnitude < _INFINITE else _NONE
        octave = np.int32(magnitude >> _MANTISSA)
        octave = octave if octave < _OCTAVES else _NONE
        key = np.int32(bits ^ ((bits >> _SIGN) & _MAGNITUDE))
        units = np.int32((bits & _FRACTION) | (_HIDDEN if octave > _NONE else _NONE))
        units = np.int32(-units if bits < _NONE else units)
        facts[FINITE + lane] = finite
        facts[KEY + lane] = key if finite > _NONE else _LEAST_KEY
        facts[BIN + lane] = np.int32((key >> _LOW_BITS) + _HALF_BINS)
        facts[OCTAVE + lane] = np.int32(facts[LABEL_OF + lane] * _OCTAVES + octave)
        facts[UNIT + lane] = units if finite > _NONE else _NONE


@summing_part
def _loss_ends(facts: Any) -> Any:
    """Return how many of 64 values are scored but not finite, and the largest of those that are."""
    unfit, best = np.int32(0), _LEAST_KEY
    for lane in range(LANES):
        unfit = np.int32(unfit + (facts[SCORED + lane] - facts[FINITE + lane]))
    for lane in range(LANES):
        key = facts[KEY + lane]
        best = key if key > best else best
    return unfit, float_of_int(np.int32(best ^ ((best >> _SIGN) & _MAGNITUDE)))


@part
def _count_unfit(values: Any, losses: Any, start: Any, count: Any, facts: Any, special: Any, unfit: Any) -> None:
    """Count the rows that have an infinite loss, and those that have one that failed."""
    for lane in range(count):
        infinite, failed = False, False
        for i in range(len(unfit)):
            value = values[uint64(losses + i), uint64(start + lane)]
            endless, none = abs(value) == np.inf, value != value
            unfit[i, facts[LABEL_OF + lane]] += (endless | none) & facts[SCORED + lane]
            infinite |= endless
            failed |= none
        special[1] += infinite & facts[SCORED + lane]
        special[2] += failed & facts[SCORED + lane]


@inlined
def _count_chances(
    rows: Any, codes: Any, values: Any, start: Any, facts: Any, ranks: Any, brier: Any, cells: Any, rank: Any
) -> None:
    """Count Brier's terms, how sure the predictions are and the labels' ranks."""
    for lane in range(LANES):
        square = np.float32(rows[MISS + lane] * rows[MISS + lane] + rows[OTHERS + lane])
        bits = int_of_float(square)
        octave = np.int32(bits >> _MANTISSA)
        hidden = np.int32(_HIDDEN if octave > _NONE else _NONE)
        fits = (facts[SCORED + lane] > _NONE) & (octave >= _NONE) & (octave < _OCTAVES)
        facts[OCTAVE + lane] = octave if fits else _NONE
        facts[UNIT + lane] = np.int32((bits & _FRACTION) | hidden) if fits else _NONE
    for lane in range(LANES):
        # a lane that is not scored may hold NaN
        p = np.float64(values[1, uint64(start + lane)]) if facts[SCORED + lane] > _NONE else 0.0
        facts[BIN + lane] = np.int32(min(p * CALIBRATION_BINS, CALIBRATION_BINS - 1.0))
        facts[FINITE + lane] = np.int32(p * UNITS + 0.5)
    last = np.int32(len(rank) - 1)
    for lane in range(LANES):
        one, cell = facts[SCORED + lane], uint64(facts[BIN + lane])
        brier[uint64(facts[OCTAVE + lane])] += facts[UNIT + lane]
        cells[cell, 0] += one
        cells[cell, 1] += one if codes[LABEL + lane] == codes[PLACE + lane] else _NONE
        cells[cell, 2] += facts[FINITE + lane]
        rank[uint64(min(ranks[lane], last) if one > _NONE else _NONE)] += one


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
