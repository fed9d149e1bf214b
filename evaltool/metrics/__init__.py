"""Per-sample metrics as scriptable modules: one scorecard for each task, and one of all the columns."""

from evaltool.metrics.binary import BinaryScorecard, MultilabelScorecard
from evaltool.metrics.multiclass import MulticlassScorecard
from evaltool.metrics.regression import RegressionScorecard
from evaltool.metrics.scorecard import Scorecard, task_card
from evaltool.metrics.segmentation import SegmentationScorecard

__all__ = [
    "BinaryScorecard",
    "MulticlassScorecard",
    "MultilabelScorecard",
    "RegressionScorecard",
    "Scorecard",
    "SegmentationScorecard",
    "task_card",
]
