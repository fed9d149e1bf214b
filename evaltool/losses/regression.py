"""Losses of real-valued predictions, one value per sample: the mean over the sample's positions.

l1: |p - y|        mse: (p - y)^2        smooth-l1 (Girshick 2015, arXiv:1504.08083, eq. 3):
(p - y)^2 / (2 beta) below beta, |p - y| - beta / 2 above
"""

import torch
from torch import Tensor, nn

from evaltool.losses.arguments import checked_reduction
from evaltool.losses.reduction import reduced_positions
from evaltool.numerics.arguments import checked_number
from evaltool.numerics.elementary import working_precision
from evaltool.numerics.positions import same_shape


def difference(preds: Tensor, labels: Tensor) -> Tensor:
    """Return preds - labels in the working precision of the preds; the labels take the preds' shape."""
    preds = working_precision(preds)
    return preds - same_shape(labels, preds).to(preds.dtype)


def reduced(values: Tensor, reduction: str) -> Tensor:
    """Return values [N, ...] reduced; every position is valid."""
    return reduced_positions(values, torch.ones_like(values, dtype=torch.bool), reduction)


class L1Loss(nn.Module):
    """Absolute error in the labels' unit, one value per sample. Memory: 3 times the preds.

    Args:
        reduction: "none" ([N], each sample's mean over its positions), "mean" or "sum" over all positions.

    >>> L1Loss()(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]]))
    tensor([1.5000])
    """

    def __init__(self, *, reduction: str = "none") -> None:
        super().__init__()
        self.reduction = checked_reduction(reduction)

    def forward(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return float32 [N] (float64 for float64 preds) for preds and labels [N, ...]."""
        return reduced(self.map(preds, labels), self.reduction)

    @torch.jit.export
    def map(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return the loss per position, shaped as the preds."""
        return difference(preds, labels).abs()


class SmoothL1Loss(nn.Module):
    """Squared error below ``beta``, absolute error above, one value per sample. Memory: 4 times the preds.

    Args:
        beta: where the two meet, > 0, in the labels' unit.
        reduction: "none" ([N], each sample's mean over its positions), "mean" or "sum" over all positions.

    Raises:
        ValueError: beta is not a number > 0.

    >>> SmoothL1Loss()(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 4.0]]))
    tensor([0.8125])
    """

    def __init__(self, *, beta: float = 1.0, reduction: str = "none") -> None:
        super().__init__()
        self.beta = checked_number("beta", beta, above=True)
        self.reduction = checked_reduction(reduction)

    def forward(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return float32 [N] (float64 for float64 preds) for preds and labels [N, ...]."""
        return reduced(self.map(preds, labels), self.reduction)

    @torch.jit.export
    def map(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return the loss per position, shaped as the preds."""
        error = difference(preds, labels).abs()
        return torch.where(error < self.beta, 0.5 * error * (error / self.beta), error - 0.5 * self.beta)


class MSELoss(nn.Module):
    """Squared error in the labels' unit squared, one value per sample. Memory: 3 times the preds.

    Args:
        reduction: "none" ([N], each sample's mean over its positions), "mean" or "sum" over all positions.

    >>> MSELoss()(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]]))
    tensor([2.5000])
    """

    def __init__(self, *, reduction: str = "none") -> None:
        super().__init__()
        self.reduction = checked_reduction(reduction)

    def forward(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return float32 [N] (float64 for float64 preds) for preds and labels [N, ...]."""
        return reduced(self.map(preds, labels), self.reduction)

    @torch.jit.export
    def map(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return the loss per position, shaped as the preds."""
        error = difference(preds, labels)
        return error * error
