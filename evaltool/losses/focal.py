"""Focal loss, one value per sample.  Lin et al. 2017, arXiv:1708.02002, eq. 4 and 5.

alpha_t (1 - p_t)^gamma (-log p_t)
"""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor

from evaltool.losses.arguments import check_same_length, negatives_and_positives, per_class, per_class_or_number
from evaltool.losses.per_position import SigmoidLoss, SoftmaxLoss, mixed
from evaltool.numerics.all_classes import class_odds
from evaltool.numerics.log_odds import LabelOdds, focal, sigmoid_odds, softmax_odds
from evaltool.numerics.positions import Positions, beside, chosen, class_vector


class FocalLoss(SoftmaxLoss):
    """Focal loss of a softmax in nats, one value per sample.

    Memory: 6 times the preds.

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
    weight: Optional[Tensor]

    def __init__(
        self,
        *,
        gamma: float | Sequence[float] | Tensor = 2.0,
        alpha: float | Sequence[float] | Tensor | None = None,
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__(ignore_index=ignore_index, preds_are=preds_are, reduction=reduction)
        self.register_buffer("gamma", per_class_or_number("gamma", gamma))
        self.register_buffer("alpha", per_class("alpha", alpha))
        check_same_length(gamma=self.gamma, alpha=self.alpha)

    def _values(self, preds: Tensor, labels: Tensor) -> Tensor:
        odds, _ = softmax_odds(preds, labels, self.preds_are)
        values = focal(odds, chosen(self.gamma.to(preds.dtype), labels, preds.size(1)))
        alpha = self.alpha
        if alpha is not None:
            values = values * chosen(alpha.to(preds.dtype), labels, preds.size(1))
        return values


class BinaryFocalLoss(SigmoidLoss):
    """Focal loss of independent sigmoids in nats, one value per sample.

    Soft labels y in (0, 1) weigh the values of both labels: y f(1) + (1 - y) f(0). Memory: 13 times the preds.

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
        super().__init__(weight=weight, ignore_index=ignore_index, preds_are=preds_are, reduction=reduction)
        self.register_buffer("gamma", per_class_or_number("gamma", gamma))
        self.register_buffer("alpha", negatives_and_positives("alpha", alpha))
        check_same_length(gamma=self.gamma, weight=self.weight)

    def _values(self, preds: Tensor, positions: Positions) -> Tensor:
        against_one, against_zero = sigmoid_odds(preds, self.preds_are)
        gamma = beside(self.gamma, positions.labels, preds.dtype)
        ones = focal(against_one, gamma)
        zeros = focal(against_zero, gamma)
        alpha = self.alpha
        if alpha is not None:
            zeros = zeros * alpha[0].to(preds.dtype)
            ones = ones * alpha[1].to(preds.dtype)
        return mixed(ones, zeros, positions.labels)


class OneVsAllFocalLoss(SoftmaxLoss):
    """Binary focal loss of every class of a softmax against the rest, in nats, mean over the classes.

    Memory: 15 times the preds; of the labels one array of bools in their shape.

    Args:
        gamma: focusing exponent >= 0, one number or one per class [C].
        alpha: None, a number a in [0, 1] (a on the label's class, 1 - a on the others), or a pair (others, label's)
            of factors >= 0.
        weight: one factor >= 0 per class [C] on that class's term, or None.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N], each sample's mean over its valid positions), "mean" (over the batch's valid
            positions) or "sum".

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = OneVsAllFocalLoss(gamma=2.0)
    >>> loss(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    tensor([0.0018, 0.1733])
    """

    alpha: Optional[Tensor]
    gamma: Tensor
    weight: Optional[Tensor]
    class_weight: Optional[Tensor]

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
        super().__init__(ignore_index=ignore_index, preds_are=preds_are, reduction=reduction)
        self.register_buffer("gamma", per_class_or_number("gamma", gamma))
        self.register_buffer("alpha", negatives_and_positives("alpha", alpha))
        self.register_buffer("class_weight", per_class("weight", weight))
        check_same_length(gamma=self.gamma, weight=self.class_weight)

    def _values(self, preds: Tensor, labels: Tensor) -> Tensor:
        against, for_class = class_odds(preds, self.preds_are)
        is_label = torch.zeros_like(preds, dtype=torch.bool).scatter(1, labels.unsqueeze(1), True)
        odds = LabelOdds(
            torch.where(is_label, against.u, for_class.u), torch.where(is_label, against.low, for_class.low)
        )
        values = focal(odds, class_vector(self.gamma, preds))
        alpha = self.alpha
        if alpha is not None:
            values = values * torch.where(is_label, alpha[1], alpha[0]).to(preds.dtype)
        class_weight = self.class_weight
        if class_weight is not None:
            values = values * class_vector(class_weight, preds)
        return values.mean(1)
