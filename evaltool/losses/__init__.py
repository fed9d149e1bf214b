"""Losses as scriptable modules: ``Loss(...)(preds, labels)`` gives one value per sample, float32 [N].

"Memory" in a docstring is what a loss takes beside the preds while it computes a batch, in sizes of the preds as
float32 and without gradients, measured by ``tests/losses/test_memory.py``. No array has more elements than the preds:
of labels there is no one-hot copy larger than the block that is scored.
"""

from evaltool.losses.asymmetric import AsymmetricLoss
from evaltool.losses.binary_cross_entropy import BalancedCrossEntropyLoss, BinaryCrossEntropyLoss
from evaltool.losses.class_frequency import LDAMLoss, LogitAdjustedLoss, SeesawLoss
from evaltool.losses.combined import DiceCELoss, DiceFocalLoss
from evaltool.losses.cross_entropy import CrossEntropyLoss
from evaltool.losses.dice import DiceLoss, GeneralizedDiceLoss, LogCoshDiceLoss
from evaltool.losses.focal import BinaryFocalLoss, FocalLoss, OneVsAllFocalLoss
from evaltool.losses.generalized_cross_entropy import GeneralizedCrossEntropyLoss
from evaltool.losses.lovasz import LovaszLoss
from evaltool.losses.ohem import OhemCrossEntropyLoss
from evaltool.losses.poly import PolyLoss
from evaltool.losses.quality import QualityFocalLoss, VarifocalLoss
from evaltool.losses.regression import L1Loss, MSELoss, SmoothL1Loss
from evaltool.losses.tversky import FocalTverskyLoss, JaccardLoss, TverskyLoss

__all__ = [
    "AsymmetricLoss",
    "BalancedCrossEntropyLoss",
    "BinaryCrossEntropyLoss",
    "BinaryFocalLoss",
    "CrossEntropyLoss",
    "DiceCELoss",
    "DiceFocalLoss",
    "DiceLoss",
    "FocalLoss",
    "FocalTverskyLoss",
    "GeneralizedCrossEntropyLoss",
    "GeneralizedDiceLoss",
    "JaccardLoss",
    "L1Loss",
    "LDAMLoss",
    "LogCoshDiceLoss",
    "LogitAdjustedLoss",
    "LovaszLoss",
    "MSELoss",
    "OhemCrossEntropyLoss",
    "OneVsAllFocalLoss",
    "PolyLoss",
    "QualityFocalLoss",
    "SeesawLoss",
    "SmoothL1Loss",
    "TverskyLoss",
    "VarifocalLoss",
]
