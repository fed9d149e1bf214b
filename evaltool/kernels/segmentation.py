"""The kernel of a segmentation of several classes: a softmax at every position, 64 of them at a time.

Sums over the positions of a sample are float64 and in the positions' order, whatever the block.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy import uint64

from evaltool.kernels.compiled import compiled, part, summing_part
from evaltool.kernels.elementary import FURTHEST, SCALE, UNSCALE, exp_scaled, int_of_float
from evaltool.kernels.job import Array, KernelJob
from evaltool.kernels.loading import aligned, as_read, read, working_dtype
from evaltool.kernels.loss_table import loss_refusal
from evaltool.kernels.multiclass import kernel_losses
from evaltool.kernels.run_counts import RunCounts, octave_units
from evaltool.kernels.sigmoid_tiles import calibrated, count_value
from evaltool.kernels.softmax_class_counts import ClassCounts, class_scratch, count_tile
from evaltool.kernels.softmax_counts import tile_ranks
from evaltool.kernels.softmax_finish import DICE, SQUARED_DICE, finish, label_codes, loss_values
from evaltool.kernels.softmax_lanes import (
    ENTROPY,
    LABEL,
    LANES,
    MARGIN,
    MISS,
    OTHERS,
    OWN,
    P_LABEL,
    P_PRED,
    PEAK,
    PLACE,
    STATUS,
    VALUE,
    lanes,
)
from evaltool.kernels.softmax_tiles import tile_sums
from evaltool.schema import IGNORED, KINDS, OK

AT_SMALLEST = 1.18e-38  # a p_label below has been raised to the smallest normal float32
MEANS = (P_LABEL, P_PRED, MARGIN, ENTROPY)
SUM_LANES = 8  # in which a sum over positions goes on
_ZERO = np.float32(0.0)


class SampleSums(NamedTuple):
    """What is known of a sample so far."""

    means: Array  # float64 [4 + L, 8]: of MEANS and the losses by position
    overlap: Array  # float64 [5, C]: hit, false positives, false negatives, and these two squared
    places: Array  # int64 [3, C]: positions of the class in the label, in the prediction, in both


class SampleColumns(NamedTuple):
    """What is told of each sample."""

    status: Array  # int8 [n]
    losses: Array  # float32 [L, n]
    values: Array  # float32 [6, n]: the MEANS, accuracy, iou
    facts: Array  # int64 [3, n]: n_valid, worst_class, 1 where a label's probability was raised
    ends: Array  # int64 [n], how many positions were counted before the first that cannot be


class PositionCounts(NamedTuple):
    """The counters of positions; see ``RunCounts``."""

    brier: Array
    top: Array
    confusion: Array
    label_rank: Array
    class_sums: Array
    class_numbers: Array
    by_class: ClassCounts


class DiceForms(NamedTuple):
    """What the Dice losses of a job are beside their smoothing."""

    every_class: Array  # int64 [L], 1 where the mean is over all classes and not over those in the label


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
        _score_samples(preds, labels, *settings, counted, *scratch, counts, out)

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


@compiled
def _score_samples(
    preds: Any,
    labels: Any,
    ignore_index: Any,
    kind: Any,
    probs: Any,
    tolerance: Any,
    losses: Any,
    forms: Any,
    counted: Any,
    scratch: Any,
    class_room: Any,
    ranks: Any,
    sums: Any,
    counts: Any,
    out: Any,
) -> None:
    classes = preds.shape[1]
    for i in range(len(labels)):
        sums.means[:] = 0.0
        sums.overlap[:] = 0.0
        sums.places[:] = 0
        worst, clamped, end = IGNORED, False, 0
        for start in range(0, labels.shape[1], LANES):
            count = min(LANES, labels.shape[1] - start)
            label_codes(labels[i], start, count, classes, ignore_index, scratch.codes)
            _fill(preds[i], start, count, scratch)
            tile_sums(scratch, classes, probs)
            finish(scratch, kind, tolerance)
            worst = _worse(worst, scratch.codes)
            if worst > IGNORED:
                continue
            clamped |= _any_raised(scratch)
            _add_means(scratch, sums)
            _add_labels(scratch, sums)
            if probs is None:
                _add_false_of_logits(scratch, classes, sums.overlap)
            else:
                _add_false_of_probs(scratch, classes, sums.overlap)
            for which in range(len(losses.kinds)):
                if losses.kinds[which] < DICE:
                    loss_values(scratch.rows, scratch.codes, losses, which)
                    _add_lanes(VALUE, scratch, sums.means[len(MEANS) + which])
                    if counted:
                        _count_values(scratch, counts.class_sums[which], counts.class_numbers[which])
            if counted:
                tile_ranks(scratch, classes, ranks)
                _count_positions(scratch, ranks, counts)
                if counts.by_class.ranking.shape[2]:
                    count_tile(scratch, classes, probs, class_room, counts.by_class)
                end = min(start + LANES, labels.shape[1])
        out.ends[i] = end
        out.status[i] = abs(worst)
        if worst == OK:
            _finish_sample(i, losses, forms, clamped, counted, sums, counts, out)


@part
def _fill(preds: Any, start: Any, count: Any, scratch: Any) -> None:
    """Fill the tile with positions of preds [C, P]; lanes beyond ``count`` hold 0."""
    classes = len(preds)
    for c in range(classes):
        source = preds[c]
        if count == LANES:
            for lane in range(LANES):
                scratch.tile[uint64(c * LANES + lane)] = read(source[uint64(start + lane)])
        else:
            for lane in range(LANES):
                scratch.tile[uint64(c * LANES + lane)] = 0.0
            for lane in range(count):
                scratch.tile[uint64(c * LANES + lane)] = read(source[uint64(start + lane)])
    if classes % 2:  # classes are summed in pairs
        for lane in range(LANES):
            scratch.tile[uint64(classes * LANES + lane)] = -np.inf
    for lane in range(LANES):
        own = scratch.tile[uint64(scratch.codes[LABEL + lane] * LANES + lane)]
        scratch.rows[OWN + lane] = own
        scratch.owns[lane] = own


@part
def _worse(worst: Any, codes: Any) -> Any:
    """Return the status of a sample that was ``worst`` and has these positions: of several faults the first is told."""
    for lane in range(LANES):
        status = codes[STATUS + lane]
        if status == OK:
            worst = OK if worst == IGNORED else worst
        elif status != IGNORED:
            worst = status if worst <= IGNORED else min(worst, status)
    return worst


@part
def _any_raised(scratch: Any) -> Any:
    found = False
    for lane in range(LANES):
        found |= (scratch.codes[STATUS + lane] == OK) & (scratch.rows[P_LABEL + lane] < AT_SMALLEST)
    return found


@part
def _add_lanes(at: Any, scratch: Any, sums: Any) -> None:
    for first in range(0, LANES, SUM_LANES):
        for k in range(SUM_LANES):
            lane = uint64(first + k)
            here = scratch.codes[uint64(STATUS) + lane] == OK
            sums[uint64(k)] += scratch.rows[uint64(at) + lane] if here else 0.0


@part
def _add_means(scratch: Any, sums: Any) -> None:
    _add_lanes(P_LABEL, scratch, sums.means[0])
    _add_lanes(P_PRED, scratch, sums.means[1])
    _add_lanes(MARGIN, scratch, sums.means[2])
    _add_lanes(ENTROPY, scratch, sums.means[3])


@part
def _add_labels(scratch: Any, sums: Any) -> None:
    """Add what belongs to one class of each position: its label's, its prediction's."""
    rows, codes = scratch.rows, scratch.codes
    for lane in range(LANES):
        if codes[STATUS + lane] == OK:
            label, place = uint64(codes[LABEL + lane]), uint64(codes[PLACE + lane])
            miss = rows[MISS + lane]
            sums.overlap[0, label] += rows[P_LABEL + lane]
            sums.overlap[2, label] += miss
            sums.overlap[4, label] += miss * miss
            sums.places[0, label] += 1
            sums.places[1, place] += 1
            sums.places[2, label] += label == place


@part
def _add_false_of_logits(scratch: Any, classes: Any, overlap: Any) -> None:
    for c in range(classes):
        total, squares = _false_of_logits(scratch, c)
        overlap[1, c] += np.float64(total) * UNSCALE
        overlap[3, c] += np.float64(squares) * UNSCALE * UNSCALE


@summing_part
def _false_of_logits(scratch: Any, c: Any) -> Any:
    """Return the sums of 2^56 p_c and of its square over the positions of another label."""
    total, squares = _ZERO, _ZERO
    for lane in range(LANES):
        g = np.float32(scratch.tops[lane] - scratch.tile[uint64(c * LANES + lane)])
        other = (scratch.codes[LABEL + lane] != c) & (scratch.codes[STATUS + lane] == OK)
        share = np.float32(scratch.rows[P_PRED + lane]) if other else _ZERO
        p = exp_scaled(-(g if g < FURTHEST else FURTHEST)) * share
        total += p
        squares += p * p
    return total, squares


@part
def _add_false_of_probs(scratch: Any, classes: Any, overlap: Any) -> None:
    for c in range(classes):
        total, squares = _false_of_probs(scratch, c)
        overlap[1, c] += np.float64(total) * UNSCALE
        overlap[3, c] += np.float64(squares) * UNSCALE * UNSCALE


@summing_part
def _false_of_probs(scratch: Any, c: Any) -> Any:
    total, squares = _ZERO, _ZERO
    for lane in range(LANES):
        other = (scratch.codes[LABEL + lane] != c) & (scratch.codes[STATUS + lane] == OK)
        share = scratch.rows[P_PRED + lane] * np.float64(SCALE) / scratch.rows[PEAK + lane]
        value = np.float64(scratch.tile[uint64(c * LANES + lane)])
        p = np.float32((value if value > 0.0 else 0.0) * (share if other else 0.0))
        total += p
        squares += p * p
    return total, squares


@part
def _count_values(scratch: Any, sums: Any, numbers: Any) -> None:
    for lane in range(LANES):
        if scratch.codes[STATUS + lane] == OK:
            label = scratch.codes[LABEL + lane]
            count_value(sums[label], numbers[label : label + 1], np.float32(scratch.rows[VALUE + lane]), 1)


@part
def _count_positions(scratch: Any, ranks: Any, counts: Any) -> None:
    rows, codes = scratch.rows, scratch.codes
    for lane in range(LANES):
        if codes[STATUS + lane] == OK:
            label, place = codes[LABEL + lane], codes[PLACE + lane]
            square = np.float32(rows[MISS + lane] * rows[MISS + lane] + rows[OTHERS + lane])
            octave, units = octave_units(np.int64(int_of_float(square)))
            counts.brier[uint64(octave)] += units
            counts.brier[255] += 1
            counts.confusion[uint64(label), uint64(place)] += 1
            counts.label_rank[uint64(min(ranks[lane], len(counts.label_rank) - 1))] += 1
            cell, units = calibrated(np.float32(rows[P_PRED + lane]))
            counts.top[uint64(cell), 0] += 1
            counts.top[uint64(cell), 1] += label == place
            counts.top[uint64(cell), 2] += units


@part
def _total(sums: Any) -> Any:
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]))


@part
def _finish_sample(
    i: Any, losses: Any, forms: Any, clamped: Any, counted: Any, sums: Any, counts: Any, out: Any
) -> None:
    in_label, in_pred, in_both = sums.places[0], sums.places[1], sums.places[2]
    number = in_label.sum()
    for k in range(4):
        out.values[k, i] = _total(sums.means[k]) / number
    out.values[4, i] = in_both.sum() / number
    present, iou_sum, lowest, lowest_at = 0, 0.0, np.float64(2.0), 0
    for c in range(len(in_label)):
        if in_label[c]:
            # float32, in which nearly equal ones are equal and the first is told
            iou = np.float64(np.float32(in_both[c] / (in_label[c] + in_pred[c] - in_both[c])))
            present += 1
            iou_sum += iou
            if iou < lowest:
                lowest, lowest_at = iou, c
    out.values[5, i] = iou_sum / present
    out.facts[0, i], out.facts[1, i], out.facts[2, i] = number, lowest_at, clamped
    for which in range(len(losses.kinds)):
        if losses.kinds[which] < DICE:
            out.losses[which, i] = _total(sums.means[4 + which]) / number
        else:
            every = forms.every_class[which] == 1
            out.losses[which, i] = _dice(which, losses, every, present, sums, counted, counts.class_sums[which])


@part
def _dice(which: Any, losses: Any, every: Any, present: Any, sums: Any, counted: Any, class_sums: Any) -> Any:
    """Return a Dice loss, the mean over its classes, and count their parts of it."""
    smooth_nr, smooth_dr = losses.numbers[which, 0], losses.numbers[which, 1]
    classes = sums.places.shape[1]
    squared = losses.kinds[which] == SQUARED_DICE
    total = 0.0
    for c in range(classes):
        if not every and sums.places[0, c] == 0:
            continue
        error = sums.overlap[3, c] + sums.overlap[4, c] if squared else sums.overlap[1, c] + sums.overlap[2, c]
        size = 2.0 * sums.overlap[0, c] + error + smooth_dr
        value = (error + (smooth_dr - smooth_nr)) / size if size != 0.0 else 0.0
        value /= classes if every else present
        total += value
        if counted:
            count_value(class_sums[c], np.zeros(1, np.int64), np.float32(value), 1)
    return total
