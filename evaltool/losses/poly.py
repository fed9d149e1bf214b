"""Poly-1 loss, one value per sample.  Leng et al. 2022, arXiv:2204.12511, table 1.

alpha_t ((1 - p_t)^gamma (-log p_t) + eps (1 - p_t)^(gamma + 1))
"""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor

from evaltool.losses.arguments import check_same_length, per_class, per_class_or_number
from evaltool.losses.per_position import SoftmaxLoss
from evaltool.numerics.arguments import checked_number
from evaltool.numerics.log_odds import cross_entropy, focusing, miss_probability, softmax_odds
from evaltool.numerics.positions import chosen


class PolyLoss(SoftmaxLoss):
    """Cross-entropy or focal loss with the first term of its expansion in 1 - p_t changed by ``eps``; one per sample.

    Memory: 6 times the preds.

    Args:
        eps: >= -1; 0 gives the focal loss.
        gamma: focusing exponent >= 0, one number or one per class [C]; 0 starts from cross-entropy.
        alpha: None, one factor >= 0 for all, or one per class [C], on the whole.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N], each sample's mean over its valid positions), "mean" (over the batch's valid
            positions) or "sum".

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = PolyLoss()
    >>> loss(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    tensor([0.2461, 1.1931])
    """

    alpha: Optional[Tensor]
    gamma: Tensor
    weight: Optional[Tensor]

    def __init__(
        self,
        *,
        eps: float = 1.0,
        gamma: float | Sequence[float] | Tensor = 0.0,
        alpha: float | Sequence[float] | Tensor | None = None,
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__(ignore_index=ignore_index, preds_are=preds_are, reduction=reduction)
        self.eps = checked_number("eps", eps, low=-1.0)
        self.register_buffer("gamma", per_class_or_number("gamma", gamma))
        self.register_buffer("alpha", per_class("alpha", alpha))
        check_same_length(gamma=self.gamma, alpha=self.alpha)

    def _values(self, preds: Tensor, labels: Tensor) -> Tensor:
        odds, _ = softmax_odds(preds, labels, self.preds_are)
        surprise = cross_entropy(odds)
        miss = miss_probability(odds)
        base = (
            (1 + self.eps) * miss + beyond_first_order(surprise, miss) if self.eps < 0 else surprise + self.eps * miss
        )
        values = focusing(odds, chosen(self.gamma.to(preds.dtype), labels, preds.size(1))) * base
        alpha = self.alpha
        if alpha is not None:
            values = values * chosen(alpha.to(preds.dtype), labels, preds.size(1))
        return values


def beyond_first_order(surprise: Tensor, miss: Tensor) -> Tensor:
    """Return -log(1 - q) - q for q = miss, surprise = -log(1 - q), without the cancellation where q is small.

    With s = q / (2 - q): -log(1 - q) = 2 (s + s^3 / 3 + s^5 / 5 + ...), and 2 s - q = q^2 / (2 - q).
    """
    small = miss < 0.0625
    q = torch.where(small, miss, torch.zeros_like(miss))
    s = q / (2 - q)
    s2 = s * s
    series = s * s2 * (1 / 3 + s2 * (1 / 5 + s2 * (1 / 7 + s2 * (1 / 9 + s2 / 11))))
    return torch.where(small, q * q / (2 - q) + 2 * series, surprise - miss)
