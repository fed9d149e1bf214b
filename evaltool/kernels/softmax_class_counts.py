"""Every class of a softmax counted against the rest: bins of its log-odds, and of its probability.

With p_c = r_c / (1 + R) a class that is not the top one has the log-odds -g_c - log1p(R) - log(1 - p_c), in which p_c
is 1/2 at most: a polynomial does.  All but a few probabilities are in the lowest bin of 15: their units of 2^-28 are
added up in vectors, and what else there is, at most 15 classes of a row, one by one.  That lowest bin's number of cases
is not counted but left over.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy import uint64

from evaltool.block import CALIBRATION_BINS
from evaltool.kernels.compiled import inlined, part, summing_part
from evaltool.kernels.elementary import FURTHEST, SCALE, SCALE_BITS, UNSCALE, exp64, exp_scaled, log32, log64
from evaltool.kernels.loading import aligned
from evaltool.kernels.softmax_lanes import LABEL, LANES, MOST_IN_TILES, NEXT, P_PRED, PEAK, PLACE, STATUS, TOTAL
from evaltool.schema import OK

Array = np.ndarray[Any, Any]

UNITS = 2.0**28  # of a probability
LOWEST = -(-(1 << 28) // CALIBRATION_BINS)  # units from which a probability is above the lowest bin
SURELY_LOW = 0.999 / CALIBRATION_BINS

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_UNITS = np.float32(UNITS)
_ALMOST_HALF = np.float32(0.49999997)  # with 0.5 a whole number above 2^23 would round to the next one
_SPAN, _TWICE_SPAN = np.float32(32.0), np.float32(64.0)
_SMALL = np.float32(1.1754943508222875e-38)
_SCALE_LOG = np.float32(SCALE_BITS * 0.6931471805599453)
_LOW_UNITS = np.int32(LOWEST)
_M = tuple(
    np.float32(value)
    for value in (
        *(-4.9999520625e-01, -3.3363274308e-01, -2.4367077369e-01, -2.6379671804e-01),
        *(1.8145434379e-01, -1.2100155077e00, 1.6413291515e00, -1.4154850403e00),
    )
)

# offsets in ClassScratch.facts
SCALES, SHARES, SPREADS = 0, LANES, 2 * LANES


class ClassScratch(NamedTuple):
    """What is known of the classes of a row, or of 64 lanes, before it is counted."""

    facts: Array  # float32 [3 * 64]: 2^56 / p_top, 2^-56 / (1 + R) and log1p(R) of each lane
    places: Array  # int32: bins of the log-odds
    units: Array  # int32: probabilities in units of 2^-28
    low: Array  # int32: sums of those that are low, of up to 64 rows
    of_label: Array  # int32 [64], the bin of each lane's label
    of_top: Array  # int32 [64], that of its top class


class ClassCounts(NamedTuple):
    """Counts as ``block.count_shapes`` has them; of the lowest bins of class_wise without their numbers of cases."""

    ranking: Array  # int32 [C, 2, bins]
    class_wise: Array  # int64 [C, 15, 3]


def class_scratch(num_classes: int) -> ClassScratch:
    """Return the scratch for some classes."""
    room = num_classes + LANES
    tile = max(room, (num_classes if num_classes <= MOST_IN_TILES else 0) * LANES)
    low = aligned(room, np.int32)
    low.fill(0)
    units = aligned(tile, np.int32)
    places = aligned(room, np.int32)
    return ClassScratch(
        aligned(3 * LANES, np.float32), places, units, low, aligned(LANES, np.int32), aligned(LANES, np.int32)
    )


@inlined
def log_one_minus(p: Any) -> Any:
    """Return log(1 - p), float32, for p in [0, 1/2]; what it gives above 1/2 is finite and wrong."""
    tail = _M[4] + p * (_M[5] + p * (_M[6] + p * _M[7]))
    return p * p * (_M[0] + p * (_M[1] + p * (_M[2] + p * (_M[3] + p * tail)))) - p


@inlined
def odds_bin(odds: Any, bins: Any) -> Any:
    """Return the bin, int32, of log-odds, float32; bins is their number, float32."""
    inside = min(max(odds, -_SPAN), _SPAN)
    return np.int32(min((inside + _SPAN) * (bins / _TWICE_SPAN), bins - _ONE))


@inlined
def prob_units(p: Any) -> Any:
    """Return a probability, float32, in units of 2^-28, int32."""
    return np.int32(p * _UNITS + _ALMOST_HALF)


@inlined
def logit_class(value: Any, top: Any, share: Any, spread: Any) -> Any:
    """Return p_c and the log-odds of a class, float32; share is 2^-56 / (1 + R), spread log1p(R)."""
    g = np.float32(top - value)
    near = g if g < FURTHEST else FURTHEST
    p = exp_scaled(-near) * share
    return p, -near - spread - log_one_minus(p)


@inlined
def prob_class(value: Any, scale: Any, share: Any, spread: Any) -> Any:
    """Return what ``logit_class`` does of a probability; scale is 2^56 / p_top."""
    known = np.float32(value * scale) if value > 0 else _ZERO
    floor = _SMALL * scale
    p = known * share
    return p, log32(known if known > floor else floor) - _SCALE_LOG - spread - log_one_minus(p)


@part
def count_tile(lanes: Any, classes: Any, probs: Any, scratch: Any, counts: Any) -> None:
    """Count every class of the lanes that are ok.

    Args:
        lanes: finished, with their tile.
        classes: how many there are.
        probs: None for logits and log-probs, anything else for probabilities.
        scratch: a ``ClassScratch``.
        counts: ``ClassCounts``.
    """
    rows, codes = lanes.rows, lanes.codes
    bins = counts.ranking.shape[2]
    every = OK
    for lane in range(LANES):
        status = codes[STATUS + lane]
        every |= status
        share = rows[P_PRED + lane] if status == OK else 0.0
        scratch.facts[SCALES + lane] = np.float64(SCALE) / rows[PEAK + lane]
        scratch.facts[SHARES + lane] = share * UNSCALE
        scratch.facts[SPREADS + lane] = -log64(rows[P_PRED + lane])
    for c in range(classes):
        if probs is None:
            low = _logits_of_tile(lanes.tile, c * LANES, lanes.tops, np.float32(bins), scratch)
        else:
            low = _probs_of_tile(lanes.tile, c * LANES, np.float32(bins), scratch)
        counts.class_wise[c, 0, 2] += low
        found = counts.ranking[c, 0]
        if every == OK:
            for lane in range(LANES):
                found[uint64(scratch.places[lane])] += 1
        else:
            for lane in range(LANES):
                if codes[STATUS + lane] == OK:
                    found[uint64(scratch.places[lane])] += 1
        for lane in range(LANES):
            scratch.of_label[lane] = scratch.places[lane] if codes[LABEL + lane] == c else scratch.of_label[lane]
            scratch.of_top[lane] = scratch.places[lane] if codes[PLACE + lane] == c else scratch.of_top[lane]
    for lane in range(LANES):
        if codes[STATUS + lane] == OK:
            label, top = codes[LABEL + lane], codes[PLACE + lane]
            _settle(rows, lane, label, top, scratch.of_label[lane], scratch.of_top[lane], counts)
            share, second = rows[P_PRED + lane], _second(rows, lane, probs)
            _count_high(scratch.units, LANES, lane, share, second, label, top, classes, counts)


@part
def count_row(row: Any, tail: Any, lanes: Any, lane: Any, probs: Any, scratch: Any, counts: Any) -> None:
    """Count every class of one row that is ok; see ``count_tile``, and ``row_sums`` for row and tail."""
    rows, codes = lanes.rows, lanes.codes
    bins = counts.ranking.shape[2]
    whole = len(row) // LANES * LANES
    scale = np.float32(np.float64(SCALE) / rows[PEAK + lane])
    share = np.float32(rows[P_PRED + lane] * UNSCALE)
    spread = np.float32(-log64(rows[P_PRED + lane]))
    top = lanes.tops[lane]
    for values, at, count in ((row, 0, whole), (tail, whole, LANES)):
        if probs is None:
            _logits_of_row(values, at, count, top, share, spread, np.float32(bins), scratch)
        else:
            _probs_of_row(values, at, count, scale, share, spread, np.float32(bins), scratch)
    flat = counts.ranking.reshape(-1)
    place = 0
    for c in range(len(row)):
        flat[uint64(place + scratch.places[uint64(c)])] += 1
        place += 2 * bins
    label, place = codes[LABEL + lane], codes[PLACE + lane]
    _settle(rows, lane, label, place, scratch.places[label], scratch.places[place], counts)
    share, second = rows[P_PRED + lane], _second(rows, lane, probs)
    _count_high(scratch.units, 1, 0, share, second, label, place, len(row), counts)


@part
def flush_low(scratch: Any, counts: Any) -> None:
    """Add the low units of up to 64 rows to the counts."""
    for c in range(len(counts.class_wise)):
        counts.class_wise[c, 0, 2] += scratch.low[c]
        scratch.low[c] = 0


@part
def _second(rows: Any, lane: Any, probs: Any) -> Any:
    """Return the second largest probability over the largest."""
    if probs is None:
        return exp64(-rows[NEXT + lane])
    return 1.0 - rows[NEXT + lane] / rows[PEAK + lane]


@part
def _settle(rows: Any, lane: Any, label: Any, top: Any, of_label: Any, of_top: Any, counts: Any) -> None:
    """Put the label's class among the positives, and the top class where its own log-odds belong."""
    bins = counts.ranking.shape[2]
    own = odds_bin(np.float32(-log64(rows[TOTAL + lane])), np.float32(bins))
    counts.ranking[top, 0, of_top] -= 1
    counts.ranking[top, 0, own] += 1
    of_label = own if label == top else of_label
    counts.ranking[label, 0, of_label] -= 1
    counts.ranking[label, 1, of_label] += 1


@part
def _count_high(
    units: Any, step: Any, at: Any, share: Any, second: Any, label: Any, top: Any, classes: Any, counts: Any
) -> None:
    """Count the classes of a row above the lowest bin, and in which bin the label's is."""
    _count_unit(units[uint64(top * step + at)], top, counts)
    if second * share >= SURELY_LOW:
        for c in range(classes):
            if c != top:
                _count_unit(units[uint64(c * step + at)], c, counts)
    counts.class_wise[label, cell_of(units[uint64(label * step + at)]), 1] += 1


@inlined
def cell_of(units: Any) -> Any:
    """Return the bin of a probability in units of 2^-28."""
    return min((np.int64(units) * CALIBRATION_BINS) >> 28, CALIBRATION_BINS - 1)


@inlined
def _count_unit(units: Any, c: Any, counts: Any) -> None:
    if units >= LOWEST:
        cell = cell_of(units)
        counts.class_wise[c, cell, 0] += 1
        counts.class_wise[c, cell, 2] += units


@summing_part
def _logits_of_tile(tile: Any, at: Any, tops: Any, bins: Any, scratch: Any) -> Any:
    """Fill in the bins and the units of a class in 64 lanes; return the sum of the units that are low."""
    low = np.int64(0)
    for lane in range(LANES):
        share, spread = scratch.facts[SHARES + lane], scratch.facts[SPREADS + lane]
        p, odds = logit_class(tile[uint64(at + lane)], tops[lane], share, spread)
        scratch.places[lane] = odds_bin(odds, bins)
        units = prob_units(p) if share > _ZERO else np.int32(0)  # a lane that is not ok has no share
        scratch.units[uint64(at + lane)] = units
        low += units if units < LOWEST else 0
    return low


@summing_part
def _probs_of_tile(tile: Any, at: Any, bins: Any, scratch: Any) -> Any:
    low = np.int64(0)
    for lane in range(LANES):
        share, spread = scratch.facts[SHARES + lane], scratch.facts[SPREADS + lane]
        p, odds = prob_class(tile[uint64(at + lane)], scratch.facts[SCALES + lane], share, spread)
        scratch.places[lane] = odds_bin(odds, bins)
        units = prob_units(p) if share > _ZERO else np.int32(0)  # a lane that is not ok has no share
        scratch.units[uint64(at + lane)] = units
        low += units if units < LOWEST else 0
    return low


@part
def _logits_of_row(
    values: Any, at: Any, count: Any, top: Any, share: Any, spread: Any, bins: Any, scratch: Any
) -> None:
    """Fill in the bins and the units of the classes from ``at``; add the units that are low to theirs."""
    for i in range(count):
        p, odds = logit_class(values[uint64(i)], top, share, spread)
        units = prob_units(p)
        scratch.places[uint64(at + i)] = odds_bin(odds, bins)
        scratch.units[uint64(at + i)] = units
        scratch.low[uint64(at + i)] += units if units < _LOW_UNITS else np.int32(0)


@part
def _probs_of_row(
    values: Any, at: Any, count: Any, scale: Any, share: Any, spread: Any, bins: Any, scratch: Any
) -> None:
    for i in range(count):
        p, odds = prob_class(values[uint64(i)], scale, share, spread)
        units = prob_units(p)
        scratch.places[uint64(at + i)] = odds_bin(odds, bins)
        scratch.units[uint64(at + i)] = units
        scratch.low[uint64(at + i)] += units if units < _LOW_UNITS else np.int32(0)
