"""From one value per position to one per sample, or to one for the batch; and which positions count."""

from typing import NamedTuple, Optional

import torch
from torch import Tensor


class Positions(NamedTuple):
    """What the labels say of each position."""

    valid: Tensor  # bool, False where the label is ignore_index
    bad: Tensor  # bool, True where the label is neither a class nor ignore_index
    labels: Tensor  # the labels, with 0 in place of the ignored and the bad


def class_positions(labels: Tensor, num_classes: int, ignore_index: int) -> Positions:
    """Return the positions of class labels: any integer (or float that holds integers), valid in 0..C-1."""
    labels = labels.to(torch.int64)
    valid = labels != ignore_index
    inside = (labels >= 0) & (labels < num_classes)
    return Positions(valid, valid & ~inside, torch.where(valid & inside, labels, torch.zeros_like(labels)))


def unit_positions(labels: Tensor, dtype: torch.dtype, ignore_index: int) -> Positions:
    """Return the positions of labels in [0, 1], as numbers of ``dtype``."""
    valid = labels != ignore_index
    labels = labels.to(dtype)
    inside = (labels >= 0) & (labels <= 1)
    return Positions(valid, valid & ~inside, torch.where(valid & inside, labels, torch.zeros_like(labels)))


def masked(values: Tensor, positions: Positions) -> Tensor:
    """Return values with 0 at ignored positions and NaN at bad labels."""
    values = torch.where(positions.valid, values, torch.zeros_like(values))
    return torch.where(positions.bad, torch.full_like(values, torch.nan), values)


def by_sample(values: Tensor) -> Tensor:
    """Return values [N, *S] as [N, P], P = 1 where S is empty; N = 0 is no exception."""
    return values.unsqueeze(-1).flatten(1)


def chosen(values: Tensor, labels: Tensor) -> Tensor:
    """Return per-class values [C] at each label, or a single value [1] as it is."""
    return values if values.numel() == 1 else values[labels]


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
        return by_sample(values).sum(1) / counts
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
