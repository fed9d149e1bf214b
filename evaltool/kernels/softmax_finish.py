"""From the sums of 64 softmaxes to what is told of each: cross-entropy, probabilities, margin, entropy, losses.

With R = TOTAL, the sum of r_c = p_c / p_top over the other classes, and the gap g = log(p_top / p_label) (0 where the
label is the top class)

    cross-entropy = g + log1p(R)                  p_label = e^-g / (1 + R)
    1 - p_label = R / (1 + R)                     where the label is the top class
                  (1 + (R - e^-g)) / (1 + R)      where it is not; what is added to the 1 is at least 0
    margin = +-(1 - e^-g') / (1 + R)              g' to the second class, or from the label to the top
    entropy = log1p(R) + WARMTH / (1 + R)

Nothing here subtracts nearly equal numbers.  All in float64: once per row, the sums' precision is what counts.
"""

from typing import Any

import numpy as np
from numpy import uint64

from evaltool.kernels.compiled import inlined, part
from evaltool.kernels.elementary import exp64, log1p64, log64, one_minus_exp64
from evaltool.kernels.loading import is_nonfinite
from evaltool.kernels.softmax_lanes import (
    CE,
    ENTROPY,
    LABEL,
    LANES,
    LEAST,
    MARGIN,
    MISS,
    NEXT,
    OFF,
    OTHERS,
    OWN,
    P_LABEL,
    P_PRED,
    PEAK,
    PLACE,
    SQUARE,
    STATUS,
    TOTAL,
    VALUE,
    WARMTH,
)
from evaltool.schema import BAD_LABEL, BAD_PREDS, IGNORED, NONFINITE, OK

SMALLEST_NORMAL = 1.1754943508222875e-38

# what a loss is, in KernelLosses.kinds
CROSS_ENTROPY, FOCAL, DICE, SQUARED_DICE = range(4)


@part
def label_codes(labels: Any, start: Any, count: Any, classes: Any, ignore_index: Any, codes: Any) -> None:
    """Fill in the LABEL and what it says of the STATUS of ``count`` lanes; lanes beyond are ignored."""
    for lane in range(LANES):
        codes[LABEL + lane] = ignore_index
    for lane in range(count):
        codes[LABEL + lane] = labels[uint64(start + lane)]
    for lane in range(LANES):
        label = codes[LABEL + lane]
        inside = (label >= 0) & (label < classes)
        ignored = label == ignore_index
        codes[LABEL + lane] = label if inside & (not ignored) else 0
        codes[STATUS + lane] = IGNORED if ignored else (OK if inside else BAD_LABEL)


@part
def finish(lanes: Any, kind: Any, tolerance: Any) -> None:
    """Fill in CE to ENTROPY and OTHERS of each lane, PLACE and the STATUS.

    Args:
        lanes: with TOTAL, WARMTH, SQUARE, NEXT, PEAK, OWN, keys, places, LABEL and the label's STATUS.
        kind: 0 logits, 1 probs (LEAST is filled in too), 2 log-probs.
        tolerance: how far probabilities may sum from 1.
    """
    rows, codes = lanes.rows, lanes.codes
    for lane in range(LANES):
        codes[PLACE + lane] = lanes.places[lane]
    if kind == 1:
        _finish_probs(rows, codes, tolerance)
    else:
        _finish_logits(rows, codes)
        if kind == 2:
            _check_log_probs(rows, tolerance)
    for lane in range(LANES):
        status = codes[STATUS + lane]
        bad = (status == OK) & (rows[OFF + lane] != 0.0)
        status = BAD_PREDS if bad else status
        masked = (kind != 1) & (rows[PEAK + lane] == -np.inf)
        nonfinite = (is_nonfinite(lanes.keys[lane]) | masked) & (status != IGNORED)
        codes[STATUS + lane] = NONFINITE if nonfinite else status


@part
def _finish_logits(rows: Any, codes: Any) -> None:
    for lane in range(LANES):
        right = codes[PLACE + lane] == codes[LABEL + lane]
        far = 0.0 if right else rows[PEAK + lane] - rows[OWN + lane]
        gap = rows[NEXT + lane] if right else far
        lead = one_minus_exp64(gap)
        _scores(rows, lane, right, far, 1.0 if right else exp64(-gap), lead)
        rows[OFF + lane] = 0.0


@part
def _check_log_probs(rows: Any, tolerance: Any) -> None:
    for lane in range(LANES):
        peak = rows[PEAK + lane]
        off = (peak > tolerance) | (abs(peak + log1p64(rows[TOTAL + lane], rows[P_PRED + lane])) > tolerance)
        rows[OFF + lane] = 1.0 if off else 0.0


@part
def _finish_probs(rows: Any, codes: Any, tolerance: Any) -> None:
    for lane in range(LANES):
        right = codes[PLACE + lane] == codes[LABEL + lane]
        peak, own = rows[PEAK + lane], rows[OWN + lane]
        lead = (rows[NEXT + lane] if right else peak - own) / peak
        # a label's probability counts as the smallest normal float32 at least
        floored = max(own, SMALLEST_NORMAL) / peak
        _scores(rows, lane, right, 0.0 if right else -log64(floored), 1.0 if right else floored, lead)
        off = abs(peak * (1.0 + rows[TOTAL + lane]) - 1.0) > tolerance
        off = off | (rows[LEAST + lane] < 0.0) | (peak > 1.0 + tolerance)
        rows[OFF + lane] = 1.0 if off else 0.0


@inlined
def _scores(rows: Any, lane: Any, right: Any, far: Any, own_ratio: Any, lead: Any) -> None:
    total = rows[TOTAL + lane]
    share = 1.0 / (1.0 + total)
    spread = log1p64(total, share)
    rest = total - own_ratio
    miss = total if right else 1.0 + (rest if rest > 0.0 else 0.0)
    square = rows[SQUARE + lane] - own_ratio * own_ratio
    others = rows[SQUARE + lane] if right else 1.0 + (square if square > 0.0 else 0.0)
    rows[CE + lane] = far + spread
    rows[MISS + lane] = miss * share
    rows[P_LABEL + lane] = own_ratio * share
    rows[P_PRED + lane] = share
    rows[MARGIN + lane] = (lead if right else -lead) * share
    rows[ENTROPY + lane] = spread + rows[WARMTH + lane] * share
    rows[OTHERS + lane] = others * share * share


@part
def loss_values(rows: Any, codes: Any, losses: Any, which: Any) -> None:
    """Fill in the VALUE of one of the losses.

    Args:
        rows: with CE, MISS, P_LABEL and OTHERS.
        codes: with LABEL.
        losses: a ``KernelLosses``.
        which: its place among them.
    """
    kind = losses.kinds[which]
    if kind == CROSS_ENTROPY:
        for lane in range(LANES):
            rows[VALUE + lane] = rows[CE + lane]
    elif kind == FOCAL:
        _focal(rows, codes, losses.numbers[which, 0], losses.gammas, losses.gamma_of[which])
    else:
        _dice(rows, losses.numbers[which, 0], losses.numbers[which, 1], kind == SQUARED_DICE)
    if losses.factor_of[which] >= 0:
        factors = losses.factors[losses.factor_of[which]]
        for lane in range(LANES):
            rows[VALUE + lane] *= factors[uint64(codes[LABEL + lane])]


@part
def _focal(rows: Any, codes: Any, gamma: Any, gammas: Any, gamma_of: Any) -> None:
    if gamma_of >= 0:
        for lane in range(LANES):
            own = gammas[uint64(gamma_of), uint64(codes[LABEL + lane])]
            rows[VALUE + lane] = exp64(own * log64(rows[MISS + lane])) * rows[CE + lane]
    elif gamma == 2.0:
        for lane in range(LANES):
            rows[VALUE + lane] = rows[MISS + lane] * rows[MISS + lane] * rows[CE + lane]
    elif gamma == 1.0:
        for lane in range(LANES):
            rows[VALUE + lane] = rows[MISS + lane] * rows[CE + lane]
    else:
        for lane in range(LANES):
            rows[VALUE + lane] = exp64(gamma * log64(rows[MISS + lane])) * rows[CE + lane]


@part
def _dice(rows: Any, smooth_nr: Any, smooth_dr: Any, squared: Any) -> None:
    smooth = smooth_dr - smooth_nr
    if squared:
        for lane in range(LANES):
            error = rows[MISS + lane] * rows[MISS + lane] + rows[OTHERS + lane]
            rows[VALUE + lane] = (error + smooth) / (2.0 * rows[P_LABEL + lane] + error + smooth_dr)
    else:
        # the label's class misses 1 - p_label, and the others have it together; with the hits they make 2
        for lane in range(LANES):
            rows[VALUE + lane] = (2.0 * rows[MISS + lane] + smooth) / (2.0 + smooth_dr)


@part
def store(values: Any, at: Any, out: Any, start: Any) -> None:
    """Write 64 values as float32."""
    for lane in range(LANES):
        out[uint64(start + lane)] = np.float32(values[uint64(at + lane)])
