"""The kernels of independent sigmoids: binary, multilabel, and a segmentation of one foreground class."""

from typing import Any

import numpy as np

from evaltool.kernels.job import Array, KernelJob
from evaltool.kernels.loading import aligned, as_read
from evaltool.kernels.loss_table import DICE, loss_refusal, loss_table
from evaltool.kernels.run_counts import RunCounts
from evaltool.kernels.sigmoid_blocks import (
    CLAMPED,
    FACTS,
    LOSS_SUMS,
    N_RIGHT,
    N_VALID,
    PAIRS,
    WORST,
    Given,
    Scratch,
    score_elements,
    score_samples,
)
from evaltool.kernels.sigmoid_counts import CELLS, COPIES, SLOTS, SigmoidCounts
from evaltool.kernels.sigmoid_tiles import LANES, LOGITS, PROBS, ROWS
from evaltool.numerics.float_bits import OCTAVES
from evaltool.schema import KINDS, OK


class _SigmoidKernel:
    """What the kernels of sigmoids share: the job, its losses and its counts.

    Args:
        job: a job that ``refusal`` finds nothing against.
    """

    def __init__(self, job: KernelJob) -> None:
        self._job = job
        self._count = RunCounts(job)
        self._classes = job.task == "multilabel"
        self._lanes = max(LANES, job.num_classes)
        self._counters = self._places()
        self._given = self._table()
        per_tile = LANES // job.num_classes if self._classes else 1
        self._scratch = Scratch(
            aligned(ROWS * LANES, np.float32),
            aligned(LANES, np.float64),
            aligned(LANES, np.int32),
            aligned(self._lanes, np.float32),
            np.zeros((max(LANES, per_tile), LOSS_SUMS + len(job.losses))),
        )

    def _table(self) -> Given:
        """Return the job's losses, their numbers laid out by the lane."""
        table = loss_table(self._job)
        lanes = np.arange(self._lanes)
        keys = lanes % self._job.num_classes * 2 if self._classes else np.zeros_like(lanes)

        def by_lane(values: Array) -> Array:
            return np.stack([values[:, keys], values[:, keys + 1]], 1).astype(np.float32)

        return Given(
            KINDS.index(self._job.preds_are),
            KINDS.index(self._job.preds_are) != LOGITS,
            self._job.ignore_index,
            table.kinds,
            (table.factors != 1.0).any(1),
            by_lane(table.factors),
            by_lane(table.gammas),
            table.smooth,
            table.squared,
            bool((table.kinds == DICE).any()),
        )

    def _places(self) -> SigmoidCounts:
        """Return the counters; those of classes are the run's own, others are told apart in ``_fold``."""
        count, number = self._count, len(self._job.losses)
        lanes = np.arange(LANES, dtype=np.int32)
        if self._classes:
            c = lanes % self._job.num_classes if self._job.num_classes <= LANES else lanes
            places = np.stack([c * OCTAVES, c * CELLS, c * 2 * count.bins]).astype(np.int32)
            sums, cells = count.class_sums.reshape(number, -1), self._job.num_classes * CELLS
        else:
            c = lanes % COPIES
            places = np.stack([c * 2 * SLOTS, c * CELLS, 0 * c]).astype(np.int32)
            sums, cells = np.zeros((number, COPIES * 2 * SLOTS), np.int64), COPIES * CELLS
        return SigmoidCounts(
            places,
            0 if self._classes else SLOTS,
            count.bins,
            max(1, LANES // self._job.num_classes) if self._classes else LANES // COPIES,
            np.zeros(COPIES * SLOTS, np.int64),
            count.ranking,
            sums,
            count.class_numbers,
            np.zeros(COPIES * CELLS if len(count.top) else 0, np.int64),
            np.zeros(cells if count.bins else 0, np.int64),
            np.zeros(self._lanes if self._classes else 0, np.int32),
            count.top,
            count.classwise,
            count.confusion.reshape(-1, 2, 2),
            aligned(LANES, np.int32),
            aligned(LANES, np.int32),
            aligned(LANES, np.int64),
            np.zeros(1, np.int64),
        )

    @staticmethod
    def refusal(job: KernelJob) -> str | None:
        """Return why the kernel cannot do a job, or None if it can."""
        return loss_refusal(job)

    def counts(self) -> dict[str, Array]:
        """Return everything counted so far, as ``state.npz`` holds it."""
        self._fold()
        return self._count.arrays()

    def _fold(self) -> None:
        """Move what the copies of a counter hold to the one counter."""
        counters = self._counters
        self._count.brier += counters.brier.reshape(COPIES, SLOTS).sum(0)
        counters.brier[:] = 0
        if not self._classes:
            sums = counters.sums.reshape(-1, COPIES, 2, SLOTS)
            self._count.class_sums += sums.sum(1)[..., :OCTAVES]
            sums[:] = 0

    def _input(self, preds: Array, labels: Array) -> tuple[Array, Array]:
        """Return preds and labels, flat."""
        return as_read(preds).reshape(-1), labels.reshape(-1)

    def _given_of(self, preds: Array) -> Any:
        return self._given._replace(wide=self._given.wide or preds.dtype == np.float64)

    def _losses(self, columns: dict[str, Array], losses: Array) -> dict[str, Array]:
        return columns | {loss.column: values for loss, values in zip(self._job.losses, losses, strict=True)}


class BinaryKernel(_SigmoidKernel):
    """Scores single sigmoids, [n] or [n, 1]."""

    def score(self, preds: Array, labels: Array, *, counted: bool = True) -> tuple[Array, dict[str, Array]]:
        """Return the status and the columns, as ``Kernel.score``; ``counted`` False leaves the counts as they are."""
        n = len(labels)
        self._count.make_room(n)
        status, pred = np.empty(n, np.int8), np.empty(n, np.int64)
        losses = np.empty((len(self._job.losses), n), np.float32)
        names = ("p_label", "p_pred", "margin", "entropy")
        values = np.empty((len(names), n), np.float32)
        given = *self._input(preds, labels), self._given_of(preds)
        clamped = score_elements(*given, self._counters, counted, status, pred, losses, values, self._scratch)
        if counted:
            self._count.add_rows(status, losses)
            self._count.n_clamped += clamped
        columns = {"pred": pred} | dict(zip(names, values, strict=True))
        return status, self._losses(columns, losses)


class _SampleKernel(_SigmoidKernel):
    """Scores samples of several sigmoids."""

    def _score(self, preds: Array, labels: Array, counted: bool) -> tuple[Array, Array, Array, Array]:
        """Return the status, the losses [L, n], and the sums and facts of each sample."""
        n = len(labels)
        self._count.make_room(labels.size)
        status = np.empty(n, np.int8)
        losses = np.empty((len(self._job.losses), n), np.float32)
        values = np.empty((n, 5), np.float64)
        facts = np.zeros((n, FACTS), np.int64)
        size = labels.size // max(1, n)
        given = *self._input(preds, labels), size, self._given_of(preds), self._counters, self._classes, counted
        score_samples(*given, status, losses, values, facts, self._scratch)
        if counted:
            self._count.add_rows(status, losses)
            self._count.n_clamped += int(facts[status == OK, CLAMPED].sum()) if self._given.kind == PROBS else 0
        return status, losses, values, facts


class MultilabelKernel(_SampleKernel):
    """Scores samples of one sigmoid per class, [n, C]."""

    def score(self, preds: Array, labels: Array, *, counted: bool = True) -> tuple[Array, dict[str, Array]]:
        """Return the status and the columns, as ``Kernel.score``; ``counted`` False leaves the counts as they are."""
        status, losses, values, facts = self._score(preds, labels, counted)
        ok = status == OK
        names = ("worst_class_loss", "p_label", "p_pred", "margin", "entropy")
        columns = {
            "n_wrong": np.where(ok, facts[:, N_VALID] - facts[:, N_RIGHT], -1),
            "worst_class": np.where(ok, facts[:, WORST], -1),
        } | {name: np.where(ok, values[:, i], np.nan).astype(np.float32) for i, name in enumerate(names)}
        return status, self._losses(columns, losses)


class ForegroundKernel(_SampleKernel):
    """Scores segmentations of one foreground class, [n, *S] or [n, 1, *S]."""

    def score(self, preds: Array, labels: Array, *, counted: bool = True) -> tuple[Array, dict[str, Array]]:
        """Return the status and the columns, as ``Kernel.score``; ``counted`` False leaves the counts as they are."""
        status, losses, values, facts = self._score(preds, labels, counted)
        ok = status == OK
        pairs = facts[:, PAIRS : PAIRS + 4].reshape(-1, 2, 2)
        both = pairs[:, [0, 1], [0, 1]]
        either = pairs.sum(1) + pairs.sum(2) - both
        iou = both / np.maximum(either, 1)
        n_valid = facts[:, N_VALID]
        count = np.maximum(n_valid, 1)
        columns = {
            "n_valid": np.where(ok, n_valid, -1),
            "accuracy": np.where(ok, facts[:, N_RIGHT] / count, np.nan).astype(np.float32),
            "iou": np.where(ok, np.where(either[:, 1] > 0, iou[:, 1], 1.0), np.nan).astype(np.float32),
            "worst_class": np.where(ok, np.where(either > 0, iou, 2.0).argmin(1), -1),
        }
        for i, name in enumerate(("", "p_label", "p_pred", "margin", "entropy")):
            if name:
                columns[name] = np.where(ok, values[:, i], np.nan).astype(np.float32)
        return status, self._losses(columns, losses)
