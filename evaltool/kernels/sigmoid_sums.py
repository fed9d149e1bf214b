"""Sums over the lanes low to high of a tile of sigmoids, in an order that depends on how many there are alone."""

from typing import Any

import numpy as np
from numpy import uint64

from evaltool.kernels.compiled import summing_part
from evaltool.kernels.sigmoid_tiles import CHOSEN, ENTROPY, MARGIN, MISS, ONE, P_LABEL, P_PRED, VALID, VALUE

_ZERO = np.float32(0.0)


@summing_part
def numbers(low: Any, high: Any, tile: Any) -> Any:
    """Return how many lanes are valid, of label 1, predicted 1, and both."""
    valid, ones, chosen, both = _ZERO, _ZERO, _ZERO, _ZERO
    for j in range(low, high):
        one, other = tile[uint64(ONE + j)], tile[uint64(CHOSEN + j)]
        valid += tile[uint64(VALID + j)]
        ones += one
        chosen += other
        both += one * other
    return np.int64(valid), np.int64(ones), np.int64(chosen), np.int64(both)


@summing_part
def entropies(low: Any, high: Any, tile: Any) -> Any:
    """Return the sum of the valid entropies."""
    entropy = 0.0
    for j in range(low, high):
        entropy += np.float64(tile[uint64(ENTROPY + j)] * tile[uint64(VALID + j)])
    return entropy


@summing_part
def means(low: Any, high: Any, tile: Any) -> Any:
    """Return the sums of the valid entropies, p_label, p_pred and margins."""
    entropy, p_label, p_pred, margin = 0.0, 0.0, 0.0, 0.0
    for j in range(low, high):
        valid = tile[uint64(VALID + j)]
        entropy += np.float64(tile[uint64(ENTROPY + j)] * valid)
        p_label += np.float64(tile[uint64(P_LABEL + j)] * valid)
        p_pred += np.float64(tile[uint64(P_PRED + j)] * valid)
        margin += np.float64(tile[uint64(MARGIN + j)] * valid)
    return entropy, p_label, p_pred, margin


@summing_part
def overlap(low: Any, high: Any, tile: Any) -> Any:
    """Return the sums of the hits, of the errors and of their squares, for Dice losses."""
    hit, error, squares = 0.0, 0.0, 0.0
    for j in range(low, high):
        miss = np.float64(tile[uint64(MISS + j)] * tile[uint64(VALID + j)])
        hit += np.float64(tile[uint64(P_LABEL + j)] * tile[uint64(ONE + j)])
        error += miss
        squares += miss * miss
    return hit, error, squares


@summing_part
def value_sum(low: Any, high: Any, tile: Any) -> Any:
    """Return the sum of VALUE."""
    total = 0.0
    for j in range(low, high):
        total += np.float64(tile[uint64(VALUE + j)])
    return total
