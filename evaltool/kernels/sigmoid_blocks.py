"""Blocks of sigmoids: single ones, and samples of several, in tiles of 128 lanes."""

from typing import Any, NamedTuple

import numpy as np
from numpy import uint64

from evaltool.kernels.compiled import compiled, part
from evaltool.kernels.job import Array
from evaltool.kernels.loss_table import DICE
from evaltool.kernels.run_counts import count_value
from evaltool.kernels.sigmoid_tiles import (
    BAD_LABEL,
    BAD_PREDS,
    CE,
    CHOSEN,
    ENTROPY,
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
    count_lanes,
    count_values,
    lane_fault,
    load,
    loss_values,
    odds,
    scores,
)
from evaltool.schema import OK

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
def score_elements(
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
            fault = lane_fault(j, labels[uint64(start + j)], given.kind, given.ignore_index, doubles)
            status[uint64(start + j)] = fault
            integers[VALID + j] = fault == OK
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
            if counted:
                count_values(0, 0, 1, tallies.class_sums[i], tallies.class_numbers[i], doubles, integers)
        if counted:
            _count(0, 0, 1, tallies, doubles, integers)
        for j in range(count):
            if status[start + j] != OK:
                pred[start + j] = -1
                values[:, start + j] = np.nan
                losses[:, start + j] = np.nan
            else:
                clamped += given.kind == PROBS and doubles[P_LABEL + j] < AT_SMALLEST
    return clamped


@part
def _count(first: Any, step: Any, sign: Any, tallies: Any, doubles: Any, integers: Any) -> None:
    count_lanes(
        first,
        step,
        sign,
        tallies.bins,
        doubles,
        integers,
        tallies.brier,
        tallies.top,
        tallies.ranking,
        tallies.classwise,
        tallies.confusion,
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
def score_samples(
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
                _count_tile(start, 1, given, tallies, classes, doubles, integers)
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
                _count_tile(start, -1, given, tallies, classes, doubles, integers)


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
    right, ones, chosen, both, valid, raised = 0, 0, 0, 0, 0, 0
    for j in range(LANES):
        here, one, top = integers[VALID + j], integers[LABEL + j], integers[CHOSEN + j]
        valid += here
        right += here * (one == top)
        ones += here * one
        chosen += here * top
        both += here * one * top
        raised += here * (doubles[P_LABEL + j] < AT_SMALLEST)
    facts[N_VALID] += valid
    facts[CLAMPED] |= raised > 0
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
def _count_tile(start: Any, sign: Any, given: Any, tallies: Any, classes: Any, doubles: Any, integers: Any) -> None:
    step = 1 if classes else 0
    _count(start * step, step, sign, tallies, doubles, integers)
    for loss in range(len(given.kinds)):
        if given.kinds[loss] != DICE:
            loss_values(given.kinds[loss], given.factors[loss], given.gammas[loss], doubles, integers)
            sums, numbers = tallies.class_sums[loss], tallies.class_numbers[loss]
            count_values(start * step, step, sign, sums, numbers, doubles, integers)


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
            count_value(tallies.class_sums[loss], 1, losses[loss, i])
            continue
        every, class_sums = parts.shape[1], tallies.class_sums[loss]
        for c in range(every):
            part_of_c = np.float32((parts[loss, c, 0] + smooth / every) / size if size != 0.0 else 0.0)
            count_value(class_sums, c, part_of_c)


@part
def _total(sums: Any) -> Any:
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]))
