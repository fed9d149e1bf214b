"""Class weights from class counts.  The rules are those of evaltool.schema.WEIGHT_RULES."""

import torch
from torch import Tensor

from evaltool.schema import WEIGHT_RULES

ENET_OFFSET = 1.02
EFFECTIVE_BETA = 0.9999
REPEAT_THRESHOLD = 1e-3


def class_weights(counts: Tensor, rule: str) -> Tensor:
    """Return one weight per class from how often each class occurs.

    With n_c the count, N their sum, C the number of classes and f_c = n_c / N:

    - ``inverse``: N / (C n_c)
    - ``sqrt-inverse``: sqrt(N / (C n_c))
    - ``median-frequency``: median(f) / f_c over the classes that occur (Eigen 2015, arXiv:1411.4734)
    - ``enet``: 1 / log(1.02 + f_c) (Paszke 2016, arXiv:1606.02147)
    - ``effective-number``: (1 - b) / (1 - b^n_c), b = 0.9999 (Cui 2019, arXiv:1901.05555)
    - ``repeat-factor``: max(1, sqrt(0.001 / f_c)) (Gupta 2019, arXiv:1908.03195)

    Args:
        counts: [C], >= 0, of any number dtype; frequencies serve as well where the rule uses f_c only.
        rule: one of the above.

    Returns:
        float64 [C]; 0 for a class that does not occur, except by ``enet``, whose rule is finite there.

    Raises:
        ValueError: the rule is unknown, or counts is not [C] with a positive sum.

    >>> class_weights(torch.tensor([7, 2, 1]), "enet")
    tensor([1.8439, 5.0289, 8.8239], dtype=torch.float64)
    """
    if rule not in WEIGHT_RULES:
        raise ValueError(f"rule={rule!r}, expected one of {', '.join(WEIGHT_RULES)}")
    n = counts.to(torch.float64)
    if n.dim() != 1 or bool((n < 0).any()) or not float(n.sum()) > 0:
        raise ValueError(f"counts={counts.tolist()}, expected [C] numbers >= 0 with a positive sum")
    share = n / n.sum()
    if rule == "enet":
        return 1 / (ENET_OFFSET + share).log()
    if rule == "inverse":
        weights = 1 / (share * n.numel())
    elif rule == "sqrt-inverse":
        weights = (1 / (share * n.numel())).sqrt()
    elif rule == "median-frequency":
        weights = share[share > 0].quantile(0.5) / share
    elif rule == "effective-number":
        weights = (1 - EFFECTIVE_BETA) / (1 - EFFECTIVE_BETA**n)
    else:
        weights = (REPEAT_THRESHOLD / share).sqrt().clamp(min=1)
    return torch.where(n == 0, torch.zeros_like(n), weights)
