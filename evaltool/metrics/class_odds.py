"""What ranking, calibration and Brier score take of each class, and the bins they count it in.

log(p / (1 - p)) keeps apart what probabilities near 0 and 1 do not: sigmoid(20) is 1 in float32.  The bins are equally
wide between -32 and 32; what is beyond is in the outermost ones.

All of a softmax follows from its classes' ratios to the most probable one, t: with r_c = p_c / p_t and R the sum of the
others'

    p_c = r_c / (1 + R)        p_t = 1 / (1 + R)
    odds of c = r_c / (1 + (R - r_c))        odds of t = 1 / R

The sums in brackets are 1 or more beside 1, so that nothing is lost that a bin could see.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from evaltool.metrics.cases import sigmoid_cases, softmax_cases
from evaltool.metrics.confusion import check_classes
from evaltool.numerics.log_odds import TopClass, sigmoid_odds, top_class


class ClassCases(NamedTuple):
    """Each class against the rest, K of them: C, or 1 in binary; [N, K, P]."""

    odds: Tensor  # log-odds for the class, in nats
    probs: Tensor  # its probability
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
        top = top_class(cases.preds, preds_are)
        return ClassCases(softmax_class_odds(top), softmax_probs(top), positive, counted, cases.n_bad)
    cases = sigmoid_cases(preds, labels, preds_are, ignore_index, task == "multilabel")
    check_classes(cases.preds, num_classes)
    chances = sigmoid_chances(cases.preds, preds_are)
    return ClassCases(chances.odds, chances.of_one, cases.labels > 0, cases.counted, cases.n_bad)


def softmax_class_odds(top: TopClass) -> Tensor:
    """Return the log-odds for each class, in nats; float [N, C, *S]."""
    against = (top.total.unsqueeze(1) - top.ratios).add_(1.0).log_().add_(top.gaps)
    return against.neg_().scatter_(1, top.place.unsqueeze(1), -top.total.log().unsqueeze(1))


def softmax_probs(top: TopClass) -> Tensor:
    """Return the probability of each class; float [N, C, *S]."""
    whole = (1 + top.total).unsqueeze(1)
    return (top.ratios / whole).scatter_(1, top.place.unsqueeze(1), 1 / whole)


def softmax_squares(top: TopClass, labels: Tensor) -> Tensor:
    """Return the squared distance of the probabilities from the label, Σ_c (p_c - y_c)^2; float [N, *S].

    Args:
        top: the softmax.
        labels: int64 [N, *S], each in 0..C-1.
    """
    own = top.ratios.gather(1, labels.unsqueeze(1)).squeeze(1)
    right = labels == top.place
    squares = (top.ratios * top.ratios).sum(1)
    miss = torch.where(right, top.total, 1 + (top.total - own))
    others = torch.where(right, squares, 1 + (squares - own * own))
    whole = 1 + top.total
    miss = miss / whole
    return miss * miss + others / whole / whole


class Chances(NamedTuple):
    """What a sigmoid gives each of its two labels."""

    odds: Tensor  # log-odds for label 1, in nats
    of_one: Tensor  # the probability of label 1
    of_zero: Tensor  # that of label 0


def sigmoid_chances(preds: Tensor, preds_are: str) -> Chances:
    """Return the chances of preds of any shape."""
    against, _ = sigmoid_odds(preds, preds_are)
    r = (-against.u.abs()).exp() * (1 - against.u.sign() * against.low)
    likely = 1 / (1 + r)
    unlikely = r * likely
    # by factors of 0 and 1: torch.where takes many times as long where it cannot foresee its choice
    zero = (against.u >= 0).to(r.dtype)
    one = 1 - zero
    return Chances(-against.u, zero * unlikely + one * likely, zero * likely + one * unlikely)


def sigmoid_squares(chances: Chances, one: Tensor) -> Tensor:
    """Return the squared distance of the probability from the label, which is 1 where ``one``, a bool, is."""
    chosen = one.to(chances.of_one.dtype)
    miss = chosen * chances.of_zero + (1 - chosen) * chances.of_one
    return miss * miss


def odds_bins(odds: Tensor, num_bins: int) -> Tensor:
    """Return the bins, whole floats in 0..num_bins-1, of log-odds in nats."""
    return odds.clamp(-32.0, 32.0).add_(32.0).mul_(num_bins / 64.0).floor_().clamp_(max=num_bins - 1.0)


def width_bins(probs: Tensor, num_bins: int) -> Tensor:
    """Return the bins of equal width, whole floats in 0..num_bins-1, of probabilities, float64."""
    return (probs * num_bins).floor_().clamp_(max=num_bins - 1.0)


def prob_units(probs: Tensor) -> Tensor:
    """Return probabilities, float64, in units of 2^-28, whole floats, rounded to the nearest."""
    return (probs * 268435456.0).add_(0.5).floor_()
