"""A tile of sigmoids: up to 128 predictions of label 1 beside their labels, one lane each.

Everything is computed in float64 and in loops over lanes, so that a lane's values depend on the lane alone.
``doubles`` is the tile's scratch, float64 [DOUBLES * LANES], ``integers`` its integers, int32 [INTEGERS * LANES]; each
name below is the row of one number per lane.
"""

from typing import Any

import numpy as np
from numpy import uint64  # of an index: a signed one may count from the end, which no loop would vectorise

from evaltool.kernels.compiled import inlined, part
from evaltool.kernels.elementary import exp64, int_of_float, log1p64, log64
from evaltool.kernels.loading import read
from evaltool.kernels.loss_table import CROSS_ENTROPY, DICE, FOCAL_OF_2
from evaltool.kernels.run_counts import octave_units

LANES = 128
PRED, U, R, CE, P_LABEL, P_PRED, MISS, MARGIN, ENTROPY, VALUE = (row * LANES for row in range(10))
DOUBLES = 10
LABEL, VALID, CHOSEN, KEY = (row * LANES for row in range(4))
INTEGERS = 4
NONFINITE, BAD_LABEL, BAD_PREDS, SOME_VALID = 1, 2, 4, 8
LOGITS, PROBS, LOG_PROBS = range(3)
SMALLEST = 1.1754943508222875e-38
NEAR = 1e-6  # a probability may miss [0, 1] by what rounding does


@part
def load(
    preds: Any,
    labels: Any,
    start: Any,
    count: Any,
    kind: Any,
    ignore_index: Any,
    keys: Any,
    doubles: Any,
    integers: Any,
) -> Any:
    """Fill the lanes from preds and labels [P] at start, ignored ones beyond ``count``; return the lanes' faults or'ed.

    A lane that is ignored, or whose label is bad, has label 0; ``keys`` is 2 where a lane is a class, else 0.
    """
    seen = 0
    for j in range(count):
        label = labels[uint64(start + j)]
        valid = label != ignore_index
        one = label == 1
        bad = valid & (label != 0) & (label != 1)
        value = np.float64(read(preds[uint64(start + j)]))
        nonfinite = (value != value) | (value == np.inf)
        off = (value > 1 + NEAR) | (value < -NEAR) if kind == PROBS else (value > NEAR) & (kind == LOG_PROBS)
        fault = NONFINITE * nonfinite + BAD_LABEL * bad + BAD_PREDS * off + SOME_VALID
        seen |= fault if valid else 0
        doubles[PRED + j] = value
        integers[VALID + j] = valid
        integers[LABEL + j] = one & valid
        integers[KEY + j] = keys * (start + j) + (one & valid)
    for j in range(count, LANES):
        doubles[PRED + j] = 0.0
        integers[VALID + j], integers[LABEL + j], integers[KEY + j] = 0, 0, 0
    return seen


@inlined
def lane_fault(j: Any, label: Any, kind: Any, ignore_index: Any, doubles: Any) -> Any:
    """Return the status of one lane, as ``sample_status`` gives it."""
    value = doubles[PRED + j]
    if label == ignore_index:
        return 1
    if np.isnan(value) or value == np.inf:
        return 2
    if label != 0 and label != 1:
        return 3
    if kind == PROBS:
        return 4 if value < -NEAR or value > 1 + NEAR else 0
    return 4 if kind == LOG_PROBS and value > NEAR else 0


@part
def odds(kind: Any, doubles: Any, integers: Any) -> None:
    """Find U, the log-odds against each lane's label, R, exp(-|U|), the size of MARGIN, and CHOSEN."""
    if kind == PROBS:
        for j in range(LANES):
            p = min(max(doubles[PRED + j], 0.0), 1.0)
            one = integers[LABEL + j] == 1
            own = max(p if one else 1.0 - p, SMALLEST)
            other = 1.0 - p if one else p
            ratio = other / own
            doubles[U + j] = log64(ratio) if ratio > 0.0 else -np.inf
            doubles[R + j] = ratio if ratio <= 1.0 else 1.0 / ratio
            doubles[MARGIN + j] = abs(2.0 * p - 1.0)
            integers[CHOSEN + j] = p > 0.5
        return
    if kind == LOG_PROBS:
        for j in range(LANES):
            x = min(doubles[PRED + j], 0.0)
            far = max(x, -1.0)
            series = -far * (1.0 + far * (0.5 + far * (1 / 6 + far * (1 / 24 + far * (1 / 120 + far * (1 / 720))))))
            complement = series if x > -0.03 else 1.0 - exp64(x)
            doubles[PRED + j] = x - log64(complement) if x < 0.0 else np.inf
    for j in range(LANES):
        x = doubles[PRED + j]
        u = -x if integers[LABEL + j] == 1 else x
        distance = abs(x)
        r = exp64(-distance)
        r = r if distance < 708.0 else 0.0
        doubles[U + j], doubles[R + j] = u, r
        near = distance * (1.0 - distance * (0.5 - distance * (1 / 6 - distance * (1 / 24 - distance * (1 / 120)))))
        doubles[MARGIN + j] = (near if distance < 0.01 else 1.0 - r) / (1.0 + r)
        integers[CHOSEN + j] = x > 0.0


@part
def scores(doubles: Any, integers: Any) -> None:
    """Find what follows from U and R: cross-entropy, probabilities, margin, entropy."""
    for j in range(LANES):
        u, r = doubles[U + j], doubles[R + j]
        likely = 1.0 / (1.0 + r)
        log1p_r = log1p64(r, likely)
        unlikely = r * likely
        doubles[CE + j] = (u if u >= 0.0 else 0.0) + log1p_r
        doubles[P_LABEL + j] = unlikely if u >= 0.0 else likely
        doubles[MISS + j] = likely if u >= 0.0 else unlikely
        doubles[P_PRED + j] = likely
        doubles[ENTROPY + j] = log1p_r + (unlikely * abs(u) if r > 0.0 else 0.0)
        doubles[MARGIN + j] = (
            doubles[MARGIN + j] if integers[CHOSEN + j] == integers[LABEL + j] else -doubles[MARGIN + j]
        )


@part
def loss_values(kind: Any, factors: Any, gammas: Any, doubles: Any, integers: Any) -> None:
    """Find VALUE, the loss of each lane: its kind, and its factors and exponents, [K] each, by key; 0 if not valid."""
    if kind == DICE:
        return
    for j in range(LANES):
        doubles[VALUE + j] = doubles[CE + j]
    if kind == FOCAL_OF_2:
        for j in range(LANES):
            doubles[VALUE + j] = doubles[MISS + j] * doubles[MISS + j] * doubles[VALUE + j]
    elif kind != CROSS_ENTROPY:
        for j in range(LANES):
            # log(1 - p_label); -1e30 for -inf, as an exponent of 0 has to give 1
            log_miss = (max(doubles[U + j], -1e30) if doubles[U + j] < 0.0 else 0.0) - log1p64(
                doubles[R + j], doubles[P_PRED + j]
            )
            exponent = gammas[uint64(integers[KEY + j])] * log_miss
            doubles[VALUE + j] = (exp64(exponent) if exponent > -708.0 else 0.0) * doubles[VALUE + j]
    for j in range(LANES):
        value = doubles[VALUE + j] * factors[uint64(integers[KEY + j])]
        doubles[VALUE + j] = value if integers[VALID + j] == 1 else 0.0


@inlined
def count_value(sums: Any, numbers: Any, value: Any, sign: Any) -> None:
    """Count a finite float32 in a class's sums [255], int64, and in their number [1]."""
    octave, units = octave_units(np.int64(int_of_float(value)))
    if octave < 255:
        sums[octave] += sign * units
        numbers[0] += sign


@part
def count_lane(
    j: Any,
    place: Any,
    sign: Any,
    bins: Any,
    doubles: Any,
    integers: Any,
    brier: Any,
    top: Any,
    ranking: Any,
    classwise: Any,
    confusion: Any,
) -> None:
    """Count one lane, its class or 0 at ``place``; ``sign`` of -1 takes it back."""
    one, chosen = integers[LABEL + j], integers[CHOSEN + j]
    miss = np.float32(doubles[MISS + j])
    octave, units = octave_units(np.int64(int_of_float(np.float32(miss * miss))))
    brier[octave] += sign * units
    brier[255] += sign
    confusion[one, chosen] += sign
    if len(top):
        cell, units = calibrated(np.float32(doubles[P_PRED + j]))
        top[cell, 0] += sign
        top[cell, 1] += sign * (one == chosen)
        top[cell, 2] += sign * units
    if bins == 0:
        return
    log_odds = np.float32(-doubles[U + j] if one == 1 else doubles[U + j])
    ranking[(2 * place + one) * bins + ranked(log_odds, bins)] += sign
    cell, units = calibrated(np.float32(doubles[P_LABEL + j] if one == 1 else doubles[MISS + j]))
    classwise[place, cell, 0] += sign
    classwise[place, cell, 1] += sign * one
    classwise[place, cell, 2] += sign * units


@inlined
def calibrated(prob: Any) -> Any:
    """Return the bin of a float32 probability, and the probability in units of 2^-28."""
    wide = np.float64(prob)
    return min(np.int64(wide * 15.0), 14), np.int64(wide * 268435456.0 + 0.5)


@inlined
def ranked(log_odds: Any, bins: Any) -> Any:
    """Return the bin of log-odds, float32, in nats."""
    inside = min(max(log_odds, np.float32(-32.0)), np.float32(32.0)) + np.float32(32.0)
    return min(np.int64(inside * np.float32(bins / 64.0)), bins - 1)
