"""Cross-entropy of a softmax, one value per sample, with hard or soft labels.

-w_t log p_t                                  hard label t
-sum_c w_c y_c log p_c                        soft labels y
(1 - e) * hard + e / C * -sum_c w_c log p_c   label smoothing e, as PyTorch defines it
"""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor, nn

from evaltool.losses.arguments import checked_kind, checked_number, checked_reduction, per_class
from evaltool.losses.reduction import reduced_positions
from evaltool.numerics.elementary import log1p, working_precision
from evaltool.numerics.log_odds import cross_entropy, softmax_odds, top_class
from evaltool.numerics.positions import Positions, bad_shares, chosen, class_positions, masked


def expected_cross_entropy(preds: Tensor, class_shares: Tensor, preds_are: str) -> Tensor:
    """Return -sum_c s_c log p_c [N, *S] for class shares s [N, C, *S] (or [1, C, 1...]); s_c = 0 leaves c out."""
    top = top_class(preds, preds_are)
    surprise = top.gaps + log1p(top.total).unsqueeze(1)
    # a masked class (p = 0) with no share adds 0, not 0 * inf
    return torch.where(class_shares == 0, torch.zeros_like(surprise), class_shares * surprise).sum(1)


def class_vector(values: Tensor, dim: int) -> Tensor:
    """Return values [C] shaped [1, C, 1, ...] to stand beside a tensor of ``dim`` axes."""
    return values.reshape([1, -1] + [1] * (dim - 2))


class CrossEntropyLoss(nn.Module):
    """Cross-entropy of a softmax in nats, one value per sample.

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
        super().__init__()
        self.register_buffer("weight", per_class("weight", weight))
        self.ignore_index = int(ignore_index)
        self.label_smoothing = checked_number("label_smoothing", label_smoothing, high=1.0)
        self.preds_are = checked_kind(preds_are)
        self.reduction = checked_reduction(reduction)

    def forward(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return float32 [N] (float64 for float64 preds) in nats; 0 where all is ignored, NaN for a bad label.

        Args:
            preds: float [N, C, *S].
            labels: integer [N, *S], in 0..C-1 or ``ignore_index``; or float [N, C, *S], each summing to 1 over C.
        """
        values = self.map(preds, labels)
        if labels.dim() == preds.dim():
            return reduced_positions(values, torch.ones_like(values, dtype=torch.bool), self.reduction)
        positions = class_positions(labels, preds.size(1), self.ignore_index)
        weight = self.weight
        if weight is None:
            return reduced_positions(values, positions.valid, self.reduction)
        weights = chosen(weight.to(values.dtype), positions.labels) * positions.valid
        return reduced_positions(values, positions.valid, self.reduction, weights)

    @torch.jit.export
    def map(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return the loss per position, [N, *S]; 0 where ignored."""
        preds = working_precision(preds)
        if labels.dim() == preds.dim():
            return self._soft_map(preds, labels.to(preds.dtype))
        positions = class_positions(labels, preds.size(1), self.ignore_index)
        return masked(self._hard_map(preds, positions), positions)

    def _hard_map(self, preds: Tensor, positions: Positions) -> Tensor:
        odds, _ = softmax_odds(preds, positions.labels, self.preds_are)
        values = cross_entropy(odds)
        weight = self.weight
        if weight is not None:
            values = values * chosen(weight.to(values.dtype), positions.labels)
        if self.label_smoothing > 0:
            shares = torch.ones(preds.size(1), dtype=preds.dtype, device=preds.device)
            if weight is not None:
                shares = shares * weight.to(preds.dtype)
            spread = expected_cross_entropy(preds, class_vector(shares, preds.dim()), self.preds_are)
            values = (1 - self.label_smoothing) * values + self.label_smoothing / preds.size(1) * spread
        return values

    def _soft_map(self, preds: Tensor, labels: Tensor) -> Tensor:
        shares = (1 - self.label_smoothing) * labels + self.label_smoothing / preds.size(1)
        weight = self.weight
        if weight is not None:
            shares = shares * class_vector(weight.to(preds.dtype), preds.dim())
        values = expected_cross_entropy(preds, shares, self.preds_are)
        return torch.where(bad_shares(labels), torch.full_like(values, torch.nan), values)
