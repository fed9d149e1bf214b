"""The log-odds against the label, from which every classification loss follows.

For a softmax over C classes with logits z and label t

    u = logsumexp_{j != t}(z_j) - z_t          (one logit x and label y: u = -x if y else x)
    r = exp(-|u|)
    cross-entropy = max(u, 0) + log1p(r)
    1 - p_t       = (1 if u >= 0 else r) / (1 + r)
    focal         = (1 - p_t)^gamma * cross-entropy

Nothing here subtracts two nearly equal numbers, so float32 keeps its digits for confident samples
(u very negative), where ``1 - exp(-cross_entropy)`` has none left.  ``LabelOdds.low`` is what rounding ``u``
to the working precision lost: a rounding of u = 88 moves r by 4e-6, and r^6 by 2e-5.

Written as ``torch.where(u >= 0, ...)`` and not with ``abs`` and ``max``, each branch is smooth where it is used: the
gradient is right at u = 0 too, the value of a network's first output.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from evaltool.numerics.elementary import at_least_smallest, expm1, log1p, log_error, sum_error


class LabelOdds(NamedTuple):
    """u + low = log((1 - p_label) / p_label), in nats; both float [N, *S]."""

    u: Tensor
    low: Tensor


class OtherClasses(NamedTuple):
    """The classes beside the label: weights proportional to their probabilities, 0 at the label."""

    weights: Tensor  # [N, C, *S]
    total: Tensor  # [N, *S], the sum of the weights


def _without_low(u: Tensor) -> LabelOdds:
    return LabelOdds(u, torch.zeros_like(u))


def snapped(preds: Tensor, low: float, high: float) -> Tensor:
    """Return preds in [low, high] where rounding alone (1e-6) left them outside; others outside give NaN later."""
    near = (preds > low - 1e-6) & (preds < high + 1e-6)
    return torch.where(near, preds.clamp(low, high), preds)


def exact_log(values: Tensor) -> LabelOdds:
    """Return the logarithm of values >= 0, such as odds; exactly -inf, with a zero gradient, where they are 0."""
    none = values == 0
    u = torch.where(none, torch.ones_like(values), values).log()
    low = torch.where(none, torch.zeros_like(u), log_error(values, u))
    return LabelOdds(torch.where(none, torch.full_like(u, -torch.inf), u), low)


def odds_of_ratio(against: Tensor, own: Tensor) -> LabelOdds:
    """Return log(against / own) for probabilities >= 0; an ``own`` of 0 counts as the smallest normal float32.

    A difference of logarithms, for the gradient of the ratio holds 1 / own^2, which float32 cannot.
    """
    high = exact_log(against)
    low = exact_log(at_least_smallest(own))
    return LabelOdds(high.u - low.u, high.low - low.low + sum_error(high.u, -low.u))


def log_complement(log_probs: Tensor) -> Tensor:
    """Return log(1 - p) for log p <= 0; 0, with a zero gradient, where p is 1."""
    complement = -expm1(log_probs)
    return torch.where(complement > 0, complement, torch.ones_like(complement)).log()


def softmax_odds(preds: Tensor, labels: Tensor, preds_are: str) -> tuple[LabelOdds, OtherClasses]:
    """Return the log-odds against each label, and the other classes' weights.

    Args:
        preds: float32 or float64 [N, C, *S]; -inf logits are masked classes.  Probabilities are taken up to a
            common factor; one of the label below the smallest normal float32 counts as that much.
        labels: int64 [N, *S], each in 0..C-1.
        preds_are: "logits", "log-probs" (which are logits) or "probs".
    """
    index = labels.unsqueeze(1)
    own = preds.gather(1, index).squeeze(1)
    if preds_are == "probs":
        weights = preds.scatter(1, index, 0.0)
        total = weights.sum(1)
        odds = odds_of_ratio(torch.where(own + total > 0, total, torch.nan), own)
        largest = weights.detach().amax(1)
        weights = weights / torch.where(largest > 0, largest, torch.ones_like(largest)).unsqueeze(1)
        return odds, OtherClasses(weights, weights.sum(1))
    rest = preds.scatter(1, index, -torch.inf)
    largest = rest.detach().amax(1)
    masked = largest == -torch.inf
    largest = torch.where(masked, torch.zeros_like(largest), largest)
    weights = (rest - largest.unsqueeze(1)).exp()
    total = weights.sum(1)
    masked = masked & ~total.isnan()  # ONNX Runtime's largest of NaN and -inf is -inf
    gap = largest - own
    log_total = torch.where(masked, torch.ones_like(total), total).log()
    low = sum_error(largest, -own) + sum_error(gap, log_total)
    u = torch.where(masked, -torch.inf - own, gap + log_total)
    return LabelOdds(u, low), OtherClasses(weights, total)


def sigmoid_odds(preds: Tensor, preds_are: str) -> tuple[LabelOdds, LabelOdds]:
    """Return the log-odds against label 1 and against label 0, for one logit (or its kind) per element.

    Args:
        preds: float32 or float64, any shape.  A probability that is 0 for a label counts as the smallest normal
            float32 there.
        preds_are: "logits", "log-probs" (of label 1) or "probs" (of label 1).
    """
    if preds_are == "probs":
        preds = snapped(preds, 0.0, 1.0)
        complement = 1 - preds
        return odds_of_ratio(complement, preds), odds_of_ratio(preds, complement)
    if preds_are == "log-probs":
        preds = snapped(preds, -torch.inf, 0.0)
        preds = torch.where(preds == 0, torch.full_like(preds, torch.inf), preds - log_complement(preds))
    return _without_low(-preds), _without_low(preds)


def odds_ratio(odds: LabelOdds) -> Tensor:
    """Return r = exp(-|u|), the smaller of the odds for and against the label, in [0, 1]."""
    positive = odds.u >= 0
    low = torch.where(positive, odds.low, -odds.low)
    r = torch.where(positive, -odds.u, odds.u).exp() * (1 - low)
    # an r of 0 passes no gradient on: beside |u| near the largest float32 that would be inf * 0
    return torch.where(r == 0, torch.zeros_like(r), r)


def cross_entropy(odds: LabelOdds) -> Tensor:
    """Return -log p_label >= 0 in nats."""
    return _cross_entropy(odds, log1p(odds_ratio(odds)))


def _cross_entropy(odds: LabelOdds, log1p_r: Tensor) -> Tensor:
    return torch.where(odds.u >= 0, odds.u, torch.zeros_like(odds.u)) + log1p_r


def miss_probability(odds: LabelOdds) -> Tensor:
    """Return 1 - p_label, in [0, 1], to the last digits."""
    r = odds_ratio(odds)
    return torch.where(odds.u >= 0, torch.ones_like(r), r) / (1 + r)


def label_probability(odds: LabelOdds) -> Tensor:
    """Return p_label, in [0, 1], to the last digits."""
    return miss_probability(LabelOdds(-odds.u, -odds.low))


def focal(odds: LabelOdds, gamma: Tensor) -> Tensor:
    """Return (1 - p_label)^gamma (-log p_label) in nats.  Lin et al. 2017, arXiv:1708.02002, eq. 4.

    Its gradient is finite for every gamma >= 0, at p_label = 1 as well. That of ``pow`` is not: it holds
    (1 - p)^(gamma - 1), which overflows for gamma < 1.
    """
    log1p_r = log1p(odds_ratio(odds))
    return _focusing(odds, gamma, log1p_r) * _cross_entropy(odds, log1p_r)


def focusing(odds: LabelOdds, gamma: Tensor) -> Tensor:
    """Return (1 - p_label)^gamma, the factor by which the focal loss differs from cross-entropy."""
    return _focusing(odds, gamma, log1p(odds_ratio(odds)))


def _focusing(odds: LabelOdds, gamma: Tensor, log1p_r: Tensor) -> Tensor:
    positive = odds.u >= 0
    zero = torch.zeros_like(odds.u)
    # log(1 - p) = min(u, 0) - log1p(r), in two factors: their difference would round by gamma times as much.
    # -1e30 for -inf: gamma = 0 has to give exp(0), not 0 * inf
    far = (gamma * torch.where(positive, zero, odds.u).clamp(min=-1e30)).exp()
    near = (-gamma * log1p_r).exp()
    return far * near * (1 + gamma * torch.where(positive, zero, odds.low))


class TopClass(NamedTuple):
    """A softmax seen from its most probable class (the first of equals)."""

    place: Tensor  # int64 [N, *S], which class
    ratios: Tensor  # [N, C, *S], p_c / p_top, 0 at the top class itself
    gaps: Tensor  # [N, C, *S], log(p_top / p_c) >= 0, 0 at the top class
    total: Tensor  # [N, *S], the sum of the ratios; p_top = 1 / (1 + total)


def top_class(preds: Tensor, preds_are: str) -> TopClass:
    """Return the softmax of preds [N, C, *S] relative to its largest class; see TopClass."""
    return seen_from(preds, preds.detach().argmax(1), preds_are)


def seen_from(preds: Tensor, place: Tensor, preds_are: str) -> TopClass:
    """Return the softmax of preds [N, C, *S] relative to its largest class, which is known: int64 [N, *S]."""
    index = place.unsqueeze(1)
    top = preds.gather(1, index)
    if preds_are == "probs":
        ratios = preds.scatter(1, index, 0.0) / top
        gaps = -(at_least_smallest(preds) / top).log()
    else:
        gaps = top - preds
        ratios = (-gaps).exp().scatter(1, index, 0.0)
    return TopClass(place, ratios, gaps, ratios.sum(1))


def two_classes(preds: Tensor, preds_are: str) -> Tensor:
    """Return one logit (or its kind) per element, [N, *S], as the two classes of the same softmax, [N, 2, *S]."""
    if preds_are == "probs":
        preds = snapped(preds, 0.0, 1.0)
        return torch.stack([1 - preds, preds], 1)
    if preds_are == "log-probs":
        preds = snapped(preds, -torch.inf, 0.0)
        log_other = torch.where(preds == 0, torch.full_like(preds, -torch.inf), log_complement(preds))
        return torch.stack([log_other, preds], 1)
    return torch.stack([torch.zeros_like(preds), preds], 1)
