"""Focal loss, one value per sample.  Lin et al. 2017, arXiv:1708.02002, eq. 4 and 5.

alpha_t (1 - p_t)^gamma (-log p_t)
"""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor, nn

from evaltool.losses.arguments import checked_kind, checked_reduction, per_class
from evaltool.losses.reduction import reduced_positions
from evaltool.numerics.elementary import working_precision
from evaltool.numerics.log_odds import focal, sigmoid_odds, softmax_odds
from evaltool.numerics.positions import chosen, class_positions, masked, unit_positions, valid_positions


class FocalLoss(nn.Module):
    """Focal loss of a softmax in nats, one value per sample.

    Args:
        gamma: focusing exponent >= 0, one number or one per class [C]; 0 gives cross-entropy.
        alpha: None, one factor >= 0 for all, or one per class [C].
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N], each sample's mean over its valid positions), "mean" (over the batch's valid
            positions) or "sum".

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = FocalLoss(gamma=2.0)
    >>> loss(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    tensor([0.0018, 0.1733])
    """

    alpha: Optional[Tensor]
    gamma: Tensor

    def __init__(
        self,
        *,
        gamma: float | Sequence[float] | Tensor = 2.0,
        alpha: float | Sequence[float] | Tensor | None = None,
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__()
        if gamma is None:
            raise ValueError("gamma=None, expected a number or one number per class")
        self.register_buffer("gamma", per_class("gamma", gamma))
        self.register_buffer("alpha", per_class("alpha", alpha))
        self.ignore_index = int(ignore_index)
        self.preds_are = checked_kind(preds_are)
        self.reduction = checked_reduction(reduction)

    def forward(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return float32 [N] (float64 for float64 preds) in nats; 0 where all is ignored, NaN for a bad label.

        Args:
            preds: float [N, C, *S].
            labels: integer [N, *S], each in 0..C-1 or ``ignore_index``.
        """
        return reduced_positions(self.map(preds, labels), valid_positions(labels, self.ignore_index), self.reduction)

    @torch.jit.export
    def map(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return the loss per position, [N, *S]; 0 where ignored."""
        preds = working_precision(preds)
        positions = class_positions(labels, preds.size(1), self.ignore_index)
        odds, _ = softmax_odds(preds, positions.labels, self.preds_are)
        values = focal(odds, chosen(self.gamma.to(preds.dtype), positions.labels))
        alpha = self.alpha
        if alpha is not None:
            values = values * chosen(alpha.to(preds.dtype), positions.labels)
        return masked(values, positions)


class BinaryFocalLoss(nn.Module):
    """Focal loss of independent sigmoids in nats, one value per sample.

    Soft labels y in (0, 1) weigh the values of both labels: y f(1) + (1 - y) f(0).

    Args:
        gamma: focusing exponent >= 0, one number or one per class [C] (multilabel).
        alpha: None, a number a in [0, 1] (a on positives, 1 - a on negatives), or a pair (negatives, positives)
            of factors >= 0.
        weight: one factor >= 0 per class [C] (multilabel), or None.
        ignore_index: label of the elements to leave out.
        preds_are: "logits", "probs" or "log-probs", of label 1.
        reduction: "none" ([N], each sample's mean over its valid elements), "mean" (over the batch's valid
            elements) or "sum".

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = BinaryFocalLoss(gamma=2.0, alpha=0.25)
    >>> loss(torch.tensor([2.0, 0.0]), torch.tensor([1, 0]))
    tensor([0.0005, 0.1300])
    """

    alpha: Optional[Tensor]
    gamma: Tensor
    weight: Optional[Tensor]

    def __init__(
        self,
        *,
        gamma: float | Sequence[float] | Tensor = 2.0,
        alpha: float | Sequence[float] | Tensor | None = None,
        weight: Sequence[float] | Tensor | None = None,
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__()
        if gamma is None:
            raise ValueError("gamma=None, expected a number or one number per class")
        self.register_buffer("gamma", per_class("gamma", gamma))
        self.register_buffer("alpha", _negatives_and_positives(alpha))
        self.register_buffer("weight", per_class("weight", weight))
        self.ignore_index = int(ignore_index)
        self.preds_are = checked_kind(preds_are)
        self.reduction = checked_reduction(reduction)

    def forward(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return float32 [N] (float64 for float64 preds) in nats; 0 where all is ignored, NaN for a bad label.

        Args:
            preds: float [N], [N, C] or [N, *S]; an axis of length 1 more than the labels have is dropped.
            labels: [N], [N, C] or [N, *S], each in [0, 1] or ``ignore_index``.
        """
        return reduced_positions(self.map(preds, labels), valid_positions(labels, self.ignore_index), self.reduction)

    @torch.jit.export
    def map(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return the loss per element, shaped as the labels; 0 where ignored."""
        preds = working_precision(preds).reshape(labels.shape)
        positions = unit_positions(labels, preds.dtype, self.ignore_index)
        against_one, against_zero = sigmoid_odds(preds, self.preds_are)
        gamma = self.gamma.to(preds.dtype)
        ones = focal(against_one, gamma)
        zeros = focal(against_zero, gamma)
        alpha = self.alpha
        if alpha is not None:
            zeros = zeros * alpha[0].to(preds.dtype)
            ones = ones * alpha[1].to(preds.dtype)
        values = mixed(ones, zeros, positions.labels)
        weight = self.weight
        if weight is not None:
            values = values * weight.to(preds.dtype)
        return masked(values, positions)


def mixed(ones: Tensor, zeros: Tensor, labels: Tensor) -> Tensor:
    """Return y * ones + (1 - y) * zeros, where a share of 0 leaves its term out (0 * inf too)."""
    none = torch.zeros_like(ones)
    return torch.where(labels == 0, none, labels * ones) + torch.where(labels == 1, none, (1 - labels) * zeros)


def _negatives_and_positives(alpha: float | Sequence[float] | Tensor | None) -> Tensor | None:
    values = per_class("alpha", alpha)
    if values is None or values.numel() == 2:
        return values
    if values.numel() == 1 and float(values) <= 1:
        return torch.stack([1 - values[0], values[0]])
    raise ValueError(f"alpha={alpha!r}, expected a number in [0, 1] or a pair (negatives, positives)")
