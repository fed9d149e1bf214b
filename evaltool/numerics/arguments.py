"""Checks of single arguments; each raises ValueError with what was given and expected."""

import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def checked_choice(name: str, value: str, choices: Sequence[str]) -> str:
    """Return value if it is one of choices."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}={value!r}, expected one of {', '.join(map(repr, choices))}")
    return value


def checked_number(
    name: str, value: Any, *, low: float = 0.0, high: float = math.inf, above: bool = False, below: float = math.inf
) -> float:
    """Return value as a float in [low, high], in (low, high] if ``above``, in [low, below) where ``below`` is given."""
    scalar = isinstance(value, Tensor) and value.numel() == 1 and value.dtype != torch.bool
    if isinstance(value, bool) or not (scalar or isinstance(value, numbers.Real)):
        raise ValueError(f"{name}={value!r}, expected a number")
    number = float(value)
    outside = number < low or number > high or number >= below or (above and number == low)
    if not math.isfinite(number) or outside:
        left = "(" if above else "["
        right = f"{high:g}]" if high < math.inf else f"{below:g})"
        raise ValueError(f"{name}={value!r}, expected a number in {left}{low:g}, {right}")
    return number


def checked_index(name: str, value: int) -> int:
    """Return value as an int if it is an integer."""
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise ValueError(f"{name}={value!r}, expected an integer")


def checked_flag(name: str, value: bool) -> bool:
    """Return value if it is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value!r}, expected true or false")
    return value
