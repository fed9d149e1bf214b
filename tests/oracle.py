"""What the losses and columns should be, in 60-digit arithmetic and from the definitions; shares no code with evaltool.

Probabilities are mpmath numbers, normalised over the classes; (1 - p) is the sum over the others, never a difference.
"""

from collections.abc import Sequence
from typing import Any

import mpmath as mp
import numpy as np

mp.mp.dps = 60

GRID = sorted({sign * value for value in (0.0, 0.1, 1.0, 10.0, 30.0, 88.0, 100.0, 1e4) for sign in (1, -1)})
GAMMAS = (0.0, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.3, 5.0)
SMALLEST_NORMAL = mp.mpf(2) ** -126
SMALLEST = mp.mpf(2) ** -149
LARGEST = mp.mpf(3.4028234663852886e38)


def exact(value: float) -> Any:
    """Return the number that a float is."""
    return mp.mpf(float(value))


def softmax(logits: Sequence[float]) -> list[Any]:
    """Return the probabilities of logits."""
    largest = max(exact(z) for z in logits)
    weights = [mp.exp(exact(z) - largest) for z in logits]
    total = mp.fsum(weights)
    return [w / total for w in weights]


def normalised(probs: Sequence[float]) -> list[Any]:
    """Return probabilities over their sum."""
    values = [exact(p) for p in probs]
    return [p / mp.fsum(values) for p in values]


def rest(p: Sequence[Any], t: int) -> Any:
    """Return 1 - p_t."""
    return mp.fsum(q for j, q in enumerate(p) if j != t)


def minus_log(p: Sequence[Any], t: int) -> Any:
    """Return -log p_t."""
    if p[t] == 0:
        return mp.inf
    return -mp.log1p(-rest(p, t)) if p[t] > 0.5 else -mp.log(p[t])


def power(base: Any, exponent: float) -> Any:
    """Return base^exponent, 0^0 = 1, at the float32 the module keeps of the exponent."""
    e = exact(np.float32(exponent))
    return mp.mpf(1) if e == 0 else base**e


def focal(p: Sequence[Any], t: int, gamma: float) -> Any:
    """Return (1 - p_t)^gamma (-log p_t)."""
    return power(rest(p, t), gamma) * minus_log(p, t)


def pair(logit: float) -> list[Any]:
    """Return the probabilities of labels 0 and 1 for a logit."""
    return softmax([0.0, logit])


def margin(p: Sequence[Any], t: int) -> Any:
    """Return p_t minus the best other probability."""
    return p[t] - max(q for j, q in enumerate(p) if j != t)


def entropy(p: Sequence[Any]) -> Any:
    """Return -sum p log p."""
    return mp.fsum(q * minus_log(p, j) for j, q in enumerate(p) if q > 0)


def dice(p: Any, y: Any, *, nr: float = 1, dr: float = 1, squared: bool = False) -> Any:
    """Return the Dice loss of one class from lists of probabilities and labels."""
    k = 2 if squared else 1
    overlap = mp.fsum(a * b for a, b in zip(p, y, strict=True))
    size = mp.fsum(a**k for a in p) + mp.fsum(mp.mpf(b) ** k for b in y)
    return 1 - (2 * overlap + exact(nr)) / (size + exact(dr))


def worst_error(got: Any, expected: Sequence[Any], *, steps: int = 2) -> float:
    """Return the largest relative error of float32 values.

    Below the smallest normal number a float32 has fewer digits: there ``steps`` of them are no error (a sum may miss by
    one for each of its terms). A value beyond the largest has to be inf.
    """
    worst = 0.0
    for value, true in zip(np.asarray(got, np.float64).ravel().tolist(), expected, strict=True):
        if mp.isinf(true) or abs(true) > LARGEST:
            worst = max(worst, 0.0 if value == mp.sign(true) * mp.inf else np.inf)
            continue
        error = abs(exact(value) - true)
        if np.isnan(value) or np.isinf(value):
            return np.inf
        if error > steps * SMALLEST or abs(true) >= SMALLEST_NORMAL:
            worst = max(worst, float(error / abs(true)) if true else (np.inf if error else 0.0))
    return worst
