"""Labels as kernels take them, in NumPy: int64 classes, with ``NO_LABEL`` for what is none."""

import numpy as np

from evaltool.block import NO_LABEL, Array

LARGEST = 2.0**62


def class_labels(labels: Array, *, one_hot: bool) -> Array:
    """Return labels as int64 [n, *S], C-contiguous; NaN, fractions and numbers beyond int64 become ``NO_LABEL``.

    Args:
        labels: integer, bool or float [n, *S]; if ``one_hot``, [n, C] with a single 1 in each row.
        one_hot: labels are rows of 0 and 1; a row that is none has no label.
    """
    if one_hot:
        ones = labels == 1
        right = (ones | (labels == 0)).all(1) & (ones.sum(1) == 1)
        return np.where(right, ones.argmax(1), NO_LABEL)
    if labels.dtype.kind == "f":
        return whole_numbers(labels)
    if labels.dtype == np.uint64:
        labels = labels.view(np.int64)  # of what is beyond int64 the sign is set
        return np.where(labels < 0, NO_LABEL, labels)
    return np.ascontiguousarray(labels, np.int64)


def whole_numbers(labels: Array) -> Array:
    """Return float labels as int64; ``NO_LABEL`` where they hold no integer."""
    labels = labels.astype(np.float64)  # of float16 not even the bound is a number
    with np.errstate(invalid="ignore"):
        whole = (labels == np.floor(labels)) & (np.abs(labels) < LARGEST)
    return np.where(whole, np.where(whole, labels, 0).astype(np.int64), NO_LABEL)


def real_labels(labels: Array) -> Array:
    """Return the labels of a regression as float, C-contiguous."""
    return np.ascontiguousarray(labels, None if labels.dtype.kind == "f" else np.float64)


def counted_labels(labels: Array, ignore_index: int, num_classes: int) -> Array:
    """Return the labels outside the classes and how often each occurs, int64 [2, k]; ``ignore_index`` is none of them.

    Args:
        labels: int64, any shape.
        ignore_index: label that counts for nothing.
        num_classes: how many labels there are, from 0.
    """
    strange = labels[(labels != ignore_index) & ((labels < 0) | (labels >= num_classes))]
    return np.stack(np.unique(strange, return_counts=True)).astype(np.int64)
