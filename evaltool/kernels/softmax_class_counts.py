"""Every class of a softmax counted against the rest: bins of its log-odds, and of its probability.

With p_c = r_c / (1 + R) a class that is not the top one has the log-odds -g_c - log1p(R) - log(1 - p_c), in which p_c
is 1/2 at most: a polynomial does.  All but a few probabilities are in the lowest bin of 15: their units of 2^-28 are
added up in vectors, and what else there is, at most 15 classes of a row, one by one.  That lowest bin's number of cases
is not counted but left over.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy import uint64

from evaltool.block import CALIBRATION_BINS, ranking_bins
from evaltool.kernels.compiled import inlined, part, summing_part
from evaltool.kernels.elementary import FURTHEST, SCALE, SCALE_BITS, UNSCALE, exp_scaled, log1p32, log32
from evaltool.kernels.loading import aligned
from evaltool.kernels.softmax_lanes import LABEL, LANES, P_PRED, PEAK, PLACE, STATUS, TOTAL
from evaltool.schema import OK

Array = np.ndarray[Any, Any]

UNITS = 2.0**28  # of a probability
LOWEST = -(-(1 << 28) // CALIBRATION_BINS)  # units from which a probability is above the lowest bin

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_UNITS = np.float32(UNITS)
_ALMOST_HALF = np.float32(0.49999997)  # with 0.5 a whole number above 2^23 would round to the next one
_SPAN, _TWICE_SPAN = np.float32(32.0), np.float32(64.0)
_SMALL = np.float32(1.1754943508222875e-38)
_SCALE_LOG = np.float32(SCALE_BITS * 0.6931471805599453)
_LOW_UNITS, _NOTHING = np.int32(LOWEST), np.int32(0)
_BIT = np.uint32(1)
_M = tuple(
    np.float32(value)
    for value in (
        *(-4.9999520625e-01, -3.3363274308e-01, -2.4367077369e-01, -2.6379671804e-01),
        *(1.8145434379e-01, -1.2100155077e00, 1.6413291515e00, -1.4154850403e00),
    )
)

# offsets in ClassScratch.facts
SCALES, SHARES, BASES, TOTALS = (LANES * i for i in range(4))
# offsets in ClassScratch.lanes
SCORED, OWN_BIN = 0, LANES


class ClassScratch(NamedTuple):
    """What is known of the classes of a row, or of 64 lanes, before it is counted."""

    bins: int  # of the log-odds of a class
    facts: Array  # float32 [4 * 64]: 2^56 / p_top, 2^-56 / (1 + R), base of ``class_bin`` and R of each lane
    lanes: Array  # int32 [2 * 64]: 1 if a lane is scored, and the bin of its top class
    places: Array  # uint16: bins of the log-odds
    units: Array  # int32: probabilities in units of 2^-28
    low: Array  # int32: sums of those that are low, of up to 64 rows


class ClassCounts(NamedTuple):
    """Counts as ``block.count_shapes`` has them; of the lowest bins of class_wise without their numbers of cases."""

    ranking: Array  # int32 [C, 2, bins or more]
    class_wise: Array  # int64 [C, 15, 3]


def class_scratch(num_classes: int) -> ClassScratch:
    """Return the scratch for some classes."""
    room = num_classes + LANES
    low = aligned(room, np.int32)
    low.fill(0)
    # what is not written to takes up no memory
    places, units = aligned(room * LANES, np.uint16), aligned(room * LANES, np.int32)
    facts, of_lanes = aligned(4 * LANES, np.float32), aligned(2 * LANES, np.int32)
    return ClassScratch(ranking_bins(num_classes), facts, of_lanes, places, units, low)


def _first_bit(typingctx: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint32(types.uint32), codegen


first_bit: Any = intrinsic(_first_bit)  # the place of the lowest bit of a uint32 that is not 0


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
def class_bin(below: Any, base: Any, width: Any) -> Any:
    """Return the bin, int32, of -log1p(R) - below, the log-odds of a class that is not the top one: 0 at most.

    Args:
        below: g + log(1 - p), float32.
        base: (32 - log1p(R)) width.
        width: bins per nat.
    """
    return np.int32(max(base - below * width, _ZERO))


@inlined
def logit_below(value: Any, top: Any, share: Any) -> Any:
    """Return p_c and g + log(1 - p_c) of a class, float32; share is 2^-56 / (1 + R)."""
    g = np.float32(top - value)
    near = g if g < FURTHEST else FURTHEST
    p = exp_scaled(-near) * share
    return p, near + log_one_minus(p)


@inlined
def prob_below(value: Any, scale: Any, share: Any) -> Any:
    """Return what ``logit_below`` does of a probability; scale is 2^56 / p_top."""
    known = np.float32(value * scale) if value > 0 else _ZERO
    floor = _SMALL * scale
    p = known * share
    return p, _SCALE_LOG - log32(known if known > floor else floor) + log_one_minus(p)


@inlined
def logit_class(value: Any, top: Any, share: Any, spread: Any) -> Any:
    """Return p_c and the log-odds of a class that is not the top one, float32; spread is log1p(R)."""
    p, below = logit_below(value, top, share)
    return p, -below - spread


@inlined
def prob_class(value: Any, scale: Any, share: Any, spread: Any) -> Any:
    """Return what ``logit_class`` does of a probability; scale is 2^56 / p_top."""
    p, below = prob_below(value, scale, share)
    return p, -below - spread


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
    codes, facts, found = lanes.codes, scratch.facts, scratch.lanes
    places, units, ranking, class_wise = scratch.places, scratch.units, counts.ranking, counts.class_wise
    bins = np.float32(scratch.bins)
    width = bins / _TWICE_SPAN
    _lane_facts(lanes.rows, codes, bins, facts, found)
    for c in range(classes):
        at = c * LANES
        if probs is None:
            low = _logits_of_tile(lanes.tile, at, lanes.tops, width, facts, places, units)
        else:
            low = _probs_of_tile(lanes.tile, at, width, facts, places, units)
        class_wise[uint64(c), 0, 2] += low
        _count_high(units, at, uint64(c), uint64(0), class_wise)
    for lane in range(LANES):
        places[uint64(codes[PLACE + lane] * LANES + lane)] = found[OWN_BIN + lane]
    for c in range(classes):
        for lane in range(LANES):
            ranking[uint64(c), 0, uint64(places[uint64(c * LANES + lane)])] += found[SCORED + lane]
    for lane in range(LANES):
        label, scored = uint64(codes[LABEL + lane]), found[SCORED + lane]
        own = uint64(codes[LABEL + lane] * LANES + lane)
        ranking[label, 0, uint64(places[own])] -= scored
        ranking[label, 1, uint64(places[own])] += scored
        class_wise[label, uint64(cell_of(units[own])), 1] += scored


@part
def _lane_facts(rows: Any, codes: Any, bins: Any, facts: Any, found: Any) -> None:
    """Fill in ClassScratch.facts and what is known of the lanes; of one that is not ok all shares are 0."""
    for lane in range(LANES):
        scored = codes[STATUS + lane] == OK
        found[SCORED + lane] = np.int32(scored)
        facts[SCALES + lane] = np.float32(np.float64(SCALE) / rows[PEAK + lane])
        facts[SHARES + lane] = np.float32(rows[P_PRED + lane] * UNSCALE) if scored else _ZERO
        facts[TOTALS + lane] = np.float32(rows[TOTAL + lane]) if scored else _ONE
    width = bins / _TWICE_SPAN
    for lane in range(LANES):
        total = facts[TOTALS + lane]
        facts[BASES + lane] = (_SPAN - log1p32(total)) * width
        found[OWN_BIN + lane] = odds_bin(-log32(total if total > _SMALL else _SMALL), bins)


@part
def count_row(row: Any, tail: Any, lanes: Any, lane: Any, probs: Any, scratch: Any, counts: Any) -> None:
    """Count every class of one row that is ok; see ``count_tile``, and ``row_sums`` for row and tail."""
    rows, codes, places, units, low = lanes.rows, lanes.codes, scratch.places, scratch.units, scratch.low
    ranking, class_wise = counts.ranking, counts.class_wise
    bins = np.float32(scratch.bins)
    whole = len(row) // LANES * LANES
    total = np.float32(rows[TOTAL + lane])
    width = bins / _TWICE_SPAN
    share, base = np.float32(rows[P_PRED + lane] * UNSCALE), (_SPAN - log1p32(total)) * width
    if probs is None:
        top = lanes.tops[lane]
        _logits_of_row(row, 0, whole, top, share, base, width, places, units, low)
        _logits_of_row(tail, whole, LANES, top, share, base, width, places, units, low)
    else:
        scale = np.float32(np.float64(SCALE) / rows[PEAK + lane])
        _probs_of_row(row, 0, whole, scale, share, base, width, places, units, low)
        _probs_of_row(tail, whole, LANES, scale, share, base, width, places, units, low)
    label, pred = codes[LABEL + lane], codes[PLACE + lane]
    places[uint64(pred)] = odds_bin(-log32(total if total > _SMALL else _SMALL), bins)
    for c in range(len(row)):
        ranking[uint64(c), 0, uint64(places[uint64(c)])] += 1
    ranking[uint64(label), 0, uint64(places[uint64(label)])] -= 1
    ranking[uint64(label), 1, uint64(places[uint64(label)])] += 1
    for start in range(0, len(row), LANES):
        _count_high(units, start, uint64(start), uint64(1), class_wise)
    class_wise[uint64(label), uint64(cell_of(units[uint64(label)])), 1] += 1


@part
def flush_low(scratch: Any, counts: Any) -> None:
    """Add the low units of up to 64 rows to the counts."""
    for c in range(len(counts.class_wise)):
        counts.class_wise[c, 0, 2] += scratch.low[c]
        scratch.low[c] = 0


@part
def _count_high(units: Any, at: Any, first: Any, step: Any, class_wise: Any) -> None:
    """Count those of 64 probabilities above the lowest bin; they are of classes from ``first`` in steps of 0 or 1."""
    for start in (0, 32):
        high = _high(units, at + start)
        while high:
            i = uint64(start) + uint64(first_bit(high))
            high &= np.uint32(high - _BIT)
            known = np.int64(units[uint64(at) + i])
            c, cell = first + i * step, uint64(cell_of(known))
            class_wise[c, cell, 0] += 1
            class_wise[c, cell, 2] += known


@summing_part
def _high(units: Any, at: Any) -> Any:
    """Return which of 32 probabilities are above the lowest bin, a bit each, uint32."""
    high = np.int32(0)
    for i in range(32):
        high |= np.int32(np.int32(units[uint64(at + i)] >= _LOW_UNITS) << np.int32(i))
    return np.uint32(high)


@inlined
def cell_of(units: Any) -> Any:
    """Return the bin of a probability in units of 2^-28."""
    return min((np.int64(units) * CALIBRATION_BINS) >> 28, CALIBRATION_BINS - 1)


@summing_part
def _logits_of_tile(tile: Any, at: Any, tops: Any, width: Any, facts: Any, places: Any, all_units: Any) -> Any:
    """Fill in the bins and the units of a class in 64 lanes; return the sum of the units that are low."""
    low = np.int32(0)
    for lane in range(LANES):
        share, base = facts[SHARES + lane], facts[BASES + lane]
        p, below = logit_below(tile[uint64(at + lane)], tops[lane], share)
        # of a lane that is not ok anything may come, NaN as well
        places[uint64(at + lane)] = class_bin(below, base, width) if share > _ZERO else _NOTHING
        units = prob_units(p) if share > _ZERO else _NOTHING
        all_units[uint64(at + lane)] = units
        low = np.int32(low + (units if units < _LOW_UNITS else _NOTHING))
    return low


@summing_part
def _probs_of_tile(tile: Any, at: Any, width: Any, facts: Any, places: Any, all_units: Any) -> Any:
    low = np.int32(0)
    for lane in range(LANES):
        share, base = facts[SHARES + lane], facts[BASES + lane]
        p, below = prob_below(tile[uint64(at + lane)], facts[SCALES + lane], share)
        places[uint64(at + lane)] = class_bin(below, base, width) if share > _ZERO else _NOTHING
        units = prob_units(p) if share > _ZERO else _NOTHING
        all_units[uint64(at + lane)] = units
        low = np.int32(low + (units if units < _LOW_UNITS else _NOTHING))
    return low


@part
def _logits_of_row(
    values: Any,
    at: Any,
    count: Any,
    top: Any,
    share: Any,
    base: Any,
    width: Any,
    places: Any,
    all_units: Any,
    low: Any,
) -> None:
    """Fill in the bins and the units of the classes from ``at``; add the units that are low to theirs."""
    for i in range(count):
        p, below = logit_below(values[uint64(i)], top, share)
        units = prob_units(p)
        places[uint64(at + i)] = class_bin(below, base, width)
        all_units[uint64(at + i)] = units
        low[uint64(at + i)] = np.int32(low[uint64(at + i)] + (units if units < _LOW_UNITS else _NOTHING))


@part
def _probs_of_row(
    values: Any,
    at: Any,
    count: Any,
    scale: Any,
    share: Any,
    base: Any,
    width: Any,
    places: Any,
    all_units: Any,
    low: Any,
) -> None:
    for i in range(count):
        p, below = prob_below(values[uint64(i)], scale, share)
        units = prob_units(p)
        places[uint64(at + i)] = class_bin(below, base, width)
        all_units[uint64(at + i)] = units
        low[uint64(at + i)] = np.int32(low[uint64(at + i)] + (units if units < _LOW_UNITS else _NOTHING))
