"""What the classes of a softmax say together (``odds.py``: m, its place, m2, T, G, Q), in one read of them.

Two ways to hold the numbers: one position a lane with a loop over its classes (segmentation, and rows of few classes),
or rows in tiles of columns, joined one tile after another.  A NaN makes m NaN, and ``least`` is the smallest value.
"""

import triton
import triton.language as tl

from evaltool.triton_kernels.elementary import exp, log, log_complement, weight
from evaltool.triton_kernels.odds import LOG_PROBS, PROBS

NEAR = tl.constexpr(1e-6)  # what rounding does to a probability
FAR = tl.constexpr(87.0)  # e^-87 beside a sum of 1 or more is nothing


@triton.jit
def weighed(z, m, m2, KIND: tl.constexpr):
    """Return w and w times the gap of values of classes other than the first, as T and G add them up."""
    if KIND == PROBS:
        ratio = tl.div_rn(z, m)
        some = ratio > 0
        w = z
        wg = tl.where(some, -z * log(tl.where(some, ratio, 1.0)), 0.0)
    else:
        # -inf - -inf is NaN: then no class but the first is there, and T is not looked at
        gap = tl.where(z == float("-inf"), FAR, tl.minimum(m2 - z, FAR))
        w = weight(gap)
        wg = w * gap
    return w, wg


@triton.jit
def position_stats(preds, offsets, valid, labels, num_classes, class_stride, BLOCK: tl.constexpr, KIND: tl.constexpr):
    """Return m, place, m2, T, G, Q, least and the label's value of positions, [BLOCK] each.

    Args:
        preds: pointer to float16, bfloat16 or float32.
        offsets: int64 [BLOCK], where a position's first class stands.
        valid: bool [BLOCK]; the others are not read.
        labels: int32 [BLOCK], each in 0..C-1.
        num_classes: C.
        class_stride: from one class to the next.
    """
    minus = tl.full([BLOCK], float("-inf"), tl.float32)
    m, m2, own, least = minus, minus, minus, -minus
    place = tl.zeros([BLOCK], tl.int32)
    lost = tl.zeros([BLOCK], tl.int32)
    at = preds + offsets
    for c in range(num_classes):
        z = tl.load(at, mask=valid, other=0.0).to(tl.float32)
        at += class_stride
        lost = tl.where(z != z, 1, lost)
        over = z > m
        m2 = tl.where(over, m, tl.where(z > m2, z, m2))
        place = tl.where(over, c, place)
        m = tl.where(over, z, m)
        own = tl.where(labels == c, z, own)
        least = tl.where(z < least, z, least)
    total = tl.zeros([BLOCK], tl.float32)
    spread = tl.zeros([BLOCK], tl.float32)
    squares = tl.zeros([BLOCK], tl.float32)
    # the second reading finds them in the cache
    at = preds + offsets
    for c in range(num_classes):
        z = tl.load(at, mask=valid, other=0.0).to(tl.float32)
        at += class_stride
        w, wg = weighed(z, m, m2, KIND)
        other = place != c
        total += tl.where(other, w, 0.0)
        spread += tl.where(other, wg, 0.0)
        squares += tl.where(other, w * w, 0.0)
    if KIND != PROBS:
        alone = m2 == float("-inf")
        total = tl.where(alone, 0.0, total)
        spread = tl.where(alone, 0.0, spread)
        squares = tl.where(alone, 0.0, squares)
    return tl.where(lost > 0, float("nan"), m), place, m2, total, spread, squares, least, own


@triton.jit
def sigmoid_stats(preds, offsets, valid, labels, KIND: tl.constexpr):
    """Return what ``position_stats`` does, of one logit (or its kind) as a softmax of [0, z]; ``least`` < 0 is bad."""
    z = tl.load(preds + offsets, mask=valid, other=0.0).to(tl.float32)
    lost = (z != z) | (z == float("inf"))
    if KIND == PROBS:
        bad = (z < -NEAR) | (z > 1.0 + NEAR)
        z = tl.minimum(tl.maximum(z, 0.0), 1.0)
        other = 1.0 - z
    elif KIND == LOG_PROBS:
        bad = z > NEAR
        z = tl.minimum(z, 0.0)
        other = log_complement(z)
    else:
        bad = z != z
        other = tl.where(z == z, 0.0, z)
    over = z > other
    m, m2 = tl.where(over, z, other), tl.where(over, other, z)
    own = tl.where(labels == 1, z, other)
    if KIND == PROBS:
        total, squares = m2, m2 * m2
        some = m2 > 0
        spread = tl.where(some, m2 * log(tl.div_rn(m, tl.where(some, m2, 1.0))), 0.0)
    else:
        total = tl.where(m2 == float("-inf"), 0.0, 1.0)
        spread, squares = total * 0.0, total
    least = tl.where(bad, -1.0, 0.0)
    return tl.where(lost, float("nan"), m), over.to(tl.int32), m2, total, spread, squares, least, own


@triton.jit
def stats_of(
    preds,
    offsets,
    valid,
    labels,
    num_classes,
    class_stride,
    BLOCK: tl.constexpr,
    KIND: tl.constexpr,
    SIGMOID: tl.constexpr,
):
    """Return m, place, m2, T, G, Q, least and the label's value of positions of a softmax, or of a sigmoid."""
    if SIGMOID:
        m, place, m2, total, spread, squares, least, own = sigmoid_stats(preds, offsets, valid, labels, KIND)
    else:
        m, place, m2, total, spread, squares, least, own = position_stats(
            preds, offsets, valid, labels, num_classes, class_stride, BLOCK, KIND
        )
    return m, place, m2, total, spread, squares, least, own


@triton.jit
def tile_stats(z, columns, there, KIND: tl.constexpr):
    """Return lost (1 where a NaN is), m, place, m2, T, G, Q and least of the rows of a tile, [R] each.

    Args:
        z: float32 [R, W].
        columns: int32 [1, W], the classes.
        there: bool [1, W], which of them there are.
    """
    low = tl.min(tl.where(there & (z == z), z, float("inf")), 1)
    lost = tl.max(tl.where(there & (z != z), 1, 0), 1)
    z = tl.where(there & (z == z), z, float("-inf"))
    m = tl.max(z, 1)
    place = tl.min(tl.where(z == m[:, None], columns, 2147483647), 1)
    first = columns == place[:, None]
    m2 = tl.max(tl.where(first, float("-inf"), z), 1)
    counted = there & ~first
    w, wg = weighed(z, m[:, None], m2[:, None], KIND)
    total = tl.sum(tl.where(counted, w, 0.0), 1)
    spread = tl.sum(tl.where(counted, wg, 0.0), 1)
    squares = tl.sum(tl.where(counted, w * w, 0.0), 1)
    if KIND != PROBS:
        alone = m2 == float("-inf")
        total = tl.where(alone, 0.0, total)
        spread = tl.where(alone, 0.0, spread)
        squares = tl.where(alone, 0.0, squares)
    return lost, m, place, m2, total, spread, squares, low


@triton.jit
def _moved(m2, total, spread, squares, new, KIND: tl.constexpr):
    """Return T, G and Q of logits relative to a new m2 that is no smaller."""
    gone = m2 == float("-inf")
    step = tl.where(gone, 0.0, new - m2)
    scale = tl.where(gone, 0.0, exp(-step))
    return total * scale, tl.where(scale > 0, (spread + step * total) * scale, 0.0), squares * scale * scale


@triton.jit
def joined(m, place, m2, total, spread, squares, m_b, place_b, m2_b, total_b, spread_b, squares_b, KIND: tl.constexpr):
    """Return m, place, m2, T, G, Q of the classes of two tiles, of which the first has the lower ones."""
    over = m_b > m
    top = tl.where(over, m_b, m)
    loser = tl.where(over, m, m_b)
    second = tl.maximum(tl.where(over, m2_b, m2), loser)
    if KIND == PROBS:
        # G is relative to m; of nothing (m = -inf) there is nothing to add
        some, some_b = (m > 0) & (top > 0), (m_b > 0) & (top > 0)
        spread = tl.where(some, spread + total * log(tl.where(some, tl.div_rn(top, m), 1.0)), 0.0)
        spread_b = tl.where(some_b, spread_b + total_b * log(tl.where(some_b, tl.div_rn(top, m_b), 1.0)), 0.0)
        real = loser != float("-inf")
        w = tl.where(real, loser, 0.0)
        positive = w > 0
        wg = tl.where(positive, w * log(tl.where(positive, tl.div_rn(top, w), 1.0)), 0.0)
    else:
        total, spread, squares = _moved(m2, total, spread, squares, second, KIND)
        total_b, spread_b, squares_b = _moved(m2_b, total_b, spread_b, squares_b, second, KIND)
        gone = loser == float("-inf")
        gap = tl.where(gone, 0.0, second - loser)
        w = tl.where(gone, 0.0, exp(-gap))
        wg = tl.where(w > 0, w * gap, 0.0)
    return (
        top,
        tl.where(over, place_b, place),
        second,
        total + total_b + w,
        spread + spread_b + wg,
        squares + squares_b + w * w,
    )
