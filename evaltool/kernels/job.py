"""What a fused kernel is asked for, and the one that can do it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class KernelLoss:
    """A loss column.

    Attributes:
        column: its name in the table.
        name: its registry name.
        parameters: every parameter of the loss, defaults filled in.
    """

    column: str
    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class KernelJob:
    """A job of one task.

    Attributes:
        task: one of ``schema.TASKS``.
        preds_are: the kind of the predictions; "logits" for regression.
        num_classes: C; 2 for binary and for one foreground class; 0 for regression.
        foreground: segmentation of one foreground class.
        tolerance: how far probabilities may sum from 1.
        ignore_index: label that counts for nothing.
        losses: the loss columns, in order.
    """

    task: str
    preds_are: str
    num_classes: int
    foreground: bool
    tolerance: float
    ignore_index: int
    losses: tuple[KernelLoss, ...]


class Kernel(Protocol):
    """Scores blocks of one job in one thread, and counts what it has scored."""

    def __init__(self, job: KernelJob) -> None:
        """Prepare for the blocks of a job that ``refusal`` finds nothing against."""

    @staticmethod
    def refusal(job: KernelJob) -> str | None:
        """Return why the kernel cannot do a job of its task, as half a sentence, or None if it can."""

    def score(self, preds: Array, labels: Array) -> tuple[Array, dict[str, Array]]:
        """Return the status, int8 [n], and the columns, [n] each, of a block; adds to the counts.

        Args:
            preds: float16, float32, float64, or uint16 that holds bfloat16 bits; as the task has them, C-contiguous.
            labels: int64 (regression: float), C-contiguous; what is no class and not ``ignore_index`` is bad.
        """

    def counts(self) -> dict[str, Array]:
        """Return what was counted so far, in the layout of ``state.npz``."""
