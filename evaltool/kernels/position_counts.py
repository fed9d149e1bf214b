"""What is counted of the positions of a segmentation: of the losses, of the predictions, of every class.

Neighbours are mostly alike, and a sum that the one before it was added to makes the next wait: so bins and units are
found for 64 positions at a time in vectors, and sums of a few keys go on in several ways that are put together at the
end of a block.  A right prediction is counted with its sample's sums; of classes in a position, those whose probability
is below 1/15 are added up in vectors.  The number of these is not counted but left over.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy import uint64

from evaltool.block import CALIBRATION_BINS
from evaltool.kernels.compiled import part, summing_part
from evaltool.kernels.elementary import SCALE, UNSCALE, int_of_float, log32
from evaltool.kernels.loading import aligned
from evaltool.kernels.position_tiles import ways
from evaltool.kernels.run_counts import RunCounts, octave_units
from evaltool.kernels.softmax_class_counts import LOWEST, UNITS, cell_of, logit_class, odds_bin, prob_class, prob_units
from evaltool.kernels.softmax_finish import DICE
from evaltool.kernels.softmax_lanes import (
    LABEL,
    LANES,
    MISS,
    OTHERS,
    P_LABEL,
    P_PRED,
    PEAK,
    PLACE,
    STATUS,
    TOTAL,
    VALUE,
)
from evaltool.numerics.float_bits import OCTAVES
from evaltool.schema import OK

Array = np.ndarray[Any, Any]

COUNT_WAYS = 4
CELLS = 16  # of a class, in CountScratch.tops; 15 are used

_ZERO = np.float32(0.0)
_RIGHT = 1 << 32  # one right prediction, in the upper half of a count
_LOWEST = np.int32(LOWEST)

# offsets in CountScratch.floats
SCALES, SHARES, SPREADS = 0, LANES, 2 * LANES
# in CountScratch.whole
PLACES, HIGH, OWN_BINS, LABELS, TOPS, KEYS, AMOUNTS, BLOCKED = (LANES * i for i in range(8))


class PositionCounts(NamedTuple):
    """Counters of a ``RunCounts``; L losses, C classes."""

    ranking: Array  # int32 [C * 2 * bins + 1]
    bins: int
    class_wise: Array  # int64 [C, 15, 3], of the lowest bins without their numbers of cases
    brier: Array  # int64 [256]
    top: Array  # int64 [15, 3]
    label_rank: Array  # int64 [R + 1]
    confusion: Array  # int64 [C, C]
    class_sums: Array  # int64 [L, C, 255]
    class_numbers: Array  # int64 [L, C]


class CountScratch(NamedTuple):
    """What is known of 64 positions while they are counted, and sums that wait for the end of a block."""

    floats: Array  # float32 [3 * 64]
    whole: Array  # int32 [8 * 64]
    tops: Array  # int64 [C * 16 * 4 * 2]: by prediction, cell of its probability and way: how many, and their units
    squares: Array  # int64 [256 * 4]: Brier's terms by octave and way


def position_counts(counts: RunCounts) -> PositionCounts:
    """Return the counters to add to."""
    return PositionCounts(
        counts.ranking,
        counts.bins,
        counts.classwise,
        counts.brier,
        counts.top,
        counts.label_rank,
        counts.confusion,
        counts.class_sums,
        counts.class_numbers,
    )


def count_scratch(num_classes: int) -> CountScratch:
    """Return the scratch for some classes."""
    scratch = CountScratch(
        aligned(3 * LANES, np.float32),
        aligned(8 * LANES, np.int32),
        aligned(num_classes * CELLS * COUNT_WAYS * 2, np.int64),
        aligned((OCTAVES + 1) * COUNT_WAYS, np.int64),
    )
    for array in scratch:
        array.fill(0)
    return scratch


@part
def count_values(lanes: Any, which: Any, scratch: Any, counts: Any) -> None:
    """Count the VALUE of the lanes that are ok at their labels; what is not finite is left out."""
    rows, codes, whole = lanes.rows, lanes.codes, scratch.whole
    odd = False
    for lane in range(LANES):
        bits = int_of_float(np.float32(rows[VALUE + lane]))
        octave = (bits >> 23) & 255
        units = (bits & 0x7FFFFF) | (min(octave, 1) << 23)
        units = -units if bits < 0 else units
        valid = codes[STATUS + lane] == OK
        some = valid & (octave < OCTAVES)
        odd |= valid & (octave == OCTAVES)
        whole[KEYS + lane] = codes[LABEL + lane] * OCTAVES + (octave if some else 0)
        whole[AMOUNTS + lane] = units if some else 0
    sums = counts.class_sums[which].reshape(-1)
    for lane in range(LANES):
        sums[uint64(whole[KEYS + lane])] += whole[AMOUNTS + lane]
    if odd:
        for lane in range(LANES):
            value = np.float32(rows[VALUE + lane])
            if codes[STATUS + lane] == OK and not np.isfinite(value):
                counts.class_numbers[uint64(which), uint64(codes[LABEL + lane])] -= 1


@part
def count_value(value: Any, which: Any, c: Any, counts: Any) -> None:
    """Count a finite value, float32, at a class, as none of its values by position."""
    octave, units = octave_units(np.int64(int_of_float(value)))
    counts.class_sums[uint64(which), uint64(c), uint64(octave)] += units


@part
def count_positions(lanes: Any, scratch: Any, counts: Any) -> None:
    """Count of the lanes that are ok how sure they were, and Brier's term."""
    rows, codes, whole = lanes.rows, lanes.codes, scratch.whole
    some, right = 0, 0
    for lane in range(LANES):
        valid = codes[STATUS + lane] == OK
        square = np.float32(rows[MISS + lane] * rows[MISS + lane] + rows[OTHERS + lane])
        bits = int_of_float(square if valid else _ZERO)
        octave = (bits >> 23) & 255
        whole[KEYS + lane] = octave * COUNT_WAYS + lane % COUNT_WAYS
        whole[AMOUNTS + lane] = (bits & 0x7FFFFF) | (min(octave, 1) << 23)
        some += valid
        right += valid & (codes[LABEL + lane] == codes[PLACE + lane])
    for lane in range(LANES):
        # of nothing the octave is 0, and it holds 0 of it
        valid = codes[STATUS + lane] == OK
        scratch.squares[uint64(whole[KEYS + lane])] += whole[AMOUNTS + lane] if valid else 0
    counts.brier[OCTAVES] += some
    counts.label_rank[0] += right
    for lane in range(LANES):
        valid = codes[STATUS + lane] == OK
        sure = np.float64(np.float32(rows[P_PRED + lane])) if valid else 0.0
        cell = np.int64(min(sure * CALIBRATION_BINS, CALIBRATION_BINS - 1.0))
        way = (codes[PLACE + lane] * CELLS + cell) * COUNT_WAYS + lane % COUNT_WAYS
        whole[KEYS + lane] = way * 2
        whole[AMOUNTS + lane] = np.int64(sure * UNITS + 0.5)
    for lane in range(LANES):
        if codes[STATUS + lane] == OK:
            at = uint64(whole[KEYS + lane])
            scratch.tops[at] += 1 + (_RIGHT if codes[LABEL + lane] == codes[PLACE + lane] else 0)
            scratch.tops[at + uint64(1)] += whole[AMOUNTS + lane]


@part
def count_classes(lanes: Any, classes: Any, probs: Any, scratch: Any, counts: Any) -> None:
    """Count every class of the lanes that are ok: the bin of its log-odds, and its probability where it is not the top.

    Args:
        lanes: finished, with their tile.
        classes: how many there are.
        probs: None for logits and log-probs, anything else for probabilities.
        scratch: a ``CountScratch``.
        counts: ``PositionCounts``.
    """
    rows, codes, floats, whole = lanes.rows, lanes.codes, scratch.floats, scratch.whole
    bins = counts.bins
    nowhere = classes * 2 * bins  # where places are counted that are none
    for lane in range(LANES):
        valid = codes[STATUS + lane] == OK
        share = np.float32(rows[P_PRED + lane]) if valid else _ZERO
        floats[SCALES + lane] = np.float64(SCALE) / rows[PEAK + lane] if valid else 0.0
        floats[SHARES + lane] = share * UNSCALE
        floats[SPREADS + lane] = -log32(np.float32(rows[P_PRED + lane])) if valid else 0.0
        whole[OWN_BINS + lane] = odds_bin(-log32(np.float32(rows[TOTAL + lane])), np.float32(bins))
        whole[LABELS + lane] = codes[LABEL + lane]
        whole[TOPS + lane] = codes[PLACE + lane]
        whole[BLOCKED + lane] = 0 if valid else 1
    for c in range(classes):
        if probs is None:
            low, high = _logits_of_class(lanes.tile, c, lanes.tops, bins, nowhere, floats, whole)
        else:
            low, high = _probs_of_class(lanes.tile, c, bins, nowhere, floats, whole)
        counts.class_wise[uint64(c), 0, 2] += low
        for lane in range(LANES):
            counts.ranking[uint64(whole[PLACES + lane])] += 1
        if high:
            cells = counts.class_wise[c]
            for lane in range(LANES):
                units = whole[HIGH + lane]
                if units:
                    cell = uint64(cell_of(units))
                    cells[cell, 0] += 1
                    cells[cell, 2] += units


@summing_part
def _logits_of_class(tile: Any, c: Any, tops: Any, bins: Any, nowhere: Any, floats: Any, whole: Any) -> Any:
    """Fill in PLACES and, of what is neither low nor the top, HIGH; return the sum of low units and whether HIGH is."""
    low, high = np.int32(0), np.int32(0)
    at, here = c * LANES, np.int32(c)
    first, after, none = np.int32(c * 2 * bins), np.int32(bins), np.int32(nowhere)
    for lane in range(LANES):
        p, odds = logit_class(tile[uint64(at + lane)], tops[lane], floats[SHARES + lane], floats[SPREADS + lane])
        units = prob_units(p)
        is_top = whole[TOPS + lane] == here
        is_label = whole[LABELS + lane] == here
        place = whole[OWN_BINS + lane] if is_top else odds_bin(odds, np.float32(bins))
        place = np.int32(first + place + (after if is_label else np.int32(0)))
        whole[PLACES + lane] = none if whole[BLOCKED + lane] else place
        is_low = units < _LOWEST
        low = np.int32(low + (np.int32(0) if is_top or not is_low else units))  # 64 times 2^28 / 15 at most
        above = np.int32(0) if is_low or is_top else units
        whole[HIGH + lane] = above
        high |= above
    return low, high


@summing_part
def _probs_of_class(tile: Any, c: Any, bins: Any, nowhere: Any, floats: Any, whole: Any) -> Any:
    low, high = np.int32(0), np.int32(0)
    at, here = c * LANES, np.int32(c)
    first, after, none = np.int32(c * 2 * bins), np.int32(bins), np.int32(nowhere)
    for lane in range(LANES):
        scale = floats[SCALES + lane]
        blocked = whole[BLOCKED + lane] != 0
        value = np.float32(0.0) if blocked else np.float32(tile[uint64(at + lane)])
        p, odds = prob_class(value, scale, floats[SHARES + lane], floats[SPREADS + lane])
        units = prob_units(p)
        is_top = whole[TOPS + lane] == here
        is_label = whole[LABELS + lane] == here
        place = whole[OWN_BINS + lane] if is_top else odds_bin(odds, np.float32(bins))
        place = np.int32(first + place + (after if is_label else np.int32(0)))
        whole[PLACES + lane] = none if blocked else place
        is_low = units < _LOWEST
        low = np.int32(low + (np.int32(0) if is_top or not is_low else units))  # 64 times 2^28 / 15 at most
        above = np.int32(0) if is_low or is_top else units
        whole[HIGH + lane] = above
        high |= above
    return low, high


@part
def count_wrong(lanes: Any, ranks: Any, counts: Any) -> None:
    """Count the lanes that are ok and whose prediction is not the label: the pair, the rank, the label's probability.

    Args:
        lanes: finished.
        ranks: int32 [64], each label's rank.
        counts: ``PositionCounts``.
    """
    codes = lanes.codes
    for lane in range(LANES):
        label, pred = codes[LABEL + lane], codes[PLACE + lane]
        if codes[STATUS + lane] == OK and label != pred:
            counts.confusion[uint64(label), uint64(pred)] += 1
            rank = ranks[lane]
            last = len(counts.label_rank) - 1
            counts.label_rank[uint64(rank if rank < last else last)] += 1
            sure = np.float64(np.float32(lanes.rows[P_LABEL + lane]))  # 1/2 at most
            counts.class_wise[uint64(label), uint64(sure * CALIBRATION_BINS), 1] += 1


@part
def count_sample(sums: Any, kinds: Any, counts: Any) -> None:
    """Count what the sums of a sample hold: its right predictions, and how many losses by position."""
    for c in range(len(counts.confusion)):
        right = ways(sums.in_both, c)
        counts.confusion[c, c] += right
        for which in range(len(kinds)):
            if kinds[which] < DICE:
                counts.class_numbers[which, c] += right + sums.only_label[c]


@part
def flush_scratch(scratch: Any, counts: Any) -> None:
    """Add to the counts what waits for the end of a block."""
    for octave in range(OCTAVES):
        for way in range(COUNT_WAYS):
            counts.brier[octave] += scratch.squares[octave * COUNT_WAYS + way]
    scratch.squares[:] = 0
    for c in range(len(counts.confusion)):
        for cell in range(CALIBRATION_BINS):
            number, units = 0, 0
            for way in range(COUNT_WAYS):
                at = ((c * CELLS + cell) * COUNT_WAYS + way) * 2
                number += scratch.tops[at]
                units += scratch.tops[at + 1]
            right = number >> 32
            number &= _RIGHT - 1
            counts.top[cell, 0] += number
            counts.top[cell, 1] += right
            counts.top[cell, 2] += units
            counts.class_wise[c, cell, 1] += right
            # the lowest bin's number of cases is left over
            counts.class_wise[c, cell, 0] += number if cell else 0
            counts.class_wise[c, cell, 2] += units
    scratch.tops[:] = 0
