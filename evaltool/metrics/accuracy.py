"""Accuracy and top-k accuracy."""

import torch
from torch import Tensor

from evaltool.metrics.cases import sigmoid_cases, softmax_cases
from evaltool.metrics.confusion import cutoff_of
from evaltool.metrics.metric import ClassificationMetric, Counted
from evaltool.numerics.arguments import checked_index


class Accuracy(ClassificationMetric):
    """Share of what was predicted right, in [0, 1]; of positions in a segmentation, of single labels in multilabel.

    Right is a softmax whose label is among the ``top_k`` most probable classes; of equal ones the lower index comes
    first.  Any number of classes will do.  State: int64 [2], how many were right and how many were counted.

    Args:
        top_k: how many classes are looked at, 1 or more; of a softmax only.
        task: "multiclass", "binary" or "multilabel"; shapes in ``evaltool.metrics.cases``.
        threshold: probability in (0, 1) above which a sigmoid predicts 1.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        tolerance: how far a row of probabilities may sum from 1.

    Returns:
        float64 []; NaN where nothing was counted.

    Raises:
        ValueError: an argument is outside its range.

    >>> preds, labels = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0], [0.5, 0.1, 0.0]]), torch.tensor([0, 1, 1])
    >>> Accuracy()(preds, labels)
    tensor(0.6667, dtype=torch.float64)
    >>> Accuracy(top_k=2)(preds, labels)
    tensor(1., dtype=torch.float64)
    """

    def __init__(
        self,
        *,
        top_k: int = 1,
        task: str = "multiclass",
        threshold: float = 0.5,
        ignore_index: int = -100,
        preds_are: str = "logits",
        tolerance: float = 1e-3,
    ) -> None:
        super().__init__([2], task=task, ignore_index=ignore_index, preds_are=preds_are, tolerance=tolerance)
        self.top_k = checked_index("top_k", top_k)
        if self.top_k < 1 or (self.top_k > 1 and task != "multiclass"):
            raise ValueError(f"top_k={top_k!r}, expected 1 or more, and 1 where task={task!r}")
        self.cutoff = cutoff_of(threshold, preds_are)

    def _counted(self, preds: Tensor, labels: Tensor) -> Counted:
        if self.task == "multiclass":
            cases = softmax_cases(preds, labels, self.preds_are, self.ignore_index, self.tolerance)
            right = label_ranks(cases.preds, cases.labels) < self.top_k
        else:
            multilabel = self.task == "multilabel"
            cases = sigmoid_cases(preds, labels, self.preds_are, self.ignore_index, multilabel)
            right = (cases.preds > self.cutoff) == (cases.labels > 0)
        return Counted(torch.stack([(right & cases.counted).sum(), cases.counted.sum()]), cases.n_bad)

    def _value(self, counts: Tensor) -> Tensor:
        right = counts.to(torch.float64)
        return right[0] / right[1]


def label_ranks(preds: Tensor, labels: Tensor) -> Tensor:
    """Return how many classes stand before the label's; int64 [N, P] for preds [N, C, P] and labels [N, P]."""
    index = labels.unsqueeze(1)
    own = preds.gather(1, index)
    classes = torch.arange(preds.size(1), device=preds.device).unsqueeze(1)
    return ((preds > own) | ((preds == own) & (classes < index))).sum(1)
