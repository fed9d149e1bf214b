"""The sums of 64 softmaxes of few classes at a time, from a tile in which the classes stand one after another.

All loops run over 64 lanes, whatever their number that is in use: no lane depends on another or on its own place.
A softmax is seen from its most probable class, the first of equals: with gaps g_c = z_top - z_c >= 0

    r_c = p_c / p_top = exp(-g_c),    TOTAL = sum_{c != top} r_c,    WARMTH = sum r_c g_c,    SQUARE = sum r_c^2

The top class is left out of the sums and not subtracted from them: all classes of gap 0 are counted, one of them is it.
"""

from typing import Any

import numpy as np
from numpy import (
    uint64,
)  # of an index: a signed one may be negative and count from the end, which no loop would vectorise

from evaltool.kernels.compiled import inlined, part
from evaltool.kernels.elementary import FURTHEST, SCALE, UNSCALE, exp_scaled, log32
from evaltool.kernels.loading import keyed, order_key, read
from evaltool.kernels.softmax_lanes import (
    FOLD,
    GAP,
    HEAT,
    LANES,
    LEAST,
    NEXT,
    ODDS,
    PEAK,
    SQUARE,
    SQUARES,
    TIES,
    TOTAL,
    WARMTH,
)
from evaltool.kernels.transposition import LARGEST_SQUARE, square_size, transposed_square

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_FAR = np.float32(np.inf)
SCALE_LOG = np.float32(56 * 0.6931471805599453)
SMALL = np.float32(1.1754943508222875e-38)


@part
def transpose_rows(preds: Any, start: Any, count: Any, direct: Any, lanes: Any) -> None:
    """Fill the tile with ``count`` rows of preds [N, C], as float32 or float64; other lanes hold anything finite.

    Args:
        preds: as ``loading.as_read`` gives them.
        start: the first row.
        count: how many rows.
        direct: None where preds have to be read, anything else where they have the dtype of the tile.
        lanes: with room for 64 rows in ``copy``.
    """
    classes = preds.shape[1]
    if direct is not None:
        flat = preds.reshape(-1)
        if (start + LANES) * classes + LARGEST_SQUARE <= len(flat):
            _transpose(flat, start * classes, classes, lanes.tile)
            return
    for lane in range(count):
        for c in range(classes):
            lanes.copy[uint64(lane * classes + c)] = read(preds[uint64(start + lane), uint64(c)])
    _transpose(lanes.copy, 0, classes, lanes.tile)


@part
def _transpose(flat: Any, at: Any, classes: Any, tile: Any) -> None:
    size = square_size(tile)
    for first in range(0, classes, size):
        for lane in range(0, LANES, size):
            transposed_square(flat, at + lane * classes + first, classes, tile, first * LANES + lane, LANES)
    if classes % 2:  # classes are summed in pairs
        for lane in range(LANES):
            tile[uint64(classes * LANES + lane)] = -np.inf


@part
def tile_sums(lanes: Any, classes: Any, probs: Any) -> None:
    """Fill in of each lane the top class, TOTAL, WARMTH, SQUARE, NEXT and PEAK; of probabilities LEAST too.

    Args:
        lanes: with classes * 64 numbers in the tile, and -inf in the class beyond where their number is odd.
        classes: how many there are.
        probs: None for logits and log-probs, anything else for probabilities.
    """
    _peaks(lanes.tile, lanes.keys, lanes.places, classes)
    for lane in range(LANES):
        lanes.tops[lane] = keyed(lanes.keys[lane])
    rows, sums = lanes.rows, lanes.sums
    for lane in range(LANES):
        rows[TOTAL + lane] = 0.0
        rows[WARMTH + lane] = 0.0
        rows[SQUARE + lane] = 0.0
        rows[NEXT + lane] = -1.0  # to count the ties, of which the top class is one
        rows[PEAK + lane] = lanes.tops[lane]
        sums[GAP + lane] = _FAR
    for first in range(0, classes, FOLD):
        _clear(sums)
        for c in range(first, min(first + FOLD, classes), 2):
            if probs is None:
                _add_logits(lanes.tile, c * LANES, lanes.tops, sums)
            else:
                _add_probs(lanes.tile, c * LANES, lanes.tops, sums)
        _fold(sums, rows)
    for lane in range(LANES):
        ties = rows[NEXT + lane]
        rows[TOTAL + lane] += ties
        rows[SQUARE + lane] += ties
        rows[NEXT + lane] = 0.0 if ties > 0.0 else np.float64(sums[GAP + lane])
    if probs is not None:
        _least(lanes.tile, rows, classes)


@part
def _peaks(tile: Any, keys: Any, places: Any, classes: Any) -> None:
    for lane in range(LANES):
        keys[lane] = order_key(tile[lane] + _ZERO)
        places[lane] = 0
    for c in range(1, classes):
        here = np.int32(c)
        for lane in range(LANES):
            key = order_key(tile[uint64(c * LANES + lane)] + _ZERO)  # -0 becomes 0
            best = keys[lane]
            places[lane] = here if key > best else places[lane]
            keys[lane] = key if key > best else best


@part
def _least(tile: Any, rows: Any, classes: Any) -> None:
    for lane in range(LANES):
        rows[LEAST + lane] = tile[lane]
    for c in range(1, classes):
        for lane in range(LANES):
            value = np.float64(tile[uint64(c * LANES + lane)])
            least = rows[LEAST + lane]
            rows[LEAST + lane] = value if value < least else least


@part
def _clear(sums: Any) -> None:
    for lane in range(LANES):
        sums[ODDS + lane] = _ZERO
        sums[HEAT + lane] = _ZERO
        sums[SQUARES + lane] = _ZERO
        sums[TIES + lane] = _ZERO


@part
def _add_logits(tile: Any, at: Any, tops: Any, sums: Any) -> None:
    for lane in range(LANES):
        top = tops[lane]
        gap = sums[GAP + lane]
        w0, h0, t0, gap = logit_terms(tile[uint64(at + lane)], top, gap)
        w1, h1, t1, gap = logit_terms(tile[uint64(at + LANES + lane)], top, gap)
        sums[ODDS + lane] += w0 + w1
        sums[HEAT + lane] += h0 + h1
        sums[SQUARES + lane] += w0 * w0 + w1 * w1
        sums[TIES + lane] += t0 + t1
        sums[GAP + lane] = gap


@part
def _add_probs(tile: Any, at: Any, tops: Any, sums: Any) -> None:
    for lane in range(LANES):
        top = tops[lane]
        scale = np.float32(np.float64(SCALE) / np.float64(top))
        gap = sums[GAP + lane]
        w0, h0, t0, gap = prob_terms(tile[uint64(at + lane)], top, scale, gap)
        w1, h1, t1, gap = prob_terms(tile[uint64(at + LANES + lane)], top, scale, gap)
        sums[ODDS + lane] += w0 + w1
        sums[HEAT + lane] += h0 + h1
        sums[SQUARES + lane] += w0 * w0 + w1 * w1
        sums[TIES + lane] += t0 + t1
        sums[GAP + lane] = gap


@inlined
def logit_terms(value: Any, top: Any, gap: Any) -> Any:
    """Return 2^56 r and 2^56 r g (0 at gap 0), 1 at gap 0, and the smallest gap so far above 0; float32."""
    g = np.float32(top - value)
    near = g if g < FURTHEST else FURTHEST  # a masked class's -inf as well: e^-124 is nothing
    beyond = g > _ZERO
    w = exp_scaled(-near) if beyond else _ZERO
    return w, w * near, _ZERO if beyond else _ONE, g if beyond and g < gap else gap


@inlined
def prob_terms(value: Any, top: Any, scale: Any, gap: Any) -> Any:
    """Return what ``logit_terms`` does of a probability; the gap is a difference of probabilities, scale 2^56 / top."""
    g = np.float32(top - value)
    beyond = g > _ZERO
    w = np.float32(value * scale) if beyond and value > 0 else _ZERO
    heat = w * (SCALE_LOG - log32(w)) if w > SMALL else _ZERO
    return w, heat, _ZERO if beyond else _ONE, g if beyond and g < gap else gap


@part
def _fold(sums: Any, rows: Any) -> None:
    for lane in range(LANES):
        rows[NEXT + lane] += np.float64(sums[TIES + lane])
        rows[TOTAL + lane] += np.float64(sums[ODDS + lane]) * UNSCALE
        rows[WARMTH + lane] += np.float64(sums[HEAT + lane]) * UNSCALE
        rows[SQUARE + lane] += np.float64(sums[SQUARES + lane]) * UNSCALE * UNSCALE
