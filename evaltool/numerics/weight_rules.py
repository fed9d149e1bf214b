"""Class weights from class counts, in NumPy: a job without PyTorch needs them too."""

import math
from typing import Any

import numpy as np

from evaltool.schema import WEIGHT_RULES

Array = np.ndarray[Any, Any]

ENET_OFFSET = 1.02
EFFECTIVE_BETA = 0.9999
REPEAT_THRESHOLD = 1e-3


def rule_weights(counts: Any, rule: str) -> Array:
    """Return one weight per class, float64 [C]; ``weights.class_weights`` has the formulas, arguments and errors."""
    if rule not in WEIGHT_RULES:
        raise ValueError(f"rule={rule!r}, expected one of {', '.join(WEIGHT_RULES)}")
    n = np.asarray(counts, np.float64)
    if n.ndim != 1 or (n < 0).any() or not 0 < float(n.sum()) < math.inf:
        raise ValueError(f"counts={n.tolist()}, expected [C] finite numbers >= 0 with a positive sum")
    with np.errstate(divide="ignore"):  # of a class that does not occur
        weights = _weights(n, rule)
    return weights if rule == "enet" else np.where(n == 0, 0.0, weights)


def _weights(n: Array, rule: str) -> Array:
    share = n / n.sum()
    if rule == "enet":
        return np.asarray(1 / np.log(ENET_OFFSET + share))
    if rule == "inverse":
        return np.asarray(1 / (share * n.size))
    if rule == "sqrt-inverse":
        return np.asarray(np.sqrt(1 / (share * n.size)))
    if rule == "median-frequency":
        return np.asarray(np.median(share[share > 0]) / share)
    if rule == "effective-number":
        return np.asarray((1 - EFFECTIVE_BETA) / (1 - EFFECTIVE_BETA**n))
    return np.asarray(np.sqrt(REPEAT_THRESHOLD / share).clip(min=1))
