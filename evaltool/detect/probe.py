"""Some rows of predictions and labels, evenly spaced, and what can be asked about them."""

from typing import Any

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.readers import Rows, as_array, peek

PROBE_ROWS = 1024
PROBE_BYTES = 1 << 24
PROBE_PIECES = 64
ROUNDED_AT_MOST = 0.3  # a row that sums further from 1 is no rounded distribution
MAJORITY = 0.9  # share of the probed rows that decides the kind; the others become bad_preds
POSITION_AXES = {3: "L", 4: "HW", 5: "DHW"}


def axes_text(shape: tuple[int, ...]) -> str:
    """Return a shape with axis names: ``[1000, 10] = [N, C]``."""
    names = ["N", "C", *POSITION_AXES.get(len(shape), ["*S"])]
    return f"{list(shape)} = [{', '.join(names[: len(shape)])}]"


class Probe:
    """Some rows of both arrays, and what can be asked about them."""

    def __init__(self, preds: Rows, labels: Rows, ignore_index: int) -> None:
        self.preds_name, self.labels_name = preds.name, labels.name
        self.preds_shape, self.labels_shape = preds.shape, labels.shape
        self.labels_dtype = labels.dtype
        self.ignore_index = ignore_index
        pieces = _pieces(preds)
        stride = _stride(preds.shape, sum(b - a for a, b in pieces))
        self.preds = np.concatenate([_thinned(peek(preds, a, b), 2, stride).astype(np.float64) for a, b in pieces])
        keep = 2 if labels.shape == preds.shape else 1
        self.labels = np.concatenate([_thinned(labels.read(a, b), keep, stride) for a, b in pieces])
        self.known = self.labels[self.labels != ignore_index]
        stored = getattr(preds, "rows", preds)
        self.tolerance = _tolerance(preds, stored)
        self.decimals = None  # to which the probabilities were rounded, where that shows in their sums
        if preds.dtype.kind == "f" and len(preds.shape) > 1 and self.misses_one():
            self.decimals = _decimals(self.preds, float(np.finfo(preds.dtype).eps))
        if self.decimals:
            rounding = min(0.51 * preds.shape[1] * 10.0**-self.decimals, ROUNDED_AT_MOST)
            self.tolerance = max(self.tolerance, rounding)

    def misses_one(self) -> bool:
        """Whether a probed row of predictions sums further from 1 than the dtype explains."""
        with np.errstate(invalid="ignore"):
            return bool((np.abs(self.preds.sum(1) - 1) > self.tolerance).any())

    @property
    def same_shape(self) -> bool:
        """Whether both have one shape; [N] and [N, 1] are two (see ``flat_preds``)."""
        return self.preds_shape == self.labels_shape

    @property
    def flat_preds(self) -> bool:
        """Whether there is one number per sample."""
        return len(self.preds_shape) == 1 or self.preds_shape[1:] == (1,)

    @property
    def flat_labels(self) -> bool:
        """Whether there is one label per sample."""
        return len(self.labels_shape) == 1 or self.labels_shape[1:] == (1,)

    @property
    def integral(self) -> bool:
        """Whether every probed label is an integer (or missing: NaN)."""
        if self.labels.dtype.kind != "f":
            return True
        finite = self.known[np.isfinite(self.known)]
        return bool((finite == np.floor(finite)).all())

    def fraction(self) -> float:
        """Return a probed label that is no integer."""
        fractions = self.known[np.isfinite(self.known) & (self.known != np.floor(self.known))]
        return float(fractions[0])

    def between_zero_and_one(self) -> bool:
        """Whether a probed label lies between 0 and 1."""
        return self.labels.dtype.kind == "f" and bool(((self.known > 0) & (self.known < 1)).any())

    def share_in_unit(self) -> float:
        """Return the share of the probed labels, the ignored aside, that lie in [0, 1]."""
        return float(((self.known >= 0) & (self.known <= 1)).mean()) if self.known.size else 1.0

    def one_hot(self, axis: int) -> bool:
        """Whether the probed labels are 0 and 1 with a single 1 along the axis."""
        labels = self.labels.astype(np.float64)
        return bool(np.isin(labels, (0.0, 1.0)).all() and (labels.sum(axis) == 1).all())

    def shares(self) -> bool:
        """Whether most of the probed rows of labels are shares that sum to 1."""
        labels = self.labels.astype(np.float64)
        return bool(((labels >= 0).all(1) & (np.abs(labels.sum(1) - 1) < 1e-2)).mean() >= MAJORITY)

    def mismatch(self, expected: str, hint: str) -> EvaltoolError:
        """Return the error for shapes that do not belong together."""
        return EvaltoolError(
            "labels do not match predictions\n"
            f"  {self.preds_name}: shape {axes_text(self.preds_shape)}\n"
            f"  {self.labels_name}: shape {list(self.labels_shape)}, expected {expected}\n  {hint}"
        )

    def no_class_axis(self, hint: str) -> EvaltoolError:
        """Return the error for predictions without classes."""
        known = self.known[np.isfinite(self.known)] if self.labels.dtype.kind == "f" else self.known
        values = f"values {known.min():g} to {known.max():g}" if known.size else "no value"
        return EvaltoolError(
            "predictions have no axis of classes\n"
            f"  {self.preds_name}: shape {list(self.preds_shape)}, expected [N, C] or [N, C, *S]\n"
            f"  {self.labels_name}: shape {list(self.labels_shape)}, {values}\n  {hint}"
        )


def _pieces(preds: Rows) -> list[tuple[int, int]]:
    n = preds.shape[0]
    row = max(1, int(np.prod(preds.shape[1:], dtype=np.int64)) * preds.dtype.itemsize)
    rows = min(n, max(8, min(PROBE_ROWS, PROBE_BYTES // row)))
    if rows == n and n * row <= PROBE_BYTES:
        return [(0, n)]
    pieces = min(rows, PROBE_PIECES)
    length = rows // pieces
    return [(int(a), int(a) + length) for a in np.linspace(0, n - length, pieces).astype(np.int64)]


def _stride(shape: tuple[int, ...], rows: int) -> int:
    """Return which share of the positions is looked at: all of them, or every second, third, ... of large images."""
    numbers = rows * int(np.prod(shape[1:], dtype=np.int64))
    return max(1, numbers * np.dtype(np.float64).itemsize // PROBE_BYTES)


def _thinned(block: Any, keep: int, stride: int) -> np.ndarray[Any, Any]:
    """Return a block [n, ...] whose axes from ``keep`` on are one, of every stride-th position."""
    array = as_array(block)
    if stride == 1 or array.ndim <= keep:
        return array
    return np.array(array.reshape((*array.shape[:keep], -1))[..., ::stride])


def _decimals(preds: np.ndarray[Any, Any], eps: float) -> int | None:
    """Return to how many decimals, 1 to 5, the values were rounded; None where they were not.

    ``eps`` is that of the stored dtype: a rounded value is off by no more of itself.
    """
    values = preds[np.isfinite(preds)]
    if values.size and not ((values >= 0) & (values <= 1)).mean() >= MAJORITY:
        return None
    for decimals in range(1, 6):
        scaled = values * 10.0**decimals
        if (np.abs(scaled - np.round(scaled)) <= 4 * eps * np.abs(scaled)).mean() >= MAJORITY:
            return decimals
    return None


def _tolerance(preds: Rows, stored: Any) -> float:
    """Return how far a row of probabilities may sum from 1: what its precision explains, and not more."""
    classes = max(preds.shape[1:2], default=1)
    if getattr(preds, "scale", None):
        scale: float = preds.scale  # type: ignore[attr-defined]
        return 1.02 * classes / scale
    if getattr(preds, "bfloat16", False) or getattr(stored, "coarse", False):
        return 0.05
    return 1e-2 if preds.dtype.itemsize == 2 else 1e-3
