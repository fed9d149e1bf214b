"""Losses of a softmax that know how often each class occurs, one value per sample.

logit-adjusted:  cross-entropy of z + tau log prior: Menon et al. 2021, arXiv:2007.07314, eq. 10
ldam:            cross-entropy of scale (z - margin_t at the label), margin ~ count^(-1/4): Cao et al. 2019,
                 arXiv:1906.07413, eq. 10 to 13
seesaw:          -log(exp(z_t) / (exp(z_t) + sum_{j != t} S_tj exp(z_j))), S_tj = min(1, N_j / N_t)^p
                 max(1, p_j / p_t)^q: Wang et al. 2021, arXiv:2008.10032, eq. 4 to 6

Each is a cross-entropy whose log-odds are a logsumexp of shifted differences z_j - z_t.
"""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor

from evaltool.losses.arguments import check_same_length, class_counts
from evaltool.losses.cross_entropy import expected_cross_entropy
from evaltool.losses.per_position import SoftmaxLoss
from evaltool.numerics.all_classes import Differences, label_differences, odds_of, shifted
from evaltool.numerics.arguments import checked_flag, checked_number
from evaltool.numerics.elementary import at_least_smallest
from evaltool.numerics.log_odds import cross_entropy
from evaltool.numerics.positions import chosen, class_vector


class LogitAdjustedLoss(SoftmaxLoss):
    """Cross-entropy of logits plus ``tau`` log prior, in nats, one value per sample.

    With a flat prior it is cross-entropy. A class of prior 0 counts as masked. Memory: 11 times the
    preds.

    Args:
        prior: how often each class occurs, [C] >= 0, shares or counts; None: all alike.
        tau: temperature >= 0; 1 is consistent for the balanced error.
        weight: one factor >= 0 per class [C], or None.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N], each sample's mean over its valid positions), "mean" or "sum" as PyTorch's
            cross-entropy.

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = LogitAdjustedLoss(prior=[0.9, 0.1])
    >>> loss(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    tensor([0.0149, 2.3026])
    """

    prior: Tensor
    weight: Optional[Tensor]

    def __init__(
        self,
        *,
        prior: Sequence[float] | Tensor | None = None,
        tau: float = 1.0,
        weight: Sequence[float] | Tensor | None = None,
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, preds_are=preds_are, reduction=reduction)
        self.register_buffer("prior", class_counts("prior", prior))
        check_same_length(prior=self.prior, weight=self.weight)
        self.tau = checked_number("tau", tau)

    def _shifts(self, dtype: torch.dtype) -> Tensor:
        prior = self.prior.to(dtype)
        return self.tau * (prior / prior.sum()).log() if self.tau > 0 else torch.zeros_like(prior)

    def _values(self, preds: Tensor, labels: Tensor) -> Tensor:
        shifts = self._shifts(preds.dtype)
        own = of_label(shifts, labels, preds)
        relative = class_vector(shifts, preds)
        relative = torch.where(relative == -torch.inf, relative, relative - own)
        return cross_entropy(odds_of(shifted(label_differences(preds, labels, self.preds_are), relative), labels))

    def _soft_values(self, preds: Tensor, labels: Tensor) -> Tensor:
        logits = at_least_smallest(preds).log() if self.preds_are == "probs" else preds
        weight = self.weight
        if weight is not None:
            labels = labels * class_vector(weight, preds)
        return expected_cross_entropy(logits + class_vector(self._shifts(preds.dtype), preds), labels, "logits")


class LDAMLoss(SoftmaxLoss):
    """Cross-entropy with a margin at the label that is larger for rare classes (label-distribution-aware margin).

    margin_j = max_margin (n_min / n_j)^(1/4), n_min the smallest count above 0; a class without a sample has
    max_margin. Memory: 12 times the preds.

    Args:
        counts: samples of each class, [C] >= 0; None: all alike.
        max_margin: the margin of the rarest class, >= 0, in the logits' unit.
        scale: factor > 0 on the logits after the margin; the paper's code, which normalises features, takes 30.
        weight: one factor >= 0 per class [C], or None.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N], each sample's mean over its valid positions), "mean" or "sum" as PyTorch's
            cross-entropy.

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = LDAMLoss(counts=[16, 1])
    >>> loss(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    tensor([0.1602, 0.9741])
    """

    counts: Tensor
    weight: Optional[Tensor]

    def __init__(
        self,
        *,
        counts: Sequence[float] | Tensor | None = None,
        max_margin: float = 0.5,
        scale: float = 1.0,
        weight: Sequence[float] | Tensor | None = None,
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, preds_are=preds_are, reduction=reduction)
        self.register_buffer("counts", class_counts("counts", counts))
        check_same_length(counts=self.counts, weight=self.weight)
        self.max_margin = checked_number("max_margin", max_margin)
        self.scale = checked_number("scale", scale, above=True)

    def _values(self, preds: Tensor, labels: Tensor) -> Tensor:
        counts = self.counts.to(preds.dtype)
        smallest = torch.where(counts > 0, counts, torch.full_like(counts, torch.inf)).amin(0)
        rarity = torch.where(counts > 0, smallest / counts, torch.ones_like(counts))
        margins = self.scale * self.max_margin * rarity.pow(0.25)
        own = of_label(margins, labels, preds)
        differences = label_differences(preds, labels, self.preds_are)
        scaled = Differences(self.scale * differences.high, self.scale * differences.low)
        return cross_entropy(odds_of(shifted(scaled, own), labels))


class SeesawLoss(SoftmaxLoss):
    """Cross-entropy in which a rarer class is pressed less and a class of higher score more; in nats, one per sample.

    Memory: 14 times the preds.

    Args:
        counts: samples of each class, [C] >= 0, below 1 as 1; None: all alike.
        p: exponent >= 0 of the mitigation factor, (N_j / N_t)^p where the label's class is the more frequent.
        q: exponent >= 0 of the compensation factor, (p_j / p_t)^q where class j has the larger probability.
        constant_factors: pass no gradient through the compensation factor, as the paper's code.
        weight: one factor >= 0 per class [C], or None.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N], each sample's mean over its valid positions), "sum" over the batch's valid positions,
            or "mean": that sum over their number, or over the sum of their weights.

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = SeesawLoss(counts=[16, 1])
    >>> loss(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]))
    tensor([0.0146, 1.1587])
    """

    counts: Tensor
    weight: Optional[Tensor]

    def __init__(
        self,
        *,
        counts: Sequence[float] | Tensor | None = None,
        p: float = 0.8,
        q: float = 2.0,
        constant_factors: bool = False,
        weight: Sequence[float] | Tensor | None = None,
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, preds_are=preds_are, reduction=reduction)
        self.register_buffer("counts", class_counts("counts", counts))
        check_same_length(counts=self.counts, weight=self.weight)
        self.p = checked_number("p", p)
        self.q = checked_number("q", q)
        self.constant_factors = checked_flag("constant_factors", constant_factors)

    def _values(self, preds: Tensor, labels: Tensor) -> Tensor:
        differences = label_differences(preds, labels, self.preds_are)
        ahead = differences.high > 0
        excess = torch.where(ahead, differences.high, torch.zeros_like(differences.high))
        if self.constant_factors:
            excess = excess.detach()
        # log C = q (z_j - z_t) where that is above 0, for log(p_j / p_t) is z_j - z_t
        low = torch.where(ahead, (1 + self.q) * differences.low, differences.low)
        log_counts = self.counts.to(preds.dtype).clamp(min=1).log()
        own = of_label(log_counts, labels, preds)
        log_mitigation = self.p * (class_vector(log_counts, preds) - own).clamp(max=0)
        compensated = Differences(differences.high + self.q * excess, low)
        return cross_entropy(odds_of(shifted(compensated, log_mitigation), labels))


def of_label(values: Tensor, labels: Tensor, preds: Tensor) -> Tensor:
    """Return per-class values [C] at each label, [N, 1, *S] to stand beside preds, or a single value [1] as it is."""
    own = chosen(values, labels, preds.size(1))
    return own if values.numel() == 1 else own.unsqueeze(1)
