"""What Dice, Tversky, Jaccard and Lovasz losses are made of: the overlap of prediction and label, per class.

Every one of them is 1 - (2 hit + smooth_nr) / (2 hit + error + smooth_dr), computed without the subtraction from 1,
which would cost a near-perfect mask all its digits:

    (error + smooth_dr - smooth_nr) / (2 hit + error + smooth_dr)

with hit = sum(p y) and an ``error`` that weighs sum(p (1 - y)) and sum((1 - p) y). Nothing in the sums is negative.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from evaltool.losses.arguments import checked_kind, checked_reduction
from evaltool.losses.reduction import reduced_samples
from evaltool.numerics.arguments import checked_choice, checked_flag, checked_index, checked_number
from evaltool.numerics.elementary import working_precision
from evaltool.numerics.log_odds import label_probability, miss_probability, sigmoid_odds, softmax_odds, top_class
from evaltool.numerics.positions import (
    Positions,
    bad_shares,
    by_sample,
    label_positions,
    ratio,
    same_shape,
    sample_sum,
    unit_positions,
)

ACTIVATIONS = ("auto", "softmax", "sigmoid")
CLASSES = ("present", "all")


class Overlap(NamedTuple):
    """The sums over a sample's valid positions, per class; float [N, K]."""

    hit: Tensor  # sum of p y
    false_pos: Tensor  # sum of p (1 - y); squared: of (p - y)^2 where p is too large
    false_neg: Tensor  # sum of (1 - p) y; squared: of (p - y)^2 where p is too small
    present: Tensor  # bool, the class occurs in the label
    scored: Tensor  # bool [N], the sample has a valid position
    bad: Tensor  # bool [N], the sample has a bad label


def softmax_errors(preds: Tensor, positions: Positions, preds_are: str) -> tuple[Tensor, Tensor]:
    """Return |y_c - p_c| for each class, [N, C, *S], and p of the label, [N, *S]; whatever the position's validity."""
    odds, others = softmax_odds(preds, positions.labels, preds_are)
    miss = miss_probability(odds)
    total = torch.where(others.total == 0, torch.ones_like(others.total), others.total)
    shares = others.weights * (miss / total).unsqueeze(1)
    return shares.scatter(1, positions.labels.unsqueeze(1), miss.unsqueeze(1)), label_probability(odds)


def class_occurs(positions: Positions, num_classes: int) -> Tensor:
    """Return whether each class occurs among a sample's valid labels, bool [N, C]."""
    labels = by_sample(positions.labels)
    counts = torch.zeros([labels.size(0), num_classes], dtype=torch.int64, device=labels.device)
    return counts.scatter_add(1, labels, by_sample(positions.valid).to(torch.int64)) > 0


def softmax_overlap(preds: Tensor, labels: Tensor, preds_are: str, ignore_index: int, squared: bool) -> Overlap:
    """Return the overlap of preds [N, C, *S] with class labels [N, *S]."""
    positions = label_positions(labels, preds, ignore_index)
    errors, own = softmax_errors(preds, positions, preds_are)
    index = positions.labels.unsqueeze(1)
    none = torch.zeros_like(errors)
    errors = torch.where(positions.valid.unsqueeze(1), errors, none)
    missed = none.scatter(1, index, errors.gather(1, index))
    hit = none.scatter(1, index, torch.where(positions.valid, own, torch.zeros_like(own)).unsqueeze(1))
    false_pos = errors.scatter(1, index, 0.0)
    if squared:
        false_pos, missed = false_pos * false_pos, missed * missed
    if preds.dim() > 2:
        hit, false_pos, missed = hit.flatten(2).sum(2), false_pos.flatten(2).sum(2), missed.flatten(2).sum(2)
    present = class_occurs(positions, preds.size(1))
    return Overlap(hit, false_pos, missed, present, by_sample(positions.valid).any(1), by_sample(positions.bad).any(1))


def elements(probs: Tensor, complement: Tensor, labels: Tensor, squared: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return hit, false positive and false negative per element, for probabilities, 1 - them, and soft labels."""
    if not squared:
        return probs * labels, probs * (1 - labels), complement * labels
    error = torch.where(labels == 1, complement, probs - labels)
    error = error * error
    none = torch.zeros_like(error)
    return probs * labels, torch.where(probs > labels, error, none), torch.where(probs > labels, none, error)


def soft_overlap(preds: Tensor, labels: Tensor, preds_are: str, squared: bool) -> Overlap:
    """Return the overlap of a softmax over preds [N, C, *S] with shares of the classes of that shape."""
    top = top_class(preds, preds_are)
    is_top = torch.zeros_like(preds, dtype=torch.bool).scatter(1, top.place.unsqueeze(1), True)
    top_probability = (1 / (1 + top.total)).unsqueeze(1)
    probs = torch.where(is_top, top_probability, top.ratios * top_probability)
    complement = torch.where(is_top, top.total.unsqueeze(1) * top_probability, 1 - probs)
    hit, false_pos, false_neg = elements(probs, complement, labels, squared)
    present = labels > 0
    bad = by_sample(bad_shares(labels)).any(1)
    if preds.dim() > 2:
        hit, false_pos, false_neg = hit.flatten(2).sum(2), false_pos.flatten(2).sum(2), false_neg.flatten(2).sum(2)
        present = present.flatten(2).any(2)
    return Overlap(hit, false_pos, false_neg, present, torch.ones_like(bad), bad)


def sigmoid_overlap(preds: Tensor, labels: Tensor, preds_are: str, ignore_index: int, squared: bool) -> Overlap:
    """Return the overlap of sigmoids with labels of the preds' shape: [N, C] stay C classes, positions are one."""
    positions = unit_positions(labels, preds.dtype, ignore_index)
    against_one, _ = sigmoid_odds(preds, preds_are)
    probs = label_probability(against_one)
    hit, false_pos, false_neg = elements(probs, miss_probability(against_one), positions.labels, squared)
    none = torch.zeros_like(hit)
    hit = by_sample(torch.where(positions.valid, hit, none))
    false_pos = by_sample(torch.where(positions.valid, false_pos, none))
    false_neg = by_sample(torch.where(positions.valid, false_neg, none))
    present = by_sample(positions.labels > 0)
    if preds.dim() > 2:
        hit, false_pos = sample_sum(hit).unsqueeze(1), sample_sum(false_pos).unsqueeze(1)
        false_neg, present = sample_sum(false_neg).unsqueeze(1), present.any(1, keepdim=True)
    return Overlap(
        hit, false_pos, false_neg, present, by_sample(positions.valid).any(1), by_sample(positions.bad).any(1)
    )


class OverlapLoss(nn.Module):
    """Loss of a sample's regions; a subclass gives ``_error(overlap)``, [N, K].

    The sums run over positions for each class, and the value is the mean over classes. With no positions
    (preds [N, C]) the classes are pooled into one sum.

    Args:
        smooth_nr: added to the numerator, >= 0, in positions.
        smooth_dr: added to the denominator, >= 0, in positions; 1 keeps an empty mask with an almost empty
            prediction near 0.
        squared: square p and y in the denominator.
        classes: "present" averages over the classes in the sample's label, "all" over every class; a single
            foreground class always counts.
        activation: "softmax" over axis 1, "sigmoid" per element, or "auto": sigmoid where the labels have
            the shape of the preds (or the preds one class), else softmax.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N]), "mean" or "sum" over samples.
    """

    def __init__(
        self,
        *,
        smooth_nr: float,
        smooth_dr: float,
        squared: bool,
        classes: str,
        activation: str,
        ignore_index: int,
        preds_are: str,
        reduction: str,
    ) -> None:
        super().__init__()
        self.smooth_nr = checked_number("smooth_nr", smooth_nr)
        self.smooth_dr = checked_number("smooth_dr", smooth_dr)
        self.squared = checked_flag("squared", squared)
        self.classes = checked_choice("classes", classes, CLASSES)
        self.activation = checked_choice("activation", activation, ACTIVATIONS)
        self.ignore_index = checked_index("ignore_index", ignore_index)
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
        pooled = preds.dim() <= 2
        if is_sigmoid(self.activation, preds, labels):
            pooled = labels.dim() <= 2
            overlap = sigmoid_overlap(
                same_shape(preds, labels), labels, self.preds_are, self.ignore_index, self.squared
            )
        elif labels.dim() == preds.dim():
            overlap = soft_overlap(preds, same_shape(labels, preds).to(preds.dtype), self.preds_are, self.squared)
        else:
            overlap = softmax_overlap(preds, labels, self.preds_are, self.ignore_index, self.squared)
        values = self._parts(overlap, pooled)
        values = torch.where(overlap.scored.unsqueeze(1), values, torch.zeros_like(values))
        return torch.where(overlap.bad.unsqueeze(1), torch.full_like(values, torch.nan), values)

    def _parts(self, overlap: Overlap, pooled: bool) -> Tensor:
        return self._bent(self._pooled(overlap) if pooled else self._averaged(overlap), pooled)

    def _pooled(self, overlap: Overlap) -> Tensor:
        error = self._error(overlap)
        smooth = (self.smooth_dr - self.smooth_nr) / max(error.size(1), 1)
        size = (2 * overlap.hit + error).sum(1, keepdim=True)
        return ratio(error + smooth, (size + self.smooth_dr).expand_as(error))

    def _averaged(self, overlap: Overlap) -> Tensor:
        error = self._error(overlap)
        size = 2 * overlap.hit + error
        values = self._curve(ratio(error + (self.smooth_dr - self.smooth_nr), size + self.smooth_dr))
        counted = overlap.present
        if self.classes == "all" or values.size(1) == 1:
            counted = torch.ones_like(overlap.present)
        values = torch.where(counted, values, torch.zeros_like(values))
        return values / counted.sum(1, keepdim=True).clamp(min=1)

    def _error(self, overlap: Overlap) -> Tensor:
        raise NotImplementedError

    def _curve(self, values: Tensor) -> Tensor:
        """Return each class's value from its overlap loss, before the mean over classes."""
        return values

    def _bent(self, parts: Tensor, pooled: bool) -> Tensor:
        """Return the parts of the sample's value from those of its overlap loss."""
        return parts


def is_sigmoid(activation: str, preds: Tensor, labels: Tensor) -> bool:
    """Whether preds are independent sigmoids; "auto" sees it from labels of the preds' shape, or a single class."""
    if activation == "auto":
        return labels.dim() >= preds.dim() or preds.size(1) == 1
    return activation == "sigmoid"


def in_proportion(parts: Tensor, values: Tensor) -> Tensor:
    """Return values [N, 1] split in the proportions of parts [N, K], which pass no gradient."""
    parts = parts.detach()
    return values * ratio(parts, parts.sum(1, keepdim=True).expand_as(parts))
