"""Asymmetric loss (ASL) of sigmoids, one value per sample.  Ridnik et al. 2021, arXiv:2009.14119, eq. 7 to 9.

y (1 - p)^gamma_pos (-log p) + (1 - y) p_m^gamma_neg (-log(1 - p_m)),   p_m = max(p - clip, 0)
"""

import math
from collections.abc import Sequence
from typing import Optional

import numpy as np
import torch
from torch import Tensor

from evaltool.losses.arguments import check_same_length, per_class_or_number
from evaltool.losses.per_position import SigmoidLoss, mixed
from evaltool.numerics.arguments import checked_number
from evaltool.numerics.elementary import expm1, log1p, power
from evaltool.numerics.log_odds import (
    LabelOdds,
    focal,
    label_probability,
    miss_probability,
    sigmoid_odds,
    snapped,
)
from evaltool.numerics.positions import Positions, beside


class AsymmetricLoss(SigmoidLoss):
    """Asymmetric loss in nats, one value per sample: negatives are focused harder than positives, easy ones dropped.

    With equal gammas and clip 0 it is the binary focal loss. Soft labels weigh the values of both labels.

    Memory: 18 times the preds.

    Args:
        gamma_pos: focusing exponent of positives, >= 0, one number or one per class [C] (multilabel).
        gamma_neg: focusing exponent of negatives, likewise.
        clip: in [0, 1); negatives of a probability up to this score 0.
        weight: one factor >= 0 per class [C] (multilabel), or None.
        ignore_index: label of the elements to leave out.
        preds_are: "logits", "probs" or "log-probs", of label 1.
        reduction: "none" ([N], each sample's mean over its valid elements), "mean" (over the batch's valid elements)
            or "sum".

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = AsymmetricLoss()
    >>> loss(torch.tensor([[2.0, 0.0], [-3.0, 0.0]]), torch.tensor([[1, 0], [0, 1]]))
    tensor([0.0198, 0.1733])
    """

    gamma_pos: Tensor
    gamma_neg: Tensor
    weight: Optional[Tensor]

    def __init__(
        self,
        *,
        gamma_pos: float | Sequence[float] | Tensor = 1.0,
        gamma_neg: float | Sequence[float] | Tensor = 4.0,
        clip: float = 0.05,
        weight: Sequence[float] | Tensor | None = None,
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, preds_are=preds_are, reduction=reduction)
        self.register_buffer("gamma_pos", per_class_or_number("gamma_pos", gamma_pos))
        self.register_buffer("gamma_neg", per_class_or_number("gamma_neg", gamma_neg))
        check_same_length(gamma_pos=self.gamma_pos, gamma_neg=self.gamma_neg, weight=self.weight)
        self.clip = checked_number("clip", clip, below=1.0)
        # in two numbers each, the first a float32: p or a logit near them then has an exact difference
        self.clip_high, self.clip_low = _two_floats(self.clip)
        self.kink_high, self.kink_low = _two_floats(math.log(clip / (1 - clip)) if clip > 0 else 0.0)

    def _values(self, preds: Tensor, positions: Positions) -> Tensor:
        against_one, against_zero = sigmoid_odds(preds, self.preds_are)
        ones = focal(against_one, beside(self.gamma_pos, positions.labels, preds.dtype))
        gamma_neg = beside(self.gamma_neg, positions.labels, preds.dtype)
        zeros = self._clipped(preds, against_one, gamma_neg) if self.clip > 0 else focal(against_zero, gamma_neg)
        return mixed(ones, zeros, positions.labels)

    def _clipped(self, preds: Tensor, against_one: LabelOdds, gamma: Tensor) -> Tensor:
        probs = label_probability(against_one)
        complement = miss_probability(against_one)
        if self.preds_are == "probs":
            above = (snapped(preds, 0.0, 1.0) - self.clip_high) - self.clip_low
        else:
            # p - clip = clip (1 - p) (exp(x - logit(clip)) - 1), which keeps its digits where p is near clip
            above = (probs - self.clip_high) - self.clip_low
            past = (-against_one.u - self.kink_high) - against_one.low - self.kink_low
            near = past.abs() < 0.5
            growth = expm1(torch.where(near, past, torch.zeros_like(past)))
            above = torch.where(near, self.clip * complement * growth, above)
        above = above.clamp(min=0)
        return power(above, gamma) * log1p(above / (complement + self.clip))


def _two_floats(value: float) -> tuple[float, float]:
    high = float(np.float32(value))
    return high, value - high
