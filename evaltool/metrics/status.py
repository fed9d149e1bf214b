"""Why a sample has or lacks scores; the numbers are the places in ``evaltool.schema.STATUSES``.

An ignored position counts for nothing, its faults included.  Of several faults the first in the order of
STATUSES is named.
"""

import torch
from torch import Tensor


def sample_status(scored: Tensor, nonfinite: Tensor, bad_label: Tensor, bad_preds: Tensor) -> Tensor:
    """Return int64 [N] from bool [N] each: 0 ok, 1 ignored, 2 nonfinite, 3 bad_label, 4 bad_preds."""
    status = torch.where(bad_preds, 4, 0)
    status = torch.where(bad_label, 3, status)
    status = torch.where(nonfinite, 2, status)
    return torch.where(scored, status, 1)


def softmax_faults(preds: Tensor, preds_are: str, tolerance: float) -> tuple[Tensor, Tensor]:
    """Return where preds [N, C, *S] are not finite, and where they contradict their kind; bool [N, *S] each.

    -inf logits are masked classes; all of them masked, or a NaN or +inf, is not finite.

    Args:
        preds: float32 or float64 [N, C, *S].
        preds_are: "logits", "probs" or "log-probs".
        tolerance: how far the sum of the probabilities may be from 1.
    """
    largest = preds.amax(1)
    nonfinite = largest.isnan() | (largest == torch.inf)
    if preds_are == "probs":
        off = (preds.amin(1) < 0) | (largest > 1 + tolerance) | ((preds.sum(1) - 1).abs() > tolerance)
        return nonfinite, off
    nonfinite = nonfinite | (largest == -torch.inf)
    if preds_are == "log-probs":
        # log 1 = 0; expm1(x) ~ x near 0
        return nonfinite, (largest > tolerance) | (preds.exp().sum(1).log().abs() > tolerance)
    return nonfinite, torch.zeros_like(nonfinite)


def sigmoid_faults(preds: Tensor, preds_are: str) -> tuple[Tensor, Tensor]:
    """Return where preds are not finite, and where they contradict their kind; bool, shaped as preds each.

    A probability may miss [0, 1] by what rounding does (1e-6).
    """
    nonfinite = preds.isnan() | (preds == torch.inf)
    if preds_are == "probs":
        return nonfinite, (preds < -1e-6) | (preds > 1 + 1e-6)
    if preds_are == "log-probs":
        return nonfinite, preds > 1e-6
    return nonfinite, torch.zeros_like(nonfinite)
