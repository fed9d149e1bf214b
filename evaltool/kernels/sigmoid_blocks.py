"""Blocks of sigmoids: single ones, and samples of several, in tiles of 256 lanes.

A tile holds as many whole samples as fit, or a piece of one.  Sums over a sample are float64 and go on in an order that
depends on the sample's size alone.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy import uint64

from evaltool.kernels.compiled import compiled, part
from evaltool.kernels.elementary import int_of_float
from evaltool.kernels.job import Array
from evaltool.kernels.loss_table import DICE, FOCAL, FOCAL_OF_2
from evaltool.kernels.run_counts import count_value, octave_units
from evaltool.kernels.sigmoid_counts import SLOTS, add_pairs, count_tile, count_values, empty, make_room
from evaltool.kernels.sigmoid_sums import entropies, means, numbers, overlap, value_sum
from evaltool.kernels.sigmoid_tiles import (
    CE,
    CHOSEN,
    ENTROPY,
    FINE,
    LABEL_OFF,
    LANES,
    LEFT_OUT,
    MARGIN,
    MISS,
    NOT_FINITE,
    P_LABEL,
    P_PRED,
    PREDS_OFF,
    PROBS,
    VALID,
    VALUE,
    cross_entropy,
    element_dice,
    focal,
    focal_of_2,
    keep_valid,
    leave_out,
    load,
    score,
    seen_flags,
    weigh,
)
from evaltool.numerics.float_bits import OCTAVES
from evaltool.schema import BAD_LABEL, BAD_PREDS, IGNORED, NONFINITE, OK

AT_SMALLEST = np.float32(1.18e-38)  # a p_label below stands at the smallest normal float32
# sums of a sample; those of the losses follow
ENTROPY_SUM, P_LABEL_SUM, P_PRED_SUM, MARGIN_SUM, HIT, ERROR, SQUARES, LOSS_SUMS = range(8)
# of a sample, in whole numbers
N_VALID, N_RIGHT, PAIRS, CLAMPED, WORST, FACTS = 0, 1, 2, 6, 7, 8


class Given(NamedTuple):
    """What a job says, as compiled code reads it; numbers by the lane for label 0 and 1."""

    kind: int
    wide: bool  # predictions are kept in float64 at first
    ignore_index: int
    kinds: Array  # int64 [L]
    weighted: Array  # bool [L], whether a factor is not 1
    factors: Array  # float32 [L, 2, lanes]
    gammas: Array  # float32 [L, 2, lanes]
    smooth: Array  # float64 [L, 2]
    squared: Array  # int64 [L]
    dice: bool  # whether there is a Dice loss


class Scratch(NamedTuple):
    """What a thread computes in."""

    tile: Array  # float32 [ROWS * LANES]
    raw: Array  # float64 [LANES]
    flags: Array  # int32 [LANES]
    misses: Array  # float32, of every class of the samples of a tile
    sums: Array  # float64 [samples of a tile, LOSS_SUMS + L]


@compiled
def score_elements(
    preds: Any,
    labels: Any,
    given: Any,
    counts: Any,
    counted: Any,
    status: Any,
    pred: Any,
    losses: Any,
    values: Any,
    scratch: Any,
) -> Any:
    """Score single sigmoids [N]; return in how many the label's probability was raised."""
    clamped = 0
    tile = scratch.tile
    for start in range(0, len(labels), LANES):
        count = min(LANES, len(labels) - start)
        load(preds, labels, start, count, given, tile, scratch.raw, scratch.flags)
        _statuses(start, count, scratch.flags, status)
        score(count, given, tile, scratch.raw)
        _predictions(start, count, tile, pred)
        for i, at in enumerate((P_LABEL, P_PRED, MARGIN, ENTROPY)):
            _store(start, count, tile, at, values[i])
        if given.kind == PROBS:
            clamped += _raised(0, count, tile)
        if counted:
            make_room(counts, given, False)
            count_tile(0, count, False, tile, counts)
        valid, ones, chosen, both = numbers(0, count, tile)
        if counted:
            counts.brier[SLOTS - 1] += valid
            add_pairs(valid, ones, chosen, both, counts.confusion[0])
        for i in range(len(given.kinds)):
            if given.kinds[i] == DICE:
                element_dice(count, given.smooth[i], given.squared[i], tile)
                keep_valid(count, tile)
            else:
                _loss_values(i, 0, count, given, tile)
            _store(start, count, tile, VALUE, losses[i])
            if counted:
                counts.numbers[i, 0] += valid - ones
                counts.numbers[i, 1] += ones
                count_values(i, 0, count, False, tile, counts)
    if counted:
        empty(counts, given, False)
    return clamped


@part
def _statuses(start: Any, count: Any, flags: Any, status: Any) -> None:
    for j in range(count):
        flag = flags[uint64(j)]
        status[uint64(start + j)] = np.int8(
            (flag > FINE) + (flag > LEFT_OUT) + (flag > NOT_FINITE) + (flag > LABEL_OFF)
        )


@part
def _predictions(start: Any, count: Any, tile: Any, pred: Any) -> None:
    for j in range(count):
        chosen = np.int64(tile[uint64(CHOSEN + j)])
        pred[uint64(start + j)] = chosen if tile[uint64(VALID + j)] > 0.0 else -1


@part
def _store(start: Any, count: Any, tile: Any, at: Any, out: Any) -> None:
    for j in range(count):
        out[uint64(start + j)] = tile[uint64(at + j)] if tile[uint64(VALID + j)] > 0.0 else np.float32(np.nan)


@part
def _raised(start: Any, end: Any, tile: Any) -> Any:
    number = 0
    for j in range(start, end):
        number += (tile[uint64(P_LABEL + j)] < AT_SMALLEST) & (tile[uint64(VALID + j)] > 0.0)
    return number


@part
def _loss_values(loss: Any, first: Any, count: Any, given: Any, tile: Any) -> None:
    """Find VALUE, a loss but Dice; ``first`` is the class of the first lane, 0 if lanes are no classes."""
    if given.kinds[loss] == FOCAL_OF_2:
        focal_of_2(count, tile)
    elif given.kinds[loss] == FOCAL:
        focal(count, given.gammas[loss, 0, first:], given.gammas[loss, 1, first:], tile)
    else:
        cross_entropy(count, tile)
    if given.weighted[loss]:
        weigh(count, given.factors[loss, 0, first:], given.factors[loss, 1, first:], tile)
    keep_valid(count, tile)


@compiled
def score_samples(
    preds: Any,
    labels: Any,
    size: Any,
    given: Any,
    counts: Any,
    classes: Any,
    counted: Any,
    status: Any,
    losses: Any,
    values: Any,
    facts: Any,
    scratch: Any,
) -> None:
    """Score samples of ``size`` elements each, in flat arrays; ``classes`` says that each element is a class."""
    rows = max(1, LANES // max(1, size))
    for begin in range(0, len(status), rows):
        end = min(begin + rows, len(status))
        if size > LANES:
            seen = seen_flags(preds, labels, begin * size, size, given.kind, given.ignore_index)
            status[begin] = _status(seen)
            if status[begin] != OK:
                losses[:, begin] = np.nan
                continue
        scratch.sums[: end - begin] = 0.0
        for start in range(0, (end - begin) * size, LANES):
            count = min(LANES, (end - begin) * size - start)
            seen = load(preds, labels, begin * size + start, count, given, scratch.tile, scratch.raw, scratch.flags)
            if size <= LANES:
                _leave_out_samples(begin, end, size, seen, given.kind, status, scratch)
            score(count, given, scratch.tile, scratch.raw)
            _add_tile(begin, end, size, start, count, given, classes, counted, counts, values, facts, scratch)
        for i in range(begin, end):
            if status[i] == OK and facts[i, N_VALID] == 0:
                status[i] = IGNORED
            if status[i] == OK:
                _finish_sample(i, i - begin, size, given, counts, classes, counted, losses, values, facts, scratch)
            else:
                losses[:, i] = np.nan
    if counted:
        empty(counts, given, classes)


@part
def _status(seen: Any) -> Any:
    if seen & NOT_FINITE:
        return NONFINITE
    if seen & LABEL_OFF:
        return BAD_LABEL
    if seen & PREDS_OFF:
        return BAD_PREDS
    return OK if seen & FINE else IGNORED


@part
def _leave_out_samples(begin: Any, end: Any, size: Any, seen: Any, kind: Any, status: Any, scratch: Any) -> None:
    """Set the status of the tile's samples, and have those that cannot be scored count for nothing."""
    status[begin:end] = OK
    if not seen & (NOT_FINITE | LABEL_OFF | PREDS_OFF):
        return
    for i in range(begin, end):
        first = (i - begin) * size
        of_sample = 0
        for j in range(first, first + size):
            of_sample |= scratch.flags[uint64(j)]
        status[i] = _status(of_sample)
        if status[i] != OK:
            leave_out(first, first + size, kind, scratch.tile, scratch.raw)


@part
def _add_tile(
    begin: Any,
    end: Any,
    size: Any,
    start: Any,
    count: Any,
    given: Any,
    classes: Any,
    counted: Any,
    counts: Any,
    values: Any,
    facts: Any,
    scratch: Any,
) -> None:
    """Add a tile to what is known of its samples, and to the counts."""
    tile, sums = scratch.tile, scratch.sums
    length = min(size, count)
    first = start if classes else 0
    for row in range(end - begin):
        low, i = row * length, begin + row
        _add_sample(low, low + length, given, classes, tile, sums[row], facts[i])
        if classes:
            _worst(low, length, start, tile, values[i], facts[i])
    if counted:
        make_room(counts, given, classes)
        count_tile(first, count, classes, tile, counts)
        valid, ones, chosen, both = numbers(0, count, tile)
        counts.brier[SLOTS - 1] += valid
        if not classes:
            add_pairs(valid, ones, chosen, both, counts.confusion[0])
        elif given.dice:
            for j in range(count):
                scratch.misses[uint64(start + j)] = tile[uint64(MISS + j)] * tile[uint64(VALID + j)]
    for loss in range(len(given.kinds)):
        if given.kinds[loss] == DICE:
            continue
        _loss_values(loss, first, count, given, tile)
        for row in range(end - begin):
            sums[row, LOSS_SUMS + loss] += value_sum(row * length, (row + 1) * length, tile)
        if counted:
            count_values(loss, first, count, classes, tile, counts)
            if not classes:
                counts.numbers[loss, 0] += valid - ones
                counts.numbers[loss, 1] += ones


@part
def _add_sample(low: Any, high: Any, given: Any, classes: Any, tile: Any, sums: Any, facts: Any) -> None:
    valid, ones, chosen, both = numbers(low, high, tile)
    facts[N_VALID] += valid
    facts[N_RIGHT] += valid - ones - chosen + 2 * both
    facts[PAIRS] += valid - ones - chosen + both
    facts[PAIRS + 1] += chosen - both
    facts[PAIRS + 2] += ones - both
    facts[PAIRS + 3] += both
    if given.kind == PROBS:
        facts[CLAMPED] |= _raised(low, high, tile) > 0
    if classes:
        sums[ENTROPY_SUM] += entropies(low, high, tile)
    else:
        entropy, p_label, p_pred, margin = means(low, high, tile)
        sums[ENTROPY_SUM] += entropy
        sums[P_LABEL_SUM] += p_label
        sums[P_PRED_SUM] += p_pred
        sums[MARGIN_SUM] += margin
    if given.dice:
        hit, error, squares = overlap(low, high, tile)
        sums[HIT] += hit
        sums[ERROR] += error
        sums[SQUARES] += squares


@part
def _worst(low: Any, length: Any, start: Any, tile: Any, values: Any, facts: Any) -> None:
    """Find the valid class of the highest cross-entropy, the first of equals."""
    largest = np.int32(-1)
    for j in range(length):
        bits = int_of_float(tile[uint64(CE + low + j)])
        largest = max(largest, bits if tile[uint64(VALID + low + j)] > 0.0 else np.int32(-1))
    if start == 0:
        facts[WORST] = -1
        values[0] = -1.0
    if largest < 0:
        return
    place = np.int32(LANES)
    for j in range(length):
        here = (int_of_float(tile[uint64(CE + low + j)]) == largest) & (tile[uint64(VALID + low + j)] > 0.0)
        place = min(place, np.int32(j) if here else np.int32(LANES))
    at = low + place
    if np.float64(tile[CE + at]) > values[0]:
        facts[WORST] = start + place
        values[0], values[1] = tile[CE + at], tile[P_LABEL + at]
        values[2], values[3] = tile[P_PRED + at], tile[MARGIN + at]


@part
def _finish_sample(
    i: Any,
    row: Any,
    size: Any,
    given: Any,
    counts: Any,
    classes: Any,
    counted: Any,
    losses: Any,
    values: Any,
    facts: Any,
    scratch: Any,
) -> None:
    """Fill in the values of a sample, and count its Dice losses by class."""
    sums = scratch.sums[row]
    number = np.float64(facts[i, N_VALID])
    values[i, 4] = sums[ENTROPY_SUM] / number
    if not classes:
        values[i, 1] = sums[P_LABEL_SUM] / number
        values[i, 2] = sums[P_PRED_SUM] / number
        values[i, 3] = sums[MARGIN_SUM] / number
    for loss in range(len(given.kinds)):
        if given.kinds[loss] != DICE:
            losses[loss, i] = sums[LOSS_SUMS + loss] / number
            continue
        smooth = given.smooth[loss, 1] - given.smooth[loss, 0]
        error = sums[SQUARES] if given.squared[loss] == 1 else sums[ERROR]
        whole = 2.0 * sums[HIT] + error + given.smooth[loss, 1]
        share = 1.0 / whole if whole != 0.0 else 0.0
        losses[loss, i] = (error + smooth) / whole if whole != 0.0 else 0.0
        if counted and classes:
            misses = scratch.misses[row * size : (row + 1) * size]
            _count_parts(misses, given.squared[loss], smooth / size, share, counts.sums[loss])
        elif counted:
            count_value(counts.sums[loss].reshape(-1, SLOTS), 1, losses[loss, i])


@part
def _count_parts(misses: Any, squared: Any, smooth: Any, share: Any, sums: Any) -> None:
    """Count each class's part of a Dice loss among the sums by class and octave."""
    for c in range(len(misses)):
        miss = np.float64(misses[uint64(c)])
        value = np.float32(((miss * miss if squared == 1 else miss) + smooth) * share)
        octave, units = octave_units(np.int64(int_of_float(value)))
        if octave < OCTAVES:
            sums[uint64(c * OCTAVES + octave)] += units
