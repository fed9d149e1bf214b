"""What an engine gives back for a block of rows; the run adds it up."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# stands for a label that no integer can hold (NaN, a fraction); no class and no ignore_index has it
NO_LABEL = -(2**62)


@dataclass
class Block:
    """Scores of a block of rows, and counts that add up over blocks.

    Attributes:
        status: int8 [n], places in ``schema.STATUSES``.
        columns: every other column by name, [n] each; where the status is not ok, only ``label`` has a meaning.
            NaN in a loss of an ok row is a module that failed on it.
        confusion: int64 [2, k]: pairs label * C + pred (multilabel: class * 4 + label * 2 + pred) and how often each
            occurs among what is valid in ok rows.
        class_loss: for each loss whose value splits by class: float64 [C] sums over the class's labels, the finite
            ones, and int64 [C] how many those were.
        bad_labels: int64 [2, k]: the labels outside the classes, and how often each occurs in the bad rows.
        n_clamped: ok rows in which a label's probability was raised to the smallest normal float32.
    """

    status: Array
    columns: dict[str, Array]
    confusion: Array
    class_loss: dict[str, tuple[Array, Array]] = field(default_factory=dict)
    n_clamped: int = 0
    bad_labels: Array = field(default_factory=lambda: np.zeros((2, 0), np.int64))
