"""The sums of softmaxes of many classes, one row after another; what they are, ``softmax_tiles`` tells.

A row is read from memory once, into a copy that stays in a cache for what follows: where its largest number stands,
the sums.  The copy is filled up with -inf to whole groups of 64 numbers, over which all loops run, and its top class is
made -inf too, so that no sum has to leave it out.  So a row's sums depend on nothing but the row.
"""

from typing import Any

import numpy as np
from numpy import uint64

from evaltool.kernels.compiled import part, summing_part
from evaltool.kernels.elementary import FURTHEST, SCALE, UNSCALE, exp_scaled, float_of_int, int_of_float, log32
from evaltool.kernels.loading import keyed, order_key, read
from evaltool.kernels.softmax_lanes import LANES, LEAST, NEXT, PEAK, SQUARE, TOTAL, WARMTH
from evaltool.kernels.softmax_tiles import SCALE_LOG, SMALL

GROUP = LANES
PIECE = 2048  # numbers summed in float32; their sums go to a float64 sum
_ZERO = np.float32(0.0)
_FAR = np.float32(np.inf)
_FURTHEST_BITS = FURTHEST.view(np.int32)


@summing_part
def load_row(row: Any, copy: Any) -> Any:
    """Copy a row of at least 64 numbers, as float32 or float64, and return the ``order_key`` of the largest.

    Args:
        row: [C], as ``loading.as_read`` gives it.
        copy: float32 or float64, [C] rounded up to a multiple of 64; the numbers beyond C are -inf and stay so.
    """
    best = order_key(read(row[0]))
    for i in range(len(row) // GROUP * GROUP):
        value = read(row[uint64(i)])
        copy[uint64(i)] = value
        key = order_key(value)
        best = key if key > best else best
    # the last 64, of which some were copied already
    for i in range(len(row) - GROUP, len(row)):
        value = read(row[uint64(i)])
        copy[uint64(i)] = value
        key = order_key(value)
        best = key if key > best else best
    return best


@part
def row_sums(copy: Any, classes: Any, key: Any, lanes: Any, lane: Any, probs: Any) -> None:
    """Fill in the key, place and top of a lane, TOTAL, WARMTH, SQUARE, NEXT and PEAK; of probabilities LEAST too.

    Args:
        copy: a row that ``load_row`` copied; its top class becomes -inf.
        classes: how many numbers of it are no filling.
        key: the largest number's.
        lanes: where to.
        lane: in which place.
        probs: None for logits and log-probs, anything else for probabilities.
    """
    top = keyed(key)
    place = _first(copy, top)
    rows = lanes.rows
    if probs is not None:
        rows[LEAST + lane] = _least(copy, classes)
    copy[uint64(place)] = -np.inf
    total, warmth, square = 0.0, 0.0, 0.0
    gap = _FAR
    for start in range(0, len(copy), PIECE):
        odds, heat, squares, near = _terms(copy, start, min(start + PIECE, len(copy)), top, probs)
        total += odds
        warmth += heat
        square += squares
        gap = min(gap, near)
    rows[TOTAL + lane] = total
    rows[WARMTH + lane] = warmth
    rows[SQUARE + lane] = square
    rows[NEXT + lane] = gap
    rows[PEAK + lane] = top
    lanes.keys[lane] = key
    lanes.tops[lane] = top
    lanes.places[lane] = place


@part
def _first(values: Any, top: Any) -> Any:
    """Return the first place of a number; 0 where it is NaN."""
    for start in range(0, len(values), GROUP):
        found = np.int32(0)
        for i in range(GROUP):
            found |= np.int32(values[uint64(start + i)] == top)
        if found:
            least = np.int32(GROUP)
            for i in range(GROUP):
                here = np.int32(i) if values[uint64(start + i)] == top else np.int32(GROUP)
                least = here if here < least else least
            return start + least
    return 0


@part
def _least(values: Any, stop: Any) -> Any:
    least = values[0]
    for i in range(stop):
        value = values[uint64(i)]
        least = value if value < least else least
    return least


@part
def _terms(values: Any, start: Any, stop: Any, top: Any, probs: Any) -> Any:
    if probs is None:
        odds, heat, squares, gap = _logit_sums(values, start, stop, top)
    else:
        odds, heat, squares, gap = _prob_sums(values, start, stop, top)
    unscale = np.float64(UNSCALE)
    return odds * unscale, heat * unscale, squares * unscale * unscale, gap


@summing_part
def _logit_sums(values: Any, start: Any, stop: Any, top: Any) -> Any:
    odds, heat, squares = _ZERO, _ZERO, _ZERO
    least = int_of_float(_FAR)
    for i in range(start, stop):
        # a gap is at least 0: its bits are in the order of the values, and a loop can keep the least of integers
        bits = int_of_float(np.float32(top - values[uint64(i)]))
        near = float_of_int(bits if bits < _FURTHEST_BITS else _FURTHEST_BITS)
        w = exp_scaled(-near)
        odds += w
        heat += w * near
        squares += w * w
        least = bits if bits < least else least
    return odds, heat, squares, float_of_int(least)


@summing_part
def _prob_sums(values: Any, start: Any, stop: Any, top: Any) -> Any:
    scale = np.float32(np.float64(SCALE) / np.float64(top))
    odds, heat, squares = _ZERO, _ZERO, _ZERO
    least = int_of_float(_FAR)
    for i in range(start, stop):
        value = values[uint64(i)]
        bits = int_of_float(np.float32(top - value))
        w = np.float32(value * scale) if value > 0 else _ZERO
        odds += w
        heat += w * (SCALE_LOG - log32(w)) if w > SMALL else _ZERO
        squares += w * w
        least = bits if bits < least else least
    return odds, heat, squares, float_of_int(least)


@part
def fill_tail(row: Any, tail: Any) -> None:
    """Copy what follows the last whole group of 64 numbers of a row; the rest of the tail becomes -inf."""
    whole = len(row) // GROUP * GROUP
    for i in range(GROUP):
        tail[i] = -np.inf
    for i in range(len(row) - whole):
        tail[i] = row[uint64(whole + i)]


@part
def read_row(preds: Any, row: Any, out: Any) -> None:
    """Read a row of preds [N, C] as float32 or float64."""
    for c in range(preds.shape[1]):
        out[c] = read(preds[uint64(row), uint64(c)])
