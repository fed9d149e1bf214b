"""Which positions count: what the labels say of each."""

from typing import NamedTuple

import torch
from torch import Tensor


class Positions(NamedTuple):
    """What the labels say of each position."""

    valid: Tensor  # bool, False where the label is ignore_index
    bad: Tensor  # bool, True where the label is neither a class nor ignore_index
    labels: Tensor  # the labels, with 0 in place of the ignored and the bad


def valid_positions(labels: Tensor, ignore_index: int) -> Tensor:
    """Return where labels are not ``ignore_index``; in uint8, 156 is not -100."""
    wide = labels if labels.is_floating_point() else labels.to(torch.int64)
    return wide != ignore_index


def class_positions(labels: Tensor, num_classes: int, ignore_index: int) -> Positions:
    """Return the positions of class labels: any integer (or float that holds integers), valid in 0..C-1."""
    # wide, for 256 classes wrap to 0 in uint8; contiguous, for values take the labels' strides, and sums their order
    labels = (labels if labels.is_floating_point() else labels.to(torch.int64)).contiguous()
    valid = valid_positions(labels, ignore_index)
    inside = (labels >= 0) & (labels < num_classes)
    if labels.is_floating_point():
        inside = inside & (labels == labels.floor())
    labels = labels.to(torch.int64)
    return Positions(valid, valid & ~inside, torch.where(valid & inside, labels, torch.zeros_like(labels)))


def label_positions(labels: Tensor, preds: Tensor, ignore_index: int) -> Positions:
    """Return the positions of class labels [N, *S] beside preds [N, C, *S]."""
    if labels.shape != preds[:, :1].squeeze(1).shape:
        raise ValueError(f"labels {list(labels.shape)}, expected [N, *S] of preds {list(preds.shape)} = [N, C, *S]")
    return class_positions(labels, preds.size(1), ignore_index)


def unit_positions(labels: Tensor, dtype: torch.dtype, ignore_index: int) -> Positions:
    """Return the positions of labels in [0, 1], as numbers of ``dtype``."""
    labels = labels.contiguous()  # values take the labels' strides, and sums their order
    valid = valid_positions(labels, ignore_index)
    labels = labels.to(dtype)
    inside = (labels >= 0) & (labels <= 1)
    return Positions(valid, valid & ~inside, torch.where(valid & inside, labels, torch.zeros_like(labels)))


def bad_shares(labels: Tensor) -> Tensor:
    """Return where soft labels [N, C, *S] leave [0, 1] or do not sum to 1; bool [N, *S]."""
    inside = ((labels >= 0) & (labels <= 1)).all(1)
    return ~(inside & ((labels.sum(1) - 1).abs() < 1e-2))


def masked(values: Tensor, positions: Positions) -> Tensor:
    """Return values with 0 at ignored positions and NaN at bad labels."""
    values = torch.where(positions.valid, values, torch.zeros_like(values))
    return torch.where(positions.bad, torch.full_like(values, torch.nan), values)


def by_sample(values: Tensor) -> Tensor:
    """Return values [N, *S] as [N, P], P = 1 where S is empty; N = 0 is no exception."""
    return values.unsqueeze(-1).flatten(1)


def sample_sum(values: Tensor) -> Tensor:
    """Return the sums [N] of values [N, *S] over positions, the same bits whatever N and the number of threads.

    PyTorch splits a reduction to a single number over its threads: so every sample is summed twice, and never alone.
    One value per sample is its own sum.
    """
    if values.dim() == 1:
        return values
    return by_sample(values).unsqueeze(0).expand(2, -1, -1).sum(2)[0]


def class_vector(values: Tensor, preds: Tensor) -> Tensor:
    """Return values [C] or [1] shaped [1, C, 1, ...] to stand beside preds [N, C, *S]."""
    if values.numel() != 1 and values.numel() != preds.size(1):
        raise ValueError(f"{values.numel()} numbers per class, expected 1 or {preds.size(1)} = C")
    return values.to(preds.dtype).reshape([1, -1] + [1] * (preds.dim() - 2))


def beside(values: Tensor, labels: Tensor, dtype: torch.dtype) -> Tensor:
    """Return values [1], or [C] where labels are [N, C], to stand beside elements in the labels' shape."""
    if values.numel() != 1 and (labels.dim() != 2 or values.numel() != labels.size(1)):
        raise ValueError(f"{values.numel()} numbers per class, expected 1, or C where labels are [N, C]")
    return values.to(dtype)


def same_shape(values: Tensor, like: Tensor) -> Tensor:
    """Return values in the shape of another tensor, from which an axis 1 of one class may be missing, or be there."""
    if values.dim() == like.dim() + 1 and values.size(1) == 1:
        values = values.squeeze(1)
    elif like.dim() == values.dim() + 1 and like.size(1) == 1:
        values = values.unsqueeze(1)
    if values.shape != like.shape:
        raise ValueError(
            f"shapes {list(values.shape)} and {list(like.shape)}, expected the same but for an axis of one class"
        )
    return values


def chosen(values: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Return per-class values [C] at each label, or a single value [1] as it is."""
    if values.numel() == 1:
        return values
    if values.numel() != num_classes:  # the label could else read past the end
        raise ValueError(f"{values.numel()} numbers per class, expected 1 or {num_classes} = C")
    return values[labels]


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return numerator / denominator, 0 where the denominator is 0."""
    none = denominator == 0
    safe = torch.where(none, torch.ones_like(denominator), denominator)
    return torch.where(none, torch.zeros_like(safe), numerator / safe)


def descending_order(keys: Tensor) -> Tensor:
    """Return the places that sort keys downwards along the last axis, int64; equals keep the order of their index."""
    # TorchScript compiles nothing below this line, and only if it stands alone
    if not torch.jit.is_scripting():  # noqa: SIM102
        if torch.onnx.is_in_onnx_export():
            return torch.sort(keys, dim=-1, descending=True)[1]  # becomes TopK, where equals keep it too
    return torch.sort(keys, stable=True, dim=-1, descending=True)[1]
