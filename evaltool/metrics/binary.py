"""What sigmoids say of their sample: one of them (binary) or one per class (multilabel)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from evaltool.metrics.status import sample_status, sigmoid_faults
from evaltool.numerics.elementary import at_smallest, expm1, log1p, working_precision
from evaltool.numerics.log_odds import LabelOdds, cross_entropy, label_probability, odds_ratio, sigmoid_odds, snapped
from evaltool.numerics.positions import unit_positions


class ElementScores(NamedTuple):
    """Scores of each element, shaped as the labels."""

    pred: Tensor  # int64, 1 where the probability is above a half
    p_label: Tensor
    p_pred: Tensor
    margin: Tensor  # p_label - (1 - p_label), in [-1, 1]
    entropy: Tensor  # in nats
    cross_entropy: Tensor  # in nats


def element_scores(preds: Tensor, labels: Tensor, preds_are: str) -> ElementScores:
    """Return the scores of preds at labels in {0, 1}, both of any one shape, without cancellation."""
    against_one, against_zero = sigmoid_odds(preds, preds_are)
    one = labels > 0.5
    odds = LabelOdds(
        torch.where(one, against_one.u, against_zero.u), torch.where(one, against_one.low, against_zero.low)
    )
    if preds_are == "probs":
        preds = snapped(preds, 0.0, 1.0)
    pred = preds > 0.5 if preds_are == "probs" else against_one.u < 0
    r = odds_ratio(odds)
    p_pred = 1 / (1 + r)
    distance = odds.u.abs()
    lead = 2 * (preds - 0.5).abs() if preds_are == "probs" else -expm1(-distance) * p_pred
    margin = torch.where(pred == one, lead, -lead)
    half = (-0.5 * distance).exp()  # r itself may be subnormal, with few digits to multiply
    entropy = log1p(r) + torch.where(half == 0, torch.zeros_like(r), half * distance * half) * p_pred
    return ElementScores(pred.to(torch.int64), label_probability(odds), p_pred, margin, entropy, cross_entropy(odds))


class BinaryScorecard(nn.Module):
    """Every per-sample column of the task binary beside the losses.

    Args:
        ignore_index: label of the samples to leave out.
        preds_are: "logits", "probs" or "log-probs", of label 1.
    """

    def __init__(self, *, ignore_index: int = -100, preds_are: str = "logits") -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.preds_are = preds_are

    def forward(self, preds: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the columns, [N] each; those of a sample that is not ok hold no meaning.

        Args:
            preds: float [N] or [N, 1].
            labels: [N] in [0, 1]; a soft label counts as 1 above a half.
        """
        preds = working_precision(preds).reshape(labels.shape)
        positions = unit_positions(labels, preds.dtype, self.ignore_index)
        nonfinite, bad_preds = sigmoid_faults(preds, self.preds_are)
        scores = element_scores(preds, positions.labels, self.preds_are)
        soft = positions.valid & ~positions.bad
        return {
            "status": sample_status(positions.valid, nonfinite, positions.bad, bad_preds),
            "label": torch.where(soft, (positions.labels > 0.5).to(torch.int64), labels.to(torch.int64)),
            "pred": scores.pred,
            "p_label": scores.p_label,
            "p_pred": scores.p_pred,
            "margin": scores.margin,
            "entropy": scores.entropy,
            "clamped": at_smallest(scores.p_label),
        }


class MultilabelScorecard(nn.Module):
    """Every per-sample column of the task multilabel beside the losses.

    ``p_label``, ``p_pred`` and ``margin`` are those of the worst class, the one whose label has the lowest
    probability; ``entropy`` is the mean over the valid classes.

    Args:
        ignore_index: label of the elements to leave out.
        preds_are: "logits", "probs" or "log-probs", of label 1.
    """

    def __init__(self, *, ignore_index: int = -100, preds_are: str = "logits") -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.preds_are = preds_are

    def forward(self, preds: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the columns, [N] each, and the elements' ``pred_map`` [N, C].

        Args:
            preds: float [N, C].
            labels: [N, C] in [0, 1] or ``ignore_index``; a soft label counts as 1 above a half.
        """
        preds = working_precision(preds)
        positions = unit_positions(labels, preds.dtype, self.ignore_index)
        valid = positions.valid
        nonfinite, bad_preds = sigmoid_faults(preds, self.preds_are)
        scores = element_scores(preds, positions.labels, self.preds_are)
        wrong = (scores.pred != (positions.labels > 0.5).to(torch.int64)) & valid
        none = torch.zeros_like(scores.entropy)
        worst = torch.where(valid, scores.cross_entropy, none - 1).argmax(1, keepdim=True)
        return {
            "status": sample_status(
                valid.any(1), (nonfinite & valid).any(1), positions.bad.any(1), (bad_preds & valid).any(1)
            ),
            "n_wrong": wrong.sum(1),
            "worst_class": worst.squeeze(1),
            "worst_class_loss": scores.cross_entropy.gather(1, worst).squeeze(1),
            "p_label": scores.p_label.gather(1, worst).squeeze(1),
            "p_pred": scores.p_pred.gather(1, worst).squeeze(1),
            "margin": scores.margin.gather(1, worst).squeeze(1),
            "entropy": torch.where(valid, scores.entropy, none).sum(1) / valid.sum(1).clamp(min=1),
            "clamped": (at_smallest(scores.p_label) & valid).any(1),
            "pred_map": scores.pred,
        }
