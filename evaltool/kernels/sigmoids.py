"""The kernels of independent sigmoids: binary, multilabel, and a segmentation of one foreground class."""

from typing import Any, NamedTuple

import numpy as np
from numpy import uint64

from evaltool.kernels.compiled import compiled, part
from evaltool.kernels.job import Array, KernelJob
from evaltool.kernels.loading import aligned, as_read
from evaltool.kernels.loss_table import DICE, loss_refusal, loss_table
from evaltool.kernels.run_counts import RunCounts
from evaltool.kernels.sigmoid_tiles import (
    BAD_LABEL,
    BAD_PREDS,
    CE,
    CHOSEN,
    DOUBLES,
    ENTROPY,
    INTEGERS,
    LABEL,
    LANES,
    MARGIN,
    MISS,
    NONFINITE,
    P_LABEL,
    P_PRED,
    PROBS,
    SOME_VALID,
    VALID,
    VALUE,
    count_lane,
    count_value,
    lane_fault,
    load,
    loss_values,
    odds,
    scores,
)
from evaltool.schema import KINDS, OK

AT_SMALLEST = 1.18e-38  # a p_label below stands at SMALLEST
SUM_LANES = 8  # in which a sample's sums go on: a fixed order
ENTROPY_SUM, HIT, ERROR, FALSE_ERROR, LOSS_SUMS = range(5)  # of a sample
# of a sample, in whole numbers
SEEN, N_VALID, N_RIGHT, PAIRS, CLAMPED, WORST, FACTS = 0, 1, 2, 3, 7, 8, 9


class Tallies(NamedTuple):
    """The counters of a job as compiled code adds to them; see ``RunCounts``."""

    brier: Array
    top: Array
    ranking: Array
    classwise: Array
    confusion: Array
    class_sums: Array
    class_numbers: Array
    bins: int


class Given(NamedTuple):
    """What a job says, as compiled code reads it."""

    kind: int
    ignore_index: int
    kinds: Array
    factors: Array
    gammas: Array
    smooth: Array
    squared: Array


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
        clamped = _score_elements(*given, self._tallies, counted, status, pred, losses, values, *scratch)
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
        _score_samples(*given, self._tallies, self._classes, counted, status, losses, values, facts, *room)
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


@part
def _fill(preds: Any, labels: Any, start: Any, count: Any, given: Any, keys: Any, doubles: Any, integers: Any) -> Any:
    seen = load(preds, labels, start, count, given.kind, given.ignore_index, keys, doubles, integers)
    odds(given.kind, doubles, integers)
    scores(doubles, integers)
    return seen


@part
def _store(count: Any, at: Any, out: Any, start: Any, doubles: Any) -> None:
    for j in range(count):
        out[uint64(start + j)] = np.float32(doubles[uint64(at + j)])


@compiled
def _score_elements(
    preds: Any,
    labels: Any,
    given: Any,
    tallies: Any,
    counted: Any,
    status: Any,
    pred: Any,
    losses: Any,
    values: Any,
    doubles: Any,
    integers: Any,
) -> Any:
    """Score single sigmoids [N]; return in how many the label's probability was raised."""
    clamped = 0
    for start in range(0, len(labels), LANES):
        count = min(LANES, len(labels) - start)
        load(preds, labels, start, count, given.kind, given.ignore_index, 0, doubles, integers)
        for j in range(count):
            status[start + j] = lane_fault(j, labels[start + j], given.kind, given.ignore_index, doubles)
        odds(given.kind, doubles, integers)
        scores(doubles, integers)
        for j in range(count):
            pred[start + j] = integers[CHOSEN + j]
        for i, at in enumerate((P_LABEL, P_PRED, MARGIN, ENTROPY)):
            _store(count, at, values[i], start, doubles)
        for i in range(len(given.kinds)):
            loss_values(given.kinds[i], given.factors[i], given.gammas[i], doubles, integers)
            if given.kinds[i] == DICE:
                _element_dice(given.smooth[i], given.squared[i], doubles, integers)
            _store(count, VALUE, losses[i], start, doubles)
        for j in range(count):
            if status[start + j] != 0:
                pred[start + j] = -1
                values[:, start + j] = np.nan
                losses[:, start + j] = np.nan
            elif counted:
                clamped += given.kind == PROBS and doubles[P_LABEL + j] < AT_SMALLEST
                _count(j, 0, 1, tallies, doubles, integers)
                one = integers[LABEL + j]
                for i in range(len(losses)):
                    sums, numbers = tallies.class_sums[i, one], tallies.class_numbers[i, one : one + 1]
                    count_value(sums, numbers, losses[i, start + j], 1)
    return clamped


@part
def _count(j: Any, place: Any, sign: Any, tallies: Any, doubles: Any, integers: Any) -> None:
    count_lane(
        j,
        place,
        sign,
        tallies.bins,
        doubles,
        integers,
        tallies.brier,
        tallies.top,
        tallies.ranking,
        tallies.classwise,
        tallies.confusion[place],
    )


@part
def _element_dice(smooth: Any, squared: Any, doubles: Any, integers: Any) -> None:
    for j in range(LANES):
        error = doubles[MISS + j]
        error = error * error if squared == 1 else error
        hit = doubles[P_LABEL + j] if integers[LABEL + j] == 1 else 0.0
        size = 2.0 * hit + error + smooth[1]
        doubles[VALUE + j] = (error + (smooth[1] - smooth[0])) / size if size != 0.0 else 0.0


@compiled
def _score_samples(
    preds: Any,
    labels: Any,
    given: Any,
    tallies: Any,
    classes: Any,
    counted: Any,
    status: Any,
    losses: Any,
    values: Any,
    facts: Any,
    sums: Any,
    parts: Any,
    doubles: Any,
    integers: Any,
) -> None:
    """Score samples [N, P]; counts of a sample that turns out faulty are taken back."""
    for i in range(len(labels)):
        sums[:] = 0.0
        facts[i] = 0
        facts[i, WORST] = -1
        seen = 0
        end = 0
        for start in range(0, labels.shape[1], LANES):
            count = min(LANES, labels.shape[1] - start)
            here = load(
                preds[i],
                labels[i],
                start,
                count,
                given.kind,
                given.ignore_index,
                2 if classes else 0,
                doubles,
                integers,
            )
            seen |= here
            if seen & (NONFINITE | BAD_LABEL | BAD_PREDS):
                continue
            odds(given.kind, doubles, integers)
            scores(doubles, integers)
            _add_tile(start, count, given, classes, sums, values[i], facts[i], parts, doubles, integers)
            if counted:
                _count_tile(start, count, 1, given, tallies, classes, doubles, integers)
            end = start + LANES
        status[i] = _status(seen)
        if status[i] == 0:
            _finish_sample(i, given, tallies, classes, counted, losses, values, facts[i], sums, parts)
            continue
        losses[:, i] = np.nan
        if counted:
            for start in range(0, min(end, labels.shape[1]), LANES):
                count = min(LANES, labels.shape[1] - start)
                _fill(preds[i], labels[i], start, count, given, 2 if classes else 0, doubles, integers)
                _count_tile(start, count, -1, given, tallies, classes, doubles, integers)


@part
def _status(seen: Any) -> Any:
    if not seen & SOME_VALID:
        return 1
    if seen & NONFINITE:
        return 2
    if seen & BAD_LABEL:
        return 3
    return 4 if seen & BAD_PREDS else 0


@part
def _add_lanes(at: Any, sums: Any, doubles: Any, integers: Any) -> None:
    for first in range(0, LANES, SUM_LANES):
        for k in range(SUM_LANES):
            j = uint64(first + k)
            sums[k] += doubles[uint64(at) + j] if integers[uint64(VALID) + j] == 1 else 0.0


@part
def _add_tile(
    start: Any,
    count: Any,
    given: Any,
    classes: Any,
    sums: Any,
    values: Any,
    facts: Any,
    parts: Any,
    doubles: Any,
    integers: Any,
) -> None:
    """Add a tile to what is known of its sample; every lane of it can be scored."""
    right, ones, chosen, both = 0, 0, 0, 0
    for j in range(LANES):
        valid, one, top = integers[VALID + j], integers[LABEL + j], integers[CHOSEN + j]
        facts[N_VALID] += valid
        right += valid & (one == top)
        ones += valid & one
        chosen += valid & top
        both += valid & one & top
    valid = 0
    for j in range(LANES):
        valid += integers[VALID + j]
        facts[CLAMPED] |= (integers[VALID + j] == 1) & (doubles[P_LABEL + j] < AT_SMALLEST)
    facts[N_RIGHT] += right
    facts[PAIRS] += valid - ones - chosen + both
    facts[PAIRS + 1] += chosen - both
    facts[PAIRS + 2] += ones - both
    facts[PAIRS + 3] += both
    _add_lanes(ENTROPY, sums[ENTROPY_SUM], doubles, integers)
    if classes:
        _worst(start, count, values, facts, doubles, integers)
        _keep_parts(start, count, given, parts, doubles, integers)
    else:
        _add_lanes(P_LABEL, sums[LOSS_SUMS], doubles, integers)
        _add_lanes(P_PRED, sums[LOSS_SUMS + 1], doubles, integers)
        _add_lanes(MARGIN, sums[LOSS_SUMS + 2], doubles, integers)
    _add_overlap(sums, doubles, integers)
    for loss in range(len(given.kinds)):
        if given.kinds[loss] != DICE:
            loss_values(given.kinds[loss], given.factors[loss], given.gammas[loss], doubles, integers)
            _add_lanes(VALUE, sums[LOSS_SUMS + 3 + loss], doubles, integers)


@part
def _add_overlap(sums: Any, doubles: Any, integers: Any) -> None:
    for first in range(0, LANES, SUM_LANES):
        for k in range(SUM_LANES):
            j = uint64(first + k)
            valid = integers[uint64(VALID) + j] == 1
            miss = doubles[uint64(MISS) + j] if valid else 0.0
            sums[HIT, k] += doubles[uint64(P_LABEL) + j] if valid & (integers[uint64(LABEL) + j] == 1) else 0.0
            sums[ERROR, k] += miss
            sums[FALSE_ERROR, k] += miss * miss


@part
def _worst(start: Any, count: Any, values: Any, facts: Any, doubles: Any, integers: Any) -> None:
    worst = np.float32(-1.0) if facts[WORST] < 0 else np.float32(values[0])
    for j in range(count):
        loss = np.float32(doubles[CE + j])
        if integers[VALID + j] == 1 and loss > worst:
            worst = loss
            facts[WORST] = start + j
            values[0], values[1], values[2], values[3] = (
                doubles[CE + j],
                doubles[P_LABEL + j],
                doubles[P_PRED + j],
                doubles[MARGIN + j],
            )


@part
def _keep_parts(start: Any, count: Any, given: Any, parts: Any, doubles: Any, integers: Any) -> None:
    """Keep each class's error, for the class's part of a Dice loss."""
    for loss in range(len(given.kinds)):
        if given.kinds[loss] == DICE:
            for j in range(count):
                miss = doubles[MISS + j] if integers[VALID + j] == 1 else 0.0
                parts[loss, start + j, 0] = miss * miss if given.squared[loss] else miss


@part
def _count_tile(
    start: Any, count: Any, sign: Any, given: Any, tallies: Any, classes: Any, doubles: Any, integers: Any
) -> None:
    for j in range(count):
        if integers[VALID + j] == 1:
            place = start + j if classes else 0
            _count(j, place, sign, tallies, doubles, integers)
    for loss in range(len(given.kinds)):
        if given.kinds[loss] == DICE:
            continue
        loss_values(given.kinds[loss], given.factors[loss], given.gammas[loss], doubles, integers)
        for j in range(count):
            if integers[VALID + j] == 1:
                place = start + j if classes else np.int64(integers[LABEL + j])
                numbers = tallies.class_numbers[loss, place : place + 1]
                count_value(tallies.class_sums[loss, place], numbers, np.float32(doubles[VALUE + j]), sign)


@part
def _finish_sample(
    i: Any,
    given: Any,
    tallies: Any,
    classes: Any,
    counted: Any,
    losses: Any,
    values: Any,
    facts: Any,
    sums: Any,
    parts: Any,
) -> None:
    """Fill in the values of a sample, and count its Dice losses by class."""
    number = np.float64(facts[N_VALID])
    values[i, 4] = _total(sums[ENTROPY_SUM]) / number
    if not classes:
        for k in range(3):
            values[i, 1 + k] = _total(sums[LOSS_SUMS + k]) / number
    for loss in range(len(given.kinds)):
        if given.kinds[loss] != DICE:
            losses[loss, i] = _total(sums[LOSS_SUMS + 3 + loss]) / number
            continue
        smooth = given.smooth[loss, 1] - given.smooth[loss, 0]
        error = _total(sums[FALSE_ERROR] if given.squared[loss] == 1 else sums[ERROR])
        size = 2.0 * _total(sums[HIT]) + error + given.smooth[loss, 1]
        losses[loss, i] = (error + smooth) / size if size != 0.0 else 0.0
        if not counted:
            continue
        if not classes:
            count_value(tallies.class_sums[loss, 1], np.zeros(1, np.int64), losses[loss, i], 1)
            continue
        every = parts.shape[1]
        for c in range(every):
            part_of_c = np.float32((parts[loss, c, 0] + smooth / every) / size if size != 0.0 else 0.0)
            count_value(tallies.class_sums[loss, c], np.zeros(1, np.int64), part_of_c, 1)


@part
def _total(sums: Any) -> Any:
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]))
