"""64 positions of one sample [C, P] of a softmax at a time: from the tile to the sample's sums.

The classes of a sample stand one after another in memory as they do in a tile.  Where a position is summed does not
depend on anything but its place in the sample: a sample's sums are the same bits whatever is scored beside it.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy import uint64

from evaltool.kernels.compiled import inlined, part, summing_part
from evaltool.kernels.elementary import FURTHEST, SCALE, UNSCALE, exp_scaled
from evaltool.kernels.loading import aligned, read
from evaltool.kernels.softmax_lanes import (
    ENTROPY,
    LABEL,
    LANES,
    MARGIN,
    MISS,
    OWN,
    P_LABEL,
    P_PRED,
    PEAK,
    PLACE,
    STATUS,
)
from evaltool.schema import IGNORED, OK

Array = np.ndarray[Any, Any]

MEANS = (P_LABEL, P_PRED, MARGIN, ENTROPY)
WAYS = 8  # sums by label go on in, for neighbours mostly have the same label and one sum would wait for itself
AT_SMALLEST = np.float32(1.18e-38)  # what is below has been raised to the smallest normal float32

_ZERO = np.float32(0.0)


class SampleSums(NamedTuple):
    """Sums over the valid positions of a sample so far; L losses, C classes."""

    means: Array  # float64 [(4 + L) * 64]: of MEANS and of the losses by position, a lane each
    missed: Array  # float64 [C * 8]: 1 - p_label by label
    missed_squares: Array  # float64 [C * 8]
    falsely: Array  # float64 [C]: p_c where c is not the label
    false_squares: Array  # float64 [C]
    in_both: Array  # int64 [C * 8]: positions of that label and prediction
    only_label: Array  # int64 [C]: of that label and another prediction
    only_pred: Array  # int64 [C]: of that prediction and another label
    shares: Array  # float32 [64], of the lanes that count: 1 / (1 + R), of probabilities over the largest; else 0
    labels: Array  # int32 [64]


def sample_sums(num_classes: int, losses: int) -> SampleSums:
    """Return room for the sums of a sample."""
    return SampleSums(
        aligned((len(MEANS) + losses) * LANES, np.float64),
        aligned(num_classes * WAYS, np.float64),
        aligned(num_classes * WAYS, np.float64),
        aligned(num_classes, np.float64),
        aligned(num_classes, np.float64),
        aligned(num_classes * WAYS, np.int64),
        aligned(num_classes, np.int64),
        aligned(num_classes, np.int64),
        aligned(LANES, np.float32),
        aligned(LANES, np.int32),
    )


@part
def clear_sums(sums: Any) -> None:
    """Begin with a sample."""
    sums.means[:] = 0.0
    sums.missed[:] = 0.0
    sums.missed_squares[:] = 0.0
    sums.falsely[:] = 0.0
    sums.false_squares[:] = 0.0
    sums.in_both[:] = 0
    sums.only_label[:] = 0
    sums.only_pred[:] = 0


@part
def fill_tile(sample: Any, start: Any, count: Any, lanes: Any) -> None:
    """Fill the tile, OWN and owns with positions of a sample [C, P]; lanes beyond ``count`` hold 0."""
    tile = lanes.tile
    for c in range(sample.shape[0]):
        _fill_class(sample[c], start, count, tile, c * LANES)
    for lane in range(LANES):
        own = tile[uint64(lanes.codes[LABEL + lane] * LANES + lane)]
        lanes.rows[OWN + lane] = own
        lanes.owns[lane] = own


@part
def _fill_class(row: Any, start: Any, count: Any, tile: Any, at: Any) -> None:
    if count == LANES:
        for lane in range(LANES):
            tile[uint64(at + lane)] = read(row[uint64(start + lane)])
        return
    for lane in range(LANES):
        tile[uint64(at + lane)] = 0.0
    for lane in range(count):
        tile[uint64(at + lane)] = read(row[uint64(start + lane)])


@part
def some_valid(codes: Any) -> Any:
    """Return whether a lane is not ignored."""
    found = False
    for lane in range(LANES):
        found |= codes[STATUS + lane] != IGNORED
    return found


@part
def worst_status(status: Any, codes: Any) -> Any:
    """Return the status of a sample that had one so far and has these lanes: of several faults the first is told."""
    for lane in range(LANES):
        here = codes[STATUS + lane]
        if here == OK:
            status = OK if status == IGNORED else status
        elif here != IGNORED:
            status = here if status <= IGNORED else min(status, here)
    return status


@part
def add_lanes(rows: Any, codes: Any, at: Any, sums: Any, which: Any) -> None:
    """Add a quantity of the lanes that are ok to one of the means."""
    to = which * LANES
    for lane in range(LANES):
        sums.means[uint64(to + lane)] += rows[uint64(at + lane)] if codes[STATUS + lane] == OK else 0.0


@part
def add_positions(lanes: Any, squared: Any, sums: Any) -> Any:
    """Add lanes, of which all that are not ignored are ok.

    Returns whether a label's probability was raised, and whether a prediction is wrong.

    Args:
        lanes: finished.
        squared: whether squares are asked for.
        sums: a ``SampleSums``.
    """
    rows, codes = lanes.rows, lanes.codes
    add_lanes(rows, codes, P_LABEL, sums, 0)
    add_lanes(rows, codes, P_PRED, sums, 1)
    add_lanes(rows, codes, MARGIN, sums, 2)
    add_lanes(rows, codes, ENTROPY, sums, 3)
    raised, wrong = False, False
    for lane in range(LANES):
        valid = codes[STATUS + lane] == OK
        raised |= valid & (np.float32(rows[P_LABEL + lane]) < AT_SMALLEST)
        wrong |= valid & (codes[LABEL + lane] != codes[PLACE + lane])
    for lane in range(LANES):
        valid = codes[STATUS + lane] == OK
        label = codes[LABEL + lane]
        at = uint64(label * WAYS + lane % WAYS)
        sums.missed[at] += rows[MISS + lane] if valid else 0.0
        sums.in_both[at] += valid & (label == codes[PLACE + lane])
    if squared:
        for lane in range(LANES):
            at = uint64(codes[LABEL + lane] * WAYS + lane % WAYS)
            sums.missed_squares[at] += rows[MISS + lane] * rows[MISS + lane] if codes[STATUS + lane] == OK else 0.0
    if wrong:
        for lane in range(LANES):
            label, pred = codes[LABEL + lane], codes[PLACE + lane]
            if codes[STATUS + lane] == OK and label != pred:
                sums.only_label[uint64(label)] += 1
                sums.only_pred[uint64(pred)] += 1
    return raised, wrong


@part
def add_false(lanes: Any, classes: Any, probs: Any, sums: Any) -> None:
    """Add every class's probability at the positions of other labels, and its square.

    Args:
        lanes: finished, with their tile.
        classes: how many there are.
        probs: None for logits and log-probs, anything else for probabilities.
        sums: a ``SampleSums``.
    """
    rows, codes = lanes.rows, lanes.codes
    for lane in range(LANES):
        some = codes[STATUS + lane] == OK
        share = rows[P_PRED + lane] if some else 0.0
        if probs is not None:
            share = share / rows[PEAK + lane] if some else 0.0
        sums.shares[lane] = share
        sums.labels[lane] = codes[LABEL + lane]
    for c in range(classes):
        if probs is None:
            total, squares = _false_logits(lanes.tile, c, lanes.tops, sums)
        else:
            total, squares = _false_probs(lanes.tile, c, sums)
        # both are of 2^56 p
        sums.falsely[c] += np.float64(total) * UNSCALE
        sums.false_squares[c] += np.float64(squares) * UNSCALE * UNSCALE


@summing_part
def _false_logits(tile: Any, c: Any, tops: Any, sums: Any) -> Any:
    total, squares = _ZERO, _ZERO
    other = np.int32(c)
    at = c * LANES
    for lane in range(LANES):
        g = np.float32(tops[lane] - tile[uint64(at + lane)])
        near = g if g < FURTHEST else FURTHEST
        share = sums.shares[lane] if sums.labels[lane] != other else _ZERO
        p = exp_scaled(-near) * share
        total += p
        squares += p * p
    return total, squares


@summing_part
def _false_probs(tile: Any, c: Any, sums: Any) -> Any:
    total, squares = _ZERO, _ZERO
    other = np.int32(c)
    at = c * LANES
    for lane in range(LANES):
        value = tile[uint64(at + lane)]
        share = sums.shares[lane] if sums.labels[lane] != other else _ZERO
        known = np.float32(value * SCALE) if value > 0 else _ZERO
        p = known * share
        total += p
        squares += p * p
    return total, squares


@inlined
def ways(values: Any, c: Any) -> Any:
    """Return a class's sum."""
    at = uint64(c * WAYS)
    return (
        (values[at] + values[at + uint64(4)])
        + (values[at + uint64(2)] + values[at + uint64(6)])
        + (values[at + uint64(1)] + values[at + uint64(5)])
        + (values[at + uint64(3)] + values[at + uint64(7)])
    )
