"""The kernel of the task multiclass: all columns of rows of a softmax [N, C], and their counts."""

from typing import Any, NamedTuple

import numpy as np
from numpy import uint64

from evaltool.kernels.compiled import compiled, part
from evaltool.kernels.job import Array, KernelJob, KernelLoss
from evaltool.kernels.loading import aligned, as_read, read, working_dtype, writable
from evaltool.kernels.softmax_class_counts import ClassScratch, class_scratch, count_row, count_tile, flush_low
from evaltool.kernels.softmax_counts import SoftmaxCounts, count_rows, row_rank, tile_ranks
from evaltool.kernels.softmax_finish import (
    CROSS_ENTROPY,
    DICE,
    FOCAL,
    SQUARED_DICE,
    finish,
    label_codes,
    loss_values,
    store,
)
from evaltool.kernels.softmax_lanes import (
    ENTROPY,
    LABEL,
    LANES,
    MARGIN,
    MOST_IN_TILES,
    OWN,
    P_LABEL,
    P_PRED,
    PLACE,
    STATUS,
    VALUE,
    Lanes,
    lanes,
)
from evaltool.kernels.softmax_rows import fill_tail, load_row, read_row, row_sums
from evaltool.kernels.softmax_tiles import tile_sums, transpose_rows
from evaltool.schema import KINDS, OK

# numbers that stay in a core's cache from one look at them to the next
CACHED_NUMBERS = 1 << 17

COLUMNS = ("p_label", "p_pred", "margin", "entropy")


class KernelLosses(NamedTuple):
    """The losses of a job as compiled code reads them; L of them.

    Attributes:
        kinds: int64 [L], CROSS_ENTROPY to SQUARED_DICE.
        numbers: float64 [L, 2]: the gamma; or what is added to Dice's numerator and denominator.
        gamma_of: int64 [L], which of the gammas, or -1 for the one among the numbers.
        gammas: float64 [k, C], a gamma per class.
        factor_of: int64 [L], which of the factors the value is multiplied by, or -1.
        factors: float64 [k, C], a factor per class.
    """

    kinds: Array
    numbers: Array
    gamma_of: Array
    gammas: Array
    factor_of: Array
    factors: Array


class MulticlassKernel:
    """Scores rows of a softmax in one thread.

    Args:
        job: a job of the task multiclass that ``refusal`` finds nothing against.
        count: also count, which takes longer than the columns do.
    """

    def __init__(self, job: KernelJob, *, count: bool = True) -> None:
        self._job = job
        self._losses = kernel_losses(job)
        self._kind = KINDS.index(job.preds_are)
        self._probs = 1 if job.preds_are == "probs" else None
        self._in_tiles = job.num_classes <= MOST_IN_TILES
        self._counts = SoftmaxCounts(job.task, job.num_classes, [loss.column for loss in job.losses])
        self._row_counts = self._counts.rows if count else None
        self._class_counts = self._counts.by_class if count else None
        self._class_scratch = class_scratch(job.num_classes)
        self._scratch: dict[Any, Scratch] = {}

    @staticmethod
    def refusal(job: KernelJob) -> str | None:
        """Return why the kernel cannot do a job, or None if it can."""
        return next((reason for loss in job.losses if (reason := _refused(loss))), None)

    def score(self, preds: Array, labels: Array) -> tuple[Array, dict[str, Array]]:
        """Return the status, int8 [n], and the columns, [n] each, of preds [n, C] and int64 labels [n]."""
        rows = len(preds)
        # lanes are written all 64 at a time
        status = np.empty(rows + LANES, np.int8)
        pred = np.empty(rows + LANES, np.int64)
        values = np.empty((len(COLUMNS) + len(self._job.losses), rows + LANES), np.float32)
        given = as_read(preds)
        dtype = working_dtype(preds)
        direct = 1 if given.dtype == dtype else None
        if given.dtype not in self._scratch:
            self._scratch[given.dtype] = self._new_scratch(dtype, direct)
        run = _score_tiles if self._in_tiles else _score_rows
        run(
            given,
            writable(labels),
            Question(self._job.ignore_index, self._kind, self._job.tolerance),
            self._probs,
            direct,
            self._losses,
            self._scratch[given.dtype],
            self._row_counts,
            self._class_counts,
            Answer(status, pred, values),
        )
        status, pred, values = status[:rows], pred[:rows], values[:, :rows]
        if self._row_counts is not None:
            self._counts.add_sparse(values[len(COLUMNS) :], labels, pred, status)
        names = (*COLUMNS, *(loss.column for loss in self._job.losses))
        columns: dict[str, Array] = {"pred": pred, **dict(zip(names, values, strict=True))}
        return status, columns

    def counts(self) -> dict[str, Array]:
        """Return what was counted so far, in the layout of ``state.npz``."""
        return self._counts.arrays()

    def _new_scratch(self, dtype: Any, direct: int | None) -> "Scratch":
        classes = self._job.num_classes
        filled = aligned(0 if self._in_tiles else -(-classes // LANES) * LANES, dtype)
        filled.fill(-np.inf)
        return Scratch(
            lanes(classes if self._in_tiles else 0, dtype),
            aligned(LANES, np.int32),
            aligned(0 if self._in_tiles or direct else classes, dtype),
            aligned(LANES, dtype),
            filled,
            self._class_scratch,
        )


class Question(NamedTuple):
    """What of a job is the same for all rows."""

    ignore_index: int
    kind: int  # place in KINDS
    tolerance: float


class Scratch(NamedTuple):
    """Memory of one thread for one dtype."""

    lanes: Lanes
    ranks: Array  # int32 [64]
    copy: Array  # [C] of the working dtype, for rows that have to be read; else empty
    tail: Array  # [64] of the working dtype
    filled: Array  # of the working dtype, for rows of many classes: C rounded up to a multiple of 64, -inf beyond C
    classes: ClassScratch


class Answer(NamedTuple):
    """Where the results go; n is 64 more than there are rows."""

    status: Array  # int8 [n]
    pred: Array  # int64 [n]
    values: Array  # float32 [4 + L, n]


def kernel_losses(job: KernelJob) -> KernelLosses:
    """Return the losses of a job as compiled code reads them."""
    gammas: list[Array] = []
    factors: list[Array] = []
    kinds, numbers, gamma_of, factor_of = [], [], [], []
    for loss in job.losses:
        given = loss.parameters
        kind, pair, gamma, factor = CROSS_ENTROPY, (0.0, 0.0), None, given.get("weight")
        if loss.name == "focal":
            kind, gamma, factor = FOCAL, _numbers(given["gamma"]), given.get("alpha")
            pair = (float(gamma[0]), 0.0)
        elif loss.name == "dice":
            kind = SQUARED_DICE if given["squared"] else DICE
            pair = (float(given["smooth_nr"]), float(given["smooth_dr"]))
        kinds.append(kind)
        numbers.append(pair)
        gamma_of.append(_kept(gammas, gamma if gamma is not None and len(gamma) > 1 else None, job.num_classes))
        factor_of.append(_kept(factors, None if factor is None else _numbers(factor), job.num_classes))
    empty = np.zeros((0, job.num_classes))
    return KernelLosses(
        np.array(kinds, np.int64),
        np.array(numbers, np.float64).reshape(-1, 2),
        np.array(gamma_of, np.int64),
        np.stack(gammas) if gammas else empty,
        np.array(factor_of, np.int64),
        np.stack(factors) if factors else empty,
    )


def _numbers(given: Any) -> Array:
    """Return a parameter as the losses keep it: float32 [1] or [C], here as float64."""
    return np.asarray(given, np.float32).astype(np.float64).reshape(-1)


def _kept(kept: list[Array], values: Array | None, num_classes: int) -> int:
    if values is None:
        return -1
    kept.append(np.broadcast_to(values, num_classes).copy())
    return len(kept) - 1


def _refused(loss: KernelLoss) -> str | None:
    given = loss.parameters
    if loss.name not in ("ce", "focal", "dice"):
        return f"the kernel of softmax rows has no loss {loss.name!r}"
    if loss.name == "ce" and given.get("label_smoothing", 0.0):
        return f"the kernel of softmax rows has no label smoothing (column {loss.column!r})"
    if loss.name == "dice" and given.get("activation", "auto") == "sigmoid":
        return f"the kernel of softmax rows has no sigmoids (column {loss.column!r})"
    return None


@compiled
def _score_tiles(
    preds: Any,
    labels: Any,
    question: Any,
    probs: Any,
    direct: Any,
    losses: Any,
    scratch: Any,
    row_counts: Any,
    class_counts: Any,
    answer: Any,
) -> None:
    """Score rows of few classes; ``probs``, ``direct`` and the counts are None or not, and compiled accordingly."""
    classes = preds.shape[1]
    lanes = scratch.lanes
    for start in range(0, len(preds), LANES):
        count = min(LANES, len(preds) - start)
        label_codes(labels, start, count, classes, question.ignore_index, lanes.codes)
        transpose_rows(preds, start, count, direct, lanes)
        for lane in range(count):
            own = read(preds[uint64(start + lane), uint64(lanes.codes[LABEL + lane])])
            lanes.owns[lane] = own
            lanes.rows[OWN + lane] = own
        tile_sums(lanes, classes, probs)
        _finish(lanes, start, question, losses, answer)
        if row_counts is not None:
            tile_ranks(lanes, classes, scratch.ranks)
            count_rows(lanes, count, answer.values, len(COLUMNS), start, probs, scratch.ranks, row_counts)
            if len(class_counts.class_wise):
                count_tile(lanes, classes, probs, scratch.classes, class_counts)


@compiled
def _score_rows(
    preds: Any,
    labels: Any,
    question: Any,
    probs: Any,
    direct: Any,
    losses: Any,
    scratch: Any,
    row_counts: Any,
    class_counts: Any,
    answer: Any,
) -> None:
    """Score rows of many classes; see ``_score_tiles``."""
    classes = preds.shape[1]
    lanes, tail = scratch.lanes, scratch.tail
    together = min(LANES, max(1, CACHED_NUMBERS // classes))
    for start in range(0, len(preds), together):
        count = min(together, len(preds) - start)
        label_codes(labels, start, count, classes, question.ignore_index, lanes.codes)
        for lane in range(count):
            key = load_row(preds[start + lane], scratch.filled)
            own = scratch.filled[uint64(lanes.codes[LABEL + lane])]
            lanes.rows[OWN + lane] = own
            lanes.owns[lane] = own
            row_sums(scratch.filled, classes, key, lanes, lane, probs)
        _finish(lanes, start, question, losses, answer)
        if row_counts is not None:
            for lane in range(count):
                scratch.ranks[lane] = 0
                if lanes.codes[STATUS + lane] == OK:
                    if direct is not None:
                        row = preds[start + lane]
                    else:
                        row = scratch.copy
                        read_row(preds, start + lane, row)
                    label = lanes.codes[LABEL + lane]
                    if label != lanes.codes[PLACE + lane]:
                        scratch.ranks[lane] = row_rank(row, lanes.owns[lane], label)
                    if len(class_counts.class_wise):
                        fill_tail(row, tail)
                        count_row(row, tail, lanes, lane, probs, scratch.classes, class_counts)
            count_rows(lanes, count, answer.values, len(COLUMNS), start, probs, scratch.ranks, row_counts)
            if len(class_counts.class_wise):
                flush_low(scratch.classes, class_counts)


@part
def _finish(lanes: Any, start: Any, question: Any, losses: Any, answer: Any) -> None:
    finish(lanes, question.kind, question.tolerance)
    rows, codes = lanes.rows, lanes.codes
    every = OK
    for lane in range(LANES):
        answer.status[uint64(start + lane)] = codes[STATUS + lane]
        every |= codes[STATUS + lane]
    for lane in range(LANES):
        answer.pred[uint64(start + lane)] = codes[PLACE + lane]
    values = answer.values
    store(rows, P_LABEL, values[0], start)
    store(rows, P_PRED, values[1], start)
    store(rows, MARGIN, values[2], start)
    store(rows, ENTROPY, values[3], start)
    for which in range(len(losses.kinds)):
        loss_values(rows, codes, losses, which)
        store(rows, VALUE, values[len(COLUMNS) + which], start)
    if every != OK:
        for lane in range(LANES):
            if codes[STATUS + lane] != OK:
                values[:, start + lane] = np.nan
