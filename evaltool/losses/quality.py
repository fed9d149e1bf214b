"""Losses of sigmoids against soft targets of quality, such as the IoU of a detection; one value per sample.

quality-focal:  |y - p|^beta (-(y log p + (1 - y) log(1 - p))): Li et al. 2020, arXiv:2006.04388, eq. 2
varifocal:      y (-(y log p + (1 - y) log(1 - p))) where y > 0, alpha p^gamma (-log(1 - p)) where y = 0:
                Zhang et al. 2021, arXiv:2008.13367, eq. 2
"""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor

from evaltool.losses.arguments import check_same_length, per_class_or_number
from evaltool.losses.per_position import SigmoidLoss, mixed
from evaltool.numerics.arguments import checked_number
from evaltool.numerics.elementary import power
from evaltool.numerics.log_odds import (
    LabelOdds,
    cross_entropy,
    focal,
    label_probability,
    miss_probability,
    sigmoid_odds,
)
from evaltool.numerics.positions import Positions, beside


class QualityFocalLoss(SigmoidLoss):
    """Quality focal loss in nats, one value per sample; with labels 0 and 1 it is the binary focal loss.

    Memory: 22 times the preds, for |y - p| is taken in float64.

    Args:
        beta: focusing exponent >= 0, one number or one per class [C] (multilabel).
        weight: one factor >= 0 per class [C] (multilabel), or None.
        ignore_index: label of the elements to leave out.
        preds_are: "logits", "probs" or "log-probs", of label 1.
        reduction: "none" ([N], each sample's mean over its valid elements), "mean" (over the batch's valid elements)
            or "sum".

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = QualityFocalLoss()
    >>> loss(torch.tensor([2.0, 0.0]), torch.tensor([0.6, 0.0]))
    tensor([0.0731, 0.1733])
    """

    beta: Tensor
    weight: Optional[Tensor]

    def __init__(
        self,
        *,
        beta: float | Sequence[float] | Tensor = 2.0,
        weight: Sequence[float] | Tensor | None = None,
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, preds_are=preds_are, reduction=reduction)
        self.register_buffer("beta", per_class_or_number("beta", beta))
        check_same_length(beta=self.beta, weight=self.weight)

    def _values(self, preds: Tensor, positions: Positions) -> Tensor:
        against_one, against_zero = sigmoid_odds(preds, self.preds_are)
        values = mixed(cross_entropy(against_one), cross_entropy(against_zero), positions.labels)
        return power(distance(against_one, positions.labels), beside(self.beta, positions.labels, preds.dtype)) * values


def distance(against_one: LabelOdds, labels: Tensor) -> Tensor:
    """Return |y - p|, of labels 0 and 1 to the last digits; of others through float64, where y and p may be near."""
    wide = LabelOdds(against_one.u.to(torch.float64), against_one.low.to(torch.float64))
    between = (label_probability(wide) - labels.to(torch.float64)).abs().to(labels.dtype)
    ends = torch.where(labels == 0, label_probability(against_one), miss_probability(against_one))
    return torch.where((labels > 0) & (labels < 1), between, ends)


class VarifocalLoss(SigmoidLoss):
    """Varifocal loss in nats, one value per sample: positives weighted by their quality, negatives focused.

    Memory: 13 times the preds.

    Args:
        alpha: factor >= 0 of negatives.
        gamma: focusing exponent of negatives, >= 0, one number or one per class [C] (multilabel).
        weight: one factor >= 0 per class [C] (multilabel), or None.
        ignore_index: label of the elements to leave out.
        preds_are: "logits", "probs" or "log-probs", of label 1.
        reduction: "none" ([N], each sample's mean over its valid elements), "mean" (over the batch's valid elements)
            or "sum".

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = VarifocalLoss()
    >>> loss(torch.tensor([2.0, 0.0]), torch.tensor([0.6, 0.0]))
    tensor([0.5562, 0.1300])
    """

    gamma: Tensor
    weight: Optional[Tensor]

    def __init__(
        self,
        *,
        alpha: float = 0.75,
        gamma: float | Sequence[float] | Tensor = 2.0,
        weight: Sequence[float] | Tensor | None = None,
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, preds_are=preds_are, reduction=reduction)
        self.alpha = checked_number("alpha", alpha)
        self.register_buffer("gamma", per_class_or_number("gamma", gamma))
        check_same_length(gamma=self.gamma, weight=self.weight)

    def _values(self, preds: Tensor, positions: Positions) -> Tensor:
        against_one, against_zero = sigmoid_odds(preds, self.preds_are)
        labels = positions.labels
        positives = labels * mixed(cross_entropy(against_one), cross_entropy(against_zero), labels)
        negatives = self.alpha * focal(against_zero, beside(self.gamma, labels, preds.dtype))
        return torch.where(labels > 0, positives, negatives)
