"""Losses as scriptable modules: ``Loss(...)(preds, labels)`` gives one value per sample, float32 [N]."""

from evaltool.losses.binary_cross_entropy import BinaryCrossEntropyLoss
from evaltool.losses.cross_entropy import CrossEntropyLoss
from evaltool.losses.dice import DiceLoss
from evaltool.losses.focal import BinaryFocalLoss, FocalLoss
from evaltool.losses.regression import L1Loss, MSELoss, SmoothL1Loss

__all__ = [
    "BinaryCrossEntropyLoss",
    "BinaryFocalLoss",
    "CrossEntropyLoss",
    "DiceLoss",
    "FocalLoss",
    "L1Loss",
    "MSELoss",
    "SmoothL1Loss",
]
