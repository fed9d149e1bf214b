"""Lovasz losses, one value per sample.  Berman et al. 2018, arXiv:1705.08790, eq. 8 to 12.

The Jaccard loss of the positions in error, extended to errors between 0 and 1: the errors sorted downwards, each times
the growth of the Jaccard index when its position joins the set,

    sum_i e_i (J_i - J_{i-1}),   J_i = i / (G + B_i)

with G positions of the class, and of the first i, F_i of the class and B_i = i - F_i not. The growth has a closed form
without a difference of near-equal numbers:

    1 / (G + B_i)                                    position i is of the class
    (G - F_i) / ((G + B_i) (G + B_i - 1))            it is not
"""

import torch
from torch import Tensor, nn

from evaltool.losses.arguments import checked_kind, checked_reduction
from evaltool.losses.overlap import CLASSES, class_occurs, is_sigmoid, softmax_errors
from evaltool.losses.reduction import reduced_samples
from evaltool.numerics.arguments import checked_choice, checked_index
from evaltool.numerics.elementary import working_precision
from evaltool.numerics.log_odds import sigmoid_odds
from evaltool.numerics.positions import (
    by_sample,
    descending_order,
    label_positions,
    same_shape,
    sample_sum,
    unit_positions,
)

FORMS = ("auto", "softmax", "hinge")


def jaccard_extension(errors: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Return each position's part of the Lovasz extension of the Jaccard loss, [..., P]; the parts sum to it.

    Args:
        errors: float [..., P], >= 0.
        truth: bool [..., P], the position is of the class.
        valid: bool [..., P], the position counts; the others come last in the order and get 0.
    """
    keys = torch.where(valid, errors.detach(), torch.full_like(errors, -1.0))
    order = descending_order(keys)
    of_class = (truth & valid).gather(-1, order).to(torch.int64)
    of_class_so_far = of_class.cumsum(-1)
    others_so_far = (1 - of_class).cumsum(-1)
    count = of_class.sum(-1, keepdim=True)
    union = (count + others_so_far).to(errors.dtype)
    left = (count - of_class_so_far).to(errors.dtype)
    # a class that does not occur: the first position makes the union, and takes the whole index
    grown = torch.where(union > 1, left / (union * (union - 1).clamp(min=1)), torch.ones_like(union))
    growth = torch.where(of_class == 1, 1 / union.clamp(min=1), grown)
    parts = errors * torch.zeros_like(errors).scatter(-1, order, growth)
    return torch.where(valid, parts, torch.zeros_like(parts))


class LovaszLoss(nn.Module):
    """Lovasz extension of the Jaccard loss, unitless, one value per sample.

    "softmax" takes |y - p| of every class as errors and averages over classes; it is in [0, 1]. "hinge" takes
    max(0, 1 - x (2 y - 1)) of the logit x of a single foreground class, or of [N, C] labels, as one set of positions.
    Memory: the errors of all classes are sorted; 19 times the preds of a softmax, 22 times those of a hinge.

    Args:
        classes: "present" averages over the classes in the sample's label, "all" over every class.
        form: "softmax", "hinge", or "auto": hinge where the labels have the shape of the preds (or the preds one
            class), else softmax.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N]), "mean" or "sum" over samples.

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = LovaszLoss()
    >>> loss(torch.tensor([[[2.0, 0.0, 0.0], [0.0, 0.0, 4.0]]]), torch.tensor([[0, 1, 1]]))
    tensor([0.2927])
    """

    def __init__(
        self,
        *,
        classes: str = "present",
        form: str = "auto",
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__()
        self.classes = checked_choice("classes", classes, CLASSES)
        self.form = checked_choice("form", form, FORMS)
        self.ignore_index = checked_index("ignore_index", ignore_index)
        self.preds_are = checked_kind(preds_are)
        self.reduction = checked_reduction(reduction)

    def forward(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return float32 [N] (float64 for float64 preds); 0 where all is ignored, NaN for a bad label.

        Args:
            preds: float [N, C, *S] with integer labels [N, *S] in 0..C-1 or ``ignore_index``; or
            labels: 0, 1 or ``ignore_index``, of the shape of the preds (with or without an axis of one class).
        """
        return reduced_samples(self.by_class(preds, labels).sum(1), self.reduction)

    @torch.jit.export
    def by_class(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return each class's part of the sample's value, float [N, C] ([N, 1] of a foreground class's positions)."""
        preds = working_precision(preds)
        hinge = is_sigmoid("auto", preds, labels) if self.form == "auto" else self.form == "hinge"
        return self._hinge(same_shape(preds, labels), labels) if hinge else self._softmax(preds, labels)

    def _softmax(self, preds: Tensor, labels: Tensor) -> Tensor:
        positions = label_positions(labels, preds, self.ignore_index)
        errors, _ = softmax_errors(preds, positions, self.preds_are)
        errors = errors.unsqueeze(-1).flatten(2)
        classes = torch.arange(preds.size(1), device=preds.device).reshape([1, -1, 1])
        valid = by_sample(positions.valid).unsqueeze(1).expand_as(errors)
        values = jaccard_extension(errors, by_sample(positions.labels).unsqueeze(1) == classes, valid).sum(2)
        counted = class_occurs(positions, preds.size(1))
        if self.classes == "all":
            counted = torch.ones_like(counted)
        values = torch.where(counted, values, torch.zeros_like(values)) / counted.sum(1, keepdim=True).clamp(min=1)
        bad = by_sample(positions.bad).any(1, keepdim=True)
        return torch.where(bad, torch.full_like(values, torch.nan), values)

    def _hinge(self, preds: Tensor, labels: Tensor) -> Tensor:
        positions = unit_positions(labels, preds.dtype, self.ignore_index)
        bad = positions.bad | ((positions.labels > 0) & (positions.labels < 1))
        against_one, against_zero = sigmoid_odds(preds, self.preds_are)
        truth = positions.labels == 1
        errors = (1 + torch.where(truth, against_one.u, against_zero.u)).clamp(min=0)
        values = jaccard_extension(by_sample(errors), by_sample(truth), by_sample(positions.valid))
        if preds.dim() > 2:
            values = sample_sum(values).unsqueeze(1)
        return torch.where(by_sample(bad).any(1, keepdim=True), torch.full_like(values, torch.nan), values)
