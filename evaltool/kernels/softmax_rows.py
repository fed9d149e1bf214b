"""The sums of softmaxes of many classes, one row after another; what they are, ``softmax_tiles`` tells.

A row is read from memory once and stays in a cache for what follows: its largest number, where that stands, the sums.
Loops run over whole groups of 64 numbers; what is left of a row goes to a group of its own, filled up with -inf.  So a
row's sums depend on nothing but the row.
"""

from typing import Any

import numpy as np
from numpy import uint64

from evaltool.kernels.compiled import part, summing_part
from evaltool.kernels.elementary import SCALE, UNSCALE, float_of_int, int_of_float
from evaltool.kernels.loading import keyed, order_key, read
from evaltool.kernels.softmax_lanes import LANES, LEAST, NEXT, PEAK, SQUARE, TOTAL, WARMTH
from evaltool.kernels.softmax_tiles import logit_terms, prob_terms

GROUP = LANES
PIECE = 2048  # numbers summed in float32; their sums go to a float64 sum
_ZERO = np.float32(0.0)
_FAR = np.float32(np.inf)


@part
def row_sums(row: Any, tail: Any, lanes: Any, lane: Any, probs: Any) -> None:
    """Fill in the key, place and top of a lane, TOTAL, WARMTH, SQUARE, NEXT and PEAK; of probabilities LEAST too.

    Args:
        row: float32 or float64 [C].
        tail: of the same dtype [64]: what follows the last whole group of the row, then -inf.
        lanes: where to.
        lane: in which place.
        probs: None for logits and log-probs, anything else for probabilities.
    """
    whole = len(row) // GROUP * GROUP
    key = max(_largest(row, whole), _largest(tail, GROUP))
    top = keyed(key)
    place = _first(row, whole, top)
    if place == whole:
        place += _first(tail, GROUP, top)
    total, warmth, square, ties = 0.0, 0.0, 0.0, -1.0  # the top class is among the ties
    gap = _FAR
    for start in range(0, whole, PIECE):
        odds, heat, squares, tied, near = _terms(row, start, min(start + PIECE, whole), top, probs)
        total += odds
        warmth += heat
        square += squares
        ties += tied
        gap = min(gap, near)
    odds, heat, squares, tied, near = _terms(tail, 0, GROUP, top, probs)
    ties += tied
    rows = lanes.rows
    rows[TOTAL + lane] = (total + odds) + ties
    rows[WARMTH + lane] = warmth + heat
    rows[SQUARE + lane] = (square + squares) + ties
    rows[NEXT + lane] = 0.0 if ties > 0.0 else np.float64(min(gap, near))
    rows[PEAK + lane] = top
    lanes.keys[lane] = key
    lanes.tops[lane] = top
    lanes.places[lane] = place
    if probs is not None:
        rows[LEAST + lane] = _least(row)


@summing_part
def _largest(values: Any, stop: Any) -> Any:
    best = order_key(values[0])
    for i in range(stop):
        key = order_key(values[uint64(i)])
        best = key if key > best else best
    return best


@part
def _first(values: Any, stop: Any, top: Any) -> Any:
    """Return the first place of a number before ``stop``, a multiple of 64; ``stop`` where there is none."""
    for start in range(0, stop, GROUP):
        found = np.int32(0)
        for i in range(GROUP):
            found |= np.int32(values[uint64(start + i)] == top)
        if found:
            for i in range(GROUP):
                if values[uint64(start + i)] == top:
                    return start + i
    return stop


@part
def _least(row: Any) -> Any:
    least = row[0]
    for value in row:
        least = value if value < least else least
    return least


@part
def _terms(values: Any, start: Any, stop: Any, top: Any, probs: Any) -> Any:
    if probs is None:
        odds, heat, squares, ties, gap = _logit_sums(values, start, stop, top)
    else:
        odds, heat, squares, ties, gap = _prob_sums(values, start, stop, top)
    unscale = np.float64(UNSCALE)
    return odds * unscale, heat * unscale, squares * unscale * unscale, np.float64(ties), gap


@summing_part
def _logit_sums(values: Any, start: Any, stop: Any, top: Any) -> Any:
    odds, heat, squares, ties = _ZERO, _ZERO, _ZERO, _ZERO
    gap = int_of_float(_FAR)
    for i in range(start, stop):
        w, h, t, near = logit_terms(values[uint64(i)], top, _FAR)
        odds += w
        heat += h
        squares += w * w
        ties += t
        bits = int_of_float(
            near
        )  # of numbers >= 0 in the order of their values, and a loop can keep the least of integers
        gap = bits if bits < gap else gap
    return odds, heat, squares, ties, float_of_int(gap)


@summing_part
def _prob_sums(values: Any, start: Any, stop: Any, top: Any) -> Any:
    scale = np.float32(np.float64(SCALE) / np.float64(top))
    odds, heat, squares, ties = _ZERO, _ZERO, _ZERO, _ZERO
    gap = int_of_float(_FAR)
    for i in range(start, stop):
        w, h, t, near = prob_terms(values[uint64(i)], top, scale, _FAR)
        odds += w
        heat += h
        squares += w * w
        ties += t
        bits = int_of_float(near)
        gap = bits if bits < gap else gap
    return odds, heat, squares, ties, float_of_int(gap)


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
