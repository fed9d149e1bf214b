"""The kernel of the task multiclass: all columns of rows of a softmax [N, C], and their counts."""

from typing import Any, NamedTuple

import numpy as np
from numpy import uint64

from evaltool.kernels.compiled import compiled, part
from evaltool.kernels.job import Array, KernelJob, KernelLoss
from evaltool.kernels.loading import aligned, as_read, read, working_dtype
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
from evaltool.kernels.softmax_lanes import ENTROPY, LANES, MARGIN, OWN, P_LABEL, P_PRED, PLACE, STATUS, VALUE, lanes
from evaltool.kernels.softmax_rows import GROUP, fill_tail, read_row, row_sums
from evaltool.kernels.softmax_tiles import tile_sums, transpose_rows
from evaltool.schema import KINDS

TILE_CLASSES = 64  # up to so many, 64 rows are looked at together

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
    """

    def __init__(self, job: KernelJob) -> None:
        self._job = job
        self._losses = kernel_losses(job)
        self._kind = KINDS.index(job.preds_are)
        self._probs = 1 if job.preds_are == "probs" else None

    @staticmethod
    def refusal(job: KernelJob) -> str | None:
        """Return why the kernel cannot do a job, or None if it can."""
        return next((reason for loss in job.losses if (reason := _refused(loss))), None)

    def score(self, preds: Array, labels: Array) -> tuple[Array, dict[str, Array]]:
        """Return the status, int8 [n], and the columns, [n] each, of preds [n, C] and int64 labels [n]."""
        count = len(preds)
        room = -(-count // LANES) * LANES
        status = np.empty(room, np.int8)
        pred = np.empty(room, np.int64)
        values = np.empty((len(COLUMNS) + len(self._job.losses), room), np.float32)
        dtype = working_dtype(preds)
        given = as_read(preds)
        common = (labels, self._job.ignore_index, self._kind, self._probs, self._job.tolerance, self._losses)
        if self._job.num_classes <= TILE_CLASSES:
            scratch = lanes(self._job.num_classes, dtype)
            _score_tiles(given, *common, scratch, status, pred, values)
        else:
            scratch = lanes(0, dtype)
            copy = aligned(0 if given.dtype == dtype else self._job.num_classes, dtype)
            _score_rows(given, *common, scratch, copy, aligned(GROUP, dtype), status, pred, values)
        names = (*COLUMNS, *(loss.column for loss in self._job.losses))
        columns: dict[str, Array] = {"pred": pred[:count], **{name: values[i, :count] for i, name in enumerate(names)}}
        return status[:count], columns


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
    ignore_index: Any,
    kind: Any,
    probs: Any,
    tolerance: Any,
    losses: Any,
    scratch: Any,
    status: Any,
    pred: Any,
    values: Any,
) -> None:
    classes = preds.shape[1]
    for start in range(0, len(preds), LANES):
        count = min(LANES, len(preds) - start)
        label_codes(labels, start, count, classes, ignore_index, scratch.codes)
        transpose_rows(preds, start, count, scratch)
        for lane in range(count):
            scratch.rows[OWN + lane] = read(preds[uint64(start + lane), uint64(scratch.codes[lane])])
        tile_sums(scratch, classes, probs)
        _finish(scratch, start, kind, tolerance, losses, status, pred, values)


@compiled
def _score_rows(
    preds: Any,
    labels: Any,
    ignore_index: Any,
    kind: Any,
    probs: Any,
    tolerance: Any,
    losses: Any,
    scratch: Any,
    copy: Any,
    tail: Any,
    status: Any,
    pred: Any,
    values: Any,
) -> None:
    classes = preds.shape[1]
    for start in range(0, len(preds), LANES):
        count = min(LANES, len(preds) - start)
        label_codes(labels, start, count, classes, ignore_index, scratch.codes)
        for lane in range(count):
            row = _row(preds, start + lane, copy)
            fill_tail(row, tail)
            scratch.rows[OWN + lane] = row[uint64(scratch.codes[lane])]
            row_sums(row, tail, scratch, lane, probs)
        _finish(scratch, start, kind, tolerance, losses, status, pred, values)


@part
def _row(preds: Any, at: Any, copy: Any) -> Any:
    if len(copy) == 0:
        return preds[at]
    read_row(preds, at, copy)
    return copy


@part
def _finish(
    scratch: Any, start: Any, kind: Any, tolerance: Any, losses: Any, status: Any, pred: Any, values: Any
) -> None:
    finish(scratch, kind, tolerance)
    rows, codes = scratch.rows, scratch.codes
    for lane in range(LANES):
        status[uint64(start + lane)] = codes[STATUS + lane]
        pred[uint64(start + lane)] = codes[PLACE + lane]
    store(rows, P_LABEL, codes, values[0], start)
    store(rows, P_PRED, codes, values[1], start)
    store(rows, MARGIN, codes, values[2], start)
    store(rows, ENTROPY, codes, values[3], start)
    for which in range(len(losses.kinds)):
        loss_values(rows, codes, losses, which)
        store(rows, VALUE, codes, values[4 + which], start)
