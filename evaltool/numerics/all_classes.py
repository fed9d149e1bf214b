"""What is computed of every class of a softmax, not only of the label: odds of each, differences to the label's logit.

As in ``log_odds``, no digits are lost in either tail, and ``low`` holds what rounding took from the first number.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from evaltool.numerics.elementary import at_least_smallest, log1p, sum_error
from evaltool.numerics.log_odds import LabelOdds, exact_log, odds_of_ratio, softmax_odds, top_class


def class_odds(preds: Tensor, preds_are: str) -> tuple[LabelOdds, LabelOdds]:
    """Return the log-odds against each class and for each class, both of [N, C, *S].

    For every class but the largest, 1 - p_c holds the largest class: it is at least 1/2, and a difference from the
    total is exact enough. The largest class has its own sum over the others.

    Args:
        preds: float32 or float64 [N, C, *S]; -inf logits are masked classes, probabilities may share a factor.
        preds_are: "logits", "log-probs" (which are logits) or "probs".
    """
    top = top_class(preds, preds_are)
    index = top.place.unsqueeze(1)
    if preds_are == "probs":
        largest = preds.gather(1, index)
        others = preds.scatter(1, index, 0.0).sum(1, keepdim=True)
        total = largest + others
        rest = torch.where(total > 0, (total - preds).scatter(1, index, others), torch.nan)
        return odds_of_ratio(rest, preds), odds_of_ratio(preds, rest)
    of_top, _ = softmax_odds(preds, top.place, preds_are)
    u = (top.gaps + log1p(top.total.unsqueeze(1) - top.ratios)).scatter(1, index, of_top.u.unsqueeze(1))
    # what rounding took matters where 1 - p is small, and that is the largest class alone
    low = torch.zeros_like(u).scatter(1, index, of_top.low.unsqueeze(1))
    return LabelOdds(u, low), LabelOdds(-u, -low)


class Differences(NamedTuple):
    """z_c - z_label for each class c; both float [N, C, *S], in nats."""

    high: Tensor
    low: Tensor


def label_differences(preds: Tensor, labels: Tensor, preds_are: str) -> Differences:
    """Return each class's logit (or log-probability) minus the label's; -inf for a masked class.

    Args:
        preds: float32 or float64 [N, C, *S].
        labels: int64 [N, *S], each in 0..C-1.
        preds_are: "logits", "log-probs" or "probs".
    """
    index = labels.unsqueeze(1)
    low = torch.zeros_like(preds)
    if preds_are == "probs":
        floor = at_least_smallest(preds.gather(1, index))
        floor = torch.where(preds.sum(1, keepdim=True) > 0, floor, torch.nan)  # all 0 is no distribution
        log = exact_log(preds.scatter(1, index, floor))
        preds, low = log.u, log.low
    own = preds.gather(1, index)
    masked = (preds == -torch.inf) & ~own.isnan()
    high = torch.where(masked, preds, preds - own)
    low = low - low.gather(1, index) + sum_error(preds, -own)
    return Differences(high, torch.where(masked, torch.zeros_like(low), low))


def shifted(differences: Differences, shifts: Tensor) -> Differences:
    """Return differences with shifts, [N, C, *S] or what broadcasts to it, added; a shift of -inf masks a class."""
    masked = (differences.high == -torch.inf) | (shifts == -torch.inf)
    high = torch.where(masked, torch.full_like(differences.high, -torch.inf), differences.high + shifts)
    low = differences.low + sum_error(differences.high, shifts)
    return Differences(high, torch.where(masked, torch.zeros_like(low), low))


def odds_of(differences: Differences, labels: Tensor) -> LabelOdds:
    """Return u = logsumexp_{c != label}(differences), the log-odds against each label [N, *S]."""
    rest = differences.high.scatter(1, labels.unsqueeze(1), -torch.inf)
    largest = rest.detach().amax(1)
    masked = largest == -torch.inf
    largest = torch.where(largest.isinf(), torch.zeros_like(largest), largest)
    weights = (rest - largest.unsqueeze(1)).exp()
    total = weights.sum(1)
    masked = masked & ~total.isnan()  # ONNX Runtime's largest of NaN and -inf is -inf
    log_total = torch.where(masked, torch.ones_like(total), total).log()
    low = (weights * differences.low).sum(1).detach() / total.detach() + sum_error(largest, log_total)
    u = torch.where(masked, torch.full_like(log_total, -torch.inf), largest + log_total)
    return LabelOdds(u, torch.where(low.isfinite(), low, torch.zeros_like(low)))
