"""The kernel of a segmentation of several classes."""

from typing import Any

import numpy as np

from evaltool.kernels.job import Array, KernelJob
from evaltool.kernels.loading import aligned, as_read, working_dtype
from evaltool.kernels.loss_table import loss_refusal
from evaltool.kernels.multiclass import kernel_losses
from evaltool.kernels.run_counts import RunCounts
from evaltool.kernels.segmentation_blocks import (
    MEANS,
    SUM_LANES,
    DiceForms,
    PositionCounts,
    SampleColumns,
    SampleSums,
    score_samples,
)
from evaltool.kernels.softmax_class_counts import ClassCounts, class_scratch
from evaltool.kernels.softmax_finish import DICE
from evaltool.kernels.softmax_lanes import (
    LANES,
    lanes,
)
from evaltool.schema import KINDS, OK


class SegmentationKernel:
    """Scores samples [n, C, *S] of a softmax in one thread.

    Args:
        job: a job that ``refusal`` finds nothing against.
    """

    def __init__(self, job: KernelJob) -> None:
        self._job = job
        self._count = RunCounts(job)
        self._losses = kernel_losses(job)
        every = [loss.parameters.get("classes") == "all" for loss in job.losses]
        self._forms = DiceForms(np.array(every, np.int64))
        self._kind = KINDS.index(job.preds_are)
        self._probs = 1 if job.preds_are == "probs" else None
        classes = job.num_classes
        self._sums = SampleSums(
            np.zeros((len(MEANS) + len(job.losses), SUM_LANES)),
            np.zeros((5, classes)),
            np.zeros((3, classes), np.int64),
        )
        self._class_scratch = class_scratch(classes)._replace(units=aligned(classes * LANES, np.int32))
        self._ranks = aligned(LANES, np.int32)
        self._scratch: dict[Any, Any] = {}

    @staticmethod
    def refusal(job: KernelJob) -> str | None:
        """Return why the kernel cannot do a job, or None if it can."""
        return loss_refusal(job)

    def counts(self) -> dict[str, Array]:
        """Return everything counted so far, as ``state.npz`` holds it."""
        # the number of cases in the lowest bin is what the other bins leave
        classwise, positions = self._count.classwise, int(self._count.top[:, 0].sum())
        if len(classwise):
            classwise[:, 0, 0] = positions - classwise[:, 1:, 0].sum(1)
        return self._count.arrays()

    def score(self, preds: Array, labels: Array, *, counted: bool = True) -> tuple[Array, dict[str, Array]]:
        """Return the status and the columns, as ``Kernel.score``; ``counted`` False leaves the counts as they are."""
        n, classes = len(labels), self._job.num_classes
        self._count.make_room(labels.size)
        given, wanted = as_read(preds).reshape(n, classes, -1), labels.reshape(n, -1)
        out = SampleColumns(
            np.empty(n, np.int8),
            np.full((len(self._job.losses), n), np.nan, np.float32),
            np.full((6, n), np.nan, np.float32),
            np.full((3, n), -1, np.int64),
            np.zeros(n, np.int64),
        )
        self._run(given, wanted, counted, _position_counts(self._count), out)
        if counted:
            self._take_back(given, wanted, out)
            self._count.add_rows(out.status, out.losses)
            if self._probs:
                self._count.n_clamped += int((out.facts[2] == 1).sum())
        columns = {
            "n_valid": out.facts[0],
            "accuracy": out.values[4],
            "iou": out.values[5],
            "worst_class": out.facts[1],
        }
        columns |= dict(zip(("p_label", "p_pred", "margin", "entropy"), out.values, strict=False))
        return out.status, columns | {loss.column: out.losses[i] for i, loss in enumerate(self._job.losses)}

    def _run(self, preds: Array, labels: Array, counted: bool, counts: PositionCounts, out: SampleColumns) -> None:
        dtype = working_dtype(preds)
        if dtype not in self._scratch:
            self._scratch[dtype] = lanes(self._job.num_classes, dtype)
        settings = self._job.ignore_index, self._kind, self._probs, self._job.tolerance, self._losses, self._forms
        scratch = self._scratch[dtype], self._class_scratch, self._ranks, self._sums
        score_samples(preds, labels, *settings, counted, *scratch, counts, out)

    def _take_back(self, preds: Array, labels: Array, out: SampleColumns) -> None:
        """Take back what was counted of samples of which a later position cannot be scored."""
        some = np.flatnonzero((out.status != OK) & (out.ends > 0))
        if not len(some):
            return
        wrong = RunCounts(self._job)
        for i in some:
            # positions before the fault, as a sample of its own
            stop = out.ends[i]
            again = SampleColumns(*(np.copy(values[..., i : i + 1]) for values in out))
            cut = np.ascontiguousarray(preds[i : i + 1, :, :stop])
            self._run(cut, np.ascontiguousarray(labels[i : i + 1, :stop]), True, _position_counts(wrong), again)
            _forget_parts(wrong, self._losses.kinds)
        self._count.subtract(wrong)


def _position_counts(counts: RunCounts) -> PositionCounts:
    bins = counts.bins
    ranking = counts.ranking[:-1].reshape(-1, 2, bins)
    return PositionCounts(
        counts.brier,
        counts.top,
        counts.confusion,
        counts.label_rank,
        counts.class_sums,
        counts.class_numbers,
        ClassCounts(ranking, counts.classwise),
    )


def _forget_parts(counts: RunCounts, kinds: Array) -> None:
    """Drop the Dice losses by class: a sample that cannot be scored has added none."""
    counts.class_sums[kinds >= DICE] = 0
