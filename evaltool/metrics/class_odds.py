"""The log-odds of each class in bins: what ranking and calibration metrics count.

log(p / (1 - p)) keeps apart what probabilities near 0 and 1 do not: sigmoid(20) is 1 in float32.  The bins are equally
wide between -32 and 32; what is beyond is in the outermost ones.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from evaltool.metrics.cases import sigmoid_cases, softmax_cases
from evaltool.metrics.confusion import check_classes
from evaltool.metrics.metric import exactly
from evaltool.numerics.all_classes import class_odds
from evaltool.numerics.log_odds import LabelOdds, sigmoid_odds


class ClassCases(NamedTuple):
    """Each class against the rest, K of them: C, or 1 in binary; [N, K, P]."""

    against: LabelOdds  # log-odds against the class
    positive: Tensor  # bool, the class is the label
    counted: Tensor  # bool
    n_bad: Tensor  # int64 [], samples that cannot be scored


def class_cases(
    preds: Tensor, labels: Tensor, task: str, num_classes: int, preds_are: str, ignore_index: int, tolerance: float
) -> ClassCases:
    """Return each class against the rest, of preds and labels as ``evaltool.metrics.cases`` tells."""
    if task == "multiclass":
        cases = softmax_cases(preds, labels, preds_are, ignore_index, tolerance)
        check_classes(cases.preds, num_classes)
        classes = torch.arange(num_classes, device=labels.device).unsqueeze(1)
        positive = cases.labels.unsqueeze(1) == classes
        counted = cases.counted.unsqueeze(1).expand_as(positive)
        return ClassCases(class_odds(cases.preds, preds_are)[0], positive, counted, cases.n_bad)
    cases = sigmoid_cases(preds, labels, preds_are, ignore_index, task == "multilabel")
    check_classes(cases.preds, num_classes)
    return ClassCases(sigmoid_odds(cases.preds, preds_are)[0], cases.labels > 0, cases.counted, cases.n_bad)


def odds_bins(odds: Tensor, counted: Tensor, num_bins: int) -> Tensor:
    """Return the bins, int64 in 0..num_bins-1, of log-odds in nats; 0-odds where not counted."""
    near = exactly(odds, counted).clamp(-32.0, 32.0)
    return ((near + 32.0) * (num_bins / 64.0)).floor().to(torch.int64).clamp(max=num_bins - 1)
