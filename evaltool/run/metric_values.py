"""The metrics of a run, from its counts."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from evaltool.run.counts import confusion_pairs

Array = np.ndarray[Any, Any]
# cells of the ranking counts looked at together: few enough that PyTorch leaves them to one thread, for threads that
# wait for each other at each of forty small steps take a hundred times as long as soon as a core does something else
CELLS_AT_WORK = 1 << 13

OF_ALL = ("brier", "auroc_macro", "average_precision_macro", "ece", "ece_class_wise", "mcc", "kappa")
OF_A_CLASS = ("auroc", "average_precision", "ece")


def metric_values(arrays: Mapping[str, Array]) -> dict[str, float | None]:
    """Return the metrics of ``OF_ALL``; None where one is not defined.

    ``ece`` is the calibration error of what is predicted, ``ece_class_wise`` the mean of those of the classes.
    ``auroc_macro`` and ``average_precision_macro`` are means over the classes where they are defined (binary: of
    label 1).

    Args:
        arrays: of ``state.npz``.
    """
    values: dict[str, float | None] = dict.fromkeys(OF_ALL)
    if "brier" not in arrays:
        return values
    # here: a reader of runs may not need it
    import torch

    from evaltool.metrics import BrierScore
    from evaltool.metrics.calibration import calibration_errors

    brier = BrierScore()
    brier.merge({"counts": torch.from_numpy(arrays["brier"]), "n_bad": torch.zeros([], dtype=torch.int64)})
    values["brier"] = _defined(float(brier.compute()))
    if "calibration_top_label" in arrays:
        values["ece"] = _defined(float(calibration_errors(torch.from_numpy(arrays["calibration_top_label"]), "l1")[0]))
        values |= _agreement(arrays)
    of_classes = class_metric_values(arrays)
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
    import torch

    from evaltool.metrics.calibration import calibration_errors

    values = _rankings(arrays["ranking"])
    values["ece"] = calibration_errors(torch.from_numpy(arrays["calibration_class_wise"]), "l1").tolist()
    absent: list[float | None] = [None] * (num_classes - len(values["ece"]))
    return {name: absent + [_defined(value) for value in values[name]] for name in OF_A_CLASS}


def _rankings(counts: Array) -> dict[str, list[float]]:
    import torch

    from evaltool.metrics import AUROC, AveragePrecision

    classes, _, bins = counts.shape
    step = max(1, CELLS_AT_WORK // bins)
    values: dict[str, list[float]] = {"auroc": [], "average_precision": []}
    for start in range(0, classes, step):
        part = torch.from_numpy(counts[start : start + step])
        for name, made in (("auroc", AUROC), ("average_precision", AveragePrecision)):
            metric = made(task="multilabel", num_classes=len(part), num_bins=bins, average="none")
            metric.merge({"counts": part, "n_bad": torch.zeros([], dtype=torch.int64)})
            values[name] += metric.compute().tolist()
    return values


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
