"""The kernels of independent sigmoids: binary, multilabel, and a segmentation of one foreground class."""

import numpy as np

from evaltool.kernels.job import Array, KernelJob
from evaltool.kernels.loading import aligned, as_read
from evaltool.kernels.loss_table import loss_refusal, loss_table
from evaltool.kernels.run_counts import RunCounts
from evaltool.kernels.sigmoid_blocks import (
    CLAMPED,
    FACTS,
    LOSS_SUMS,
    N_RIGHT,
    N_VALID,
    PAIRS,
    SUM_LANES,
    WORST,
    Given,
    Tallies,
    score_elements,
    score_samples,
)
from evaltool.kernels.sigmoid_tiles import (
    DOUBLES,
    INTEGERS,
    LANES,
    PROBS,
)
from evaltool.schema import KINDS, OK


class _SigmoidKernel:
    """What the kernels of sigmoids share: the job, its losses and its counts.

    Args:
        job: a job that ``refusal`` finds nothing against.
    """

    def __init__(self, job: KernelJob) -> None:
        self._job = job
        self._count = RunCounts(job)
        table = loss_table(job)
        kind = KINDS.index(job.preds_are)
        self._given = Given(
            kind, job.ignore_index, table.kinds, table.factors, table.gammas, table.smooth, table.squared
        )
        counts = self._count
        self._tallies = Tallies(
            counts.brier,
            counts.top,
            counts.ranking,
            counts.classwise,
            counts.confusion.reshape(-1, 2, 2),
            counts.class_sums,
            counts.class_numbers,
            counts.bins,
        )
        self._doubles = aligned(DOUBLES * LANES, np.float64)
        self._doubles.fill(0.0)
        self._integers = aligned(INTEGERS * LANES, np.int32)

    @staticmethod
    def refusal(job: KernelJob) -> str | None:
        """Return why the kernel cannot do a job, or None if it can."""
        return loss_refusal(job)

    def counts(self) -> dict[str, Array]:
        """Return everything counted so far, as ``state.npz`` holds it."""
        return self._count.arrays()

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
        given = as_read(preds).reshape(-1), labels.reshape(-1), self._given
        scratch = self._doubles, self._integers
        clamped = score_elements(*given, self._tallies, counted, status, pred, losses, values, *scratch)
        if counted:
            self._count.add_rows(status, losses)
            self._count.n_clamped += clamped
        columns = {"pred": pred} | dict(zip(names, values, strict=True))
        return status, self._losses(columns, losses)


class _SampleKernel(_SigmoidKernel):
    """Scores samples of several sigmoids."""

    _classes: bool  # each is a class of its own

    def _score(self, preds: Array, labels: Array, counted: bool) -> tuple[Array, Array, Array, Array]:
        """Return the status, the losses [L, n], and the sums and facts of each sample."""
        n = len(labels)
        numbers = labels.reshape(n, -1)
        self._count.make_room(numbers.size)
        status = np.empty(n, np.int8)
        losses = np.empty((len(self._job.losses), n), np.float32)
        values = np.empty((n, 5), np.float64)
        facts = np.empty((n, FACTS), np.int64)
        sums = np.zeros((LOSS_SUMS + 3 + len(losses), SUM_LANES))
        parts = np.zeros((len(losses), self._job.num_classes if self._classes else 1, 2), np.float32)
        given = as_read(preds).reshape(n, -1), numbers, self._given
        room = sums, parts, self._doubles, self._integers
        score_samples(*given, self._tallies, self._classes, counted, status, losses, values, facts, *room)
        if counted:
            self._count.add_rows(status, losses)
            self._count.n_clamped += int(facts[status == OK, CLAMPED].sum()) if self._given.kind == PROBS else 0
        return status, losses, values, facts


class MultilabelKernel(_SampleKernel):
    """Scores samples of one sigmoid per class, [n, C]."""

    _classes = True

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

    _classes = False

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
