"""What the loss oracle computes with: numbers, and batches of arrays as samples of plain lists.

Ignored positions are left out. A probability of 0 is a 0: the floor that modules give ``preds_are="probs"`` is theirs
to test. An invalid label is an error, not a NaN.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import mpmath as mp
import numpy as np

from tests.oracle import exact, normalised, pair, rest, softmax

KINDS = ("logits", "probs", "log-probs")
ZERO, ONE = mp.mpf(0), mp.mpf(1)


def mean(values: Iterable[Any]) -> Any:
    """Return the mean, 0 of nothing."""
    values = list(values)
    return mp.fsum(values) / len(values) if values else ZERO


def times(share: Any, value: Any) -> Any:
    """Return share * value, where no share of infinity is 0."""
    return ZERO if share == 0 else share * value


def at(parameter: Any, c: int | None) -> float:
    """Return the float32 that a module keeps of a parameter for class c: None is 1, one number serves every class."""
    if parameter is None:
        return 1.0
    if isinstance(parameter, int | float):
        return float(np.float32(parameter))
    numbers = np.asarray(parameter, np.float32).ravel().tolist()
    if len(numbers) == 1:
        return numbers[0]
    if c is None:
        raise ValueError(f"{numbers} are per class, and only [N, C] has classes")
    return numbers[c]


def sides(alpha: Any) -> tuple[float, float]:
    """Return the weights of negatives and positives: a number a means (1 - a, a)."""
    if alpha is not None and np.ndim(alpha) == 0:
        alpha = (1 - alpha, alpha)
    return at(alpha, 0), at(alpha, 1)


def raised(base: Any, exponent: float) -> Any:
    """Return base^exponent, 0^0 = 1, at the double that the exponent is."""
    return ONE if exponent == 0 else base ** exact(exponent)


def from_logits(z: Sequence[Any]) -> list[Any]:
    """Return the probabilities of mpmath logits."""
    largest = max(z)
    weights = [mp.exp(v - largest) for v in z]
    total = mp.fsum(weights)
    return [w / total for w in weights]


def away(p: Sequence[Any], y: Any) -> Any:
    """Return |y - p| of a pair [1 - p, p]: no difference where y is 0 or 1."""
    if y in (0, 1):
        return p[1 - int(y)]
    return abs(y - p[1])


def expectation(y: Any, value: Callable[[int], Any]) -> Any:
    """Return y value(1) + (1 - y) value(0); what has no share is not looked at, infinite or not."""
    return mp.fsum(share * value(side) for side, share in ((1, y), (0, 1 - y)) if share)


def is_one(label: Any) -> bool:
    """Return whether a label that may only be 0 or 1 is 1."""
    if label not in (0, 1):
        raise ValueError(f"label {label}, expected 0 or 1")
    return label == 1


@lru_cache(maxsize=20_000)
def row_probs(preds_are: str, row: tuple[float, ...]) -> list[Any]:
    """Return the probabilities of one position: log-probs are logits, probs count up to their sum."""
    return normalised(row) if preds_are == "probs" else softmax(row)


@lru_cache(maxsize=20_000)
def element_pair(preds_are: str, x: float) -> list[Any]:
    """Return [1 - p, p] of one sigmoid."""
    if preds_are == "logits":
        return pair(x)
    return [1 - exact(x), exact(x)] if preds_are == "probs" else [-mp.expm1(exact(x)), mp.exp(exact(x))]


@dataclass(frozen=True)
class Sample:
    """The valid positions of one sample.

    softmax: ``rows`` hold a tuple over the classes and ``labels`` a class or a list of shares;
    sigmoid: ``rows`` hold a number, ``labels`` a number in [0, 1], ``columns`` the class of [N, C] (else None).
    """

    softmax: bool
    has_positions: bool
    preds_are: str
    rows: list[Any]
    labels: list[Any]
    columns: list[int | None]

    @property
    def probs(self) -> list[Any]:
        """The probabilities over the classes, or pairs [1 - p, p]."""
        of = row_probs if self.softmax else element_pair
        return [of(self.preds_are, row) for row in self.rows]

    @property
    def logits(self) -> list[Any]:
        """Logits over the classes (up to a constant), or the logit of each element."""
        if self.preds_are == "logits" or (self.softmax and self.preds_are == "log-probs"):
            return [[exact(v) for v in row] if self.softmax else exact(row) for row in self.rows]
        return [[mp.log(v) for v in p] if self.softmax else mp.log(p[1]) - mp.log(p[0]) for p in self.probs]

    def regions(self, *, pooled: bool = True, classes: str = "present") -> list[list[Any]]:
        """Return lists of (p, 1 - p, y) that a Dice is of.

        A softmax with positions has one per class, chosen by ``classes``; without positions all classes are one region.
        A sigmoid has one region. Not ``pooled``: every class of [N, C] is a region of one element.
        """
        if not self.softmax:
            elements = [(p, q, y) for (q, p), y in zip(self.probs, self.labels, strict=True)]
            return [elements] if self.has_positions or pooled else [[element] for element in elements]
        count = len(self.rows[0])
        shares = [t if isinstance(t, list) else [int(c == t) for c in range(count)] for t in self.labels]
        positions = list(zip(self.probs, shares, strict=True))
        each = [[(p[c], rest(p, c), y[c]) for p, y in positions] for c in range(count)]
        if pooled and not self.has_positions:
            return [[element for region in each for element in region]]
        return [region for region in each if classes == "all" or any(y for _, _, y in region)]


def samples(preds: Any, labels: Any, *, by: str, preds_are: str, ignore_index: int) -> list[Sample]:
    """Return the samples of a batch; by is "softmax", "sigmoid" or, from the shapes, "auto"."""
    preds, labels = np.asarray(preds), np.asarray(labels)
    if preds_are not in KINDS or by not in ("auto", "softmax", "sigmoid"):
        raise ValueError(f"preds_are={preds_are!r}, by={by!r}")
    one_class = preds.ndim > 1 and preds.shape[1] == 1
    if by == "softmax" or (by == "auto" and not one_class and preds.ndim != labels.ndim):
        return [softmax_sample(x, y, preds_are, ignore_index) for x, y in zip(preds, labels, strict=True)]
    if preds.ndim == labels.ndim + 1 and one_class:
        preds = preds[:, 0]
    if preds.shape != labels.shape:
        raise ValueError(f"preds {preds.shape} and labels {labels.shape} do not fit")
    return [sigmoid_sample(x, y, preds_are, ignore_index) for x, y in zip(preds, labels, strict=True)]


def softmax_sample(x: Any, y: Any, preds_are: str, ignore_index: int) -> Sample:
    """Return the sample of preds [C, *S] and labels [*S], or shares [C, *S], of which none is ignored."""
    rows = [tuple(row) for row in x.reshape(len(x), -1).T.tolist()]
    if y.ndim == x.ndim:
        labels = [[exact(v) for v in shares] for shares in y.reshape(len(y), -1).T.tolist()]
        valid = all(len(s) == len(x) and min(s) >= 0 and abs(mp.fsum(s) - 1) < 1e-3 for s in labels)
    else:
        kept = [(row, t) for row, t in zip(rows, y.ravel().tolist(), strict=True) if t != ignore_index]
        rows, labels = [row for row, _ in kept], [int(t) for _, t in kept]
        valid = all(0 <= t < len(x) and t == int(t) for _, t in kept)
    if not valid:
        raise ValueError(f"labels {y.tolist()}, expected classes below {len(x)} or shares that sum to 1")
    return Sample(True, x.ndim > 1, preds_are, rows, labels, [None] * len(rows))


def sigmoid_sample(x: Any, y: Any, preds_are: str, ignore_index: int) -> Sample:
    """Return the sample of preds and labels of one shape, [C] or [*S]."""
    elements = zip(x.ravel().tolist(), y.ravel().tolist(), strict=True)
    kept = [(v, exact(t), c if x.ndim == 1 else None) for c, (v, t) in enumerate(elements) if t != ignore_index]
    if not all(0 <= t <= 1 for _, t, _ in kept):
        raise ValueError(f"labels {y.tolist()}, expected numbers in [0, 1]")
    rows, labels, columns = ([element[i] for element in kept] for i in range(3))
    return Sample(False, x.ndim > 1, preds_are, rows, labels, columns)
