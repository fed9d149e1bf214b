"""What training on imbalanced classes starts from: class weights, the last layer's bias, and gamma's course."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from evaltool.numerics.weight_rules import rule_weights

GAMMA_SHAPES = ("linear", "cosine")


def class_weights(counts: Tensor | Sequence[float], rule: str) -> Tensor:
    """Return one weight per class from how often each class occurs.

    With n_c the count, N their sum, C the number of classes and f_c = n_c / N:

    - ``inverse``: N / (C n_c)
    - ``sqrt-inverse``: sqrt(N / (C n_c))
    - ``median-frequency``: median(f) / f_c over the classes that occur (Eigen 2015, arXiv:1411.4734)
    - ``enet``: 1 / log(1.02 + f_c) (Paszke 2016, arXiv:1606.02147)
    - ``effective-number``: (1 - b) / (1 - b^n_c), b = 0.9999 (Cui 2019, arXiv:1901.05555)
    - ``repeat-factor``: max(1, sqrt(0.001 / f_c)) (Gupta 2019, arXiv:1908.03195)

    The weights are not scaled: those of ``effective-number`` are near 1 / n_c. Training with weight decay or a fixed
    learning rate wants ``weights * (C / weights.sum())``, as Cui 2019 scales them, section 4.

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
    given = counts.detach().cpu().to(torch.float64).numpy() if isinstance(counts, Tensor) else counts
    return torch.from_numpy(rule_weights(given, rule))


def prior_bias(pi: float | Sequence[float] | Tensor) -> Tensor:
    """Return the last layer's bias -log((1 - pi) / pi), with which training starts from predictions of ``pi``.

    Without it the many negatives of rare classes swamp the first steps.  Lin 2017, arXiv:1708.02002, section 3.3.

    Args:
        pi: probability of a positive, in (0, 1): a number, or one per class.

    Returns:
        float64, in the shape of ``pi`` ([] for a number), a logit.

    Raises:
        ValueError: pi is not in (0, 1).

    >>> prior_bias(0.01)
    tensor(-4.5951, dtype=torch.float64)
    """
    try:
        p = torch.as_tensor(pi, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        p = torch.tensor(math.nan)
    if not bool(((p > 0) & (p < 1)).all()):
        raise ValueError(f"pi={pi!r}, expected a probability in (0, 1)")
    return -((1 - p) / p).log()


def gamma_schedule(
    step: int, total_steps: int, *, start: float = 0.0, end: float = 2.0, warmup: int = 0, shape: str = "linear"
) -> float:
    """Return the gamma of a focal loss at a training step: ``start`` through the warm-up, then rising to ``end``.

    Early on every sample is hard, and gamma only slows learning; from cross-entropy (gamma 0) training turns to the
    samples that stay hard. The loss keeps gamma in a buffer: ``loss.gamma.fill_(gamma_schedule(step, total_steps))``.

    Args:
        step: from 0; beyond ``total_steps`` gamma stays at ``end``.
        total_steps: at which ``end`` is reached, > warmup.
        start: gamma at first, >= 0.
        end: gamma at last, >= start.
        warmup: steps during which gamma stays at ``start``, >= 0.
        shape: "linear", or "cosine": slowly at both ends.

    Raises:
        ValueError: an argument is outside its range.

    >>> [gamma_schedule(step, 10) for step in (0, 5, 10, 20)]
    [0.0, 1.0, 2.0, 2.0]
    """
    if shape not in GAMMA_SHAPES:
        raise ValueError(f"shape={shape!r}, expected one of {', '.join(map(repr, GAMMA_SHAPES))}")
    if not (step >= 0 and total_steps > warmup >= 0):
        raise ValueError(
            f"step={step!r}, total_steps={total_steps!r}, warmup={warmup!r}, expected step >= 0 and "
            "total_steps > warmup >= 0"
        )
    if not 0 <= start <= end < math.inf:
        raise ValueError(f"start={start!r}, end={end!r}, expected 0 <= start <= end")
    done = min(max(step - warmup, 0) / (total_steps - warmup), 1.0)
    if shape == "cosine":
        done = (1 - math.cos(math.pi * done)) / 2
    return start + (end - start) * done
