"""What a metric counts: every valid position of the samples that can be scored.

multiclass:  preds [N, C, *S] with integer labels [N, *S] in 0..C-1 (segmentation: S not empty), or with shares
             [N, C, *S] that sum to 1, of which the largest is the label
binary:      preds and labels [N] or [N, *S] (one foreground class), an axis of one class beside; a label counts as 1
             above a half
multilabel:  preds and labels [N, C], each class a case of its own

A position whose label is ``ignore_index`` is left out.  A sample with a NaN, an invalid label or a pred that
contradicts its kind at a valid position is left out as a whole and counted as bad, as ``evaltool score`` does.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from evaltool.metrics.status import sigmoid_faults, softmax_faults
from evaltool.numerics.elementary import working_precision
from evaltool.numerics.positions import bad_shares, by_sample, label_positions, same_shape, unit_positions


class Cases(NamedTuple):
    """Predictions beside their labels, positions in one last axis P."""

    preds: Tensor  # float32 or float64: softmax [N, C, P]; sigmoids [N, K, P], K = 1 in binary
    labels: Tensor  # int64: softmax [N, P]; sigmoids [N, K, P]; 0 where not counted
    counted: Tensor  # bool, in the shape of the labels
    n_bad: Tensor  # int64 [], samples that cannot be scored


def softmax_cases(preds: Tensor, labels: Tensor, preds_are: str, ignore_index: int, tolerance: float) -> Cases:
    """Return the cases of a softmax over axis 1."""
    preds = working_precision(preds)
    if labels.dim() == preds.dim():
        shares = same_shape(labels, preds)
        bad = by_sample(bad_shares(shares))
        valid = torch.ones_like(bad)
        places = by_sample(shares.argmax(1))
    else:
        positions = label_positions(labels, preds, ignore_index)
        bad, valid, places = by_sample(positions.bad), by_sample(positions.valid), by_sample(positions.labels)
    preds = preds.unsqueeze(-1).flatten(2)
    nonfinite, bad_preds = softmax_faults(preds, preds_are, tolerance)
    fault = ((nonfinite | bad_preds) & valid) | bad
    faulty = fault.any(1)
    return Cases(preds, places, valid & ~faulty.unsqueeze(1), faulty.sum())


def sigmoid_cases(preds: Tensor, labels: Tensor, preds_are: str, ignore_index: int, multilabel: bool) -> Cases:
    """Return the cases of sigmoids: one class, or one per class in multilabel."""
    preds = same_shape(working_precision(preds), labels)
    positions = unit_positions(labels, preds.dtype, ignore_index)
    nonfinite, bad_preds = sigmoid_faults(preds, preds_are)
    faulty = by_sample(((nonfinite | bad_preds) & positions.valid) | positions.bad).any(1)
    counted = by_sample(positions.valid) & ~faulty.unsqueeze(1)
    ones = by_sample(positions.labels > 0.5).to(torch.int64)
    axis = 2 if multilabel else 1
    return Cases(by_sample(preds).unsqueeze(axis), ones.unsqueeze(axis), counted.unsqueeze(axis), faulty.sum())
