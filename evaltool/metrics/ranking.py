"""AUROC and average precision from fixed bins, with the bound of their error.

What is in one bin is taken as tied, which is all that is lost: the error is at most that of the worst order within the
bins, and ``error_bound`` computes it from the counts.
"""

import torch
from torch import Tensor

from evaltool.metrics.class_odds import class_cases, odds_bins
from evaltool.metrics.metric import ClassificationMetric, Counted, checked_classes, checked_task, exactly, tally
from evaltool.numerics.arguments import checked_choice, checked_index
from evaltool.numerics.positions import ratio

AVERAGES = ("none", "macro", "micro", "weighted")


class BinnedRanking(ClassificationMetric):
    """A metric of the order of a class's probabilities, each class against the rest; see AUROC for the arguments.

    A subclass gives ``_ranked(negatives, positives) -> (value, error bound)``, [K] each, from counts [K, B], NaN
    where undefined.
    """

    def __init__(
        self,
        *,
        average: str = "macro",
        num_bins: int = 4096,
        num_classes: int | None = None,
        task: str = "multiclass",
        ignore_index: int = -100,
        preds_are: str = "logits",
        tolerance: float = 1e-3,
    ) -> None:
        classes = checked_classes(num_classes, checked_task(task))
        classes = 1 if task == "binary" else classes
        if checked_index("num_bins", num_bins) < 2:
            raise ValueError(f"num_bins={num_bins!r}, expected 2 or more")
        super().__init__(
            [classes, 2, num_bins],
            task=task,
            ignore_index=ignore_index,
            preds_are=preds_are,
            tolerance=tolerance,
        )
        self.average = checked_choice("average", average, AVERAGES)
        self.num_bins = num_bins
        self.num_classes = classes

    @torch.jit.export
    def error_bound(self) -> Tensor:
        """Return how far the value can be from that of unbinned preds, shaped as the value."""
        return self._averaged(self.counts, 1)

    def _counted(self, preds: Tensor, labels: Tensor) -> Counted:
        cases = class_cases(
            preds, labels, self.task, self.num_classes, self.preds_are, self.ignore_index, self.tolerance
        )
        bins = odds_bins(exactly(cases.odds, cases.counted), self.num_bins).to(torch.int64)
        classes = torch.arange(self.num_classes, device=bins.device).unsqueeze(1)
        places = (classes * 2 + cases.positive.to(torch.int64)) * self.num_bins + bins
        counts = tally(places, cases.counted, self.counts.numel())
        return Counted(counts.reshape(self.counts.shape), cases.n_bad)

    def _value(self, counts: Tensor) -> Tensor:
        return self._averaged(counts, 0)

    def _averaged(self, counts: Tensor, which: int) -> Tensor:
        """Return the average over the classes of the values (0) or of the error bounds (1)."""
        counts = counts.to(torch.float64)
        if self.average == "micro":
            counts = counts.sum(0, keepdim=True)
        ranked = self._ranked(counts[:, 0], counts[:, 1])
        values = ranked[0] if which == 0 else ranked[1]
        if self.average == "none":
            return values
        known = ~values.isnan()
        weights = known.to(torch.float64)
        if self.average == "weighted":
            weights = weights * counts[:, 1].sum(1)
        return torch.where(known, values * weights, torch.zeros_like(values)).sum() / weights.sum()

    def _ranked(self, negatives: Tensor, positives: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


class AUROC(BinnedRanking):
    """Area under the ROC curve of each class against the rest, in [0, 1], from bins of the log-odds.

    The chance that a positive stands above a negative, one in the same bin counting half; the error is at most
    half the share of the pairs that are in one bin, Σ n_b p_b / (2 n p).

    Args:
        average: "macro", the mean over the classes where it is defined; "weighted", that by how often each is the
            label; "micro", all classes in one; "none", one value per class.
        num_bins: of the log-odds from -32 to 32; the state takes 16 bytes of each per class.
        num_classes: C; not needed in binary.
        task: "multiclass", "binary" or "multilabel"; shapes in ``evaltool.metrics.cases``.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        tolerance: how far a row of probabilities may sum from 1.

    Returns:
        float64 [], or [C] where ``average="none"`` ([1] in binary); NaN where a class has no positives or no negatives.

    Raises:
        ValueError: an argument is outside its range.

    >>> metric = AUROC(task="binary")
    >>> metric(torch.tensor([1.5, -0.5, -2.0, -1.0, 1.0]), torch.tensor([1, 1, 0, 0, 0]))
    tensor(0.8333, dtype=torch.float64)
    """

    def _ranked(self, negatives: Tensor, positives: Tensor) -> tuple[Tensor, Tensor]:
        below = negatives.cumsum(1) - negatives
        pairs = negatives.sum(1) * positives.sum(1)
        tied = (positives * negatives).sum(1) / 2
        return ((positives * below).sum(1) + tied) / pairs, tied / pairs


class AveragePrecision(BinnedRanking):
    """Average precision of each class against the rest, Σ (recall_b - recall_b-1) precision_b, in [0, 1].

    The sum runs over the bins of the log-odds, from the highest, each one a threshold. In the worst order within its
    bin a positive has the precision (T + 1) / (T + 1 + F + f), in the best (T + t) / (T + t + F), with T and F
    positives and negatives above the bin and t and f in it: the larger deviation bounds the error.

    Args and errors are AUROC's.

    Returns:
        float64 [], or [C] where ``average="none"`` ([1] in binary); NaN where a class has no positives.

    >>> metric = AveragePrecision(task="binary")
    >>> metric(torch.tensor([1.5, -0.5, -2.0, -1.0, 1.0]), torch.tensor([1, 1, 0, 0, 0]))
    tensor(0.8333, dtype=torch.float64)
    """

    def _ranked(self, negatives: Tensor, positives: Tensor) -> tuple[Tensor, Tensor]:
        found = positives.sum(1, keepdim=True)
        # of the bin and all above it; of those above alone
        upto, false_upto = found - positives.cumsum(1) + positives, _from_the_top(negatives)
        above, false_above = upto - positives, false_upto - negatives
        shares = positives / found
        value = (shares * ratio(upto, upto + false_upto)).sum(1)
        highest = (shares * ratio(upto, upto + false_above)).sum(1)
        lowest = (shares * (above + 1) / (above + 1 + false_upto)).sum(1)
        return value, torch.maximum(highest - value, value - lowest)


def _from_the_top(counts: Tensor) -> Tensor:
    """Return how many are in a bin or above it; [K, B]."""
    return counts.sum(1, keepdim=True) - counts.cumsum(1) + counts
