"""What to try, the most promising first: only what the numbers of a report support."""

import shlex
from typing import Any, NamedTuple

from evaltool.report.document import (
    Action,
    Adjustment,
    Calibration,
    Correction,
    Estimate,
    Focusing,
    Threshold,
    WeightRule,
)
from evaltool.report.formats import counted
from evaltool.report.judgement import FEW, NOISE, RECALL, SHIFT, Judgement, judgement_of
from evaltool.report.sentences import named, percent, times

MOST = 6
GAIN = 0.01  # of balanced accuracy that is worth a step
F1_GAIN = 0.02
ECE_GAIN = 0.01
DEAR = 0.10  # share of the loss that one confusion carries
MINED = 200
PREDICTED_ENOUGH = 0.95  # times as often as they occur: more weight is not what rare classes lack


def actions_of(document: dict[str, Any], advice: dict[str, Any], run_path: str, *, stored: bool = True) -> list[Action]:
    """Return the actions, 6 at most.

    Args:
        document: the report without advice.
        advice: ``weights``, ``adjustment``, ``correction``, ``thresholds``, ``calibration`` and ``focusing``, as far as
            they are known, and ``softmax``, whether classes share a distribution.
        run_path: for commands.
        stored: whether the predictions were, so that label errors can be told from them.
    """
    judgement = judgement_of(document)
    imbalance = judgement.imbalance
    run = shlex.quote(run_path)
    labels = _label_errors(document, imbalance, run, stored)
    shift = _shifting(document, advice)
    shifting = [] if shift is None else [shift.action]
    found = [
        None if judgement.compared is None else _thresholds(advice["thresholds"], shift),
        _weighing(judgement, advice["weights"], advice["softmax"]),
        _focusing(advice["focusing"], judgement, "FocalLoss" if advice["softmax"] else "BinaryFocalLoss"),
        _cooling(advice["calibration"]),
        _dearest(document, run),
    ]
    helpful = [action for action in found if action is not None]
    if judgement.route == NOISE:
        helpful = [*labels, *shifting, *helpful]
    elif imbalance in ("none", "minor"):
        # what the labels' frequencies want is worth doing whatever becomes of the rare classes
        corrects = shift is not None and shift.corrects
        helpful = [*(shifting if corrects else []), *labels, *([] if corrects else shifting), *helpful]
    elif imbalance == "unknown":
        helpful = [*_more_samples(document, judgement), *shifting, *helpful, *labels]
    else:
        helpful = [*shifting, *helpful, *labels]
    return helpful[:MOST]


class _Shift(NamedTuple):
    """What moves the logits of classes against each other."""

    trade: float
    action: Action
    corrects: bool  # towards the frequencies of the labels
    upwards: bool  # of sigmoids: towards label 1


def _shifting(document: dict[str, Any], advice: dict[str, Any]) -> _Shift | None:
    """Return the better of logit adjustment and prior correction, None where neither is worth a step.

    They often undo each other: one gives to balanced accuracy what it takes from accuracy, the other the reverse.  The
    one is worth a step that gains more points of its own rate than it costs of the other, and none that merely predicts
    the most frequent class.
    """
    adjustment: Adjustment = advice["adjustment"]
    correction: Correction = advice["correction"]
    offers = []
    if adjustment["tau"] and _gains(adjustment["gain"]):
        action = _adjusting(adjustment, advice["softmax"])
        offers.append(_Shift(_trade(adjustment), action, False, _positives_are_rare(document)))
    least = _of_the_majority(document) + GAIN
    if _gains(correction["gain"]) and (correction["accuracy_after"] or 0.0) >= least:
        offers.append(_Shift(_trade(correction), _correcting(correction), True, sum(correction["values"]) > 0))
    return max((offer for offer in offers if offer.trade > 0), key=lambda offer: offer.trade, default=None)


def _gains(gain: Estimate) -> bool:
    value, low = gain["value"], gain["low"]
    return value is not None and low is not None and low > 0 and value >= GAIN


def _trade(found: Adjustment | Correction) -> float:
    """Return what accuracy and balanced accuracy gain together."""
    return sum(
        float(after or 0.0) - float(before or 0.0)
        for before, after in (
            (found["accuracy_before"], found["accuracy_after"]),
            (found["balanced_accuracy_before"], found["balanced_accuracy_after"]),
        )
    )


def _adjusting(adjustment: Adjustment, softmax: bool) -> Action:
    prior = "the log prior" if softmax else "the log-odds of the prior"
    return {
        "title": f"Subtract {adjustment['tau']:g} times {prior} from the logits",
        "why": f"on rows held out balanced accuracy {_course(adjustment, 'balanced_accuracy')} (by "
        f"{_points_of(adjustment['gain'])} points at least) and accuracy {_course(adjustment, 'accuracy')}",
        "command": adjustment["torch"],
    }


def _correcting(correction: Correction) -> Action:
    return {
        "title": "Bring the predictions back to the frequencies of the labels: add a bias per class",
        "why": f"on rows held out accuracy {_course(correction, 'accuracy')} (by {_points_of(correction['gain'])} "
        f"points at least) and balanced accuracy {_course(correction, 'balanced_accuracy')}",
        "command": correction["torch"],
    }


def _course(found: Adjustment | Correction, rate: str) -> str:
    before, after = found[f"{rate}_before"], found[f"{rate}_after"]  # type: ignore[literal-required]
    way = "stays at" if percent(before) == percent(after) else "rises from" if after > before else "falls from"
    return f"{way} {percent(after)}" if way == "stays at" else f"{way} {percent(before)} to {percent(after)}"


def _points_of(gain: Estimate) -> str:
    return f"{100 * float(gain['low'] or 0.0):.1f}"


def _of_the_majority(document: dict[str, Any]) -> float:
    """Return the accuracy of predicting what is most frequent, whatever the sample."""
    counts = [int(row["count"]) for row in document["classes"]]
    if document["task"] == "multilabel":
        n = max(int(document["n_scored"]), 1)
        return float(sum(max(count, n - count) for count in counts) / (n * max(len(counts), 1)))
    return float(max(counts) / max(sum(counts), 1))


def _positives_are_rare(document: dict[str, Any]) -> bool:
    """Return whether the labels 1 of sigmoids are fewer than the labels 0."""
    counts = [int(row["count"]) for row in document["classes"]]
    if document["task"] == "multilabel":
        return 2 * sum(counts) < len(counts) * int(document["n_scored"])
    return counts[-1] < counts[0]


def _thresholds(thresholds: list[Threshold], shift: _Shift | None) -> Action | None:
    """Return the action, where it does not take back what moving the logits does."""
    moved = [row for row in thresholds if row["f1_after"] is not None and row["f1_before"] is not None]
    gains = [float(row["f1_after"] or 0.0) - float(row["f1_before"] or 0.0) for row in moved]
    if not gains or sum(gains) / len(gains) < F1_GAIN:
        return None
    lower = sum(1.0 if row["threshold"] is None else row["threshold"] for row in moved) < 0.5 * len(moved)
    if shift is not None and lower != shift.upwards:
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


def _weighing(judgement: Judgement, weights: list[WeightRule], softmax: bool) -> Action | None:
    compared = judgement.compared
    if judgement.imbalance != "problem" or compared is None or not weights:
        return None
    if judgement.route == SHIFT:
        return {
            "title": "Train with less weight on the rare classes",
            "why": f"they are predicted {times(compared.tail_predicted)}",
            "command": "",
        }
    ratio = compared.tail_predicted["value"] or 0.0
    if ratio >= PREDICTED_ENOUGH:  # the rare are predicted often enough already
        return None
    rule = next(rule for rule in weights if rule["rule"] == "sqrt-inverse")
    title = "Train with class weights" if softmax else "Train with positives that weigh more, by pos_weight"
    who = "the rarest classes" if compared.tail else "the labels 1"
    return {
        "title": f"{title} (sqrt-inverse is the mildest)",
        "why": f"{who} are predicted {times(compared.tail_predicted)}",
        "command": rule["torch"],
    }


def _focusing(focusing: Focusing | None, judgement: Judgement, loss: str) -> Action | None:
    if focusing is None or not focusing["suggested"] or judgement.route != RECALL:
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
    label, pred, count = (pairs[0][key] for key in ("label", "pred", "count"))
    which = "this sample carries" if count == 1 else f"these {count:,} samples carry"
    return {
        "title": f"Look at {named(document, label)} taken for {named(document, pred)}",
        "why": f"{which} {percent(pairs[0]['loss_share'])} of the loss",
        "command": f"evaltool mine {run} --where 'label = {label} AND pred = {pred}'"
        if document["task"] == "multiclass"
        else "",
    }


def _label_errors(document: dict[str, Any], imbalance: str, run: str, stored: bool) -> list[Action]:
    if document["n_scored"] == 0:
        return []
    wrong = _wrong(document)
    if wrong == 0:
        return []
    n = min(MINED, document["n_scored"])
    opening = "imbalance is not what costs you; " if imbalance == "none" else ""
    why = f"{opening}{counted(wrong, 'label is', 'labels are')} not what is predicted, and "
    why += "that label may be wrong" if wrong == 1 else "some of those labels may be wrong"
    if document["task"] == "regression":
        title, why, command = f"{counted(n, 'sample')} with the largest error", "they may be labelled wrong", ""
    elif stored:
        title, command = counted(n, "most likely label error"), " --by label-error"
    else:
        title, command = f"{counted(n, 'sample')} with the largest loss", " --by hard"
    return [{"title": f"Look at the {title}", "why": why, "command": f"evaltool mine {run}{command}"}]


def _more_samples(document: dict[str, Any], judgement: Judgement) -> list[Action]:
    if judgement.route == FEW and judgement.compared is None:  # more of one class tell no more
        return []
    return [
        {
            "title": "Score more samples, of the rare classes above all",
            "why": f"{counted(document['n_scored'], 'is', 'are')} too few to tell the rare classes from the others",
            "command": "",
        }
    ]


def _wrong(document: dict[str, Any]) -> int:
    """Return labels (positives, positions) that are not predicted; of regression, samples."""
    if document["task"] == "regression":
        return int(document["n_scored"])
    return sum(round(row["count"] * (1 - (row["recall"]["value"] or 0.0))) for row in document["classes"])
