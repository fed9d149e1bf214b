"""What a block's losses are at each class: exact sums by class and octave."""

from typing import Any

import numpy as np
from torch import Tensor

from evaltool.numerics.float_bits import OCTAVES, octave_units
from evaltool.numerics.sparse_sums import few_sums

Array = np.ndarray[Any, Any]


def class_sums(values: Array, classes: Array, num_classes: int) -> tuple[Array, Array]:
    """Return what ``Block.class_loss`` holds of one loss: the sums, int64 [2, k], and how many they are of, int64 [C].

    Args:
        values: float32 [n], of which the finite ones count.
        classes: int64 [n], each in 0..C-1 where the value is finite.
        num_classes: C.
    """
    finite = np.isfinite(values)
    values, classes = values[finite], classes[finite]
    octaves, units = octave_units(values)
    sums = few_sums(classes * OCTAVES + octaves, units, num_classes * OCTAVES)
    return sums, np.bincount(classes, minlength=num_classes)


def part_sums(parts: Tensor, num_classes: int) -> tuple[Array, Array]:
    """Return the sums of each class's part, [N, K]; the counts are 0, for a part of a region loss has no mean.

    A sample counts if its parts are all finite.  With one foreground class a value without parts is its.
    """
    values = parts.float().cpu().numpy()
    values = values[np.isfinite(values).all(1)]
    alone = values.shape[1] != num_classes
    classes = np.broadcast_to(np.arange(num_classes) if not alone else np.ones(values.shape[1], np.int64), values.shape)
    sums, _ = class_sums(values.reshape(-1), classes.reshape(-1), num_classes)
    return sums, np.zeros(num_classes, np.int64)
