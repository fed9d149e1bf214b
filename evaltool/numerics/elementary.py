"""Elementary functions that keep their precision in eager PyTorch, TorchScript and exported graphs alike.

``torch.log1p`` and ``torch.expm1`` become ``log(1 + x)`` and ``exp(x) - 1`` when exported to ONNX and lose the
tails there.  Kahan's forms below use primitives only, so that every runtime computes the same numbers.
W. Kahan, "Interval arithmetic options in the proposed IEEE floating point arithmetic standard", 1980.
"""

import torch
from torch import Tensor


def at_least_smallest(probs: Tensor) -> Tensor:
    """Return probabilities of at least the smallest normal float32, whose cross-entropy is 87.34."""
    return probs.clamp(min=1.1754943508222875e-38)


def working_precision(values: Tensor) -> Tensor:
    """Return values contiguous, as float64 if they are float64 and as float32 otherwise."""
    if values.dtype == torch.float64:
        return values.contiguous()
    return values.to(torch.float32).contiguous()


def at_smallest(probs: Tensor) -> Tensor:
    """Return where probabilities stand at that floor; bool."""
    return probs < 1.18e-38


def log1p(x: Tensor) -> Tensor:
    """Return log(1 + x) for x >= 0, to a few units in the last place."""
    one_plus = 1 + x
    rounded = one_plus - 1
    lost = rounded == 0
    return torch.where(lost, x, one_plus.log() * x / torch.where(lost, torch.ones_like(x), rounded))


def expm1(x: Tensor) -> Tensor:
    """Return exp(x) - 1 for x < 1, to a few units in the last place; the gradient is finite at -inf as well."""
    near = x > -1
    small = torch.where(near, x, torch.zeros_like(x))
    e = small.exp()
    rounded = e - 1
    lost = rounded == 0
    log_e = torch.where(lost, torch.full_like(x, 2.0), e).log()
    return torch.where(near, torch.where(lost, small, rounded * small / log_e), x.exp() - 1)


def log_error(values: Tensor, logs: Tensor) -> Tensor:
    """Return what rounding lost in logs = log(values), to first order; 0 where that cannot be told."""
    low = values.detach() * (-logs.detach()).exp() - 1
    return torch.where(low.isfinite(), low, torch.zeros_like(low))


def power(base: Tensor, exponent: Tensor) -> Tensor:
    """Return base^exponent for base >= 0 and exponent >= 0; 0^0 = 1, and at base 0 the gradient is 0, not inf.

    By exp and log, and not by ``pow``, whose last bits depend on where in a tensor a number stands.
    """
    some = base > 0
    safe = torch.where(some, base, torch.ones_like(base))
    logs = safe.log()
    values = (exponent * logs).exp() * (1 + exponent * log_error(safe, logs))
    return torch.where(some, values, (exponent == 0).to(base.dtype).expand_as(values))


def sum_error(a: Tensor, b: Tensor) -> Tensor:
    """Return what rounding lost in a + b, exactly; 0 where the sum is not finite.  Knuth's two-sum."""
    a = a.detach()
    b = b.detach()
    total = a + b
    of_b = total - a
    error = (a - (total - of_b)) + (b - of_b)
    return torch.where(total.isfinite(), error, torch.zeros_like(error))
