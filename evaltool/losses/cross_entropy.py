"""Cross-entropy of a softmax, one value per sample, with hard or soft labels.

-w_t log p_t                                  hard label t
-sum_c w_c y_c log p_c                        soft labels y
(1 - e) * hard + e / C * -sum_c w_c log p_c   label smoothing e, as PyTorch defines it
"""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor

from evaltool.losses.per_position import SoftmaxLoss
from evaltool.numerics.arguments import checked_number
from evaltool.numerics.elementary import log1p
from evaltool.numerics.log_odds import cross_entropy, softmax_odds, top_class
from evaltool.numerics.positions import chosen, class_vector


def expected_cross_entropy(preds: Tensor, class_shares: Tensor, preds_are: str) -> Tensor:
    """Return -sum_c s_c log p_c [N, *S] for class shares s [N, C, *S] (or [1, C, 1...]); s_c = 0 leaves c out."""
    top = top_class(preds, preds_are)
    surprise = top.gaps + log1p(top.total).unsqueeze(1)
    # a masked class (p = 0) with no share adds 0, not 0 * inf
    return torch.where(class_shares == 0, torch.zeros_like(surprise), class_shares * surprise).sum(1)


class CrossEntropyLoss(SoftmaxLoss):
    """Cross-entropy of a softmax in nats, one value per sample.

    Memory: 6 times the preds; 8 with label smoothing.

    Args:
        weight: one number >= 0 per class, [C], or None.
        ignore_index: label of the positions to leave out.
        label_smoothing: in [0, 1].
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N], each sample's mean over its valid positions), "mean" or "sum" as PyTorch's.

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = CrossEntropyLoss()
    >>> loss(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    tensor([0.1269, 0.6931])
    """

    weight: Optional[Tensor]

    def __init__(
        self,
        *,
        weight: Sequence[float] | Tensor | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, preds_are=preds_are, reduction=reduction)
        self.label_smoothing = checked_number("label_smoothing", label_smoothing, high=1.0)

    def _weighted(self, preds: Tensor, labels: Tensor) -> Tensor:
        values = self._values(preds, labels)
        weight = self.weight
        if weight is not None:
            values = values * chosen(weight.to(values.dtype), labels, preds.size(1))
        if self.label_smoothing > 0:
            shares = torch.ones(preds.size(1), dtype=preds.dtype, device=preds.device)
            if weight is not None:
                shares = shares * weight.to(preds.dtype)
            spread = expected_cross_entropy(preds, class_vector(shares, preds), self.preds_are)
            values = (1 - self.label_smoothing) * values + self.label_smoothing / preds.size(1) * spread
        return values

    def _values(self, preds: Tensor, labels: Tensor) -> Tensor:
        odds, _ = softmax_odds(preds, labels, self.preds_are)
        return cross_entropy(odds)

    def _soft_values(self, preds: Tensor, labels: Tensor) -> Tensor:
        shares = (1 - self.label_smoothing) * labels + self.label_smoothing / preds.size(1)
        weight = self.weight
        if weight is not None:
            shares = shares * class_vector(weight, preds)
        return expected_cross_entropy(preds, shares, self.preds_are)
