"""Precision, recall, F1, Jaccard index and Dice score: ratios of the hits to what was labelled and predicted."""

import torch
from torch import Tensor

from evaltool.metrics.confusion import ConfusionMatrix
from evaltool.numerics.arguments import checked_choice
from evaltool.numerics.positions import ratio

AVERAGES = ("auto", "binary", "none", "macro", "micro", "weighted")


class ClassRate(ConfusionMatrix):
    """A ratio per class; a subclass gives ``_parts(hits, labelled, predicted)``: numerator and denominator.

    A ratio without a denominator is 0 (scikit-learn's ``zero_division=0``).

    Args:
        average: "none" for one value per class; "macro" for their mean over the classes that occur in the labels or
            the predictions (multilabel: over all), "weighted" for that by how often each is labelled; "micro" for the
            ratio of the sums; "binary" for the value of class 1; "auto" for "binary" in that task and else "macro".
        num_classes, task, threshold, ignore_index, preds_are, tolerance: as of ConfusionMatrix.

    Returns:
        float64 [], or [C] where ``average="none"``, in [0, 1]; 0 where nothing was counted.

    Raises:
        ValueError: an argument is outside its range.
    """

    def __init__(
        self,
        *,
        average: str = "auto",
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
        self.average = checked_choice("average", average, AVERAGES)
        if average == "binary" and task != "binary":
            raise ValueError(f"average='binary', expected task='binary' beside it, not {task!r}")
        if average == "auto":
            self.average = "binary" if task == "binary" else "macro"

    def _value(self, counts: Tensor) -> Tensor:
        counts = counts.to(torch.float64)
        if self.task == "multilabel":
            hits, labelled, predicted = counts[:, 1, 1], counts[:, 1].sum(1), counts[:, :, 1].sum(1)
            occurs = torch.ones_like(hits)
        else:
            hits = counts.reshape(-1)[:: counts.size(0) + 1]
            labelled, predicted = counts.sum(1), counts.sum(0)
            occurs = (labelled + predicted > 0).to(torch.float64)
        if self.average == "micro":
            parts = self._parts(hits.sum(), labelled.sum(), predicted.sum())
            return ratio(parts[0], parts[1])
        parts = self._parts(hits, labelled, predicted)
        rates = ratio(parts[0], parts[1])
        if self.average == "none":
            return rates
        if self.average == "binary":
            return rates[1]
        weights = labelled if self.average == "weighted" else occurs
        return ratio((rates * weights).sum(), weights.sum())

    def _parts(self, hits: Tensor, labelled: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


class Precision(ClassRate):
    """Of what was predicted as a class, the share that is labelled so.  Args, values and errors are ClassRate's.

    >>> metric = Precision(task="binary")
    >>> metric(torch.tensor([1.5, 0.5, -2.0, -1.0]), torch.tensor([1, 0, 0, 0]))
    tensor(0.5000, dtype=torch.float64)
    """

    def _parts(self, hits: Tensor, labelled: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
        return hits, predicted


class Recall(ClassRate):
    """Of what is labelled as a class, the share that was predicted so.  Args, values and errors are ClassRate's.

    >>> metric = Recall(task="binary", average="none")
    >>> metric(torch.tensor([1.5, 0.5, -2.0, -1.0]), torch.tensor([1, 0, 0, 0]))
    tensor([0.6667, 1.0000], dtype=torch.float64)
    """

    def _parts(self, hits: Tensor, labelled: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
        return hits, labelled


class F1Score(ClassRate):
    """Harmonic mean of precision and recall, 2 hits / (labelled + predicted).  Args, values, errors are ClassRate's.

    >>> metric = F1Score(num_classes=3, average="none")
    >>> metric(torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0], [0.5, 0.0, 0.0]]), torch.tensor([0, 1, 1]))
    tensor([0.6667, 0.6667, 0.0000], dtype=torch.float64)
    """

    def _parts(self, hits: Tensor, labelled: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * hits, labelled + predicted


class DiceScore(F1Score):
    """Dice score of the predicted and the labelled regions, the F1 score of positions over all samples together.

    Args, values and errors are ClassRate's.

    >>> metric = DiceScore(task="binary")
    >>> metric(torch.tensor([[[1.5, 0.5], [-2.0, -1.0]]]), torch.tensor([[[1, 0], [0, 0]]]))
    tensor(0.6667, dtype=torch.float64)
    """


class JaccardIndex(ClassRate):
    """Intersection of the predicted and the labelled regions over their union.  Args, values, errors are ClassRate's.

    >>> metric = JaccardIndex(task="binary")
    >>> metric(torch.tensor([[[1.5, 0.5], [-2.0, -1.0]]]), torch.tensor([[[1, 0], [0, 0]]]))
    tensor(0.5000, dtype=torch.float64)
    """

    def _parts(self, hits: Tensor, labelled: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
        return hits, labelled + predicted - hits
