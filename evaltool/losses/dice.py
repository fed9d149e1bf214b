"""Dice loss, one value per sample.  Milletari et al. 2016, arXiv:1606.04797; Li et al. 2020, arXiv:1911.02855.

    1 - (2 sum(p y) + smooth_nr) / (sum(p^k) + sum(y^k) + smooth_dr)         k = 1, or 2 if squared

computed without the subtraction from 1, which would cost a near-perfect mask all its digits:

    (sum e^k + smooth_dr - smooth_nr) / (sum p^k + sum y^k + smooth_dr)

where e^1 = p (1 - y) + (1 - p) y and e^2 = (p - y)^2 are never negative.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from evaltool.losses.arguments import checked_choice, checked_flag, checked_kind, checked_number, checked_reduction
from evaltool.losses.reduction import reduced_samples
from evaltool.numerics.elementary import working_precision
from evaltool.numerics.log_odds import (
    label_probability,
    miss_probability,
    sigmoid_odds,
    softmax_odds,
    top_class,
)
from evaltool.numerics.positions import bad_shares, by_sample, class_positions, sample_sum, unit_positions

ACTIVATIONS = ("auto", "softmax", "sigmoid")
CLASSES = ("present", "all")


class Overlap(NamedTuple):
    """The sums over a sample's valid positions that Dice needs, per class; float [N, K]."""

    error: Tensor  # sum of e^k
    size: Tensor  # sum of p^k + y^k
    present: Tensor  # bool, the class occurs in the label
    scored: Tensor  # bool [N], the sample has a valid position
    bad: Tensor  # bool [N], the sample has a bad label


class DiceLoss(nn.Module):
    """Dice loss, unitless in [0, 1] with the default smoothing, one value per sample.

    The sums run over positions for each class, and the value is the mean over classes. With no positions
    (preds [N, C]) the classes are pooled into one sum. A softmax over C classes takes, for float32 preds,
    four arrays of the size of one batch of preds in memory; no one-hot copy of the labels is made.

    Args:
        smooth_nr: added to the numerator, >= 0, in positions.
        smooth_dr: added to the denominator, >= 0, in positions; the default 1 keeps an empty mask with an
            almost empty prediction near 0.
        squared: square p and y in the denominator (V-Net) instead of summing them.
        classes: "present" averages over the classes in the sample's label, "all" over every class; a single
            foreground class always counts.
        activation: "softmax" over axis 1, "sigmoid" per element, or "auto": sigmoid where the labels have
            the shape of the preds (or the preds one class), else softmax.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N]), "mean" or "sum" over samples.

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = DiceLoss()
    >>> loss(torch.tensor([[[9.0, -9.0, 9.0]]]), torch.tensor([[1, 0, 0]]))
    tensor([0.2500])
    """

    def __init__(
        self,
        *,
        smooth_nr: float = 1.0,
        smooth_dr: float = 1.0,
        squared: bool = False,
        classes: str = "present",
        activation: str = "auto",
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__()
        self.smooth_nr = checked_number("smooth_nr", smooth_nr)
        self.smooth_dr = checked_number("smooth_dr", smooth_dr)
        self.squared = checked_flag("squared", squared)
        self.classes = checked_choice("classes", classes, CLASSES)
        self.activation = checked_choice("activation", activation, ACTIVATIONS)
        self.ignore_index = int(ignore_index)
        self.preds_are = checked_kind(preds_are)
        self.reduction = checked_reduction(reduction)

    def forward(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return float32 [N] (float64 for float64 preds); 0 where all is ignored, NaN for a bad label.

        Args:
            preds: float [N, C, *S] with integer labels [N, *S] in 0..C-1 or ``ignore_index``; or
            labels: in [0, 1] or ``ignore_index``, of the shape of the preds (with or without an axis of one
                class): [N], [N, C] multilabel or soft, [N, *S] or [N, 1, *S] one foreground class.
        """
        return reduced_samples(self.by_class(preds, labels).sum(1), self.reduction)

    @torch.jit.export
    def by_class(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return each class's part of the sample's value, float [N, C]; a row sums to the value."""
        preds = working_precision(preds)
        sigmoid = self.activation == "sigmoid"
        if self.activation == "auto":
            sigmoid = labels.dim() == preds.dim() or preds.size(1) == 1
        if sigmoid:
            preds = preds.reshape(labels.shape)
            overlap = self._sigmoid_overlap(preds, labels)
        elif labels.dim() == preds.dim():
            overlap = self._soft_overlap(preds, labels.to(preds.dtype))
        else:
            overlap = self._softmax_overlap(preds, labels)
        values = self._pooled(overlap) if preds.dim() <= 2 else self._averaged(overlap)
        values = torch.where(overlap.scored.unsqueeze(1), values, torch.zeros_like(values))
        return torch.where(overlap.bad.unsqueeze(1), torch.full_like(values, torch.nan), values)

    def _pooled(self, overlap: Overlap) -> Tensor:
        smooth = (self.smooth_dr - self.smooth_nr) / max(overlap.error.size(1), 1)
        return ratio(overlap.error + smooth, overlap.size.sum(1, keepdim=True) + self.smooth_dr)

    def _averaged(self, overlap: Overlap) -> Tensor:
        values = ratio(overlap.error + (self.smooth_dr - self.smooth_nr), overlap.size + self.smooth_dr)
        counted = overlap.present
        if self.classes == "all" or values.size(1) == 1:
            counted = torch.ones_like(overlap.present)
        values = torch.where(counted, values, torch.zeros_like(values))
        return values / counted.sum(1, keepdim=True).clamp(min=1)

    def _power(self, values: Tensor) -> Tensor:
        return values * values if self.squared else values

    def _element_error(self, probs: Tensor, complement: Tensor, labels: Tensor) -> Tensor:
        if not self.squared:
            return probs * (1 - labels) + complement * labels
        signed = torch.where(labels == 1, complement, probs - labels)
        return signed * signed

    def _sigmoid_overlap(self, preds: Tensor, labels: Tensor) -> Overlap:
        positions = unit_positions(labels, preds.dtype, self.ignore_index)
        against_one, _ = sigmoid_odds(preds, self.preds_are)
        probs = label_probability(against_one)
        error = self._element_error(probs, miss_probability(against_one), positions.labels)
        size = self._power(probs) + self._power(positions.labels)
        none = torch.zeros_like(error)
        error = by_sample(torch.where(positions.valid, error, none))
        size = by_sample(torch.where(positions.valid, size, none))
        present = by_sample(positions.labels > 0)
        scored = by_sample(positions.valid).any(1)
        bad = by_sample(positions.bad).any(1)
        if preds.dim() <= 2:
            return Overlap(error, size, present, scored, bad)
        return Overlap(
            sample_sum(error).unsqueeze(1), sample_sum(size).unsqueeze(1), present.any(1, keepdim=True), scored, bad
        )

    def _softmax_overlap(self, preds: Tensor, labels: Tensor) -> Overlap:
        positions = class_positions(labels, preds.size(1), self.ignore_index)
        odds, others = softmax_odds(preds, positions.labels, self.preds_are)
        miss = miss_probability(odds)
        total = torch.where(others.total == 0, torch.ones_like(others.total), others.total)
        shares = others.weights * (miss / total).unsqueeze(1)
        index = positions.labels.unsqueeze(1)
        valid = positions.valid.unsqueeze(1)
        none = torch.zeros_like(shares)
        error = self._power(torch.where(valid, shares.scatter(1, index, miss.unsqueeze(1)), none))
        probs = self._power(torch.where(valid, shares.scatter(1, index, label_probability(odds).unsqueeze(1)), none))
        counts = torch.zeros([preds.size(0), preds.size(1)], dtype=torch.int64, device=preds.device)
        counts = counts.scatter_add(1, by_sample(positions.labels), by_sample(positions.valid).to(torch.int64))
        if preds.dim() > 2:
            error = error.flatten(2).sum(2)
            probs = probs.flatten(2).sum(2)
        scored = by_sample(positions.valid).any(1)
        return Overlap(error, probs + counts, counts > 0, scored, by_sample(positions.bad).any(1))

    def _soft_overlap(self, preds: Tensor, labels: Tensor) -> Overlap:
        top = top_class(preds, self.preds_are)
        is_top = torch.zeros_like(preds, dtype=torch.bool).scatter(1, top.place.unsqueeze(1), True)
        top_probability = (1 / (1 + top.total)).unsqueeze(1)
        probs = torch.where(is_top, top_probability, top.ratios * top_probability)
        complement = torch.where(is_top, top.total.unsqueeze(1) * top_probability, 1 - probs)
        error = self._element_error(probs, complement, labels)
        size = self._power(probs) + self._power(labels)
        present = labels > 0
        bad = by_sample(bad_shares(labels)).any(1)
        if preds.dim() > 2:
            error = error.flatten(2).sum(2)
            size = size.flatten(2).sum(2)
            present = present.flatten(2).any(2)
        return Overlap(error, size, present, torch.ones_like(bad), bad)


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return numerator / denominator, 0 where the denominator is 0."""
    none = denominator == 0
    safe = torch.where(none, torch.ones_like(denominator), denominator)
    return torch.where(none, torch.zeros_like(safe), numerator / safe)
