"""What ``state.npz`` holds, as numbers to work with; and two of them as one.

``arrays`` is the loaded file, ``dict(np.load(path))``, or ``State.arrays()``.  L losses, C classes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from evaltool.block import PAIRS, added_counts
from evaltool.errors import EvaltoolError
from evaltool.numerics.float_bits import OCTAVES, octave_sizes, octave_totals

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]


def loss_sums(arrays: Arrays) -> Array:
    """Return the sum of each loss over the samples where it is finite; float64 [L]."""
    return octave_totals(arrays["loss_octaves"])


def class_loss_sums(arrays: Arrays) -> Array:
    """Return the part of each loss that stands at each class's labels (a region loss: of its parts); float64 [L, C]."""
    shape = arrays["class_loss_count"].shape
    keys, units = arrays["class_loss"]
    values = units * octave_sizes()[keys % OCTAVES]
    return np.bincount(keys // OCTAVES, values, shape[0] * shape[1]).reshape(shape)


def confusion_pairs(arrays: Arrays) -> tuple[Array, Array, Array]:
    """Return label, pred and count of the pairs that occur, int64 [k] each, by label, then pred; not of multilabel."""
    if "confusion" in arrays:
        label, pred = np.nonzero(arrays["confusion"])
        return label, pred, arrays["confusion"][label, pred]
    classes = arrays["class_loss_count"].shape[1]
    keys, counts = arrays["confusion_pairs"]
    return keys // classes, keys % classes, counts


def label_confusion(arrays: Arrays) -> Array:
    """Return multilabel's counts of each class, int64 [C, 2, 2]: [class, label, pred]."""
    if "confusion" in arrays:
        return arrays["confusion"]
    keys, counts = arrays["confusion_pairs"]
    cells = np.zeros(arrays["class_loss_count"].shape[1] * 4, np.int64)
    cells[keys] = counts
    return cells.reshape(-1, 2, 2)


def merged(a: Arrays, b: Arrays) -> dict[str, Array]:
    """Return the state of the rows of both: the same arrays as if one job had scored them.

    Raises:
        EvaltoolError: the two count different things: other losses, other classes, another task.
    """
    _check_alike(a, b)
    return added_counts(a, b)


def _check_alike(a: Arrays, b: Arrays) -> None:
    for what, one, other in (
        ("losses", a["losses"].tolist(), b["losses"].tolist()),
        ("number of classes", a["class_loss_count"].shape[1], b["class_loss_count"].shape[1]),
        ("arrays", sorted(a), sorted(b)),
        *((f"shape of {name}", a[name].shape, b[name].shape) for name in a if name not in PAIRS and name in b),
    ):
        if one != other:
            raise EvaltoolError(
                f"these runs do not count the same\n  {what}: {one} and {other}\n"
                "  Score both with the same task, losses and classes."
            )
