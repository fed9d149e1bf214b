"""The kernel of a segmentation of several classes: a softmax at every position of samples [N, C, *S]."""

from typing import Any, NamedTuple

import numpy as np
from numpy import uint64

from evaltool.kernels.compiled import compiled, part
from evaltool.kernels.job import Array, KernelJob
from evaltool.kernels.loading import aligned, as_read, working_dtype, writable
from evaltool.kernels.loss_table import loss_refusal, loss_table
from evaltool.kernels.multiclass import KernelLosses, Question, kernel_losses
from evaltool.kernels.position_counts import (
    CountScratch,
    count_classes,
    count_positions,
    count_sample,
    count_scratch,
    count_value,
    count_values,
    count_wrong,
    flush_scratch,
    position_counts,
)
from evaltool.kernels.position_tiles import (
    MEANS,
    SampleSums,
    add_false,
    add_lanes,
    add_positions,
    clear_sums,
    fill_tile,
    sample_sums,
    some_valid,
    ways,
    worst_status,
)
from evaltool.kernels.run_counts import RunCounts
from evaltool.kernels.softmax_counts import tile_ranks
from evaltool.kernels.softmax_finish import DICE, SQUARED_DICE, finish, label_codes, loss_values
from evaltool.kernels.softmax_lanes import LANES, VALUE, Lanes, lanes
from evaltool.kernels.softmax_tiles import tile_sums
from evaltool.schema import IGNORED, KINDS, NONFINITE, OK

_NONE = np.float32(2.0)  # above every intersection over union
COLUMNS = ("p_label", "p_pred", "margin", "entropy", "accuracy", "iou")


class MapLosses(NamedTuple):
    """The losses of a job of samples with positions; L of them."""

    by_position: KernelLosses
    smooth: Array  # float64 [L, 2], of the Dice losses
    every_class: Array  # int64 [L], 1 where the mean is over all classes and not over those in the label
    dice: int  # whether there is a Dice loss
    squared: int  # whether there is one of squares


class Scratch(NamedTuple):
    """Memory of one thread for one dtype."""

    lanes: Lanes
    ranks: Array  # int32 [64]
    sums: SampleSums
    counting: CountScratch


class Answer(NamedTuple):
    """What is told of each sample."""

    status: Array  # int8 [n]
    n_valid: Array  # int64 [n]
    worst_class: Array  # int64 [n]
    raised: Array  # bool [n], a label's probability was raised to the smallest normal float32
    counted: Array  # int64 [n], positions before the first tile that holds one that cannot be scored
    values: Array  # float32 [6 + L, n]


class SegmentationKernel:
    """Scores samples [n, C, *S] of a softmax over C >= 2 classes at every position, in one thread.

    Args:
        job: a job of several classes that ``refusal`` finds nothing against.
        count: also count, which takes longer than the columns do.
    """

    def __init__(self, job: KernelJob, *, count: bool = True) -> None:
        self._job = job
        self._counting = count
        table = loss_table(job)
        by_position = kernel_losses(job)
        dice, squared = (by_position.kinds >= DICE).any(), (by_position.kinds == SQUARED_DICE).any()
        self._losses = MapLosses(by_position, table.smooth, table.every_class, int(dice), int(squared))
        self._question = Question(job.ignore_index, KINDS.index(job.preds_are), job.tolerance)
        self._probs = 1 if job.preds_are == "probs" else None
        self._counts = RunCounts(job)
        self._scratch: dict[Any, Scratch] = {}

    @staticmethod
    def refusal(job: KernelJob) -> str | None:
        """Return why the kernel cannot do a job, or None if it can."""
        return loss_refusal(job)

    def score(self, preds: Array, labels: Array) -> tuple[Array, dict[str, Array]]:
        """Return the status, int8 [n], and the columns, [n] each, of preds [n, C, *S] and int64 labels [n, *S]."""
        n, classes = preds.shape[:2]
        positions = int(np.prod(preds.shape[2:]))
        given = as_read(preds).reshape(n, classes, positions)
        labels = writable(labels).reshape(n, positions)
        answer = self._new_answer(n)
        self._counts.make_room(n * positions)
        every = np.arange(n)
        self._run(given, labels, every, np.full(n, positions), self._counts, answer)
        columns: dict[str, Array] = {"n_valid": answer.n_valid, "worst_class": answer.worst_class}
        columns |= dict(zip((*COLUMNS, *self._counts.losses), answer.values, strict=True))
        if self._counting:
            self._take_back(given, labels, answer)
            self._counts.add_rows(answer.status, answer.values[len(COLUMNS) :])
            if self._probs is not None:
                self._counts.n_clamped += int(answer.raised.sum())
        return answer.status, columns

    def counts(self) -> dict[str, Array]:
        """Return what was counted so far, in the layout of ``state.npz``."""
        counts = self._counts
        counts.classwise[:, 0, 0] = counts.top[:, 0].sum() - counts.classwise[:, 1:, 0].sum(1)
        return counts.arrays()

    def _take_back(self, preds: Array, labels: Array, answer: Answer) -> None:
        """Take back what was counted of samples before it was found that they cannot be scored."""
        some = np.flatnonzero((answer.status != OK) & (answer.counted > 0))
        if len(some):
            wrong = RunCounts(self._job)
            self._run(preds, labels, some, answer.counted[some], wrong, self._new_answer(len(answer.status)))
            self._counts.subtract(wrong)

    def _new_answer(self, n: int) -> Answer:
        return Answer(
            np.empty(n, np.int8),
            np.full(n, -1, np.int64),
            np.full(n, -1, np.int64),
            np.zeros(n, np.bool_),
            np.zeros(n, np.int64),
            np.full((len(COLUMNS) + len(self._job.losses), n), np.nan, np.float32),
        )

    def _run(
        self, preds: Array, labels: Array, samples: Array, stops: Array, counts: RunCounts, answer: Answer
    ) -> None:
        if preds.dtype not in self._scratch:
            self._scratch[preds.dtype] = self._new_scratch(working_dtype(preds))
        scratch = self._scratch[preds.dtype]
        tallies = position_counts(counts)
        question, probs, losses = self._question, self._probs, self._losses
        _score_samples(preds, labels, samples, stops, question, probs, losses, scratch, self._counting, tallies, answer)

    def _new_scratch(self, dtype: Any) -> Scratch:
        classes = self._job.num_classes
        return Scratch(
            lanes(classes, dtype),
            aligned(LANES, np.int32),
            sample_sums(classes, len(self._job.losses)),
            count_scratch(classes),
        )


@compiled
def _score_samples(
    preds: Any,
    labels: Any,
    samples: Any,
    stops: Any,
    question: Any,
    probs: Any,
    losses: Any,
    scratch: Any,
    counting: Any,
    counts: Any,
    answer: Any,
) -> None:
    """Score samples [C, P] up to the positions ``stops``; one of which not all are asked for is counted alone."""
    for which in range(len(samples)):
        i = samples[which]
        stop = stops[which]
        clear_sums(scratch.sums)
        status, counted, raised = IGNORED, 0, False
        for start in range(0, stop, LANES):
            count = min(LANES, stop - start)
            label_codes(labels[i], start, count, preds.shape[1], question.ignore_index, scratch.lanes.codes)
            if not some_valid(scratch.lanes.codes):
                continue
            fill_tile(preds[i], start, count, scratch.lanes)
            tile_sums(scratch.lanes, preds.shape[1], probs)
            finish(scratch.lanes, question.kind, question.tolerance)
            status = worst_status(status, scratch.lanes.codes)
            if status == NONFINITE:
                break
            if status == OK:
                raised |= _add_tile(probs, losses, scratch, counting, counts)
                counted = start + LANES
        if counting:
            count_sample(scratch.sums, losses.by_position.kinds, counts)
        answer.status[i] = status
        answer.counted[i] = min(counted, stop)
        if status == OK and stop == preds.shape[2]:
            answer.raised[i] = raised
            _finish_overlap(i, scratch.sums, answer)
            _finish_losses(i, losses, scratch.sums, counting, counts, answer)
    if counting:
        flush_scratch(scratch.counting, counts)


@part
def _add_tile(probs: Any, losses: Any, scratch: Any, counting: Any, counts: Any) -> Any:
    """Add a tile to the sums of its sample, and to the counts; return whether a label's probability was raised."""
    lanes, sums = scratch.lanes, scratch.sums
    classes = counts.confusion.shape[0]
    raised, wrong = add_positions(lanes, losses.squared, sums)
    for which in range(len(losses.by_position.kinds)):
        if losses.by_position.kinds[which] < DICE:
            loss_values(lanes.rows, lanes.codes, losses.by_position, which)
            add_lanes(lanes.rows, lanes.codes, VALUE, sums, len(MEANS) + which)
            if counting:
                count_values(lanes, which, scratch.counting, counts)
    if losses.dice:
        add_false(lanes, classes, probs, sums)
    if counting:
        count_positions(lanes, scratch.counting, counts)
        count_classes(lanes, classes, probs, scratch.counting, counts)
        if wrong:
            tile_ranks(lanes, classes, scratch.ranks)
            count_wrong(lanes, scratch.ranks, counts)
    return raised


@part
def _finish_overlap(i: Any, sums: Any, answer: Any) -> None:
    """Fill in what follows from where label and prediction agree."""
    valid, right, present = 0, 0, 0
    total = 0.0
    worst = -1
    lowest: Any = _NONE
    for c in range(len(sums.falsely)):
        in_both = ways(sums.in_both, c)
        in_label = in_both + sums.only_label[c]
        valid += in_label
        right += in_both
        if in_label:
            either = in_label + sums.only_pred[c]
            iou = np.float32(np.float32(in_both) / np.float32(either))
            total += np.float64(iou)
            present += 1
            worst = c if iou < lowest else worst
            lowest = iou if iou < lowest else lowest
    answer.n_valid[i] = valid
    answer.worst_class[i] = worst
    answer.values[len(MEANS), i] = right / valid
    answer.values[len(MEANS) + 1, i] = total / present


@part
def _finish_losses(i: Any, losses: Any, sums: Any, counting: Any, counts: Any, answer: Any) -> None:
    valid = answer.n_valid[i]
    for which in range(len(MEANS)):
        answer.values[which, i] = _lane_sum(sums.means, which) / valid
    for which in range(len(losses.by_position.kinds)):
        if losses.by_position.kinds[which] < DICE:
            value = _lane_sum(sums.means, len(MEANS) + which) / valid
        else:
            value = _dice(which, losses, sums, counting, counts)
        answer.values[len(COLUMNS) + which, i] = value


@part
def _lane_sum(means: Any, which: Any) -> Any:
    total = 0.0
    for lane in range(LANES):
        total += means[uint64(which * LANES + lane)]
    return total


@part
def _dice(which: Any, losses: Any, sums: Any, counting: Any, counts: Any) -> Any:
    """Return the mean over classes of (error + dr - nr) / (2 hit + error + dr); a size of 0 gives 0."""
    every = losses.every_class[which] == 1
    squared = losses.by_position.kinds[which] == SQUARED_DICE
    present = 0
    for c in range(len(sums.falsely)):
        present += every or ways(sums.in_both, c) + sums.only_label[c] > 0
    total = 0.0
    for c in range(len(sums.falsely)):
        number = ways(sums.in_both, c) + sums.only_label[c]
        if number == 0 and not every:
            continue
        missed = ways(sums.missed, c)
        error = ways(sums.missed_squares, c) + sums.false_squares[c] if squared else missed + sums.falsely[c]
        # the hits are what is not missed; beside the misses nothing is lost of them that the size could hold
        size = 2.0 * (number - missed) + error + losses.smooth[which, 1]
        value = (error + (losses.smooth[which, 1] - losses.smooth[which, 0])) / size if size > 0.0 else 0.0
        value /= present
        total += value
        if counting:
            count_value(np.float32(value), which, c, counts)
    return total
