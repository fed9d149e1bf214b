"""The counts of sigmoids: what goes where is found for a tile of lanes at once, then added one lane after another.

Lanes of a foreground or of single sigmoids take turns at COPIES of each counter, for an addition need not wait then for
the one before; a lane that is a class has counters of its own.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy import uint64

from evaltool.kernels.compiled import inlined, part
from evaltool.kernels.elementary import int_of_float
from evaltool.kernels.job import Array
from evaltool.kernels.loss_table import DICE
from evaltool.kernels.sigmoid_tiles import CHOSEN, DISTANCE, MISS, ONE, P_LABEL, P_PRED, STEP, VALID, VALUE, steps
from evaltool.numerics.float_bits import OCTAVES

COPIES = 4
CELLS = 16  # of a calibration, one of them never used
SLOTS = 256  # octaves of one sum, one of them never used
# a packed cell holds the units of 2^-28, how many there are from bit 40 on, and how many are 1 from bit 52 on
NUMBER_BITS, RIGHT_BITS = 40, 52
MOST_PACKED = 2047
MOST_CODES = 127  # of one lane, whose four counts have 8 bits each

_ZERO = np.float32(0.0)


class SigmoidCounts(NamedTuple):
    """The counters of a job as compiled code adds to them.

    ``places`` says where a lane's counters start, int32 [3, LANES]: among the sums, the packed cells and the ranking.
    """

    places: Array
    label_step: int  # between the sums of label 0 and 1 of one place
    bins: int
    per_tile: int  # how many of a tile's lanes share one cell at most
    brier: Array  # int64 [COPIES * SLOTS]
    ranking: Array  # int32, the last for what does not count
    sums: Array  # int64 [L, places]
    numbers: Array  # int64 [L, C]
    top_cells: Array  # int64, packed; of size 0 if there is no such count
    cells: Array  # int64, packed
    codes: Array  # int32: valid, label, chosen and both, 8 bits each, of each lane that is a class
    top: Array  # int64 [15, 3] or [0, 3]
    classwise: Array  # int64 [C, 15, 3]
    confusion: Array  # int64 [C, 2, 2]
    slots: Array  # int32 [LANES], scratch
    units: Array  # int32 [LANES], scratch
    packed: Array  # int64 [LANES], scratch
    waiting: Array  # int64 [1]: tiles of which the packed cells and codes hold counts


@inlined
def _octave_units(value: Any) -> Any:
    bits = int_of_float(value)
    octave = np.int32(np.int32(bits >> 23) & 255)
    units = np.int32(np.int32(bits & 0x7FFFFF) | (0x800000 if octave > 0 else 0))
    units = np.int32(-units) if bits < 0 else units
    # what is not finite adds nothing
    return octave, np.int32(0) if octave == OCTAVES else units


@part
def count_tile(first: Any, count: Any, classes: Any, tile: Any, to: Any) -> None:
    """Count the valid lanes: Brier score, calibration, ranking, and of classes the confusion.

    Args:
        first: the class of the first lane; 0 if lanes are no classes.
        count: how many lanes.
        classes: whether each lane is a class.
        tile: with every row.
        to: ``SigmoidCounts``.
    """
    index, packed, units = to.slots, to.packed, to.units
    for j in range(steps(count) * STEP):
        miss = tile[uint64(MISS + j)]
        square = miss * miss if tile[uint64(VALID + j)] > 0.0 else _ZERO
        octave, unit = _octave_units(square)
        index[uint64(j)] = octave + (j & 3) * SLOTS
        units[uint64(j)] = unit
    _add_units(count, index, units, to.brier)
    if len(to.top_cells):
        for j in range(steps(count) * STEP):
            right = tile[uint64(ONE + j)] == tile[uint64(CHOSEN + j)]
            cell, what = _cell(tile[uint64(P_PRED + j)], tile[uint64(VALID + j)], right)
            index[uint64(j)] = cell + (j & 3) * CELLS
            packed[uint64(j)] = what
        _add_packed(count, index, packed, to.top_cells)
    if to.bins:
        place = to.places[1]
        for j in range(steps(count) * STEP):
            one = tile[uint64(ONE + j)] > 0.0
            prob = tile[uint64(P_LABEL + j)] if one else tile[uint64(MISS + j)]
            cell, what = _cell(prob, tile[uint64(VALID + j)], one)
            index[uint64(j)] = cell + place[uint64(j)] + first * CELLS
            packed[uint64(j)] = what
        _add_packed(count, index, packed, to.cells)
        _rank(first, count, tile, to)
    if classes:
        codes = to.codes[first:]
        for j in range(count):
            one, chosen = np.int32(tile[uint64(ONE + j)]), np.int32(tile[uint64(CHOSEN + j)])
            code = np.int32(tile[uint64(VALID + j)]) + (one << 8) + (chosen << 16) + ((one & chosen) << 24)
            codes[uint64(j)] += np.int32(code)


@inlined
def _cell(prob: Any, valid: Any, right: Any) -> Any:
    wide = np.float64(prob)
    cell = np.int32(min(wide * 15.0, 14.0))
    units = np.int64(wide * 268435456.0 + 0.5) + (1 << NUMBER_BITS) + ((1 << RIGHT_BITS) if right else 0)
    return cell, units if valid > 0.0 else 0


@part
def _rank(first: Any, count: Any, tile: Any, to: Any) -> None:
    index, place, ranking = to.slots, to.places[2], to.ranking
    start, nowhere, bins = np.int32(first * 2 * to.bins), np.int32(len(ranking) - 1), np.int32(to.bins)
    scale, last = np.float32(to.bins / 64.0), np.float32(to.bins - 1)
    for j in range(steps(count) * STEP):
        size = min(tile[uint64(DISTANCE + j)], np.float32(32.0))
        inside = (size if tile[uint64(CHOSEN + j)] > 0.0 else -size) + np.float32(32.0)
        rank = np.int32(min(inside * scale, last))
        rank = np.int32(rank + start + place[uint64(j)] + (bins if tile[uint64(ONE + j)] > 0.0 else 0))
        index[uint64(j)] = rank if tile[uint64(VALID + j)] > 0.0 else nowhere
    for j in range(count):
        ranking[uint64(index[uint64(j)])] += 1


@part
def _add_units(count: Any, index: Any, units: Any, sums: Any) -> None:
    for j in range(count):
        sums[uint64(index[uint64(j)])] += np.int64(units[uint64(j)])


@part
def _add_packed(count: Any, index: Any, packed: Any, cells: Any) -> None:
    for j in range(count):
        cells[uint64(index[uint64(j)])] += packed[uint64(j)]


@part
def count_values(loss: Any, first: Any, count: Any, classes: Any, tile: Any, to: Any) -> None:
    """Count VALUE, 0 where a lane is not valid, by class; how many, of classes, only where not all are finite."""
    index, units, place = to.slots, to.units, to.places[0]
    largest = np.int32(0)
    for j in range(steps(count) * STEP):
        octave, unit = _octave_units(tile[uint64(VALUE + j)])
        largest = max(largest, octave)
        slot = np.int32(min(octave, OCTAVES - 1) + place[uint64(j)] + first * OCTAVES)
        index[uint64(j)] = np.int32(slot + (to.label_step if tile[uint64(ONE + j)] > 0.0 else 0))
        units[uint64(j)] = unit
    _add_units(count, index, units, to.sums[loss])
    if largest == OCTAVES:
        for j in range(count):
            value = tile[uint64(VALUE + j)]
            if np.isnan(value) or np.isinf(value):
                c = (first + j) % len(to.confusion) if classes else np.int64(tile[uint64(ONE + j)])
                to.numbers[loss, uint64(c)] -= 1


@part
def make_room(to: Any, given: Any, classes: Any) -> None:
    """Empty what could be full after the next tile."""
    to.waiting[0] += 1
    if to.waiting[0] * to.per_tile > MOST_PACKED or to.waiting[0] > MOST_CODES:
        empty(to, given, classes)
        to.waiting[0] = 1


@part
def empty(to: Any, given: Any, classes: Any) -> None:
    """Move packed cells and codes to where they are counted in full."""
    to.waiting[0] = 0
    for i in range(len(to.top_cells)):
        _unpack(to.top_cells, i, to.top)
    for i in range(len(to.cells)):
        _unpack(to.cells, i, to.classwise[(i // CELLS) if classes else 0])
    if not classes:
        return
    for i in range(len(to.codes)):
        code = np.int64(to.codes[i])
        if code == 0:
            continue
        to.codes[i] = 0
        valid, ones, chosen, both = code & 255, (code >> 8) & 255, (code >> 16) & 255, code >> 24
        c = i % len(to.confusion)
        add_pairs(valid, ones, chosen, both, to.confusion[c])
        for loss in range(len(given.kinds)):
            if given.kinds[loss] != DICE:
                to.numbers[loss, c] += valid


@part
def _unpack(cells: Any, i: Any, counts: Any) -> None:
    what = cells[i]
    if what != 0:
        cells[i] = 0
        counts[i % CELLS, 0] += (what >> NUMBER_BITS) & ((1 << (RIGHT_BITS - NUMBER_BITS)) - 1)
        counts[i % CELLS, 1] += what >> RIGHT_BITS
        counts[i % CELLS, 2] += what & ((1 << NUMBER_BITS) - 1)


@part
def add_pairs(valid: Any, ones: Any, chosen: Any, both: Any, pairs: Any) -> None:
    """Add to the pairs of label and prediction, [2, 2]."""
    pairs[0, 0] += valid - ones - chosen + both
    pairs[0, 1] += chosen - both
    pairs[1, 0] += ones - both
    pairs[1, 1] += both
