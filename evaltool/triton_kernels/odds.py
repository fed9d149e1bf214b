"""The log-odds against the label, and what follows from them, for one position a lane: ``evaltool.numerics.log_odds``.

A softmax is known by what its classes say together (``softmax.py``): the largest value m (the first of equals), the
second largest m2, and over all classes but the first

    logits, log-probs:  T = sum w_c, G = sum w_c (m2 - z_c), Q = sum w_c^2, w_c = exp(z_c - m2)
    probs:              T = sum p_c, G = sum p_c log(m / p_c), Q = sum p_c^2

T is at least 1 and exact where one class leads by far, where a sum relative to the largest class would have no digits
left; nothing that follows subtracts two nearly equal numbers.
"""

import triton
import triton.language as tl

from evaltool.triton_kernels.elementary import SMALLEST, exp, expm1, log, log1p, log_error, sum_error

LOGITS, PROBS, LOG_PROBS = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
CE, FOCAL, DICE, SQUARED_DICE = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2), tl.constexpr(3)


@triton.jit
def odds_of_ratio(against, own):
    """Return u + low = log(against / own) of probabilities >= 0, of which own is at least SMALLEST."""
    own = tl.maximum(own, SMALLEST)
    high_u = log(against)
    low_u = log(own)
    high_low = tl.where(against == 0, 0.0, log_error(against, high_u))
    low = high_low - log_error(own, low_u) + sum_error(high_u, -low_u)
    return high_u - low_u, low


@triton.jit
def ratio_of(u, low):
    """Return r = exp(-|u|), the smaller of the odds for and against the label."""
    return exp(-tl.abs(u)) * (1.0 - tl.where(u >= 0, low, -low))


@triton.jit
def label_of_logits(m, m2, total, squares, own, right):
    """Return u, low and, relative to the others' total, their sum of squares; of the label's log-odds.

    Args:
        m, m2, total, squares: of the softmax.
        own: the label's logit.
        right: the label is the first class.
    """
    lead = exp(m2 - m) * (1.0 + sum_error(m2, -m))
    own_weight = tl.where(own == float("-inf"), 0.0, exp(own - m2))
    # where the label is not the first class, the first is among the others
    others = tl.where(right, total, 1.0 + lead * (total - own_weight))
    other_squares = tl.where(right, squares, 1.0 + lead * lead * (squares - own_weight * own_weight))
    largest = tl.where(right, m2, m)
    masked = largest == float("-inf")
    others = tl.where(masked, 1.0, others)
    largest = tl.where(masked, 0.0, largest)
    log_others = log(others)
    gap = largest - own
    low = sum_error(largest, -own) + sum_error(gap, log_others)
    u = tl.where(masked, float("-inf"), gap + log_others)
    shares = tl.where(masked, 0.0, tl.div_rn(other_squares, others * others))
    return u, tl.where(masked, 0.0, low), shares


@triton.jit
def label_of_probs(m, total, squares, own, right):
    """Return what ``label_of_logits`` does, of probabilities up to a common factor."""
    against = tl.where(right, total, m + (total - own))
    against = tl.maximum(against, 0.0)
    u, low = odds_of_ratio(against, own)
    others = tl.where(right, squares, m * m + (squares - own * own))
    whole = against * against  # may be 0 where the sum is not; so is then the square of 1 - p_label
    return u, low, tl.where(whole > 0, tl.div_rn(others, tl.where(whole > 0, whole, 1.0)), 0.0)


@triton.jit
def scores_of(u, low):
    """Return r, cross-entropy, p_label and 1 - p_label of the log-odds u + low."""
    r = ratio_of(u, low)
    log1p_r = log1p(r)
    against = u >= 0
    small, large = tl.div_rn(r, 1.0 + r), tl.div_rn(1.0, 1.0 + r)
    return (
        log1p_r,
        tl.where(against, u, 0.0) + log1p_r,
        tl.where(against, small, large),
        tl.where(against, large, small),
    )


@triton.jit
def focusing(u, low, log1p_r, gamma):
    """Return (1 - p_label)^gamma."""
    # -1e30 for -inf: gamma = 0 has to give exp(0), not 0 * inf
    below = tl.where(u >= 0, 0.0, tl.maximum(u, -1e30))
    return exp(gamma * below) * exp(-gamma * log1p_r) * (1.0 + gamma * tl.where(u >= 0, 0.0, low))


@triton.jit
def top_scores(m, m2, total, spread, own, right, KIND: tl.constexpr):
    """Return p_pred, margin, entropy and the odds against the first class; ``spread`` is the softmax's G."""
    if KIND == PROBS:
        odds = tl.div_rn(total, m)
        surprise = tl.div_rn(spread, m)
        other = tl.where(right, m2, own)
        lead = tl.div_rn(m - other, m)
    else:
        gap = m - m2
        half = exp(-0.5 * gap)
        low = 1.0 - sum_error(m, -m2)
        odds = half * half * total * low
        surprise = tl.where(half == 0, 0.0, half * (gap * total + spread) * half * low)
        lead = -expm1(tl.where(right, m2, own) - m)
    p_pred = tl.div_rn(1.0, 1.0 + odds)
    return p_pred, tl.where(right, lead, -lead) * p_pred, log1p(odds) + surprise * p_pred, odds


@triton.jit
def faults(m, total, least, odds, tolerance, KIND: tl.constexpr, SIGMOID: tl.constexpr):
    """Return where preds are not finite, and where they contradict their kind; a sigmoid's fault is in ``least``."""
    if SIGMOID:
        nonfinite = m != m
        off = least < 0
    else:
        nonfinite, off = softmax_faults(m, total, least, odds, tolerance, KIND)
    return nonfinite, off


@triton.jit
def softmax_faults(m, total, least, odds, tolerance, KIND: tl.constexpr):
    """Return where a softmax is not finite, and where it contradicts its kind."""
    nonfinite = (m != m) | (m == float("inf"))
    if KIND == PROBS:
        off = (least < 0) | (m > 1.0 + tolerance) | (tl.abs(m + total - 1.0) > tolerance)
    else:
        nonfinite = nonfinite | (m == float("-inf"))
        off = m != m
        if KIND == LOG_PROBS:
            off = (m > tolerance) | (tl.abs(m + log1p(odds)) > tolerance)
    return nonfinite, off


@triton.jit
def status_of(scored, nonfinite, bad_label, bad_preds):
    """Return places in ``schema.STATUSES``, int32; of several faults the first."""
    status = tl.where(bad_preds, 4, 0)
    status = tl.where(bad_label, 3, status)
    status = tl.where(nonfinite, 2, status)
    return tl.where(scored, status, 1)


@triton.jit
def softmax_loss(u, low, log1p_r, ce, gamma, factor, CODE: tl.constexpr):
    """Return a loss with a value per position; its parameters are those of the label's class."""
    if CODE == CE:
        return ce * factor
    return focusing(u, low, log1p_r, gamma) * ce * factor


@triton.jit
def pooled_dice(p_label, miss, shares, label, smooth_nr, smooth_dr, CODE: tl.constexpr, SIGMOID: tl.constexpr):
    """Return the Dice loss of one position over all classes; of a sigmoid, over class 1 alone."""
    hit = p_label
    if SIGMOID:
        hit = tl.where(label == 1, p_label, 0.0)
        error = miss
        if CODE == SQUARED_DICE:
            error = miss * miss
    else:
        # the other classes' probabilities sum to 1 - p_label
        error = 2.0 * miss
        if CODE == SQUARED_DICE:
            error = miss * miss * (1.0 + shares)
    return dice_ratio(2.0 * hit, error, smooth_nr, smooth_dr)


@triton.jit
def dice_ratio(twice_hit, error, smooth_nr, smooth_dr):
    """Return 1 - (2 hit + smooth_nr) / (2 hit + error + smooth_dr); 0 where the denominator is 0."""
    size = twice_hit + error + smooth_dr
    return tl.where(size == 0, 0.0, (error + (smooth_dr - smooth_nr)) / tl.where(size == 0, 1.0, size))
