"""Class weights from class counts, in NumPy: a job without PyTorch needs them too."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

ENET_OFFSET = 1.02
EFFECTIVE_BETA = 0.9999
REPEAT_THRESHOLD = 1e-3

# of the counts and their shares, float64 [C] both; ``schema.WEIGHT_RULES`` has the names
RULES: dict[str, Callable[[Array, Array], Array]] = {
    "inverse": lambda n, share: 1 / (share * n.size),
    "sqrt-inverse": lambda n, share: np.sqrt(1 / (share * n.size)),
    "median-frequency": lambda n, share: np.median(share[share > 0]) / share,
    "enet": lambda n, share: 1 / np.log(ENET_OFFSET + share),
    "effective-number": lambda n, share: (1 - EFFECTIVE_BETA) / (1 - EFFECTIVE_BETA**n),
    "repeat-factor": lambda n, share: np.sqrt(REPEAT_THRESHOLD / share).clip(min=1),
}


def rule_weights(counts: Any, rule: str) -> Array:
    """Return one weight per class, float64 [C]; ``weights.class_weights`` has the formulas, arguments and errors."""
    if rule not in RULES:
        raise ValueError(f"rule={rule!r}, expected one of {', '.join(RULES)}")
    n = np.asarray(counts, np.float64)
    if n.ndim != 1 or (n < 0).any() or not 0 < float(n.sum()) < math.inf:
        raise ValueError(f"counts={n.tolist()}, expected [C] finite numbers >= 0 with a positive sum")
    with np.errstate(divide="ignore"):  # of a class that does not occur
        weights = RULES[rule](n, n / n.sum())
    return weights if rule == "enet" else np.where(n == 0, 0.0, weights)
