"""Generalized cross-entropy, one value per sample.  Zhang and Sabuncu 2018, arXiv:1805.07836, eq. 6.

w_t (1 - p_t^q) / q
"""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor

from evaltool.losses.per_position import SoftmaxLoss
from evaltool.numerics.arguments import checked_number
from evaltool.numerics.elementary import expm1
from evaltool.numerics.log_odds import cross_entropy, softmax_odds


class GeneralizedCrossEntropyLoss(SoftmaxLoss):
    """Loss between cross-entropy (q to 0) and 1 - p_t (q = 1), bounded by 1 / q: robust to wrong labels.

    Memory: 6 times the preds.

    Args:
        q: in (0, 1].
        weight: one factor >= 0 per class [C], or None.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N], each sample's mean over its valid positions), "sum" over the batch's valid positions,
            or "mean": that sum over their number, or over the sum of their weights.

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = GeneralizedCrossEntropyLoss(q=0.7)
    >>> loss(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    tensor([0.1215, 0.5492])
    """

    weight: Optional[Tensor]

    def __init__(
        self,
        *,
        q: float = 0.7,
        weight: Sequence[float] | Tensor | None = None,
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, preds_are=preds_are, reduction=reduction)
        self.q = checked_number("q", q, high=1.0, above=True)

    def _values(self, preds: Tensor, labels: Tensor) -> Tensor:
        odds, _ = softmax_odds(preds, labels, self.preds_are)
        surprise = cross_entropy(odds)
        # by its series where q times that is small: the product of the smallest numbers would flush to 0
        small = self.q * surprise < 1e-4
        near = torch.where(small, surprise, torch.zeros_like(surprise))
        x = self.q * near
        return torch.where(small, near * (1 - x / 2 + x * x / 6), -expm1(-self.q * surprise) / self.q)
