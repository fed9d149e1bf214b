"""What the losses of many samples are together: their histogram, their quantiles, and each class's share of them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from evaltool.metrics.metric import Counted, Metric, checked_classes, checked_task, exactly, tally, total
from evaltool.numerics.arguments import checked_number
from evaltool.numerics.float_bins import (
    FIRST_FINITE,
    HISTOGRAM_BINS,
    INFINITE,
    bins_of,
    histogram_edges,
    octave_edges,
    octave_parts,
    octave_sum,
)
from evaltool.numerics.float_bits import OCTAVES
from evaltool.numerics.positions import by_sample, label_positions, unit_positions, valid_positions


class LossHistogram(Metric):
    """How often a loss falls into each bin of float32: 16 per octave, all exponents, both signs; int64 [8192].

    A bin is a number's upper 13 bits in the numbers' order: that of 1.0 is 6128, inf has 8176 for itself. They are the
    bins of ``histogram`` in a run's ``state.npz``, where infinite losses are left out. A sample whose loss is NaN
    is counted as bad; one with no valid position is left out.

    Args:
        loss: module (preds, labels) -> [N]; its ``ignore_index``, if it has one, says what is left out.

    Returns:
        int64 [8192].

    Raises:
        ValueError: the loss gives no value per sample.

    >>> from evaltool.losses import CrossEntropyLoss
    >>> histogram = LossHistogram(CrossEntropyLoss())
    >>> histogram(torch.zeros(3, 2), torch.tensor([0, 1, -100])).nonzero()  # log 2 = 0.693, twice
    tensor([[6118]])
    """

    edges: Tensor

    def __init__(self, loss: nn.Module) -> None:
        super().__init__([HISTOGRAM_BINS])
        self.loss = per_sample(loss)
        self.ignores = hasattr(loss, "ignore_index")
        self.ignore_index: int = getattr(loss, "ignore_index", 0)
        self.register_buffer("edges", histogram_edges())

    def _counted(self, preds: Tensor, labels: Tensor) -> Counted:
        values = self.loss(preds, labels).to(torch.float32)
        scored = torch.ones_like(values, dtype=torch.bool)
        if self.ignores:
            scored = by_sample(valid_positions(labels, self.ignore_index)).any(1)
        bad = values.isnan() & scored
        counted = scored & ~bad
        places = bins_of(exactly(values, counted), self.edges)
        return Counted(tally(places, counted, self.edges.numel()), bad.sum())

    def _value(self, counts: Tensor) -> Tensor:
        return counts.clone()


class LossQuantiles(LossHistogram):
    """Quantiles of a loss: of the order statistic at floor(q (n - 1)), the middle of its bin in the histogram.

    A bin is 1/16 octave wide or less, so a value is off by 1/32 (3.2 %) of itself at most; infinite losses are left
    out. The exact quantiles of a run are in its ``summary.json``.

    Args:
        loss: as of LossHistogram.
        at: the quantiles, each in [0, 1].

    Returns:
        float64 [len(at)]; NaN where nothing was counted.

    Raises:
        ValueError: a quantile is outside [0, 1], or the loss gives no value per sample.

    >>> from evaltool.losses import CrossEntropyLoss
    >>> LossQuantiles(CrossEntropyLoss(), at=[0.5])(torch.zeros(3, 2), torch.tensor([0, 1, -100]))
    tensor([0.7031], dtype=torch.float64)
    """

    at: Tensor

    def __init__(self, loss: nn.Module, *, at: Sequence[float] = (0.5, 0.9, 0.99)) -> None:
        super().__init__(loss)
        places = [checked_number("at", q, high=1.0) for q in at]
        self.register_buffer("at", torch.tensor(places, dtype=torch.float64))
        self.finite = [FIRST_FINITE, INFINITE]

    def _value(self, counts: Tensor) -> Tensor:
        first, end = self.finite[0], self.finite[1]
        ends = counts[first:end].cumsum(0)
        n = ends[-1]
        ranks = (self.at * (n - 1).clamp(min=0).to(torch.float64)).floor().to(torch.int64)
        places = (ends <= ranks.unsqueeze(1)).sum(1).clamp(max=end - first - 1) + first
        edges = self.edges.to(torch.float64).clamp(max=2.0**128)  # the last bin ends where float32 does
        middle = (edges[places] + edges[places + 1]) / 2
        return torch.where(n > 0, middle, torch.full_like(middle, torch.nan))


class LossShare(Metric):
    """Share of the whole loss that stands at each class's labels, in [0, 1] for a loss >= 0; they sum to 1.

    A loss with a value per position is taken position by position, another as one value per sample [N] of one label.
    Infinite losses are left out; a sample with a NaN is left out as a whole and counted as bad.  The losses are
    float32, their sums are exact.  State: int64 [C, 255], the sums by octave (``numerics.float_bins``).

    Args:
        loss: module (preds, labels) -> [N], its ``map`` by position if it has one.
        num_classes: C; not needed in binary.
        task: "multiclass", "binary" or "multilabel"; shapes in ``evaltool.metrics.cases``.

    Returns:
        float64 [C]; NaN where the whole loss is 0 or nothing was counted.

    Raises:
        ValueError: an argument is outside its range, or the loss gives no value per sample.

    >>> from evaltool.losses import CrossEntropyLoss
    >>> share = LossShare(CrossEntropyLoss(weight=[1.0, 3.0]), num_classes=2)
    >>> share(torch.zeros(2, 2), torch.tensor([0, 1]))
    tensor([0.2500, 0.7500], dtype=torch.float64)
    """

    octaves: Tensor

    def __init__(self, loss: nn.Module, *, num_classes: int | None = None, task: str = "multiclass") -> None:
        classes = checked_classes(num_classes, checked_task(task))
        super().__init__([classes, OCTAVES])
        self.loss = per_sample(loss)
        self.task = task
        self.num_classes = classes
        self.ignore_index: int = getattr(loss, "ignore_index", -100)
        self.register_buffer("octaves", octave_edges())

    def _counted(self, preds: Tensor, labels: Tensor) -> Counted:
        if hasattr(self.loss, "map"):
            values: Tensor = self.loss.map(preds, labels)
        else:
            values = self.loss(preds, labels)
        values = values.to(torch.float32)
        if self.task == "multiclass":
            positions = label_positions(labels, preds, self.ignore_index)
            places = positions.labels
        else:
            positions = unit_positions(labels, torch.float32, self.ignore_index)
            places = (positions.labels > 0.5).to(torch.int64)
            if self.task == "multilabel":
                places = torch.arange(self.num_classes, device=labels.device).expand_as(places)
        if values.shape != labels.shape:
            raise ValueError(f"the loss has shape {list(values.shape)}, expected one value per label")
        bad = by_sample((values.isnan() & positions.valid) | positions.bad).any(1)
        counted = by_sample(positions.valid & values.isfinite()) & ~bad.unsqueeze(1)
        octaves, units = octave_parts(exactly(by_sample(values), counted), self.octaves)
        sums = total(units, by_sample(places) * self.counts.size(1) + octaves, self.counts.numel())
        return Counted(sums.reshape(self.counts.shape), bad.sum())

    def _value(self, counts: Tensor) -> Tensor:
        sums = octave_sum(counts, self.octaves)
        return sums / sums.sum()


def per_sample(loss: nn.Module) -> Any:
    """Return a loss if it gives a value per sample."""
    reduction = getattr(loss, "reduction", "none")
    if reduction != "none":
        raise ValueError(f"the loss has reduction={reduction!r}, expected 'none'")
    return loss
