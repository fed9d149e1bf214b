"""Kernels for rows of a softmax, [N, C]: the columns of the task multiclass."""

import triton
import triton.language as tl

from evaltool.triton_kernels.elementary import SMALLEST, log
from evaltool.triton_kernels.odds import (
    FOCAL,
    PROBS,
    faults,
    label_of_logits,
    label_of_probs,
    pooled_dice,
    scores_of,
    softmax_loss,
    status_of,
    top_scores,
)
from evaltool.triton_kernels.softmax import joined, stats_of, tile_stats

# rows of the output, float32 [6 + L, N]: the first two hold the bits of int32
STATUS, PRED, P_LABEL, P_PRED, MARGIN, ENTROPY, LOSSES = (tl.constexpr(i) for i in range(7))
# rows between two kernels, float32 [7, N]; place holds the bits of int32
PARTS = tl.constexpr(7)


@triton.jit
def class_labels(labels, at, there, num_classes, ignore_index):
    """Return where labels count and where they are bad, and the labels, int32, with 0 for both others."""
    given = tl.load(labels + at, mask=there, other=ignore_index)
    valid = given != ignore_index
    inside = (given >= 0) & (given < num_classes)
    return valid, valid & ~inside, tl.where(valid & inside, given, 0).to(tl.int32)


@triton.jit
def _write_rows(
    out,
    n,
    rows,
    there,
    stats,
    own,
    known,
    table,
    table_width,
    tolerance,
    KIND: tl.constexpr,
    LOSS_CODES: tl.constexpr,
    NUM_LOSSES: tl.constexpr,
    SIGMOID: tl.constexpr,
):
    """Write the columns of rows; ``stats`` as ``softmax.position_stats`` gives them, ``known`` as ``class_labels``."""
    m, place, m2, total, spread, squares, least = stats
    valid, bad_label, label = known
    right = label == place
    if KIND == PROBS:
        u, low, shares = label_of_probs(m, total, squares, own, right)
    else:
        u, low, shares = label_of_logits(m, m2, total, squares, own, right)
    log1p_r, ce, p_label, miss = scores_of(u, low)
    p_pred, margin, entropy, odds = top_scores(m, m2, total, spread, own, right, KIND)
    nonfinite, off = faults(m, total, least, odds, tolerance, KIND, SIGMOID)
    status = status_of(valid, nonfinite, bad_label, off)
    at = out + rows
    tl.store(at + STATUS * n, status.to(tl.float32, bitcast=True), mask=there)
    tl.store(at + PRED * n, place.to(tl.float32, bitcast=True), mask=there)
    tl.store(at + P_LABEL * n, p_label, mask=there)
    tl.store(at + P_PRED * n, p_pred, mask=there)
    tl.store(at + MARGIN * n, margin, mask=there)
    tl.store(at + ENTROPY * n, entropy, mask=there)
    for i in tl.static_range(NUM_LOSSES):
        first, second = loss_parameters(table, table_width, i, label, there)
        value = row_loss(
            *(u, low, log1p_r, ce, p_label, miss, shares, label, first, second),
            *((LOSS_CODES >> (4 * i)) & 15, SIGMOID),
        )
        tl.store(at + (LOSSES + i) * n, value, mask=there)


@triton.jit
def row_loss(
    u, low, log1p_r, ce, p_label, miss, shares, label, first, second, CODE: tl.constexpr, SIGMOID: tl.constexpr
):
    """Return a loss of rows, whose parameters are ``first`` and ``second``."""
    if CODE <= FOCAL:
        return softmax_loss(u, low, log1p_r, ce, first, second, CODE)
    return pooled_dice(p_label, miss, shares, label, first, second, CODE, SIGMOID)


@triton.jit
def loss_parameters(table, table_width, i, label, there):
    """Return both parameters of loss i at each label; the table is float32 [L, 2, C], or [L, 2, 1]."""
    at = table + 2 * i * table_width + tl.where(table_width > 1, label, 0)
    return tl.load(at, mask=there, other=0.0), tl.load(at + table_width, mask=there, other=0.0)


@triton.jit
def score_narrow_rows(
    preds,
    labels,
    out,
    table,
    table_width,
    n,
    num_classes,
    ignore_index,
    tolerance,
    KIND: tl.constexpr,
    LOSS_CODES: tl.constexpr,
    NUM_LOSSES: tl.constexpr,
    SIGMOID: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Score rows of few classes, one row a lane; sigmoids are one number a row, and two classes."""
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = rows < n
    known = class_labels(labels, rows, there, num_classes, ignore_index)
    m, place, m2, total, spread, squares, least, own = stats_of(
        preds, rows * (1 if SIGMOID else num_classes), there, known[2], num_classes, 1, BLOCK, KIND, SIGMOID
    )
    if SIGMOID and KIND == PROBS:
        # the entropy of a sigmoid has the floor that the label's probability has
        floored = tl.maximum(total, SMALLEST)
        unlikely = known[2] != place
        spread = tl.where(unlikely, floored * (log(m) - log(floored)), spread)
        total = tl.where(unlikely, floored, total)
    stats = (m, place, m2, total, spread, squares, least)
    _write_rows(
        out, n, rows, there, stats, own, known, table, table_width, tolerance, KIND, LOSS_CODES, NUM_LOSSES, SIGMOID
    )


@triton.jit
def reduce_wide_rows(
    preds, parts, n, groups, KIND: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, ALIGNED: tl.constexpr
):
    """Write what the classes of each row say together; rows in tiles of columns; C is groups * ALIGNED."""
    # as a product with what is known when this is compiled: only so are several numbers loaded at once
    num_classes = groups * ALIGNED
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = rows < n
    columns = tl.arange(0, COLUMNS)[None, :]
    # rows that are not there read the last one
    at = preds + tl.minimum(rows, n - 1)[:, None] * num_classes + columns
    inside = columns < num_classes
    z = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    lost, m, place, m2, total, spread, squares, least = tile_stats(z, columns, inside, KIND)
    for start in range(COLUMNS, num_classes, COLUMNS):
        classes = columns + start
        inside = classes < num_classes
        z = tl.load(at + start, mask=inside, other=0.0).to(tl.float32)
        lost_b, m_b, place_b, m2_b, total_b, spread_b, squares_b, least_b = tile_stats(z, classes, inside, KIND)
        m, place, m2, total, spread, squares = joined(
            m, place, m2, total, spread, squares, m_b, place_b, m2_b, total_b, spread_b, squares_b, KIND
        )
        lost = tl.maximum(lost, lost_b)
        least = tl.minimum(least, least_b)
    at_row = parts + rows
    tl.store(at_row, tl.where(lost > 0, float("nan"), m), mask=there)
    tl.store(at_row + n, place.to(tl.float32, bitcast=True), mask=there)
    tl.store(at_row + 2 * n, m2, mask=there)
    tl.store(at_row + 3 * n, total, mask=there)
    tl.store(at_row + 4 * n, spread, mask=there)
    tl.store(at_row + 5 * n, squares, mask=there)
    tl.store(at_row + 6 * n, least, mask=there)


@triton.jit
def finish_wide_rows(
    preds,
    labels,
    parts,
    out,
    table,
    table_width,
    n,
    num_classes,
    ignore_index,
    tolerance,
    KIND: tl.constexpr,
    LOSS_CODES: tl.constexpr,
    NUM_LOSSES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Score rows of which ``reduce_wide_rows`` has written the parts, one row a lane."""
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = rows < n
    known = class_labels(labels, rows, there, num_classes, ignore_index)
    own = tl.load(preds + rows * num_classes + known[2], mask=there, other=0.0).to(tl.float32)
    at = parts + rows
    stats = (
        tl.load(at, mask=there, other=0.0),
        tl.load(at + n, mask=there, other=0.0).to(tl.int32, bitcast=True),
        tl.load(at + 2 * n, mask=there, other=0.0),
        tl.load(at + 3 * n, mask=there, other=0.0),
        tl.load(at + 4 * n, mask=there, other=0.0),
        tl.load(at + 5 * n, mask=there, other=0.0),
        tl.load(at + 6 * n, mask=there, other=0.0),
    )
    _write_rows(
        out, n, rows, there, stats, own, known, table, table_width, tolerance, KIND, LOSS_CODES, NUM_LOSSES, False
    )
