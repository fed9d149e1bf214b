"""Cross-entropy of independent sigmoids, one value per sample.

-(pos_weight y log p + neg_weight (1 - y) log(1 - p))
"""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor, nn

from evaltool.losses.arguments import checked_kind, checked_reduction, per_class
from evaltool.losses.focal import mixed
from evaltool.losses.reduction import reduced_positions
from evaltool.numerics.elementary import working_precision
from evaltool.numerics.log_odds import cross_entropy, sigmoid_odds
from evaltool.numerics.positions import masked, unit_positions, valid_positions


class BinaryCrossEntropyLoss(nn.Module):
    """Binary cross-entropy in nats, one value per sample.

    Args:
        pos_weight: factor >= 0 on positives, one number or one per class [C] (multilabel), or None.
        neg_weight: factor >= 0 on negatives, likewise.
        weight: factor >= 0 on every element, one number or one per class [C] (multilabel), or None.
        ignore_index: label of the elements to leave out.
        preds_are: "logits", "probs" or "log-probs", of label 1.
        reduction: "none" ([N], each sample's mean over its valid elements), "mean" (over the batch's valid
            elements, as PyTorch's) or "sum".

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = BinaryCrossEntropyLoss()
    >>> loss(torch.tensor([2.0, 0.0]), torch.tensor([1, 0]))
    tensor([0.1269, 0.6931])
    """

    pos_weight: Optional[Tensor]
    neg_weight: Optional[Tensor]
    weight: Optional[Tensor]

    def __init__(
        self,
        *,
        pos_weight: float | Sequence[float] | Tensor | None = None,
        neg_weight: float | Sequence[float] | Tensor | None = None,
        weight: float | Sequence[float] | Tensor | None = None,
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__()
        self.register_buffer("pos_weight", per_class("pos_weight", pos_weight))
        self.register_buffer("neg_weight", per_class("neg_weight", neg_weight))
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
        ones = cross_entropy(against_one)
        pos_weight = self.pos_weight
        if pos_weight is not None:
            ones = ones * pos_weight.to(preds.dtype)
        zeros = cross_entropy(against_zero)
        neg_weight = self.neg_weight
        if neg_weight is not None:
            zeros = zeros * neg_weight.to(preds.dtype)
        values = mixed(ones, zeros, positions.labels)
        weight = self.weight
        if weight is not None:
            values = values * weight.to(preds.dtype)
        return masked(values, positions)
