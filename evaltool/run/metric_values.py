"""The metrics of a run, from its counts.

The formulas are those of ``evaltool.metrics``, written for counts that are whole: a reader of runs needs no torch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaltool.numerics.float_bits import octave_totals
from evaltool.run.counts import confusion_pairs

Array = np.ndarray[Any, Any]
RANKING_CELLS_AT_WORK = 1 << 16  # 512 KB of float64 for each step of what is computed, which stay in a cache

OF_ALL = ("brier", "auroc_macro", "average_precision_macro", "ece", "ece_class_wise", "mcc", "kappa")
OF_A_CLASS = ("auroc", "average_precision", "ece")


def metric_values(
    arrays: Mapping[str, Array], of_classes: Mapping[str, Sequence[float | None]]
) -> dict[str, float | None]:
    """Return the metrics of ``OF_ALL``; None where one is not defined.

    ``ece`` is the calibration error of what is predicted, ``ece_class_wise`` the mean of those of the classes.
    ``auroc_macro`` and ``average_precision_macro`` are means over the classes where they are defined (binary: of
    label 1).

    Args:
        arrays: of ``state.npz``.
        of_classes: what ``class_metric_values`` says of them.
    """
    values: dict[str, float | None] = dict.fromkeys(OF_ALL)
    if "brier" not in arrays:
        return values
    brier = arrays["brier"]
    values["brier"] = float(octave_totals(brier[:-1])) / int(brier[-1]) if brier[-1] else None
    if "calibration_top_label" in arrays:
        values["ece"] = _defined(float(_calibration_errors(arrays["calibration_top_label"])[0]))
        values |= _agreement(arrays)
    for name, of_class in (
        ("auroc_macro", "auroc"),
        ("average_precision_macro", "average_precision"),
        ("ece_class_wise", "ece"),
    ):
        known = [value for value in of_classes[of_class] if value is not None]
        values[name] = float(np.mean(known)) if known else None
    return values


def class_metric_values(arrays: Mapping[str, Array]) -> dict[str, list[float | None]]:
    """Return the metrics of ``OF_A_CLASS``, each class against the rest, C values each; None where not defined.

    Of binary and one foreground class, label 1 has them and label 0 has not.

    Args:
        arrays: of ``state.npz``.
    """
    num_classes = arrays["class_loss_count"].shape[1]
    if "ranking" not in arrays:
        return {name: [None] * num_classes for name in OF_A_CLASS}
    values = _rankings(arrays["ranking"])
    values["ece"] = _calibration_errors(arrays["calibration_class_wise"]).tolist()
    absent: list[float | None] = [None] * (num_classes - len(values["ece"]))
    return {name: absent + [_defined(value) for value in values[name]] for name in OF_A_CLASS}


def _calibration_errors(counts: Array) -> Array:
    """Return the expected calibration error of each class, float64 [K], NaN where nothing was counted.

    Args:
        counts: int64 [K, B, 3]: how many, how many right, the sum of confidences in units of 2^-28.
    """
    n, right, confident = counts[..., 0], counts[..., 1], counts[..., 2] / 2.0**28
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(right - confident).sum(1) / n.sum(1))


def _rankings(counts: Array) -> dict[str, list[float]]:
    """Return AUROC and average precision of each class, NaN where not defined.

    Args:
        counts: int64 [K, 2, B]: negatives and positives by bin of the log-odds.
    """
    classes, _, bins = counts.shape
    step = max(1, RANKING_CELLS_AT_WORK // bins)
    values: dict[str, list[float]] = {"auroc": [], "average_precision": []}
    for start in range(0, classes, step):
        negatives, positives = counts[start : start + step].astype(np.float64).transpose(1, 0, 2)
        values["auroc"] += _auroc(negatives, positives).tolist()
        values["average_precision"] += _average_precision(negatives, positives).tolist()
    return values


def _auroc(negatives: Array, positives: Array) -> Array:
    """Return the share of the pairs whose positive stands higher, one in the same bin counting half; [K] of [K, B]."""
    above = (positives * (negatives.cumsum(1) - negatives)).sum(1)
    with np.errstate(invalid="ignore"):
        return np.asarray((above + (positives * negatives).sum(1) / 2) / (negatives.sum(1) * positives.sum(1)))


def _average_precision(negatives: Array, positives: Array) -> Array:
    """Return the sum over the bins, the highest first, of the recall gained times the precision; [K] of [K, B]."""
    found, false = (counts[:, ::-1].cumsum(1)[:, ::-1] for counts in (positives, negatives))
    with np.errstate(invalid="ignore"):
        precision = np.where(found > 0, found / (found + false), 0.0)
        return np.asarray((positives / positives.sum(1, keepdims=True) * precision).sum(1))


def _agreement(arrays: Mapping[str, Array]) -> dict[str, float | None]:
    """Return MCC and kappa as ``evaltool.metrics.confusion`` has them, from pairs: a matrix may be too large."""
    label, pred, count = confusion_pairs(arrays)
    size = arrays["class_loss_count"].shape[1]
    labelled, predicted = np.bincount(label, count, size), np.bincount(pred, count, size)
    n, right = float(count.sum()), float(count[label == pred].sum())
    if not n:
        return {"mcc": None, "kappa": None}
    spread = np.sqrt((labelled * (n - labelled)).sum() * (predicted * (n - predicted)).sum())
    shared = n * right - (labelled * predicted).sum()
    by_chance = (labelled * (n - predicted)).sum()
    return {
        "mcc": float(shared / spread) if spread else 0.0,
        "kappa": float(1 - n * (n - right) / by_chance) if by_chance else None,
    }


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value
