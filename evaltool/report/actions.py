"""What to try, the most promising first: only what the numbers of a report support."""

import shlex
from typing import Any

from evaltool.report.document import Action, Adjustment, Calibration, Correction, Focusing, Threshold, WeightRule
from evaltool.report.head_tail import head_and_tail
from evaltool.report.sentences import named, percent
from evaltool.report.verdict import verdict_of

MOST = 6
GAIN = 0.01  # of balanced accuracy that is worth a step
F1_GAIN = 0.02
ECE_GAIN = 0.01
DEAR = 0.10  # share of the loss that one confusion carries
MINED = 200


def actions_of(document: dict[str, Any], advice: dict[str, Any], run_path: str) -> list[Action]:
    """Return the actions, 6 at most.

    Args:
        document: the report without advice.
        advice: ``weights``, ``adjustment``, ``correction``, ``thresholds``, ``calibration`` and ``focusing``, as far as
            they are known, and ``softmax``, whether classes share a distribution.
        run_path: for commands.
    """
    bare = {**document, "advice": None}
    imbalance = verdict_of(bare)["imbalance"]
    run = shlex.quote(run_path)
    labels = _label_errors(document, imbalance, run)
    corrected = _correcting(advice["correction"])
    found = [
        _adjusting(advice["adjustment"], advice["softmax"]),
        corrected,
        _thresholds(document, advice["thresholds"]),
        _weighing(document, imbalance, advice["weights"]),
        _focusing(advice["focusing"], imbalance, "FocalLoss" if advice["softmax"] else "BinaryFocalLoss"),
        _cooling(advice["calibration"]),
        _dearest(document, run),
    ]
    helpful = [action for action in found if action is not None]
    if imbalance in ("none", "minor"):
        first = [action for action in (corrected,) if action is not None]
        helpful = [*first, *labels, *(action for action in helpful if action is not corrected)]
    elif imbalance == "unknown":
        helpful = [_more_samples(document), *helpful, *labels]
    else:
        helpful = [*helpful, *labels]
    return helpful[:MOST]


def _adjusting(adjustment: Adjustment, softmax: bool) -> Action | None:
    gain, low = adjustment["gain"]["value"], adjustment["gain"]["low"]
    if gain is None or low is None or low <= 0 or gain < GAIN:
        return None
    before, after = adjustment["accuracy_before"], adjustment["accuracy_after"]
    cost = "" if before is None or after is None else f"; accuracy goes from {percent(before)} to {percent(after)}"
    prior = "the log prior" if softmax else "the log-odds of the prior"
    return {
        "title": f"Subtract {adjustment['tau']:g} times {prior} from the logits",
        "why": f"balanced accuracy rises by {100 * gain:.1f} points on rows held out (at least {100 * low:.1f}){cost}",
        "command": adjustment["torch"],
    }


def _correcting(correction: Correction) -> Action | None:
    gain, low = correction["gain"]["value"], correction["gain"]["low"]
    if gain is None or low is None or low <= 0 or gain < GAIN:
        return None
    return {
        "title": "Bring the predictions back to the frequencies of the labels: add a bias per class",
        "why": f"accuracy rises from {percent(correction['accuracy_before'])} to "
        f"{percent(correction['accuracy_after'])} on rows held out (by {100 * low:.1f} points at least)",
        "command": correction["torch"],
    }


def _thresholds(document: dict[str, Any], thresholds: list[Threshold]) -> Action | None:
    moved = [row for row in thresholds if row["f1_after"] is not None and row["f1_before"] is not None]
    gains = [float(row["f1_after"] or 0.0) - float(row["f1_before"] or 0.0) for row in moved]
    if not gains or sum(gains) / len(gains) < F1_GAIN:
        return None
    before = sum(float(row["f1_before"] or 0.0) for row in moved) / len(moved)
    after = before + sum(gains) / len(gains)
    listed = ", ".join(f"{1.0 if row['threshold'] is None else row['threshold']:.6g}" for row in thresholds)
    what = "the threshold" if len(thresholds) == 1 else "the thresholds"
    return {
        "title": f"Move {what} away from 0.5",
        "why": f"mean F1 rises from {before:.3f} to {after:.3f} on the rows they are chosen on",
        "command": f"thresholds = torch.tensor([{listed}])\npredicted = logits.sigmoid() >= thresholds\n",
    }


def _weighing(document: dict[str, Any], imbalance: str, weights: list[WeightRule]) -> Action | None:
    compared = head_and_tail(document)
    if imbalance != "problem" or compared is None or not weights:
        return None
    ratio = compared.tail_predicted_ratio or 0.0
    if ratio > 1:  # the rare are predicted too often already
        return None
    rule = next(rule for rule in weights if rule["rule"] == "sqrt-inverse")
    return {
        "title": "Train with class weights (sqrt-inverse is the mildest)",
        "why": f"the rarest classes are predicted {ratio:.2g} times as often as they occur",
        "command": rule["torch"],
    }


def _focusing(focusing: Focusing | None, imbalance: str, loss: str) -> Action | None:
    if focusing is None or not focusing["suggested"] or imbalance not in ("problem", "minor"):
        return None
    return {
        "title": f"Train with a focal loss of gamma {focusing['suggested']:g}",
        "why": focusing["reason"].rstrip("."),
        "command": f"from evaltool.losses import {loss}\n\ncriterion = {loss}(gamma={focusing['suggested']:g}, "
        "reduction='mean')\n",
    }


def _cooling(calibration: Calibration | None) -> Action | None:
    found = calibration["temperature"] if calibration else None
    if found is None or found["value"] is None:
        return None
    before, after = found["ece_before"] or 0.0, found["ece_after"] or 0.0
    if before - after < ECE_GAIN or (found["nll_after"] or 0.0) >= (found["nll_before"] or 0.0):
        return None
    sure = "surer than right" if found["value"] > 1 else "less sure than right"
    return {
        "title": f"Divide the logits by {found['value']:.3g}",
        "why": f"the model is {sure}: the calibration error falls from {before:.3f} to {after:.3f} on rows held out",
        "command": f"logits = logits / {found['value']:.6g}\n",
    }


def _dearest(document: dict[str, Any], run: str) -> Action | None:
    confusions = document.get("confusions")
    pairs = confusions["pairs"] if confusions else []
    # of two classes there are two confusions: no news
    if len(document["classes"]) < 3 or not pairs or (pairs[0]["loss_share"] or 0.0) < DEAR:
        return None
    label, pred = pairs[0]["label"], pairs[0]["pred"]
    return {
        "title": f"Look at {named(document, label)} taken for {named(document, pred)}",
        "why": f"these {pairs[0]['count']:,} samples carry {percent(pairs[0]['loss_share'])} of the loss",
        "command": f"evaltool mine {run} --where 'label = {label} AND pred = {pred}'"
        if document["task"] == "multiclass"
        else "",
    }


def _label_errors(document: dict[str, Any], imbalance: str, run: str) -> list[Action]:
    if document["n_scored"] == 0:
        return []
    wrong = _wrong(document)
    if wrong == 0:
        return []
    n = min(MINED, document["n_scored"])
    nothing = imbalance == "none" and document["task"] != "regression"
    title = f"Look at the {n} most likely label errors"
    if document["task"] == "regression":
        title, why = f"Look at the {n} samples with the largest error", "they may be labelled wrong"
        return [{"title": title, "why": why, "command": f"evaltool mine {run}"}]
    opening = "imbalance is not what costs you; " if nothing else ""
    return [
        {
            "title": title,
            "why": f"{opening}{wrong:,} labels are not what is predicted, and some of those labels may be wrong",
            "command": f"evaltool mine {run} --by label-error",
        }
    ]


def _more_samples(document: dict[str, Any]) -> Action:
    return {
        "title": "Score more samples, of the rare classes above all",
        "why": f"{document['n_scored']:,} are too few to tell the rare classes from the others",
        "command": "",
    }


def _wrong(document: dict[str, Any]) -> int:
    """Return labels (positives, positions) that are not predicted; of regression, samples."""
    if document["task"] == "regression":
        return int(document["n_scored"])
    return sum(round(row["count"] * (1 - (row["recall"]["value"] or 0.0))) for row in document["classes"])
