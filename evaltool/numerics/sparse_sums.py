"""Sums of integers by key, where most keys do not occur."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def sums_by_key(keys: Array, values: Array) -> Array:
    """Return the distinct keys, sorted, and the sum of the values of each; int64 [2, k].

    Args:
        keys: int64 [n].
        values: int64 [n].
    """
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1))
    if not len(first):
        return np.zeros((2, 0), np.int64)
    return np.stack([keys[first], np.add.reduceat(values[order], first)])


def few_sums(keys: Array, values: Array, size: int) -> Array:
    """Return what ``sums_by_key`` does, of keys in 0..size-1; quicker where there are about as many numbers as keys.

    The sums of a batch have to stay below 2^53.
    """
    if size > 4 * len(keys):
        return sums_by_key(keys, values)
    sums = np.bincount(keys, values, size).astype(np.int64)
    occur = np.flatnonzero(np.bincount(keys, minlength=size))
    return np.stack([occur, sums[occur]])


def without_zeros(pairs: Array) -> Array:
    """Return keys and their sums, [2, k], without those whose sum is 0."""
    return pairs[:, pairs[1] != 0]
