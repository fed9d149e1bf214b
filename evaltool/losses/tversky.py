"""Tversky losses, one value per sample: Dice with false positives and false negatives weighed apart.

tversky:        1 - (2 TP + smooth_nr) / (2 TP + 2 alpha FP + 2 beta FN + smooth_dr): Salehi et al. 2017,
                arXiv:1706.05721, eq. 3; smoothing stands in Dice's unit, so that alpha = beta = 1/2 is Dice
focal-tversky:  tversky^(1/gamma): Abraham and Khan 2018, arXiv:1810.07842, eq. 4
jaccard:        alpha = beta = 1, intersection over union: 2 D / (1 + D) of the Dice loss D
"""

import torch
from torch import Tensor

from evaltool.losses.overlap import Overlap, OverlapLoss, in_proportion
from evaltool.numerics.arguments import checked_number
from evaltool.numerics.elementary import power


class TverskyLoss(OverlapLoss):
    """Tversky loss, unitless in [0, 1] with the default smoothing, one value per sample.

    The sums run over positions for each class, and the value is the mean over classes. With no positions
    (preds [N, C]) the classes are pooled into one sum. Memory: 8 times the preds of a softmax,
    12 times those of sigmoids.

    Args:
        alpha: weight of false positives, >= 0.
        beta: weight of false negatives, >= 0.
        smooth_nr: added to the numerator, >= 0, in positions, as in DiceLoss.
        smooth_dr: added to the denominator, >= 0, in positions, as in DiceLoss.
        classes: "present" averages over the classes in the sample's label, "all" over every class; a single
            foreground class always counts.
        activation: "softmax" over axis 1, "sigmoid" per element, or "auto": sigmoid where the labels have
            the shape of the preds (or the preds one class), else softmax.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N]), "mean" or "sum" over samples.

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = TverskyLoss(alpha=0.3, beta=0.7)
    >>> loss(torch.tensor([[[9.0, -9.0, 9.0]]]), torch.tensor([[1, 0, 0]]))
    tensor([0.1667])
    """

    def __init__(
        self,
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        smooth_nr: float = 1.0,
        smooth_dr: float = 1.0,
        classes: str = "present",
        activation: str = "auto",
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__(
            smooth_nr=smooth_nr,
            smooth_dr=smooth_dr,
            squared=False,
            classes=classes,
            activation=activation,
            ignore_index=ignore_index,
            preds_are=preds_are,
            reduction=reduction,
        )
        self.alpha = checked_number("alpha", alpha)
        self.beta = checked_number("beta", beta)

    def _error(self, overlap: Overlap) -> Tensor:
        return 2 * self.alpha * overlap.false_pos + 2 * self.beta * overlap.false_neg


class FocalTverskyLoss(TverskyLoss):
    """Tversky loss of each class to the power 1/gamma, mean over the classes; one value per sample.

    Args:
        gamma: > 0; above 1 raises the loss of classes that are almost right, below 1 lowers it.

    The other arguments, shapes and errors are TverskyLoss's. Memory: 8 times the preds of a softmax, 12 times those of
    sigmoids. Pooled classes have one value together. A Tversky
    loss below float32's smallest number, 1.4e-45, gives 0.

    >>> loss = FocalTverskyLoss()
    >>> loss(torch.tensor([[[9.0, -9.0, 9.0]]]), torch.tensor([[1, 0, 0]]))
    tensor([0.2609])
    """

    def __init__(
        self,
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        gamma: float = 4 / 3,
        smooth_nr: float = 1.0,
        smooth_dr: float = 1.0,
        classes: str = "present",
        activation: str = "auto",
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__(
            alpha=alpha,
            beta=beta,
            smooth_nr=smooth_nr,
            smooth_dr=smooth_dr,
            classes=classes,
            activation=activation,
            ignore_index=ignore_index,
            preds_are=preds_are,
            reduction=reduction,
        )
        self.gamma = checked_number("gamma", gamma, above=True)

    def _curve(self, values: Tensor) -> Tensor:
        return power(values, torch.full_like(values[:1, :1], 1 / self.gamma))

    def _bent(self, parts: Tensor, pooled: bool) -> Tensor:
        return in_proportion(parts, self._curve(parts.sum(1, keepdim=True))) if pooled else parts


class JaccardLoss(TverskyLoss):
    """Jaccard loss, 1 minus intersection over union, unitless in [0, 1] with the default smoothing.

    The sums run over positions for each class, and the value is the mean over classes. With no positions
    (preds [N, C]) the classes are pooled into one sum. Memory: 8 times the preds of a softmax,
    12 times those of sigmoids.

    Args:
        smooth_nr: added to twice the intersection, >= 0, in positions, as in DiceLoss.
        smooth_dr: added to twice the union, >= 0, in positions, as in DiceLoss.
        classes: "present" averages over the classes in the sample's label, "all" over every class; a single
            foreground class always counts.
        activation: "softmax" over axis 1, "sigmoid" per element, or "auto": sigmoid where the labels have
            the shape of the preds (or the preds one class), else softmax.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N]), "mean" or "sum" over samples.

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = JaccardLoss()
    >>> loss(torch.tensor([[[9.0, -9.0, 9.0]]]), torch.tensor([[1, 0, 0]]))
    tensor([0.4000])
    """

    def __init__(
        self,
        *,
        smooth_nr: float = 1.0,
        smooth_dr: float = 1.0,
        classes: str = "present",
        activation: str = "auto",
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__(
            alpha=1.0,
            beta=1.0,
            smooth_nr=smooth_nr,
            smooth_dr=smooth_dr,
            classes=classes,
            activation=activation,
            ignore_index=ignore_index,
            preds_are=preds_are,
            reduction=reduction,
        )
