"""Kernels for positions of samples, [N, C, *S] as [N, C, P]: the columns of the task segmentation.

Three kernels: positions (tiles of a sample write their sums), the sums of tiles, and samples.  No float is added up by
atomics, so that a sample's bits depend on it alone.
"""

import triton
import triton.language as tl

from evaltool.triton_kernels.elementary import exp
from evaltool.triton_kernels.odds import (
    DICE,
    FOCAL,
    PROBS,
    dice_ratio,
    faults,
    label_of_logits,
    label_of_probs,
    scores_of,
    softmax_loss,
    status_of,
    top_scores,
)
from evaltool.triton_kernels.rows import class_labels, loss_parameters
from evaltool.triton_kernels.softmax import stats_of

# sums of a tile: counts, means, then a mean for each loss with a value per position
VALID, HITS, NONFINITE, BAD_LABEL, BAD_PREDS, CLAMPED = (tl.constexpr(i) for i in range(6))
P_LABEL, P_PRED, MARGIN, ENTROPY, LOSSES = (tl.constexpr(i) for i in range(6, 11))
# sums of a class in a tile; the errors once as they are, once squared
HIT, FALSE_POS, FALSE_NEG, FALSE_POS_2, FALSE_NEG_2, IN_LABEL, IN_PRED, IN_BOTH = (tl.constexpr(i) for i in range(8))
CLASS_SUMS = tl.constexpr(8)
CLAMP = tl.constexpr(1.18e-38)  # probabilities below are at the floor


@triton.jit
def _count(where):
    return tl.sum(where.to(tl.float32), 0)


@triton.jit
def score_positions(
    preds,
    labels,
    maps,
    pred_map,
    tile_sums,
    class_sums,
    table,
    table_width,
    samples,
    tiles,
    positions,
    num_classes,
    ignore_index,
    tolerance,
    KIND: tl.constexpr,
    LOSS_CODES: tl.constexpr,
    NUM_LOSSES: tl.constexpr,
    SIGMOID: tl.constexpr,
    REGIONS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the losses by position, the predictions, and the sums of a tile of a sample's positions.

    Args:
        preds: [N, C, P]; of sigmoids [N, P].
        labels: int64 [N, P].
        maps: float32 [L, N, P], the losses that have a value per position; 0 where ignored.
        pred_map: int32 [N, P].
        tile_sums: float32 [N, tiles, 10 + L].
        class_sums: float32 [N, tiles, C, 8].
    """
    program = tl.program_id(0)
    sample = (program // tiles).to(tl.int64)
    at = (program % tiles) * BLOCK + tl.arange(0, BLOCK)
    there = at < positions
    known = class_labels(labels, sample * positions + at, there, num_classes, ignore_index)
    valid, bad_label, label = known
    offsets = sample * positions * (1 if SIGMOID else num_classes) + at
    m, place, m2, total, spread, squares, least, own = stats_of(
        preds, offsets, valid, label, num_classes, positions, BLOCK, KIND, SIGMOID
    )
    right = label == place
    if KIND == PROBS:
        u, low, _ = label_of_probs(m, total, squares, own, right)
    else:
        u, low, _ = label_of_logits(m, m2, total, squares, own, right)
    log1p_r, ce, p_label, miss = scores_of(u, low)
    p_pred, margin, entropy, odds = top_scores(m, m2, total, spread, own, right, KIND)
    nonfinite, off = faults(m, total, least, odds, tolerance, KIND, SIGMOID)
    tl.store(pred_map + sample * positions + at, place, mask=there)
    to = tile_sums + program.to(tl.int64) * (LOSSES + NUM_LOSSES)
    tl.store(to + VALID, _count(valid))
    tl.store(to + HITS, _count(valid & right))
    tl.store(to + NONFINITE, _count(valid & nonfinite))
    tl.store(to + BAD_LABEL, _count(bad_label))
    tl.store(to + BAD_PREDS, _count(valid & off))
    tl.store(to + CLAMPED, _count(valid & (p_label < CLAMP)))
    tl.store(to + P_LABEL, tl.sum(tl.where(valid, p_label, 0.0), 0))
    tl.store(to + P_PRED, tl.sum(tl.where(valid, p_pred, 0.0), 0))
    tl.store(to + MARGIN, tl.sum(tl.where(valid, margin, 0.0), 0))
    tl.store(to + ENTROPY, tl.sum(tl.where(valid, entropy, 0.0), 0))
    for i in tl.static_range(NUM_LOSSES):
        if (LOSS_CODES >> (4 * i)) & 15 <= FOCAL:
            first, second = loss_parameters(table, table_width, i, label, there)
            value = softmax_loss(u, low, log1p_r, ce, first, second, (LOSS_CODES >> (4 * i)) & 15)
            value = tl.where(valid, value, 0.0)
            tl.store(maps + (samples.to(tl.int64) * i + sample) * positions + at, value, mask=there)
            tl.store(to + LOSSES + i, tl.sum(value, 0))
    # the probability of a class other than the label is exp(z - base) * scale
    base = tl.where(right, m2, m)
    scale = tl.where(right, tl.where(total > 0, tl.div_rn(miss, tl.where(total > 0, total, 1.0)), 0.0), p_pred)
    if KIND == PROBS:
        scale = tl.where(right, scale, tl.div_rn(p_pred, m))
    to = class_sums + program.to(tl.int64) * num_classes * CLASS_SUMS
    source = preds + offsets
    for c in range(num_classes):
        mine = valid & (label == c)
        guessed = valid & (place == c)
        if REGIONS:
            if SIGMOID:
                p = miss
            else:
                z = tl.load(source, mask=valid, other=0.0).to(tl.float32)
                source += positions
                p = z * scale
                if KIND != PROBS:
                    p = tl.where(z == float("-inf"), 0.0, exp(z - base) * scale)
            p = tl.where(valid & (label != c), p, 0.0)
            missed = tl.where(mine, miss, 0.0)
            tl.store(to + HIT, tl.sum(tl.where(mine, p_label, 0.0), 0))
            tl.store(to + FALSE_POS, tl.sum(p, 0))
            tl.store(to + FALSE_NEG, tl.sum(missed, 0))
            tl.store(to + FALSE_POS_2, tl.sum(p * p, 0))
            tl.store(to + FALSE_NEG_2, tl.sum(missed * missed, 0))
        tl.store(to + IN_LABEL, _count(mine))
        tl.store(to + IN_PRED, _count(guessed))
        tl.store(to + IN_BOTH, _count(mine & guessed))
        to += CLASS_SUMS


@triton.jit
def add_tiles(tile_sums, sums, tiles, width, TILES: tl.constexpr, WIDTH: tl.constexpr):
    """Write the sums over the tiles, float64 [N, width], of float32 [N, tiles, width]."""
    sample = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    there = columns < width
    total = tl.zeros([WIDTH], tl.float64)
    for start in range(0, tiles, TILES):
        tile = start + tl.arange(0, TILES)
        at = (sample * tiles + tile[:, None]) * width + columns[None, :]
        values = tl.load(tile_sums + at, mask=(tile < tiles)[:, None] & there[None, :], other=0.0)
        total += tl.sum(values.to(tl.float64), 0)
    tl.store(sums + sample * width + columns, total, mask=there)


# rows of the output, float32 [10 + L, N]: the first four hold the bits of int32
OUT_STATUS, OUT_VALID, OUT_WORST, OUT_CLAMPED = (tl.constexpr(i) for i in range(4))
OUT_ACCURACY, OUT_IOU, OUT_MEANS, OUT_LOSSES = tl.constexpr(4), tl.constexpr(5), tl.constexpr(6), tl.constexpr(10)


@triton.jit
def _iou(of_class, there):
    in_label = tl.load(of_class + IN_LABEL, mask=there, other=0.0)
    in_both = tl.load(of_class + IN_BOTH, mask=there, other=0.0)
    either = in_label + tl.load(of_class + IN_PRED, mask=there, other=0.0) - in_both
    # in float32, as the other engines divide: what is equal there is equal here
    iou = tl.div_rn(in_both.to(tl.float32), tl.maximum(either, 1.0).to(tl.float32))
    return in_label, either, iou


@triton.jit
def _as_float(x):
    return x.to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def _dice_parts(
    of_sample,
    parts,
    parameters,
    table_width,
    num_classes,
    present_count,
    SQUARED: tl.constexpr,
    EVERYWHERE: tl.constexpr,
    SIGMOID: tl.constexpr,
    CLASSES: tl.constexpr,
):
    """Write each class's part of a sample's Dice loss, and return their sum."""
    smooth_nr = tl.load(parameters).to(tl.float64)
    smooth_dr = tl.load(parameters + table_width).to(tl.float64)
    whole = tl.full([], 0.0, tl.float64)
    for start in range(0, num_classes, CLASSES):
        classes = start + tl.arange(0, CLASSES)
        there = classes < num_classes
        at = of_sample + classes * CLASS_SUMS
        error = tl.load(at + (FALSE_POS_2 if SQUARED else FALSE_POS), mask=there, other=0.0)
        error += tl.load(at + (FALSE_NEG_2 if SQUARED else FALSE_NEG), mask=there, other=0.0)
        hit = tl.load(at + HIT, mask=there, other=0.0)
        value = dice_ratio(2.0 * hit, error, smooth_nr, smooth_dr)
        if SIGMOID:
            part = tl.where(classes == 1, value, 0.0)
        elif EVERYWHERE:
            part = value / num_classes
        else:
            in_label = tl.load(at + IN_LABEL, mask=there, other=0.0)
            part = tl.where(in_label > 0, value / tl.maximum(present_count, 1), 0.0)
        part = part.to(tl.float32)
        tl.store(parts + classes, part, mask=there)
        whole += tl.sum(tl.where(there, part, 0.0).to(tl.float64), 0)
    return whole


@triton.jit
def finish_samples(
    sums,
    class_sums,
    out,
    parts,
    table,
    table_width,
    n,
    num_classes,
    LOSS_CODES: tl.constexpr,
    EVERYWHERE: tl.constexpr,
    NUM_LOSSES: tl.constexpr,
    SIGMOID: tl.constexpr,
    CLASSES: tl.constexpr,
):
    """Write a sample's columns, and of each Dice loss the classes' parts; one sample a program.

    Args:
        sums: float64 [N, 10 + L].
        class_sums: float64 [N, C, 8].
        out: float32 [10 + L, N].
        parts: float32 [L, N, C].
        EVERYWHERE: a bit for each Dice loss whose mean is over all classes, not only those in the label.
        CLASSES: how many are looked at together.
    """
    sample = tl.program_id(0).to(tl.int64)
    of_sample = class_sums + sample * num_classes * CLASS_SUMS
    present_count = 0
    iou_sum = tl.full([], 0.0, tl.float64)
    worst = tl.full([], 3.0, tl.float32)
    worst_class = 0
    for start in range(0, num_classes, CLASSES):
        classes = start + tl.arange(0, CLASSES)
        there = classes < num_classes
        in_label, either, iou = _iou(of_sample + classes * CLASS_SUMS, there)
        present = there & (in_label > 0)
        if SIGMOID:
            # the foreground's; 1 where label and prediction are both empty
            chosen = tl.where(classes == 1, tl.where(either > 0, iou, 1.0), 0.0)
            candidates = tl.where(there & (either > 0), iou, 2.0)
        else:
            chosen = tl.where(present, iou, 0.0)
            candidates = tl.where(present, iou, 2.0)
        iou_sum += tl.sum(tl.where(there, chosen, 0.0).to(tl.float64), 0)
        present_count += tl.sum(present.to(tl.int32), 0)
        candidates = tl.where(there, candidates, 3.0)
        least = tl.min(candidates, 0)
        first = tl.min(tl.where(candidates == least, classes, 2147483647), 0)
        worst_class = tl.where(least < worst, first, worst_class)
        worst = tl.minimum(least, worst)
    of = sums + sample * (LOSSES + NUM_LOSSES)
    valid = tl.load(of + VALID)
    count = tl.maximum(valid, 1.0)
    status = status_of(valid > 0, tl.load(of + NONFINITE) > 0, tl.load(of + BAD_LABEL) > 0, tl.load(of + BAD_PREDS) > 0)
    to = out + sample
    tl.store(to + OUT_STATUS * n, _as_float(status))
    tl.store(to + OUT_VALID * n, _as_float(valid))
    tl.store(to + OUT_WORST * n, _as_float(worst_class))
    tl.store(to + OUT_CLAMPED * n, _as_float(tl.load(of + CLAMPED) > 0))
    tl.store(to + OUT_ACCURACY * n, (tl.load(of + HITS) / count).to(tl.float32))
    means = present_count if not SIGMOID else 1
    tl.store(to + OUT_IOU * n, (iou_sum / tl.maximum(means, 1)).to(tl.float32))
    for i in tl.static_range(4):
        tl.store(to + (OUT_MEANS + i) * n, (tl.load(of + P_LABEL + i) / count).to(tl.float32))
    for i in tl.static_range(NUM_LOSSES):
        if (LOSS_CODES >> (4 * i)) & 15 <= FOCAL:
            tl.store(to + (OUT_LOSSES + i) * n, (tl.load(of + LOSSES + i) / count).to(tl.float32))
        else:
            whole = _dice_parts(
                *(of_sample, parts + (sample + n * i) * num_classes, table + 2 * i * table_width, table_width),
                *(num_classes, present_count, ((LOSS_CODES >> (4 * i)) & 15) - DICE, (EVERYWHERE >> i) & 1),
                *(SIGMOID, CLASSES),
            )
            tl.store(to + (OUT_LOSSES + i) * n, whole.to(tl.float32))
