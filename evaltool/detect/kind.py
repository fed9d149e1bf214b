"""Logits, probabilities or log-probabilities: what most of the probed rows are."""

from typing import Any

import numpy as np

from evaltool.detect.probe import MAJORITY, Probe


def decided_kind(probe: Probe, task: str, preds_are: str, foreground: bool) -> tuple[str | None, str]:
    """Return the kind (None for regression) and why."""
    if task == "regression":
        return None, ""
    if preds_are != "auto":
        return preds_are, "as given by --preds-are"
    preds = probe.preds
    one_per_class = task == "multiclass" or (task == "segmentation" and not foreground)
    rows = preds if one_per_class else preds.reshape(len(preds), -1)
    rows = rows[~(np.isnan(preds) | (preds == np.inf)).reshape(len(preds), -1).any(1)]
    if not len(rows):
        return "logits", "because no probed row is finite"
    number = f"of {len(rows)} probed rows"
    in_unit = ((rows >= 0) & (rows <= 1)).reshape(len(rows), -1).all(1)
    if not one_per_class:
        if in_unit.mean() >= MAJORITY:
            return "probs", f"because {in_unit.mean():.0%} {number} lie in [0, 1]"
        return "logits", f"because {1 - in_unit.mean():.0%} {number} leave [0, 1]"
    off = np.abs(rows.sum(1) - 1).reshape(len(rows), -1).max(1)
    probs = in_unit & (off <= probe.tolerance)
    if probs.mean() >= MAJORITY:
        return "probs", f"because {probs.mean():.0%} {number} are in [0, 1] and sum to 1"
    log_probs = _log_probs(rows, probe.tolerance)
    if log_probs.mean() >= MAJORITY:
        return "log-probs", f"because {log_probs.mean():.0%} {number} are <= 0 and their exponentials sum to 1"
    return "logits", f"because {1 - probs.mean():.0%} {number} do not sum to 1"


def _log_probs(rows: np.ndarray[Any, Any], tolerance: float) -> np.ndarray[Any, Any]:
    with np.errstate(over="ignore"):
        off = np.abs(np.exp(np.minimum(rows, 1.0)).sum(1) - 1).reshape(len(rows), -1).max(1)
    result: np.ndarray[Any, Any] = (rows <= tolerance).reshape(len(rows), -1).all(1) & (off <= tolerance)
    return result
