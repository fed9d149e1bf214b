"""Checks of the arguments losses are built with; each raises ValueError with what was given and expected."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from evaltool.schema import KINDS, REDUCTIONS


def checked_choice(name: str, value: str, choices: Sequence[str]) -> str:
    """Return value if it is one of choices."""
    if value not in choices:
        raise ValueError(f"{name}={value!r}, expected one of {', '.join(map(repr, choices))}")
    return value


def checked_kind(preds_are: str) -> str:
    """Return preds_are if it names a kind of predictions."""
    return checked_choice("preds_are", preds_are, KINDS)


def checked_reduction(reduction: str) -> str:
    """Return reduction if it is "none", "mean" or "sum"."""
    return checked_choice("reduction", reduction, REDUCTIONS)


def checked_number(name: str, value: float, *, low: float = 0.0, high: float = math.inf, above: bool = False) -> float:
    """Return value as a float in [low, high], or in (low, high] if ``above``."""
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float)):
        raise ValueError(f"{name}={value!r}, expected a number")
    number = float(value)
    if not math.isfinite(number) or number < low or number > high or (above and number == low):
        left = "(" if above else "["
        right = "inf)" if high == math.inf else f"{high:g}]"
        raise ValueError(f"{name}={value!r}, expected a number in {left}{low:g}, {right}")
    return number


def checked_flag(name: str, value: bool) -> bool:
    """Return value if it is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value!r}, expected true or false")
    return value


def per_class(name: str, value: float | Sequence[float] | Tensor | None) -> Tensor | None:
    """Return value as a float32 buffer: [1] for one number, [C] for one per class, None for None."""
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return torch.tensor([checked_number(name, value)], dtype=torch.float32)
    try:
        values = torch.as_tensor(value, dtype=torch.float32).detach().clone()
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name}={value!r}, expected a number or one number per class") from None
    values = values.reshape(1) if values.dim() == 0 else values
    if values.dim() != 1 or values.numel() == 0:
        raise ValueError(f"{name} has shape {list(values.shape)}, expected [C]: one number per class")
    if not bool(values.isfinite().all()) or bool((values < 0).any()):
        raise ValueError(f"{name}={values.tolist()}, expected finite numbers >= 0")
    return values
