"""Checks of the arguments losses are built with; each raises ValueError with what was given and expected."""

import numbers
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from evaltool.numerics.arguments import checked_choice, checked_number
from evaltool.schema import KINDS, REDUCTIONS


def checked_kind(preds_are: str) -> str:
    """Return preds_are if it names a kind of predictions."""
    return checked_choice("preds_are", preds_are, KINDS)


def checked_reduction(reduction: str) -> str:
    """Return reduction if it is "none", "mean" or "sum"."""
    return checked_choice("reduction", reduction, REDUCTIONS)


def per_class(name: str, value: Any) -> Tensor | None:
    """Return value as a float32 buffer: [1] for one number, [C] for one per class, None for None."""
    if value is None:
        return None
    if isinstance(value, str) and value == "balanced":
        raise ValueError(
            f"{name}='balanced' is filled in from the label counts by evaltool score; here give the numbers, "
            "class_weights(counts, 'effective-number')"
        )
    if not isinstance(value, bool) and isinstance(value, numbers.Real):
        return torch.tensor([checked_number(name, value)], dtype=torch.float32)
    try:
        given = torch.as_tensor(value)
        if given.dtype == torch.bool:
            raise TypeError("bools are no factors")
        values = given.detach().to(torch.float32, copy=True)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name}={value!r}, expected a number or one number per class") from None
    values = values.reshape(1) if values.dim() == 0 else values
    if values.dim() != 1 or values.numel() == 0:
        raise ValueError(f"{name} has shape {list(values.shape)}, expected [C]: one number per class")
    if not bool(values.isfinite().all()) or bool((values < 0).any()):
        raise ValueError(f"{name}={values.tolist()}, expected finite numbers >= 0")
    return values


def per_class_or_number(name: str, value: float | Sequence[float] | Tensor) -> Tensor:
    """Return value, which has to be given, as ``per_class`` does."""
    values = per_class(name, value)
    if values is None:
        raise ValueError(f"{name}=None, expected a number or one number per class")
    return values


def class_counts(name: str, value: Sequence[float] | Tensor | None) -> Tensor:
    """Return one number per class as a float32 buffer [C], not all 0; [1] where none is given: all classes alike."""
    values = per_class(name, value)
    if values is None:
        return torch.ones(1)
    if values.numel() == 1:
        raise ValueError(f"{name}={values.tolist()}, expected one number per class")
    if not float(values.sum()) > 0:
        raise ValueError(f"{name}={values.tolist()}, expected a positive number for at least one class")
    return values


def check_same_length(**vectors: Tensor | None) -> None:
    """Raise ValueError if two vectors of one number per class differ in their number of classes."""
    lengths = {name: values.numel() for name, values in vectors.items() if values is not None and values.numel() > 1}
    if len(set(lengths.values())) > 1:
        told = " and ".join(f"{name} has {length} numbers" for name, length in lengths.items())
        raise ValueError(f"{told}, expected the same number of classes")


def negatives_and_positives(name: str, value: float | Sequence[float] | Tensor | None) -> Tensor | None:
    """Return the factors [negatives, positives]: a number a in [0, 1] means (1 - a, a)."""
    values = per_class(name, value)
    if values is None or values.numel() == 2:
        return values
    if values.numel() == 1 and float(values) <= 1:
        return torch.stack([1 - values[0], values[0]])
    raise ValueError(f"{name}={value!r}, expected a number in [0, 1] or a pair (negatives, positives)")
