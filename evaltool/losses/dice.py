"""Dice losses, one value per sample.

dice:              1 - (2 sum(p y) + smooth_nr) / (sum(p^k) + sum(y^k) + smooth_dr), k = 1, or 2 if squared:
                   Milletari et al. 2016, arXiv:1606.04797; Li et al. 2020, arXiv:1911.02855
generalized-dice:  the sums of all classes, weighted by 1 / (sum y)^2: Sudre et al. 2017, arXiv:1707.03237
log-cosh-dice:     log(cosh(dice)): Jadon 2020, arXiv:2006.14822
"""

import torch
from torch import Tensor

from evaltool.losses.overlap import Overlap, OverlapLoss, in_proportion
from evaltool.numerics.elementary import expm1, log1p
from evaltool.numerics.positions import ratio


class DiceLoss(OverlapLoss):
    """Dice loss, unitless in [0, 1] with the default smoothing, one value per sample.

    The sums run over positions for each class, and the value is the mean over classes. With no positions
    (preds [N, C]) the classes are pooled into one sum. Memory: 8 times the preds of a softmax,
    12 times those of sigmoids.

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
        super().__init__(
            smooth_nr=smooth_nr,
            smooth_dr=smooth_dr,
            squared=squared,
            classes=classes,
            activation=activation,
            ignore_index=ignore_index,
            preds_are=preds_are,
            reduction=reduction,
        )

    def _error(self, overlap: Overlap) -> Tensor:
        return overlap.false_pos + overlap.false_neg


class LogCoshDiceLoss(DiceLoss):
    """log(cosh(Dice loss)) of the sample's Dice loss: flat near 0, steeper above; one value per sample.

    Arguments, shapes and errors are DiceLoss's. Memory: 8 times the preds of a softmax, 12 times those of sigmoids.

    >>> loss = LogCoshDiceLoss()
    >>> loss(torch.tensor([[[9.0, -9.0, 9.0]]]), torch.tensor([[1, 0, 0]]))
    tensor([0.0309])
    """

    def _bent(self, parts: Tensor, pooled: bool) -> Tensor:
        return in_proportion(parts, log_cosh(parts.sum(1, keepdim=True)))


class GeneralizedDiceLoss(OverlapLoss):
    """Dice loss over all classes in one sum, each weighted by 1 / (its size in the label)^2; unitless in [0, 1].

    A class absent from the sample has the weight of its rarest present class; with none present all weights are 1.
    Memory: 8 times the preds of a softmax, 12 times those of sigmoids.

    Args:
        smooth_nr: added to the weighted numerator, >= 0; beside weights of 1 / n^2 a small number is a large one.
        smooth_dr: added to the weighted denominator, >= 0. Without smoothing, 0 / 0 is 0.
        activation: "softmax" over axis 1, "sigmoid" per element, or "auto": sigmoid where the labels have
            the shape of the preds (or the preds one class), else softmax.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N]), "mean" or "sum" over samples.

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = GeneralizedDiceLoss()
    >>> loss(torch.tensor([[[9.0, -9.0, 9.0], [0.0, 0.0, 0.0]]]), torch.tensor([[0, 1, 1]]))
    tensor([0.3334])
    """

    def __init__(
        self,
        *,
        smooth_nr: float = 0.0,
        smooth_dr: float = 0.0,
        activation: str = "auto",
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__(
            smooth_nr=smooth_nr,
            smooth_dr=smooth_dr,
            squared=False,
            classes="all",
            activation=activation,
            ignore_index=ignore_index,
            preds_are=preds_are,
            reduction=reduction,
        )

    def _parts(self, overlap: Overlap, pooled: bool) -> Tensor:
        error = overlap.false_pos + overlap.false_neg
        size = (overlap.hit + overlap.false_neg).detach()
        absent = size == 0
        smallest = torch.where(absent, torch.full_like(size, torch.inf), size).amin(1, keepdim=True)
        smallest = torch.where(smallest.isinf(), torch.ones_like(smallest), smallest)
        # numerator and denominator times the smallest size squared: 1 / size^2 would leave float32's range
        weights = smallest / torch.where(absent, smallest, size)
        weights = weights * weights
        scale = smallest * smallest
        total = (weights * (2 * overlap.hit + error)).sum(1, keepdim=True) + self.smooth_dr * scale
        smooth = (self.smooth_dr - self.smooth_nr) / max(error.size(1), 1) * scale
        return ratio(weights * error + smooth, total.expand_as(error))


def log_cosh(x: Tensor) -> Tensor:
    """Return log(cosh(x)) = log1p(2 sinh(x / 2)^2), which keeps its digits near 0."""
    m = -expm1(-x.abs() / 2)  # 1 - exp(-h), from which sinh(h) = m (2 - m) / (2 (1 - m))
    sinh = m * (2 - m) / (2 * (1 - m))
    return log1p(2 * sinh * sinh)
