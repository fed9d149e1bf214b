"""Calibration error: how far confidence is from how often it is right, over bins of the confidence."""

from typing import NamedTuple

import torch
from torch import Tensor

from evaltool.metrics.cases import sigmoid_cases, softmax_cases
from evaltool.metrics.class_odds import class_cases, odds_bins, prob_units, sigmoid_chances, width_bins
from evaltool.metrics.metric import ClassificationMetric, Counted, checked_classes, checked_task, exactly, total
from evaltool.numerics.arguments import checked_choice, checked_index
from evaltool.numerics.log_odds import top_class

FORMS = ("auto", "top-label", "class-wise")
BINNINGS = ("equal-width", "equal-mass")
NORMS = ("l1", "l2", "max")
FINE_BINS = 1024


class Confidence(NamedTuple):
    """How sure each case is and whether it is right; [N, K, P]."""

    probs: Tensor  # of what is predicted, or of the class
    odds: Tensor  # their log-odds, in nats
    right: Tensor  # bool
    counted: Tensor  # bool
    n_bad: Tensor  # int64 []


class CalibrationError(ClassificationMetric):
    """Expected calibration error, in [0, 1].  Naeini 2015; class-wise: Kull 2019, arXiv:1910.12656.

        l1: Σ_b n_b |a_b - c_b| / n        l2: sqrt(Σ_b n_b (a_b - c_b)^2 / n)        max: max_b |a_b - c_b|

    a_b is the share that is right in bin b, c_b the mean confidence. Top-label, the confidence is the probability of
    what is predicted; class-wise it is that of each class, right where it is the label, and the value is the mean over
    the classes.  Bins of equal width hold their lower edge.  Bins of equal mass are made of 1,024 bins of the log-odds
    from -32 to 32, none of which is split: each goes where its middle rank falls.

    The state, int64 [K, bins, 3], holds how many, how many right, and the sum of confidences in units of 2^-28, each
    rounded to the nearest: the value is off by 2^-29 = 1.9e-9 at most, and 3e10 cases fit.

    Args:
        form: "top-label", "class-wise", or "auto": class-wise in multilabel, where the other is not defined.
        binning: "equal-width" or "equal-mass".
        num_bins: 1 or more.
        norm: "l1", "l2" or "max".
        num_classes: C; not needed for top-label and binary.
        task: "multiclass", "binary" or "multilabel"; shapes in ``evaltool.metrics.cases``.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        tolerance: how far a row of probabilities may sum from 1.

    Returns:
        float64 []; NaN where nothing was counted.

    Raises:
        ValueError: an argument is outside its range.

    >>> metric = CalibrationError(task="binary", form="class-wise", preds_are="probs")
    >>> metric(torch.tensor([0.75, 0.75, 0.25]), torch.tensor([1, 0, 0]))
    tensor(0.2500, dtype=torch.float64)
    """

    def __init__(
        self,
        *,
        form: str = "auto",
        binning: str = "equal-width",
        num_bins: int = 15,
        norm: str = "l1",
        num_classes: int | None = None,
        task: str = "multiclass",
        ignore_index: int = -100,
        preds_are: str = "logits",
        tolerance: float = 1e-3,
    ) -> None:
        multilabel = checked_task(task) == "multilabel"
        if checked_choice("form", form, FORMS) == "top-label" and multilabel:
            raise ValueError("form='top-label', expected 'class-wise' where task='multilabel'")
        if form == "auto":
            form = "class-wise" if multilabel else "top-label"
        classes = 1
        if form == "class-wise" and task != "binary":
            classes = checked_classes(num_classes, task)
        if checked_index("num_bins", num_bins) < 1:
            raise ValueError(f"num_bins={num_bins!r}, expected 1 or more")
        kept = num_bins if checked_choice("binning", binning, BINNINGS) == "equal-width" else FINE_BINS
        super().__init__(
            [classes, kept, 3], task=task, ignore_index=ignore_index, preds_are=preds_are, tolerance=tolerance
        )
        self.form = form
        self.binning = binning
        self.num_bins = num_bins
        self.norm = checked_choice("norm", norm, NORMS)
        self.num_classes = classes

    def _confidence(self, preds: Tensor, labels: Tensor) -> Confidence:
        if self.form == "class-wise":
            cases = class_cases(
                preds, labels, self.task, self.num_classes, self.preds_are, self.ignore_index, self.tolerance
            )
            return Confidence(cases.probs, cases.odds, cases.positive, cases.counted, cases.n_bad)
        if self.task == "multiclass":
            given = softmax_cases(preds, labels, self.preds_are, self.ignore_index, self.tolerance)
            top = top_class(given.preds, self.preds_are)
            probs, odds, right = 1 / (1 + top.total), -top.total.log(), top.place == given.labels
            return Confidence(
                probs.unsqueeze(1), odds.unsqueeze(1), right.unsqueeze(1), given.counted.unsqueeze(1), given.n_bad
            )
        given = sigmoid_cases(preds, labels, self.preds_are, self.ignore_index, False)
        chances = sigmoid_chances(given.preds, self.preds_are)
        right = (chances.odds > 0) == (given.labels > 0)
        surer = torch.maximum(chances.of_one, chances.of_zero)
        return Confidence(surer, chances.odds.abs(), right, given.counted, given.n_bad)

    def _counted(self, preds: Tensor, labels: Tensor) -> Counted:
        cases = self._confidence(preds, labels)
        kept = self.counts.size(1)
        probs = exactly(cases.probs, cases.counted).to(torch.float64)
        if self.binning == "equal-width":
            bins = width_bins(probs, kept).to(torch.int64)
        else:
            bins = odds_bins(exactly(cases.odds, cases.counted), kept).to(torch.int64)
        places = torch.arange(self.num_classes, device=bins.device).unsqueeze(1) * kept + bins
        size = self.num_classes * kept
        sums = [
            total(cases.counted.to(torch.int64), places, size),
            total((cases.right & cases.counted).to(torch.int64), places, size),
            total(prob_units(probs).to(torch.int64), places, size),
        ]
        return Counted(torch.stack(sums, 1).reshape(self.counts.shape), cases.n_bad)

    def _value(self, counts: Tensor) -> Tensor:
        if self.binning == "equal-mass":
            counts = equal_mass(counts, self.num_bins)
        return calibration_errors(counts, self.norm).mean()


def calibration_errors(counts: Tensor, norm: str) -> Tensor:
    """Return the calibration error of each class, float64 [K], of counts [K, B, 3]; NaN where nothing was counted."""
    sums = counts.to(torch.float64)
    n, right, confident = sums[:, :, 0], sums[:, :, 1], sums[:, :, 2] / 268435456.0
    of_all = n.sum(1)
    gaps = (right - confident).abs()
    per_case = gaps / torch.where(n > 0, n, torch.ones_like(n))
    if norm == "l1":
        return gaps.sum(1) / of_all
    if norm == "l2":
        return ((gaps * per_case).sum(1) / of_all).sqrt()
    return torch.where(of_all > 0, per_case.amax(1), torch.full_like(of_all, torch.nan))


def equal_mass(counts: Tensor, num_bins: int) -> Tensor:
    """Return counts [K, B, 3] of fine bins as those of bins with about as many cases each, [K, num_bins, 3]."""
    n = counts[:, :, 0]
    twice_middle = 2 * n.cumsum(1) - n
    bins = torch.div(twice_middle * num_bins, (2 * n.sum(1, keepdim=True)).clamp(min=1), rounding_mode="floor")
    bins = bins.clamp(max=num_bins - 1)
    none = torch.zeros([counts.size(0), num_bins, 3], dtype=torch.int64, device=counts.device)
    return none.scatter_add(1, bins.unsqueeze(2).expand(-1, -1, 3), counts)
