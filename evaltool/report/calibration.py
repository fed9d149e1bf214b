"""How far confidence is from being right, from the counts of a run."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from evaltool.report.calibration_bounds import mean_bounds
from evaltool.report.document import Calibration, CalibrationBin, Estimate, Temperature
from evaltool.report.intervals import estimate, wilson

Array = np.ndarray[Any, Any]

UNIT = 2.0**-28  # of the confidences' sums


def calibration_of(
    state: Mapping[str, Array], task: str, *, brier: float | None, temperature: Temperature
) -> Calibration | None:
    """Return reliability and calibration errors; None where a run counted none.

    Args:
        state: the run's arrays: ``calibration_top_label`` [1, B, 3] and ``calibration_class_wise`` [K, B, 3], int64
            counts, rights and sums of confidences in units of 2^-28; each may be missing.
        task: of multilabel the reliability is that of all classes together, each against the rest; of segmentation
            there are no intervals, as the positions of one image hang together.
        brier: the Brier score.
        temperature: the temperature that would mend it.
    """
    multilabel, independent = task == "multilabel", task != "segmentation"
    top = None if multilabel else state.get("calibration_top_label")
    by_class = state.get("calibration_class_wise")
    if top is None and by_class is None:
        return None
    shown = top if top is not None else by_class
    assert shown is not None
    class_wise = estimate(None)
    if by_class is not None:
        class_wise = _error(by_class, independent, softmax=task == "multiclass")
    return {
        "ece": class_wise if multilabel or top is None else _error(top, independent),
        "ece_class_wise": class_wise,
        "brier": brier,
        "bins": _bins(shown.sum(0), independent),
        "temperature": temperature,
    }


def expected_error(counts: Array) -> Array:
    """Return the calibration error of counts [..., K, B, 3], the mean over the classes that were counted; float64.

    Sum over the bins of |rights - confidences| / cases; NaN where nothing was counted.
    """
    n = counts[..., 0].sum(-1)
    gaps = np.abs(counts[..., 1] - counts[..., 2] * UNIT).sum(-1)
    known = n > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, gaps / np.maximum(n, 1), 0.0).sum(-1) / known.sum(-1))


def ece_interval(counts: Array, *, softmax: bool) -> Estimate:
    """Return the calibration error of [K, B, 3] with its interval (``calibration_bounds.mean_bounds``).

    A bin's mean confidence is taken as known: it varies by less than the bin's width.
    """
    if not counts[..., 0].any():
        return estimate(None)
    n, right, confident = (counts[..., i] for i in range(3))
    return estimate(float(expected_error(counts)), *mean_bounds(n, right, confident * UNIT, softmax=softmax))


def _error(counts: Array, independent: bool, *, softmax: bool = False) -> Estimate:
    return ece_interval(counts, softmax=softmax) if independent else estimate(float(expected_error(counts)))


def _bins(counts: Array, independent: bool) -> list[CalibrationBin]:
    """Return the bins of the reliability diagram, of counts [B, 3]."""
    rows: list[CalibrationBin] = []
    size = len(counts)
    for i, (n, right, confident) in enumerate(counts.tolist()):
        accuracy = wilson(right, n)
        rows.append(
            {
                "low": i / size,
                "high": (i + 1) / size,
                "count": int(n),
                "confidence": confident * UNIT / n if n else None,
                "accuracy": accuracy if independent else estimate(accuracy["value"]),
            }
        )
    return rows
