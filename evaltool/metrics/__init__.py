"""Metrics as scriptable modules: per-sample scorecards, one for each task, and metrics of many samples."""

from evaltool.metrics.accuracy import Accuracy
from evaltool.metrics.binary import BinaryScorecard, MultilabelScorecard
from evaltool.metrics.brier import BrierScore
from evaltool.metrics.calibration import CalibrationError
from evaltool.metrics.confusion import BalancedAccuracy, CohenKappa, ConfusionMatrix, MatthewsCorrCoef
from evaltool.metrics.loss_counts import LossHistogram, LossQuantiles, LossShare
from evaltool.metrics.metric import Metric
from evaltool.metrics.multiclass import MulticlassScorecard
from evaltool.metrics.ranking import AUROC, AveragePrecision
from evaltool.metrics.rates import DiceScore, F1Score, JaccardIndex, Precision, Recall
from evaltool.metrics.regression import RegressionScorecard
from evaltool.metrics.scorecard import Scorecard, task_card
from evaltool.metrics.segmentation import SegmentationScorecard

__all__ = [
    "AUROC",
    "Accuracy",
    "AveragePrecision",
    "BalancedAccuracy",
    "BinaryScorecard",
    "BrierScore",
    "CalibrationError",
    "CohenKappa",
    "ConfusionMatrix",
    "DiceScore",
    "F1Score",
    "JaccardIndex",
    "LossHistogram",
    "LossQuantiles",
    "LossShare",
    "MatthewsCorrCoef",
    "Metric",
    "MulticlassScorecard",
    "MultilabelScorecard",
    "Precision",
    "Recall",
    "RegressionScorecard",
    "Scorecard",
    "SegmentationScorecard",
    "task_card",
]
