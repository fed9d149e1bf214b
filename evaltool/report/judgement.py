"""The rule: is imbalance the problem, and which numbers say so; the words follow from the same judgement."""

from typing import Any, NamedTuple

from evaltool.report.document import ClassRow, Estimate
from evaltool.report.head_tail import HeadTail, head_and_tail, pair_compared
from evaltool.report.label_noise import Disagreements, disagreements_of

EVEN = 1.5  # largest class over smallest: below it there is no imbalance to speak of
RELEVANT = 0.10  # a gap that matters: ten of a hundred labels
SMALL = 0.03  # a gap that is worth a word
CROWDED = 1.5  # predicted over labelled: the rare classes take what is not theirs
FEWEST = 20  # scored samples
FEWEST_LABELS = 10  # in the tail: one of six missed is no finding, whatever an interval says
FEWEST_IMAGES = 10  # of segmentation: positions of one image hang together
RARE = 1 / 3  # multilabel: positives are a minority
MISSING = 0.8  # multilabel: predicted positives over labelled ones, below which they are missed

# what a judgement rests on
RECALL = "recall"  # the tail is found less often
SHIFT = "shift"  # the tail is found more often, and predicted more often than it occurs
NOISE = "noise"  # the tail is found less often, as wrong labels have it
FEW = "few"  # there is too little to compare
ALIKE = ""


class Judgement(NamedTuple):
    """What is judged, and why."""

    imbalance: str  # "problem", "minor", "none" or "unknown"
    route: str  # what it rests on
    compared: HeadTail | None
    noise: Disagreements | None = None  # of the route "noise"


def judgement_of(document: dict[str, Any]) -> Judgement:
    """Return the judgement on a classification; the rule is in ``verdict.verdict_of``."""
    compared = head_and_tail(document)
    enough = document["n_scored"] >= (FEWEST_IMAGES if document["task"] == "segmentation" else FEWEST)
    if compared is None or not enough or compared.tail_units < FEWEST_LABELS:
        return Judgement("unknown", FEW, compared)
    imbalance, route = judged(compared)
    if document["task"] == "multilabel" and imbalance in ("none", "unknown"):
        positives = _positives(document)
        if positives is not None and judged(positives) == ("problem", RECALL) and _missing(positives):
            return Judgement("problem", RECALL, positives)
    if route == RECALL:
        noise = disagreements_of(document, compared.head, compared.tail)
        if noise is not None and not beyond(noise.gap, RELEVANT if imbalance == "problem" else SMALL):
            return Judgement("unknown", NOISE, compared, noise)
    return Judgement(imbalance, route, compared)


def judged(compared: HeadTail) -> tuple[str, str]:
    """Return "problem", "minor", "none" or "unknown", and what that rests on."""
    if compared.ratio < EVEN:
        return "none", ALIKE
    gap, crowding = compared.recall_gap, compared.tail_predicted
    if gap["value"] is None:
        return "unknown", ALIKE
    if beyond(gap, RELEVANT):
        return "problem", RECALL
    other_way = opposite(gap)
    if (crowding["low"] or 0.0) >= CROWDED and beyond(other_way, SMALL):
        return ("problem" if beyond(other_way, RELEVANT) else "minor"), SHIFT
    if beyond(gap, SMALL):
        return "minor", RECALL
    if gap["low"] is None or gap["high"] is None:
        return "unknown", ALIKE
    may_be_missed = gap["low"] <= 0 and gap["high"] >= RELEVANT
    may_be_shifted = (crowding["value"] or 0.0) >= CROWDED and gap["low"] <= -RELEVANT and gap["high"] >= 0
    return ("unknown" if may_be_missed or may_be_shifted else "none"), ALIKE


def beyond(gap: Estimate, size: float) -> bool:
    """Return whether a difference is at least so large, and above 0 beyond chance."""
    return gap["value"] is not None and gap["low"] is not None and gap["low"] > 0 and gap["value"] >= size


def opposite(gap: Estimate) -> Estimate:
    """Return the difference the other way round."""
    value, low, high = (None if gap[end] is None else -float(gap[end] or 0.0) for end in ("value", "high", "low"))
    return {"value": value, "low": low, "high": high}


def _positives(document: dict[str, Any]) -> HeadTail | None:
    """Return the negatives of all labels of a multilabel problem as head and the positives as tail."""
    rows: list[ClassRow] = document["classes"]
    positives = sum(row["count"] for row in rows)
    decisions = document["n_scored"] * len(rows)
    if not 0 < positives < RARE * decisions:
        return None
    predicted = sum(row["predicted"] for row in rows)
    right = sum(round(row["count"] * (row["recall"]["value"] or 0.0)) for row in rows)
    negatives = decisions - positives
    false_positives = predicted - right
    return pair_compared(
        (negatives, decisions - predicted, max(negatives - false_positives, 0)), (positives, predicted, right)
    )


def _missing(compared: HeadTail) -> bool:
    ratio = compared.tail_predicted["value"]
    return ratio is not None and ratio < MISSING
