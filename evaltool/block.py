"""What an engine gives back for a block of rows, and the shapes of its counts; the run adds it up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evaltool.numerics.float_bits import OCTAVES
from evaltool.numerics.sparse_sums import sums_by_key, without_zeros
from evaltool.schema import is_softmax

Array = np.ndarray[Any, Any]

# stands for a label that no integer can hold (NaN, a fraction); no class and no ignore_index has it
NO_LABEL = -(2**62)

CALIBRATION_BINS = 15
RANKS = 100  # that are told apart
RANKING_BINS, RANKING_CELLS = 4096, 1 << 20  # of one class at most, of all classes together
PAIRS = ("confusion_pairs", "class_loss")  # of the arrays of ``state.npz``: keys and what belongs to each, [2, k]
MOST_CLASSES = 1 << 14  # of more nothing is counted class by class: 64 bins each would be the fewest of any use


@dataclass
class Block:
    """Scores of a block of rows, and counts that add up over blocks.

    Attributes:
        status: int8 [n], places in ``schema.STATUSES``.
        columns: every other column by name, [n] each; where the status is not ok, only ``label`` has a meaning.
            NaN in a loss of an ok row is a module that failed on it.
        confusion: int64 [2, k]: pairs label * C + pred (multilabel: class * 4 + label * 2 + pred) and how often each
            occurs among what is valid in ok rows.
        class_loss: for each loss whose value splits by class: int64 [2, k], distinct keys class * 255 + octave and the
            sums, in the octave's units, of the finite float32 values at the class's labels (or of its parts), and
            int64 [C] how many values those were (0 for parts).
        counts: int64 counts of the metrics by the name of their array, shaped as ``count_shapes`` says.
        places: int32 places in the flat ``counts`` of the same name, each counting one; of arrays larger than a block.
        bad_labels: int64 [2, k]: the labels outside the classes, and how often each occurs in the bad rows.
        counted: the engine has counted these rows itself (``Engine.counts``): the block holds no counts but bad_labels.
        n_clamped: ok rows in which a label's probability was raised to the smallest normal float32.
    """

    status: Array
    columns: dict[str, Array]
    confusion: Array = field(default_factory=lambda: np.zeros((2, 0), np.int64))
    class_loss: dict[str, tuple[Array, Array]] = field(default_factory=dict)
    counts: dict[str, Array] = field(default_factory=dict)
    places: dict[str, Array] = field(default_factory=dict)
    n_clamped: int = 0
    bad_labels: Array = field(default_factory=lambda: np.zeros((2, 0), np.int64))
    counted: bool = False


def count_shapes(task: str, num_classes: int, foreground: bool) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the counts that a job of classes keeps for its metrics, by the name of the array.

    Args:
        task: one of ``schema.TASKS``.
        num_classes: C; 2 for binary and for one foreground class.
        foreground: segmentation of one foreground class.
    """
    if task == "regression":
        return {}
    softmax = is_softmax(task, foreground)
    classes = num_classes if softmax or task == "multilabel" else 1
    shapes: dict[str, tuple[int, ...]] = {"brier": (OCTAVES + 1,)}
    if task != "multilabel":
        shapes["calibration_top_label"] = (1, CALIBRATION_BINS, 3)
    if bins := ranking_bins(classes):
        shapes["ranking"] = (classes, 2, bins)
        shapes["calibration_class_wise"] = (classes, CALIBRATION_BINS, 3)
    if softmax:
        shapes["label_rank"] = (min(num_classes, RANKS) + 1,)
    return shapes


def ranking_bins(classes: int) -> int:
    """Return how many bins of the log-odds each class has: a power of two, or 0 for too many classes."""
    if classes > MOST_CLASSES:
        return 0
    return min(RANKING_BINS, 1 << ((RANKING_CELLS // classes).bit_length() - 1))


def added_counts(a: Mapping[str, Array], b: Mapping[str, Array]) -> dict[str, Array]:
    """Return the counts of the rows of both, in the layout of ``state.npz``: the same arrays as if counted together.

    Args:
        a: the counts of some rows of a job.
        b: those of other rows of the same job.
    """
    both = {}
    for name, counts in a.items():
        if name == "losses":
            both[name] = counts
        elif name == "loss_max":
            both[name] = np.maximum(counts, b[name])
        elif name in PAIRS:
            both[name] = without_zeros(sums_by_key(*np.concatenate([counts, b[name]], axis=1)))
        else:
            both[name] = counts + b[name]
    return both
