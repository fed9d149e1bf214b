"""A tile of sigmoids: up to 256 predictions of label 1 beside their labels, one lane each.

A lane's values are float32 and depend on the lane alone: loops over lanes go in steps of a fixed length, so that each
lane is computed by the same instructions.  ``tile`` is the scratch, float32 [ROWS * LANES]; each name below is where
the row of one number per lane starts.  ``raw`` holds predictions in float64, [LANES], where float32 would lose digits.
"""

from typing import Any

import numpy as np
from numpy import uint64  # of an index: a signed one may count from the end, which no loop would vectorise

from evaltool.kernels.compiled import inlined, part
from evaltool.kernels.elementary import FURTHEST, SCALE, UNSCALE, exp64, exp_scaled, log64
from evaltool.kernels.loading import read

LANES, STEP = 256, 64
# DISTANCE is the size of the log-odds, LOG1P log(1 + e^-DISTANCE); ODDS, 2^56 e^-DISTANCE, and LEAD, the size of the
# margin times 1 + e^-DISTANCE, are needed no longer once ENTROPY and MARGIN are there
(DISTANCE, ONE, VALID, CHOSEN, LOG1P, CE, P_LABEL, MISS, P_PRED, MARGIN, ENTROPY, VALUE) = (
    row * LANES for row in range(12)
)
LEAD, ODDS = MARGIN, ENTROPY
ROWS = 12
LOGITS, PROBS, LOG_PROBS = range(3)
SMALLEST = 1.1754943508222875e-38
NEAR = 1e-6  # a probability may miss [0, 1] by what rounding does
# what may be said of an element, one bit each, in the order of the statuses
FINE, LEFT_OUT, NOT_FINITE, LABEL_OFF, PREDS_OFF = (1 << status for status in range(5))

_ZERO, _HALF, _ONE, _TWO = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0)
_QUARTER, _TENTH = np.float32(0.25), np.float32(0.1)
_HUGE = np.float32(1e30)
# atanh(s) / s - 1 over s^2, for s^2 in [0, 1/9], within 5e-9
_S1, _S2, _S3, _S4 = (
    np.float32(value) for value in (0.33333206547662736, 0.2001085035144781, 0.13999559330553515, 0.14012277896849126)
)
_T3, _T4, _T5, _T6 = (np.float32(1.0 / value) for value in (6, 24, 120, 720))


@inlined
def element_flag(value: Any, label: Any, kind: Any, ignore_index: Any) -> Any:
    """Return what is to be said of an element, a bit."""
    off = (value > 1 + NEAR) | (value < -NEAR) if kind == PROBS else (value > NEAR) & (kind == LOG_PROBS)
    flag = PREDS_OFF if off else FINE
    flag = flag if (label == 0) | (label == 1) else LABEL_OFF
    flag = NOT_FINITE if (value != value) | (value == np.inf) else flag
    return LEFT_OUT if label == ignore_index else flag


@part
def seen_flags(preds: Any, labels: Any, start: Any, count: Any, kind: Any, ignore_index: Any) -> Any:
    """Return what is said of the elements from start on, or'ed."""
    seen = 0
    for j in range(start, start + count):
        seen |= element_flag(read(preds[uint64(j)]), labels[uint64(j)], kind, ignore_index)
    return seen


@part
def load(preds: Any, labels: Any, start: Any, count: Any, given: Any, tile: Any, raw: Any, flags: Any) -> Any:
    """Fill the lanes from preds and labels, flat, at start; what is not fine becomes log-odds of 0 that are not valid.

    Args:
        preds: of any dtype that ``read`` knows.
        labels: int64.
        start: the first element.
        count: how many, up to LANES; the lanes beyond, to the end of their step, are filled too.
        given: the job.
        tile: to fill.
        raw: to fill, unless preds are float32 logits.
        flags: int32 [LANES], what is said of each element.

    Returns:
        The flags or'ed.
    """
    seen = 0
    for j in range(count):
        label = labels[uint64(start + j)]
        flag = element_flag(read(preds[uint64(start + j)]), label, given.kind, given.ignore_index)
        seen |= flag
        flags[uint64(j)] = flag
        tile[uint64(VALID + j)] = _ONE if flag == FINE else _ZERO
        tile[uint64(ONE + j)] = _ONE if (flag == FINE) & (label == 1) else _ZERO
    neutral = _neutral(given.kind)
    if given.wide:
        for j in range(count):
            raw[uint64(j)] = np.float64(read(preds[uint64(start + j)])) if tile[uint64(VALID + j)] > 0.0 else neutral
    else:
        for j in range(count):
            x = np.float32(read(preds[uint64(start + j)])) if tile[uint64(VALID + j)] > 0.0 else _ZERO
            tile[uint64(DISTANCE + j)] = abs(x)
            tile[uint64(CHOSEN + j)] = _ONE if x > _ZERO else _ZERO
    for j in range(count, steps(count) * STEP):
        tile[uint64(VALID + j)] = _ZERO
        tile[uint64(ONE + j)] = _ZERO
        tile[uint64(CHOSEN + j)] = _ZERO
        tile[uint64(DISTANCE + j)] = _ZERO
        raw[uint64(j)] = neutral
    return seen


@inlined
def _neutral(kind: Any) -> Any:
    """Return the prediction of a half."""
    return 0.5 if kind == PROBS else -0.6931471805599453 if kind == LOG_PROBS else 0.0


@inlined
def steps(count: Any) -> Any:
    """Return in how many steps so many lanes are done."""
    return (count + STEP - 1) // STEP


@part
def leave_out(start: Any, end: Any, kind: Any, tile: Any, raw: Any) -> None:
    """Make lanes that were loaded count for nothing."""
    for j in range(start, end):
        raw[uint64(j)] = _neutral(kind)
        tile[uint64(VALID + j)] = _ZERO
        tile[uint64(ONE + j)] = _ZERO
        tile[uint64(CHOSEN + j)] = _ZERO


@part
def score(count: Any, given: Any, tile: Any, raw: Any) -> None:
    """Find every row but VALUE of as many lanes as are loaded."""
    for step in range(steps(count)):
        first = step * STEP
        if given.kind == PROBS:
            _odds_of_probs(tile[first:], raw[first:])
        elif given.wide:
            if given.kind == LOG_PROBS:
                _logits_of_logs(raw[first:])
            _odds_of_doubles(tile[first:], raw[first:])
        else:
            _odds_of_floats(tile[first:])
        _scores(tile[first:])


@part
def _odds_of_probs(tile: Any, raw: Any) -> None:
    for j in range(STEP):
        p = min(max(raw[uint64(j)], 0.0), 1.0)
        chosen = _ONE if p > 0.5 else _ZERO
        likely, unlikely = max(p, 1.0 - p), min(p, 1.0 - p)
        # a label's probability is never less
        unlikely = max(unlikely, SMALLEST) if chosen != tile[uint64(ONE + j)] else unlikely
        ratio = unlikely / likely
        tile[uint64(DISTANCE + j)] = np.float32(-log64(ratio))
        tile[uint64(CHOSEN + j)] = chosen
        tile[uint64(ODDS + j)] = np.float32(ratio * np.float64(SCALE))
        tile[uint64(LEAD + j)] = np.float32(abs(2.0 * p - 1.0) * (1.0 + ratio))


@part
def _logits_of_logs(raw: Any) -> None:
    for j in range(STEP):
        x = min(raw[uint64(j)], 0.0)
        far = max(x, -1.0)
        series = -far * (1.0 + far * (0.5 + far * (1 / 6 + far * (1 / 24 + far * (1 / 120 + far * (1 / 720))))))
        complement = series if x > -0.03 else 1.0 - exp64(x)
        raw[uint64(j)] = x - log64(complement) if x < 0.0 else np.inf


@part
def _odds_of_doubles(tile: Any, raw: Any) -> None:
    for j in range(STEP):
        x = raw[uint64(j)]
        wide = abs(x)
        distance = np.float32(wide)
        # what float32 cannot hold of it counts, for the odds of 100 has its 6th digit there
        rest = np.float32(wide - np.float64(distance)) if distance < _HUGE else _ZERO
        odds = exp_scaled(-min(distance, FURTHEST)) * (_ONE - rest)
        tile[uint64(DISTANCE + j)] = distance
        tile[uint64(CHOSEN + j)] = _ONE if x > 0.0 else _ZERO
        tile[uint64(ODDS + j)] = odds
        tile[uint64(LEAD + j)] = _lead(distance, odds * UNSCALE)


@part
def _odds_of_floats(tile: Any) -> None:
    for j in range(STEP):
        distance = tile[uint64(DISTANCE + j)]
        odds = exp_scaled(-min(distance, FURTHEST))
        tile[uint64(ODDS + j)] = odds
        tile[uint64(LEAD + j)] = _lead(distance, odds * UNSCALE)


@inlined
def _lead(distance: Any, r: Any) -> Any:
    near = distance * (
        _ONE - distance * (_HALF - distance * (_T3 - distance * (_T4 - distance * (_T5 - distance * _T6))))
    )
    return near if distance < _TENTH else _ONE - r


@part
def _scores(tile: Any) -> None:
    for j in range(STEP):
        distance, odds = tile[uint64(DISTANCE + j)], tile[uint64(ODDS + j)]
        r = odds * UNSCALE
        likely = _ONE / (_ONE + r)
        twice = r * (_TWO / (_TWO + r))  # log(1 + r) is 2 atanh of the half of it
        square = _QUARTER * twice * twice
        log1p = twice + twice * (square * (_S1 + square * (_S2 + square * (_S3 + square * _S4))))
        unlikely = r * likely
        right = tile[uint64(CHOSEN + j)] == tile[uint64(ONE + j)]
        lead = tile[uint64(LEAD + j)] * likely
        tile[uint64(LOG1P + j)] = log1p
        tile[uint64(CE + j)] = log1p if right else distance + log1p
        tile[uint64(P_LABEL + j)] = likely if right else unlikely
        tile[uint64(MISS + j)] = unlikely if right else likely
        tile[uint64(P_PRED + j)] = likely
        tile[uint64(MARGIN + j)] = lead if right else -lead
        # r itself may be subnormal, with few digits to multiply
        tile[uint64(ENTROPY + j)] = log1p + (odds * likely * min(distance, FURTHEST)) * UNSCALE


@part
def focal_of_2(count: Any, tile: Any) -> None:
    """Find VALUE, (1 - p_label)^2 times the cross-entropy."""
    for step in range(steps(count)):
        here = tile[step * STEP :]
        for j in range(STEP):
            here[uint64(VALUE + j)] = here[uint64(MISS + j)] * here[uint64(MISS + j)] * here[uint64(CE + j)]


@part
def focal(count: Any, zeros: Any, ones: Any, tile: Any) -> None:
    """Find VALUE, (1 - p_label)^gamma times the cross-entropy; gammas by the lane, for label 0 and 1, float32."""
    for step in range(steps(count)):
        here, zero, one = tile[step * STEP :], zeros[step * STEP :], ones[step * STEP :]
        for j in range(STEP):
            gamma = one[uint64(j)] if here[uint64(ONE + j)] > 0.0 else zero[uint64(j)]
            right = here[uint64(CHOSEN + j)] == here[uint64(ONE + j)]
            # -1e30 for -inf, as an exponent of 0 has to give 1
            far = max(-here[uint64(DISTANCE + j)], -_HUGE) if right else _ZERO
            exponent = np.float64(gamma) * (np.float64(far) - np.float64(here[uint64(LOG1P + j)]))
            power = exp64(exponent) if exponent > -708.0 else 0.0
            here[uint64(VALUE + j)] = np.float32(power * np.float64(here[uint64(CE + j)]))


@part
def cross_entropy(count: Any, tile: Any) -> None:
    """Find VALUE, the cross-entropy."""
    for j in range(steps(count) * STEP):
        tile[uint64(VALUE + j)] = tile[uint64(CE + j)]


@part
def element_dice(count: Any, smooth: Any, squared: Any, tile: Any) -> None:
    """Find VALUE, the Dice loss of each lane alone."""
    for step in range(steps(count)):
        here = tile[step * STEP :]
        for j in range(STEP):
            error = np.float64(here[uint64(MISS + j)])
            error = error * error if squared == 1 else error
            hit = np.float64(here[uint64(P_LABEL + j)] * here[uint64(ONE + j)])
            size = 2.0 * hit + error + smooth[1]
            here[uint64(VALUE + j)] = np.float32((error + (smooth[1] - smooth[0])) / size) if size != 0.0 else _ZERO


@part
def weigh(count: Any, zeros: Any, ones: Any, tile: Any) -> None:
    """Multiply VALUE by the lanes' factors, for label 0 and 1, float32."""
    for step in range(steps(count)):
        here, zero, one = tile[step * STEP :], zeros[step * STEP :], ones[step * STEP :]
        for j in range(STEP):
            factor = one[uint64(j)] if here[uint64(ONE + j)] > 0.0 else zero[uint64(j)]
            here[uint64(VALUE + j)] = here[uint64(VALUE + j)] * factor


@part
def keep_valid(count: Any, tile: Any) -> None:
    """Make VALUE 0 where a lane is not valid."""
    for step in range(steps(count)):
        here = tile[step * STEP :]
        for j in range(STEP):
            value = here[uint64(VALUE + j)]
            here[uint64(VALUE + j)] = value if here[uint64(VALID + j)] > 0.0 else _ZERO


@inlined
def calibrated(prob: Any) -> Any:
    """Return the bin of a float32 probability, and the probability in units of 2^-28."""
    wide = np.float64(prob)
    return min(np.int64(wide * 15.0), 14), np.int64(wide * 268435456.0 + 0.5)
