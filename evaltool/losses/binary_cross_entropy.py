"""Cross-entropies of independent sigmoids, one value per sample.

bce:          -(pos_weight y log p + neg_weight (1 - y) log(1 - p))
balanced-ce:  -(b y log p + (1 - b) (1 - y) log(1 - p)), b = 1 - mean(y) of the sample: Xie and Tu 2015 (HED),
              arXiv:1504.06375, eq. 2
"""

from collections.abc import Sequence
from typing import Optional

from torch import Tensor

from evaltool.losses.arguments import check_same_length, per_class
from evaltool.losses.per_position import SigmoidLoss, mixed
from evaltool.numerics.arguments import checked_number
from evaltool.numerics.log_odds import cross_entropy, sigmoid_odds
from evaltool.numerics.positions import Positions, beside, by_sample, sample_sum


class BinaryCrossEntropyLoss(SigmoidLoss):
    """Binary cross-entropy in nats, one value per sample.

    Memory: 12 times the preds.

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

    >>> import torch
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
        super().__init__(weight=weight, ignore_index=ignore_index, preds_are=preds_are, reduction=reduction)
        self.register_buffer("pos_weight", per_class("pos_weight", pos_weight))
        self.register_buffer("neg_weight", per_class("neg_weight", neg_weight))
        check_same_length(pos_weight=self.pos_weight, neg_weight=self.neg_weight, weight=self.weight)

    def _values(self, preds: Tensor, positions: Positions) -> Tensor:
        against_one, against_zero = sigmoid_odds(preds, self.preds_are)
        ones = cross_entropy(against_one)
        pos_weight = self.pos_weight
        if pos_weight is not None:
            ones = ones * beside(pos_weight, positions.labels, preds.dtype)
        zeros = cross_entropy(against_zero)
        neg_weight = self.neg_weight
        if neg_weight is not None:
            zeros = zeros * beside(neg_weight, positions.labels, preds.dtype)
        return mixed(ones, zeros, positions.labels)


class BalancedCrossEntropyLoss(SigmoidLoss):
    """Binary cross-entropy with positives and negatives in balance, in nats, one value per sample.

    Memory: 14 times the preds.

    Args:
        beta: factor in [0, 1] on positives, 1 - beta on negatives; None takes the share of negatives among the
            sample's valid elements, so that a sample whose elements are all alike scores 0 (one element always is).
        ignore_index: label of the elements to leave out.
        preds_are: "logits", "probs" or "log-probs", of label 1.
        reduction: "none" ([N], each sample's mean over its valid elements), "mean" (over the batch's valid elements)
            or "sum".

    Raises:
        ValueError: an argument is outside its range.

    >>> import torch
    >>> loss = BalancedCrossEntropyLoss()
    >>> loss(torch.tensor([[2.0, 0.0, 0.0, 0.0]]), torch.tensor([[1, 0, 0, 0]]))
    tensor([0.1538])
    """

    def __init__(
        self,
        *,
        beta: float | None = None,
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__(ignore_index=ignore_index, preds_are=preds_are, reduction=reduction)
        self.per_sample = beta is None
        self.beta = 0.5 if beta is None else checked_number("beta", beta, high=1.0)

    def _values(self, preds: Tensor, positions: Positions) -> Tensor:
        against_one, against_zero = sigmoid_odds(preds, self.preds_are)
        ones = cross_entropy(against_one)
        zeros = cross_entropy(against_zero)
        if not self.per_sample:
            return mixed(self.beta * ones, (1 - self.beta) * zeros, positions.labels)
        count = by_sample(positions.valid).sum(1).clamp(min=1)
        share = [-1] + [1] * (positions.labels.dim() - 1)
        # each share is a sum of its own: 1 minus the other would lose digits, and 1 - 1 has to be 0
        counted = positions.valid.to(preds.dtype)
        negatives = (sample_sum((1 - positions.labels) * counted) / count).reshape(share)
        positives = (sample_sum(positions.labels * counted) / count).reshape(share)
        return mixed(negatives * ones, positives * zeros, positions.labels)
