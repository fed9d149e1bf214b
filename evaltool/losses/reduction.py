"""From one value per position to one per sample, or to one for the batch."""

from typing import Optional

import torch
from torch import Tensor

from evaltool.numerics.positions import by_sample, sample_sum


def reduced_positions(values: Tensor, valid: Tensor, reduction: str, weights: Optional[Tensor] = None) -> Tensor:
    """Return values [N, *S] (0 where not valid) reduced as PyTorch's losses do.

    Args:
        values: float [N, *S].
        valid: bool [N, *S].
        reduction: "none" gives each sample's mean over its valid positions, [N]; "sum" the sum over the batch;
            "mean" that sum over the number of valid positions, or over the sum of ``weights`` where given.
            Nothing valid gives 0.
        weights: float [N, *S], 0 where not valid.
    """
    if reduction == "none":
        counts = by_sample(valid).sum(1).clamp(min=1)
        return sample_sum(values) / counts
    if reduction == "sum":
        return values.sum()
    total = valid.sum().to(values.dtype) if weights is None else weights.sum()
    return values.sum() / torch.where(total == 0, torch.ones_like(total), total)


def reduced_samples(values: Tensor, reduction: str) -> Tensor:
    """Return values [N], their mean or their sum; the mean of no sample is 0."""
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    return values.sum() / max(values.size(0), 1)
