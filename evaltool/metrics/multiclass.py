"""What one softmax says of its sample: the prediction, its probability, the margin, the entropy."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from evaltool.metrics.status import sample_status, softmax_faults
from evaltool.numerics.elementary import at_smallest, expm1, log1p, working_precision
from evaltool.numerics.log_odds import TopClass, label_probability, softmax_odds, top_class
from evaltool.numerics.positions import bad_shares, class_positions


class ClassScores(NamedTuple):
    """Scores of each position; [N, *S]."""

    pred: Tensor  # int64, the most probable class, the first of equals
    p_label: Tensor  # the label's probability
    p_pred: Tensor  # the prediction's probability
    margin: Tensor  # p_label minus the best other class's probability, in [-1, 1]
    entropy: Tensor  # in nats


def class_scores(preds: Tensor, labels: Tensor, preds_are: str) -> ClassScores:
    """Return the scores of preds [N, C, *S] at int64 labels [N, *S] in 0..C-1, without cancellation.

    The margin is p_pred (1 - q / p_pred), q the smaller of the two probabilities: the ratio comes from the
    difference of logits, so two classes that are nearly equal leave the margin its digits.
    """
    top = top_class(preds, preds_are)
    p_pred = 1 / (1 + top.total)
    best = preds.gather(1, top.place.unsqueeze(1)).squeeze(1)
    entropy = log1p(top.total) + _surprise(preds, top, preds_are).sum(1) * p_pred
    odds, _ = softmax_odds(preds, labels, preds_are)
    index = labels.unsqueeze(1)
    right = labels == top.place
    rest = preds.scatter(1, top.place.unsqueeze(1), -torch.inf)
    other = torch.where(right, rest.amax(1), preds.gather(1, index).squeeze(1))
    lead = (best - other) / best if preds_are == "probs" else -expm1(other - best)
    margin = torch.where(right, lead, -lead) * p_pred
    return ClassScores(top.place, label_probability(odds), p_pred, margin, entropy)


def _surprise(preds: Tensor, top: TopClass, preds_are: str) -> Tensor:
    """Return p_c / p_top * log(p_top / p_c) [N, C, *S], with the digits of a tiny p_c that float32 can hold."""
    none = torch.zeros_like(preds)
    if preds_are == "probs":
        place = top.place.unsqueeze(1)
        rest = preds.scatter(1, place, 0.0)
        return torch.where(rest == 0, none, rest * -top.ratios.log()) / preds.gather(1, place)
    # in halves: p_c / p_top itself may be subnormal, with few digits to multiply
    half = (-0.5 * top.gaps).exp()
    return torch.where(half == 0, none, half * top.gaps * half)


class MulticlassScorecard(nn.Module):
    """Every per-sample column of the task multiclass beside the losses.

    Args:
        ignore_index: label of the samples to leave out.
        preds_are: "logits", "probs" or "log-probs".
        tolerance: how far a row of probabilities may sum from 1.
    """

    def __init__(self, *, ignore_index: int = -100, preds_are: str = "logits", tolerance: float = 1e-3) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.preds_are = preds_are
        self.tolerance = tolerance

    def forward(self, preds: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the columns, [N] each; those of a sample that is not ok hold no meaning.

        Args:
            preds: float [N, C].
            labels: integer [N]; or float [N, C] whose rows sum to 1, of which the largest is the label.
        """
        preds = working_precision(preds)
        if labels.dim() == preds.dim():
            bad_label = bad_shares(labels)
            labels = labels.argmax(1)
            scored = torch.ones_like(bad_label)
            safe = labels
        else:
            positions = class_positions(labels, preds.size(1), self.ignore_index)
            bad_label = positions.bad
            scored = positions.valid
            safe = positions.labels
        nonfinite, bad_preds = softmax_faults(preds, self.preds_are, self.tolerance)
        scores = class_scores(preds, safe, self.preds_are)
        return {
            "status": sample_status(scored, nonfinite, bad_label, bad_preds),
            "label": labels.to(torch.int64),
            "pred": scores.pred,
            "p_label": scores.p_label,
            "p_pred": scores.p_pred,
            "margin": scores.margin,
            "entropy": scores.entropy,
            "clamped": at_smallest(scores.p_label),
        }
