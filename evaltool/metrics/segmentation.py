"""What a segmentation says of its sample: accuracy, intersection over union, and means over positions."""

import torch
from torch import Tensor, nn

from evaltool.metrics.multiclass import class_scores
from evaltool.metrics.status import sample_status, sigmoid_faults, softmax_faults
from evaltool.numerics.elementary import at_smallest, working_precision
from evaltool.numerics.log_odds import two_classes
from evaltool.numerics.positions import by_sample, class_positions, sample_sum


class SegmentationScorecard(nn.Module):
    """Every per-sample column of the task segmentation beside the losses.

    ``iou`` is the mean over the classes in the sample's label; with one foreground class it is that class's, and
    1 where label and prediction are both empty. ``worst_class`` has the lowest IoU. ``p_label``, ``p_pred``,
    ``margin`` and ``entropy`` are means over the valid positions.

    Args:
        foreground: the preds hold one foreground class; it is class 1, the background class 0.
        ignore_index: label of the positions to leave out.
        preds_are: "logits", "probs" or "log-probs".
        tolerance: how far a position's probabilities may sum from 1.
    """

    def __init__(
        self,
        *,
        foreground: bool = False,
        ignore_index: int = -100,
        preds_are: str = "logits",
        tolerance: float = 1e-3,
    ) -> None:
        super().__init__()
        self.foreground = foreground
        self.ignore_index = ignore_index
        self.preds_are = preds_are
        self.tolerance = tolerance

    def forward(self, preds: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the columns, [N] each, and the positions' ``pred_map``, int64 [N, *S].

        Args:
            preds: float [N, C, *S], or [N, 1, *S] or [N, *S] for one foreground class.
            labels: integer [N, *S], in 0..C-1 (0 and 1 for one foreground class) or ``ignore_index``.
        """
        preds = working_precision(preds)
        if self.foreground:
            preds = preds.reshape(labels.shape)
            nonfinite, bad_preds = sigmoid_faults(preds, self.preds_are)
            preds = two_classes(preds, self.preds_are)
        else:
            nonfinite, bad_preds = softmax_faults(preds, self.preds_are, self.tolerance)
        num_classes = preds.size(1)
        positions = class_positions(labels, num_classes, self.ignore_index)
        valid = by_sample(positions.valid)
        given = by_sample(positions.labels)
        scores = class_scores(preds, positions.labels, self.preds_are)
        pred = by_sample(scores.pred)
        hit = (pred == given) & valid
        zero = torch.zeros([preds.size(0), num_classes], dtype=torch.int64, device=preds.device)
        in_label = zero.scatter_add(1, given, valid.to(torch.int64))
        in_pred = zero.scatter_add(1, pred, valid.to(torch.int64))
        in_both = zero.scatter_add(1, given, hit.to(torch.int64))
        in_either = in_label + in_pred - in_both
        iou = in_both / in_either.clamp(min=1)
        if self.foreground:
            present = in_either > 0
            sample_iou = torch.where(in_either[:, 1] > 0, iou[:, 1], torch.ones_like(iou[:, 1]))
        else:
            present = in_label > 0
            sample_iou = torch.where(present, iou, torch.zeros_like(iou)).sum(1) / present.sum(1).clamp(min=1)
        n_valid = valid.sum(1)
        count = n_valid.clamp(min=1)
        return {
            "status": sample_status(
                valid.any(1),
                (by_sample(nonfinite) & valid).any(1),
                by_sample(positions.bad).any(1),
                (by_sample(bad_preds) & valid).any(1),
            ),
            "n_valid": n_valid,
            "accuracy": hit.sum(1) / count,
            "iou": sample_iou,
            "worst_class": torch.where(present, iou, torch.full_like(iou, 2.0)).argmin(1),
            "p_label": valid_mean(scores.p_label, valid, count),
            "p_pred": valid_mean(scores.p_pred, valid, count),
            "margin": valid_mean(scores.margin, valid, count),
            "entropy": valid_mean(scores.entropy, valid, count),
            "clamped": (by_sample(at_smallest(scores.p_label)) & valid).any(1),
            "pred_map": scores.pred,
        }


def valid_mean(values: Tensor, valid: Tensor, count: Tensor) -> Tensor:
    """Return the mean [N] of values [N, *S] over valid [N, P] positions, ``count`` [N] of them."""
    values = by_sample(values)
    return sample_sum(torch.where(valid, values, torch.zeros_like(values))) / count
