"""Weighted sums of a Dice loss and a loss per position, one value per sample.

dice-ce:     lambda_dice * dice + lambda_ce * cross-entropy        (sigmoid: binary cross-entropy)
dice-focal:  lambda_dice * dice + lambda_focal * focal             (sigmoid: binary focal)

The first is that of nnU-Net, Isensee et al. 2018, arXiv:1809.10486; the second of AnatomyNet, Zhu et al. 2018,
arXiv:1808.05238.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from evaltool.losses.binary_cross_entropy import BinaryCrossEntropyLoss
from evaltool.losses.cross_entropy import CrossEntropyLoss
from evaltool.losses.dice import DiceLoss
from evaltool.losses.focal import BinaryFocalLoss, FocalLoss
from evaltool.losses.overlap import is_sigmoid
from evaltool.losses.per_position import SigmoidLoss, SoftmaxLoss
from evaltool.numerics.arguments import checked_number
from evaltool.numerics.positions import by_sample, label_positions, sample_sum, valid_positions


class DicePlusLoss(nn.Module):
    """Weighted sum of a Dice loss and a loss per position, of which a subclass has one of each activation.

    ``reduction`` "mean" and "sum" reduce each part its own way: Dice over samples, the other over valid positions.
    """

    def __init__(
        self, dice: DiceLoss, softmax: SoftmaxLoss, sigmoid: SigmoidLoss, lambda_dice: float, factor: float
    ) -> None:
        super().__init__()
        self.dice = dice
        self.softmax = softmax
        self.sigmoid = sigmoid
        self.lambda_dice = lambda_dice
        self.factor = factor
        self.activation = dice.activation
        self.ignore_index = dice.ignore_index
        self.preds_are = dice.preds_are
        self.reduction = dice.reduction

    def forward(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return float32 [N] (float64 for float64 preds); 0 where all is ignored, NaN for a bad label.

        Args:
            preds: float [N, C, *S] with integer labels [N, *S] in 0..C-1 or ``ignore_index``; or
            labels: in [0, 1] or ``ignore_index``, of the shape of the preds (with or without an axis of one
                class): [N], [N, C] multilabel or soft, [N, *S] or [N, 1, *S] one foreground class.
        """
        if is_sigmoid(self.activation, preds, labels):
            rest: Tensor = self.sigmoid(preds, labels)
        else:
            rest = self.softmax(preds, labels)
        overlap: Tensor = self.dice(preds, labels)
        return self.lambda_dice * overlap + self.factor * rest

    @torch.jit.export
    def by_class(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return each class's part of the sample's value, float [N, C]; a row sums to the value."""
        parts = self.lambda_dice * self.dice.by_class(preds, labels)
        if is_sigmoid(self.activation, preds, labels):
            values = by_sample(self.sigmoid.map(preds, labels))
            valid = by_sample(valid_positions(labels, self.ignore_index))
            if labels.dim() > 2:
                values = sample_sum(values).unsqueeze(1)
        elif labels.dim() == preds.dim():  # shares of the classes: the value of a position is split by them
            shares = labels.to(parts.dtype)
            values = shares / shares.sum(1, keepdim=True) * self.softmax.map(preds, labels).unsqueeze(1)
            valid = torch.ones_like(by_sample(labels.select(1, 0)), dtype=torch.bool)
            values = values.flatten(2).sum(2) if preds.dim() > 2 else values
        else:
            positions = label_positions(labels, preds, self.ignore_index)
            own = self.softmax.map(preds, labels).unsqueeze(1)
            values = torch.zeros_like(preds, dtype=own.dtype).scatter(1, positions.labels.unsqueeze(1), own)
            valid = by_sample(positions.valid)
            values = values.flatten(2).sum(2) if preds.dim() > 2 else values
        return parts + self.factor * values / valid.sum(1, keepdim=True).clamp(min=1)


class DiceCELoss(DicePlusLoss):
    """Dice loss plus cross-entropy, one value per sample; with sigmoids, plus binary cross-entropy.

    Memory: 8 times the preds of a softmax, 13 times those of sigmoids.

    Args:
        lambda_dice: factor >= 0 of the Dice loss.
        lambda_ce: factor >= 0 of the cross-entropy.
        weight: factor >= 0 of each class in the cross-entropy, [C], or None.
        smooth_nr, smooth_dr, squared, classes: as in DiceLoss.
        activation: "softmax" over axis 1, "sigmoid" per element, or "auto": sigmoid where the labels have
            the shape of the preds (or the preds one class), else softmax.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N]); "mean" or "sum" reduce the Dice loss over samples, the cross-entropy over positions.

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = DiceCELoss()
    >>> loss(torch.tensor([[[9.0, -9.0, 9.0]]]), torch.tensor([[1, 0, 0]]))
    tensor([3.2502])
    """

    def __init__(
        self,
        *,
        lambda_dice: float = 1.0,
        lambda_ce: float = 1.0,
        weight: Sequence[float] | Tensor | None = None,
        smooth_nr: float = 1.0,
        smooth_dr: float = 1.0,
        squared: bool = False,
        classes: str = "present",
        activation: str = "auto",
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        dice = DiceLoss(
            smooth_nr=smooth_nr,
            smooth_dr=smooth_dr,
            squared=squared,
            classes=classes,
            activation=activation,
            ignore_index=ignore_index,
            preds_are=preds_are,
            reduction=reduction,
        )
        super().__init__(
            dice,
            CrossEntropyLoss(weight=weight, ignore_index=ignore_index, preds_are=preds_are, reduction=reduction),
            BinaryCrossEntropyLoss(weight=weight, ignore_index=ignore_index, preds_are=preds_are, reduction=reduction),
            checked_number("lambda_dice", lambda_dice),
            checked_number("lambda_ce", lambda_ce),
        )


class DiceFocalLoss(DicePlusLoss):
    """Dice loss plus focal loss of the softmax, one value per sample; with sigmoids, plus binary focal loss.

    Memory: 8 times the preds of a softmax, 13 times those of sigmoids.

    Args:
        lambda_dice: factor >= 0 of the Dice loss.
        lambda_focal: factor >= 0 of the focal loss.
        gamma: focusing exponent >= 0, one number or one per class [C].
        alpha: None, or as in FocalLoss (softmax: one number, or one per class [C]) and BinaryFocalLoss (sigmoid: a
            number a in [0, 1], or a pair).
        smooth_nr, smooth_dr, squared, classes: as in DiceLoss.
        activation: "softmax" over axis 1, "sigmoid" per element, or "auto": sigmoid where the labels have
            the shape of the preds (or the preds one class), else softmax.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        reduction: "none" ([N]); "mean" or "sum" reduce the Dice loss over samples, the focal loss over positions.

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = DiceFocalLoss()
    >>> loss(torch.tensor([[[9.0, -9.0, 9.0]]]), torch.tensor([[1, 0, 0]]))
    tensor([3.2493])
    """

    def __init__(
        self,
        *,
        lambda_dice: float = 1.0,
        lambda_focal: float = 1.0,
        gamma: float | Sequence[float] | Tensor = 2.0,
        alpha: float | Sequence[float] | Tensor | None = None,
        smooth_nr: float = 1.0,
        smooth_dr: float = 1.0,
        squared: bool = False,
        classes: str = "present",
        activation: str = "auto",
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        dice = DiceLoss(
            smooth_nr=smooth_nr,
            smooth_dr=smooth_dr,
            squared=squared,
            classes=classes,
            activation=activation,
            ignore_index=ignore_index,
            preds_are=preds_are,
            reduction=reduction,
        )
        shared: dict[str, Any] = {
            "gamma": gamma,
            "ignore_index": ignore_index,
            "preds_are": preds_are,
            "reduction": reduction,
        }
        # one activation's alpha need not fit the other's loss, which then is never called
        super().__init__(
            dice,
            FocalLoss(alpha=None if activation == "sigmoid" else alpha, **shared),
            BinaryFocalLoss(alpha=None if activation == "softmax" else alpha, **shared),
            checked_number("lambda_dice", lambda_dice),
            checked_number("lambda_focal", lambda_focal),
        )
