"""Brier score: the squared distance of the probabilities from the label.  Brier 1950."""

import torch
from torch import Tensor

from evaltool.metrics.cases import sigmoid_cases, softmax_cases
from evaltool.metrics.class_odds import sigmoid_chances, sigmoid_squares, softmax_squares
from evaltool.metrics.metric import ClassificationMetric, Counted, exactly, total
from evaltool.numerics.float_bins import octave_edges, octave_parts, octave_sum
from evaltool.numerics.float_bits import OCTAVES
from evaltool.numerics.log_odds import top_class


class BrierScore(ClassificationMetric):
    """Mean of the squared distance of the probabilities from the label.

        softmax: Σ_c (p_c - y_c)^2, in [0, 2]          sigmoid: (p - y)^2, in [0, 1]

    The terms are float32, their sum is exact.  Any number of classes will do.  State: int64 [256], the sums of the
    terms by octave (``numerics.float_bins``), then how many there were.

    Args:
        task: "multiclass", "binary" or "multilabel"; shapes in ``evaltool.metrics.cases``.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        tolerance: how far a row of probabilities may sum from 1.

    Returns:
        float64 []; NaN where nothing was counted.

    Raises:
        ValueError: an argument is outside its range.

    >>> metric = BrierScore(task="binary", preds_are="probs")
    >>> metric(torch.tensor([0.75, 0.5]), torch.tensor([1, 0]))
    tensor(0.1562, dtype=torch.float64)
    """

    octaves: Tensor

    def __init__(
        self,
        *,
        task: str = "multiclass",
        ignore_index: int = -100,
        preds_are: str = "logits",
        tolerance: float = 1e-3,
    ) -> None:
        super().__init__([OCTAVES + 1], task=task, ignore_index=ignore_index, preds_are=preds_are, tolerance=tolerance)
        self.register_buffer("octaves", octave_edges())

    def _counted(self, preds: Tensor, labels: Tensor) -> Counted:
        if self.task == "multiclass":
            cases = softmax_cases(preds, labels, self.preds_are, self.ignore_index, self.tolerance)
            values = softmax_squares(top_class(cases.preds, self.preds_are), cases.labels)
        else:
            multilabel = self.task == "multilabel"
            cases = sigmoid_cases(preds, labels, self.preds_are, self.ignore_index, multilabel)
            values = sigmoid_squares(sigmoid_chances(cases.preds, self.preds_are), cases.labels > 0)
        octaves, units = octave_parts(exactly(values, cases.counted).to(torch.float32), self.octaves)
        sums = total(units, octaves, self.counts.numel() - 1)
        return Counted(torch.cat([sums, cases.counted.sum().unsqueeze(0)]), cases.n_bad)

    def _value(self, counts: Tensor) -> Tensor:
        return octave_sum(counts[:-1], self.octaves) / counts[-1].to(torch.float64)
