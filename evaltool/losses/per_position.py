"""The shells of losses whose value exists per position: they keep parameters, mask, weigh and reduce.

A loss is its equation, ``_values``; TorchScript compiles the methods of both classes into one module.  It reads the
annotations of the last class only, so a subclass that annotates buffers annotates ``weight`` again.
"""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor, nn

from evaltool.losses.arguments import checked_kind, checked_reduction, per_class
from evaltool.losses.reduction import reduced_positions
from evaltool.numerics.arguments import checked_index
from evaltool.numerics.elementary import working_precision
from evaltool.numerics.positions import (
    Positions,
    bad_shares,
    beside,
    chosen,
    label_positions,
    masked,
    same_shape,
    unit_positions,
    valid_positions,
)


class SoftmaxLoss(nn.Module):
    """Loss of a softmax at each position; a subclass gives ``_values(preds, labels) -> [N, *S]``.

    Args:
        weight: one factor >= 0 per class [C], taken at the label, or None.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N], each sample's mean over its valid positions), "sum" over the batch's valid positions,
            or "mean": that sum over the number of positions, or over the sum of their weights, as PyTorch's.
    """

    weight: Optional[Tensor]

    def __init__(
        self,
        *,
        weight: Sequence[float] | Tensor | None = None,
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__()
        self.register_buffer("weight", per_class("weight", weight))
        self.ignore_index = checked_index("ignore_index", ignore_index)
        self.preds_are = checked_kind(preds_are)
        self.reduction = checked_reduction(reduction)

    def forward(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return float32 [N] (float64 for float64 preds); 0 where all is ignored, NaN for a bad label.

        Args:
            preds: float [N, C, *S].
            labels: integer [N, *S], each in 0..C-1 or ``ignore_index``; or, for a loss that is defined for shares of
                the classes, float [N, C, *S], each summing to 1 over C.
        """
        values = self.map(preds, labels)
        if labels.dim() == preds.dim():
            return reduced_positions(values, torch.ones_like(values, dtype=torch.bool), self.reduction)
        positions = label_positions(labels, preds, self.ignore_index)
        weight = self.weight
        if weight is None:
            return reduced_positions(values, positions.valid, self.reduction)
        weights = chosen(weight.to(values.dtype), positions.labels, preds.size(1)) * positions.valid
        return reduced_positions(values, positions.valid, self.reduction, weights)

    @torch.jit.export
    def map(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return the loss per position, [N, *S]; 0 where ignored."""
        preds = working_precision(preds)
        if labels.dim() == preds.dim():
            shares = same_shape(labels, preds).to(preds.dtype)
            values = self._soft_values(preds, shares)
            return torch.where(bad_shares(shares), torch.full_like(values, torch.nan), values)
        positions = label_positions(labels, preds, self.ignore_index)
        return masked(self._weighted(preds, positions.labels), positions)

    def _weighted(self, preds: Tensor, labels: Tensor) -> Tensor:
        values = self._values(preds, labels)
        weight = self.weight
        return values if weight is None else values * chosen(weight.to(values.dtype), labels, preds.size(1))

    def _values(self, preds: Tensor, labels: Tensor) -> Tensor:
        raise NotImplementedError

    def _soft_values(self, preds: Tensor, labels: Tensor) -> Tensor:
        raise ValueError("this loss takes one class per position, integer labels [N, *S]")


class SigmoidLoss(nn.Module):
    """Loss of a sigmoid at each element; a subclass gives ``_values(preds, positions)`` in the labels' shape.

    Args:
        weight: factor >= 0, one number or one per class [C] (multilabel), or None.
        ignore_index: label of the elements to leave out.
        preds_are: "logits", "probs" or "log-probs", of label 1.
        reduction: "none" ([N], each sample's mean over its valid elements), "mean" (over the batch's valid elements)
            or "sum".
    """

    weight: Optional[Tensor]

    def __init__(
        self,
        *,
        weight: float | Sequence[float] | Tensor | None = None,
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__()
        self.register_buffer("weight", per_class("weight", weight))
        self.ignore_index = checked_index("ignore_index", ignore_index)
        self.preds_are = checked_kind(preds_are)
        self.reduction = checked_reduction(reduction)

    def forward(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return float32 [N] (float64 for float64 preds); 0 where all is ignored, NaN for a bad label.

        Args:
            preds: float [N], [N, C] or [N, *S]; an axis of length 1 more than the labels have is dropped.
            labels: [N], [N, C] or [N, *S], each in [0, 1] or ``ignore_index``.
        """
        return reduced_positions(self.map(preds, labels), valid_positions(labels, self.ignore_index), self.reduction)

    @torch.jit.export
    def map(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return the loss per element, shaped as the labels; 0 where ignored."""
        preds = same_shape(working_precision(preds), labels)
        positions = unit_positions(labels, preds.dtype, self.ignore_index)
        values = self._values(preds, positions)
        weight = self.weight
        if weight is not None:
            values = values * beside(weight, labels, values.dtype)
        return masked(values, positions)

    def _values(self, preds: Tensor, positions: Positions) -> Tensor:
        raise NotImplementedError


def mixed(ones: Tensor, zeros: Tensor, labels: Tensor) -> Tensor:
    """Return y * ones + (1 - y) * zeros, where a share of 0 leaves its term out (0 * inf too)."""
    none = torch.zeros_like(ones)
    return torch.where(labels == 0, none, labels * ones) + torch.where(labels == 1, none, (1 - labels) * zeros)
