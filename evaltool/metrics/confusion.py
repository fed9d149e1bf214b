"""The confusion matrix, and what is a single number of it."""

import math

import torch
from torch import Tensor

from evaltool.metrics.cases import sigmoid_cases, softmax_cases
from evaltool.metrics.metric import ClassificationMetric, Counted, checked_classes, checked_task, tally
from evaltool.numerics.arguments import checked_choice, checked_number

WEIGHTS = ("none", "linear", "quadratic")


class ConfusionMatrix(ClassificationMetric):
    """How often each class was labelled and predicted: int64 [label, pred].

    The prediction is the most probable class (the first of equals) or, of a sigmoid, 1 above the threshold.  Every
    metric of the confusion matrix has this state, so that theirs merge with each other's, and with ``confusion`` of a
    run's ``state.npz`` as ``counts``.

    Args:
        num_classes: C; not needed in binary, where it is 2.
        task: "multiclass", "binary" or "multilabel"; shapes in ``evaltool.metrics.cases``.
        threshold: probability in (0, 1) above which a sigmoid predicts 1.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        tolerance: how far a row of probabilities may sum from 1.

    Returns:
        int64 [C, C], or [C, 2, 2] in multilabel; 0 where nothing was counted.

    Raises:
        ValueError: an argument is outside its range.

    >>> confusion = ConfusionMatrix(num_classes=2)
    >>> confusion(torch.tensor([[2.0, 1.0], [0.0, 3.0], [0.5, 0.0]]), torch.tensor([0, 1, 1]))
    tensor([[1, 0],
            [1, 1]])
    """

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        task: str = "multiclass",
        threshold: float = 0.5,
        ignore_index: int = -100,
        preds_are: str = "logits",
        tolerance: float = 1e-3,
    ) -> None:
        classes = checked_classes(num_classes, checked_task(task))
        size = [classes, 2, 2] if task == "multilabel" else [classes, classes]
        super().__init__(size, task=task, ignore_index=ignore_index, preds_are=preds_are, tolerance=tolerance)
        self.num_classes = classes
        self.cutoff = cutoff_of(threshold, preds_are)

    def _counted(self, preds: Tensor, labels: Tensor) -> Counted:
        if self.task == "multiclass":
            cases = softmax_cases(preds, labels, self.preds_are, self.ignore_index, self.tolerance)
            check_classes(cases.preds, self.num_classes)
            places = cases.labels * self.num_classes + cases.preds.argmax(1)
        else:
            multilabel = self.task == "multilabel"
            cases = sigmoid_cases(preds, labels, self.preds_are, self.ignore_index, multilabel)
            pred = (cases.preds > self.cutoff).to(torch.int64)
            places = cases.labels * 2 + pred
            if multilabel:
                check_classes(cases.preds, self.num_classes)
                places = places + 4 * torch.arange(self.num_classes, device=places.device).unsqueeze(1)
        counts = tally(places, cases.counted, self.counts.numel())
        return Counted(counts.reshape(self.counts.shape), cases.n_bad)

    def _value(self, counts: Tensor) -> Tensor:
        return counts.clone()


class BalancedAccuracy(ConfusionMatrix):
    """Mean recall over the classes that occur in the labels, in [0, 1].

    In multilabel the mean is over the recalls of both labels, 1 and 0, of each class.

    Args, shapes and errors are ConfusionMatrix's.

    Returns:
        float64 []; NaN where nothing was counted.

    >>> metric = BalancedAccuracy(num_classes=3)
    >>> metric(torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0], [0.5, 0.0, 0.0]]), torch.tensor([0, 1, 1]))
    tensor(0.7500, dtype=torch.float64)
    """

    def _value(self, counts: Tensor) -> Tensor:
        counts = counts.to(torch.float64)
        classes = counts.size(-1)
        # the diagonals of one or several matrices
        hits = counts.reshape([-1, classes * classes])[:, :: classes + 1].reshape(-1)
        labelled = counts.sum(-1).reshape(-1)
        occurs = labelled > 0
        recall = torch.where(occurs, hits / labelled, torch.zeros_like(hits))
        return recall.sum() / occurs.sum()


class MatthewsCorrCoef(ConfusionMatrix):
    """Matthews correlation coefficient of labels and predictions, in [-1, 1].  Gorodkin 2004.

        (n h - Σ t p) / sqrt(Σ t (n - t) Σ p (n - p))

    n counted, h right, t labelled and p predicted as a class.  Args and errors are ConfusionMatrix's, multilabel left
    out.

    Returns:
        float64 []; 0 where all labels or all predictions are one class, as scikit-learn has it, or nothing was counted.

    >>> metric = MatthewsCorrCoef(task="binary")
    >>> metric(torch.tensor([1.5, 0.5, -2.0, -1.0]), torch.tensor([1, 0, 0, 0]))
    tensor(0.5774, dtype=torch.float64)
    """

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        task: str = "multiclass",
        threshold: float = 0.5,
        ignore_index: int = -100,
        preds_are: str = "logits",
        tolerance: float = 1e-3,
    ) -> None:
        super().__init__(
            num_classes=num_classes,
            task=checked_task(task, ("multiclass", "binary")),
            threshold=threshold,
            ignore_index=ignore_index,
            preds_are=preds_are,
            tolerance=tolerance,
        )

    def _value(self, counts: Tensor) -> Tensor:
        counts = counts.to(torch.float64)
        labelled, predicted, n = counts.sum(1), counts.sum(0), counts.sum()
        right = counts.reshape(-1)[:: counts.size(0) + 1].sum()
        # a product of sums, and not n^2 less a sum of squares: they are nearly equal where one class has almost all
        spread = ((labelled * (n - labelled)).sum() * (predicted * (n - predicted)).sum()).sqrt()
        none = spread == 0
        shared = n * right - (labelled * predicted).sum()
        return torch.where(none, torch.zeros_like(spread), shared / torch.where(none, torch.ones_like(spread), spread))


class CohenKappa(MatthewsCorrCoef):
    """Cohen's kappa of labels and predictions, in [-1, 1].  Cohen 1960; weighted: Cohen 1968.

        1 - n Σ w c / Σ w t p

    n counted, c the confusion matrix, t labelled and p predicted as a class; w is 1 off the diagonal, or the distance
    of the two classes, or its square.

    Args:
        weights: "none", "linear" or "quadratic" (classes that are ranks).
        num_classes, task, threshold, ignore_index, preds_are, tolerance: as of ConfusionMatrix, multilabel left out.

    Returns:
        float64 []; NaN where labels and predictions are all one class, or nothing was counted.

    Raises:
        ValueError: an argument is outside its range.

    >>> metric = CohenKappa(task="binary")
    >>> metric(torch.tensor([1.5, 0.5, -2.0, -1.0]), torch.tensor([1, 0, 0, 0]))
    tensor(0.5000, dtype=torch.float64)
    """

    def __init__(
        self,
        *,
        weights: str = "none",
        num_classes: int | None = None,
        task: str = "multiclass",
        threshold: float = 0.5,
        ignore_index: int = -100,
        preds_are: str = "logits",
        tolerance: float = 1e-3,
    ) -> None:
        super().__init__(
            num_classes=num_classes,
            task=task,
            threshold=threshold,
            ignore_index=ignore_index,
            preds_are=preds_are,
            tolerance=tolerance,
        )
        self.weights = checked_choice("weights", weights, WEIGHTS)

    def _value(self, counts: Tensor) -> Tensor:
        counts = counts.to(torch.float64)
        labelled, predicted, n = counts.sum(1), counts.sum(0), counts.sum()
        ranks = torch.arange(counts.size(0), device=counts.device).to(torch.float64)
        distance = (ranks.unsqueeze(1) - ranks).abs()
        if self.weights == "none":
            distance = distance.clamp(max=1.0)
        elif self.weights == "quadratic":
            distance = distance * distance
        return 1 - n * (distance * counts).sum() / (distance * labelled.unsqueeze(1) * predicted).sum()


def cutoff_of(threshold: float, preds_are: str) -> float:
    """Return a threshold in (0, 1) on probabilities as one on preds of a kind."""
    chance = checked_number("threshold", threshold, above=True, below=1.0)
    if preds_are == "probs":
        return chance
    return math.log(chance) if preds_are == "log-probs" else math.log(chance) - math.log1p(-chance)


def check_classes(preds: Tensor, num_classes: int) -> None:
    """Raise ValueError if preds [N, C, P] have another number of classes."""
    if preds.size(1) != num_classes:
        raise ValueError(f"preds have {preds.size(1)} classes, expected num_classes={num_classes}")
