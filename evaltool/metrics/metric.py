"""What every metric shares: counts that add up, and the methods that keep them.

All that a metric remembers are whole numbers, so shards merge in any order to the same bits.  TorchScript compiles the
methods of all classes of a metric into one module; those marked as exported are called after loading as before.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from evaltool.numerics.arguments import checked_choice, checked_index, checked_number
from evaltool.schema import KINDS

TASKS = ("multiclass", "binary", "multilabel")


class Counted(NamedTuple):
    """What a batch adds to a metric."""

    counts: Tensor  # int64, in the shape of the metric's state
    n_bad: Tensor  # int64 [], samples that cannot be scored


class Metric(nn.Module):
    """A metric; a subclass gives ``_counted(preds, labels) -> Counted`` and ``_value(counts) -> Tensor``.

    Called as ``metric(preds, labels)`` it gives the value of these alone and remembers nothing; ``update`` adds them
    to the state, of which ``compute`` gives the value.

    Args:
        size: shape of the counts.
    """

    counts: Tensor
    n_bad: Tensor

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(list(size), dtype=torch.int64))
        self.register_buffer("n_bad", torch.zeros([], dtype=torch.int64))

    def forward(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return the value for these preds and labels alone; the state stays as it is."""
        return self._value(self._counted(preds, labels).counts)

    @torch.jit.export
    def update(self, preds: Tensor, labels: Tensor) -> None:
        """Add preds and labels to the state."""
        found = self._counted(preds, labels)
        # not in place: a scripted module and the one it was made of hold the same tensors at first
        self.counts = self.counts + found.counts
        self.n_bad = self.n_bad + found.n_bad

    @torch.jit.export
    def compute(self) -> Tensor:
        """Return the value for all that was added."""
        return self._value(self.counts)

    @torch.jit.export
    def reset(self) -> None:
        """Forget all that was added."""
        self.counts = torch.zeros_like(self.counts)
        self.n_bad = torch.zeros_like(self.n_bad)

    @torch.jit.export
    def state(self) -> dict[str, Tensor]:
        """Return a copy of what was added: int64 ``counts``, and ``n_bad``, the samples that cannot be scored."""
        return {"counts": self.counts.clone(), "n_bad": self.n_bad.clone()}

    @torch.jit.export
    def merge(self, state: dict[str, Tensor]) -> None:
        """Add the state of a metric built alike, from any device."""
        counts = state["counts"]
        if counts.shape != self.counts.shape or counts.dtype != self.counts.dtype:
            raise ValueError(
                f"counts are {counts.dtype} {list(counts.shape)}, expected {self.counts.dtype} "
                f"{list(self.counts.shape)}: the state of a metric built alike"
            )
        self.counts = self.counts + counts.to(self.counts.device)
        self.n_bad = self.n_bad + state["n_bad"].to(self.n_bad.device)

    def _counted(self, preds: Tensor, labels: Tensor) -> Counted:
        raise NotImplementedError

    def _value(self, counts: Tensor) -> Tensor:
        raise NotImplementedError


class ClassificationMetric(Metric):
    """A metric of classes.

    Args:
        size: shape of the counts.
        task: "multiclass", "binary" or "multilabel"; see ``evaltool.metrics.cases``.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs"; of label 1 in binary and multilabel.
        tolerance: how far a row of probabilities may sum from 1.
    """

    def __init__(
        self,
        size: Sequence[int],
        *,
        task: str = "multiclass",
        ignore_index: int = -100,
        preds_are: str = "logits",
        tolerance: float = 1e-3,
    ) -> None:
        super().__init__(size)
        self.task = checked_task(task)
        self.ignore_index = checked_index("ignore_index", ignore_index)
        self.preds_are = checked_choice("preds_are", preds_are, KINDS)
        self.tolerance = checked_number("tolerance", tolerance)


def checked_task(task: str, tasks: Sequence[str] = TASKS) -> str:
    """Return task if it is one of tasks."""
    return checked_choice("task", task, tasks)


def checked_classes(num_classes: int | None, task: str) -> int:
    """Return the number of classes: 2 for binary, and else as given, 2 or more (multilabel: 1 or more)."""
    if task == "binary":
        if num_classes not in (None, 2):
            raise ValueError(f"num_classes={num_classes!r}, expected 2 or nothing where task='binary'")
        return 2
    least = 1 if task == "multilabel" else 2
    if num_classes is None or checked_index("num_classes", num_classes) < least:
        raise ValueError(f"num_classes={num_classes!r}, expected {least} or more where task={task!r}")
    return checked_index("num_classes", num_classes)


def tally(places: Tensor, counted: Tensor, size: int) -> Tensor:
    """Return how often each of 0..size-1 occurs among the places that are counted; int64 [size].

    Args:
        places: int64, any shape, each in 0..size-1.
        counted: bool, in the same shape.
        size: how many places there are.
    """
    return total(counted.to(torch.int64), places, size)


def total(values: Tensor, places: Tensor, size: int) -> Tensor:
    """Return the sums of int64 values at each of the places 0..size-1; int64 [size]."""
    none = torch.zeros([size], dtype=torch.int64, device=values.device)
    return none.scatter_add(0, places.reshape(-1), values.reshape(-1))


def exactly(values: Tensor, counted: Tensor) -> Tensor:
    """Return values where they are counted and 0 elsewhere, where NaN would be no place to count at."""
    return torch.where(counted, values, torch.zeros_like(values))
