"""Logits, probabilities or log-probabilities: what most of the probed rows are."""

from typing import Any, NamedTuple

import numpy as np

from evaltool.detect.probe import MAJORITY, Probe
from evaltool.schema import is_softmax

FEW = 32  # values up to so many may all be below 0 by chance


class KindDecision(NamedTuple):
    """The kind (None for regression), why, and what speaks against it."""

    kind: str | None
    why: str
    doubt: str | None = None


def decided_kind(probe: Probe, task: str, preds_are: str, foreground: bool) -> KindDecision:
    """Return the kind of the predictions."""
    if task == "regression":
        return KindDecision(None, "")
    one_per_class = is_softmax(task, foreground)
    guess = _guessed(probe, one_per_class)
    if preds_are == "auto":
        return guess
    doubt = None
    if preds_are == "logits" and guess.kind != "logits" and one_per_class:
        doubt = f"taken for logits as --preds-are says, but they look like {guess.kind}: {guess.why}"
    return KindDecision(preds_are, "as given by --preds-are", doubt)


def _guessed(probe: Probe, one_per_class: bool) -> KindDecision:
    preds = probe.preds
    rows = preds if one_per_class else preds.reshape(len(preds), -1)
    rows = rows[~(np.isnan(preds) | (preds == np.inf)).reshape(len(preds), -1).any(1)]
    if not len(rows):
        return KindDecision("logits", "because no probed row is finite")
    number = f"of {len(rows)} probed rows"
    in_unit = ((rows >= 0) & (rows <= 1)).reshape(len(rows), -1).all(1)
    if not one_per_class:
        if in_unit.mean() >= MAJORITY:
            return KindDecision("probs", f"because {in_unit.mean():.0%} {number} lie in [0, 1]")
        doubt = None
        if rows.size >= FEW and (rows <= 0).all():
            doubt = (
                "taken for logits, but no probed value is above 0: if they are log-probabilities, pass "
                "--preds-are log-probs"
            )
        return KindDecision("logits", f"because {1 - in_unit.mean():.0%} {number} leave [0, 1]", doubt)
    off = np.abs(rows.sum(1) - 1).reshape(len(rows), -1).max(1)
    probs = in_unit & (off <= probe.tolerance)
    if probs.mean() >= MAJORITY:
        rounding = f" within rounding to {probe.decimals} decimals" if probe.decimals else ""
        return KindDecision("probs", f"because {probs.mean():.0%} {number} are in [0, 1] and sum to 1{rounding}")
    log_probs = _log_probs(rows, probe.tolerance)
    if log_probs.mean() >= MAJORITY:
        why = f"because {log_probs.mean():.0%} {number} are <= 0 and their exponentials sum to 1"
        return KindDecision("log-probs", why)
    doubt = None
    if in_unit.mean() >= MAJORITY:
        doubt = (
            f"taken for logits, but {in_unit.mean():.0%} {number} lie in [0, 1]: if they are probabilities, normalise "
            "each row to sum to 1; if several classes can be true, pass --task multilabel with labels [N, C]"
        )
    return KindDecision("logits", f"because {1 - probs.mean():.0%} {number} do not sum to 1", doubt)


def _log_probs(rows: np.ndarray[Any, Any], tolerance: float) -> np.ndarray[Any, Any]:
    with np.errstate(over="ignore"):
        off = np.abs(np.exp(np.minimum(rows, 1.0)).sum(1) - 1).reshape(len(rows), -1).max(1)
    result: np.ndarray[Any, Any] = (rows <= tolerance).reshape(len(rows), -1).all(1) & (off <= tolerance)
    return result
