"""What to think of it: is imbalance the problem, which classes, what first; three sentences with their numbers."""

from typing import Any

from evaltool.report.document import ClassRow, Estimate, Verdict
from evaltool.report.head_tail import HeadTail, head_and_tail, pair_compared
from evaltool.report.sentences import classes_sentence, first_step, imbalance_sentence, regression_verdict, unscored

EVEN = 1.5  # largest class over smallest: below it there is no imbalance to speak of
RELEVANT = 0.10  # a gap that matters: ten of a hundred labels
SMALL = 0.03  # a gap that is worth a word
CROWDED = 2.0  # predicted over labelled: the rare classes take what is not theirs
CROWDED_SOMEWHAT = 1.1
WORKS = 0.5  # recall of the head below which a model is wrong everywhere, and chance alone crowds the rare classes
FEWEST = 20  # scored samples
FEWEST_LABELS = 10  # in the tail: one of six missed is no finding, whatever an interval says
FEWEST_IMAGES = 10  # of segmentation: positions of one image hang together
RARE = 1 / 3  # multilabel: positives are a minority


def verdict_of(document: dict[str, Any]) -> Verdict:
    """Return the verdict on a report's document, whose other sections are there (``advice`` or not).

    The head are the most frequent classes, the tail the rarest (``head_tail``; training counts where given).  In order:

    - "unknown": fewer than 20 scored samples (10 images), fewer than two classes with labels, or fewer than 10 in
      the tail.
    - "none": the largest class is less than 1.5 times the smallest.
    - "problem": the recall of the head is at least 0.10 above that of the tail, and the 95% interval of the difference
      leaves out 0.  The same difference between precisions is one the other way round, where the tail is predicted at
      least twice as often as it is labelled, by a model that finds half of the head: a shifted prior.
    - "minor": the difference is above 0 beyond chance, and at least 0.03, but below 0.10; or precisions are 0.10 apart
      and the tail is predicted 1.1 to 2 times as often as it is labelled.
    - "unknown": the interval of the difference holds 0 as well as 0.10.
    - "none": otherwise; the tail is found as often as the head, be it well or badly.

    Multilabel: where the classes do not tell (none or unknown) and under a third of all decisions are positive,
    positives stand against negatives as tail and head; it is a problem only if fewer than 0.8 times as many are
    predicted.

    What a loss share says is in the sentences and the evidence, but decides nothing: a rare class found as often as the
    others may well carry more loss than its share, and costs nobody a wrong answer.

    Regression has no classes: "none", and the sentences are about how errors are spread.
    """
    if document["task"] == "regression":
        return regression_verdict(document, FEWEST)
    compared = head_and_tail(document)
    enough = document["n_scored"] >= (FEWEST_IMAGES if document["task"] == "segmentation" else FEWEST)
    if compared is None or not enough or compared.tail_labels < FEWEST_LABELS:
        return unscored(document, compared)
    imbalance = judged(compared)
    if document["task"] == "multilabel" and imbalance in ("none", "unknown"):
        positives = _positives(document)
        if positives is not None and _misses_positives(positives):
            compared, imbalance = positives, judged(positives)
    sentence, classes = classes_sentence(document, imbalance, compared)
    return {
        "imbalance": imbalance,
        "sentences": [imbalance_sentence(document, imbalance, compared), sentence, first_step(document, imbalance)],
        "classes": classes,
        "evidence": evidence(document, compared),
    }


def judged(compared: HeadTail) -> str:
    """Return "problem", "minor", "none" or "unknown"; see ``verdict_of``."""
    if compared.ratio < EVEN:
        return "none"
    gap, precision_gap = compared.recall_gap, compared.precision_gap
    if gap["value"] is None:
        return "unknown"
    if beyond(gap, RELEVANT):
        return "problem"
    crowding = compared.tail_predicted_ratio or 0.0
    works = (compared.head_recall["value"] or 0.0) >= WORKS
    if works and beyond(precision_gap, RELEVANT) and crowding >= CROWDED_SOMEWHAT:
        return "problem" if crowding >= CROWDED else "minor"
    if beyond(gap, SMALL):
        return "minor"
    if gap["low"] is None or gap["high"] is None:
        return "unknown"
    return "unknown" if gap["low"] <= 0 and gap["high"] >= RELEVANT else "none"


def beyond(gap: Estimate, size: float) -> bool:
    """Return whether a difference is at least so large, and above 0 beyond chance."""
    return gap["value"] is not None and gap["low"] is not None and gap["low"] > 0 and gap["value"] >= size


def evidence(document: dict[str, Any], compared: HeadTail) -> dict[str, float | None]:
    """Return the numbers behind a verdict."""
    imbalance = document["imbalance"] or {}
    share = compared.tail_loss_share
    return {
        "ratio": compared.ratio,
        "head_recall": compared.head_recall["value"],
        "tail_recall": compared.tail_recall["value"],
        "recall_gap": compared.recall_gap["value"],
        "recall_gap_low": compared.recall_gap["low"],
        "recall_gap_high": compared.recall_gap["high"],
        "head_precision": compared.head_precision["value"],
        "tail_precision": compared.tail_precision["value"],
        "precision_gap": compared.precision_gap["value"],
        "precision_gap_low": compared.precision_gap["low"],
        "precision_gap_high": compared.precision_gap["high"],
        "tail_share": compared.tail_share,
        "tail_labels": float(compared.tail_labels),
        "tail_predicted_ratio": compared.tail_predicted_ratio,
        "tail_loss_share": share,
        "tail_share_ratio": share / compared.tail_share if share is not None and compared.tail_share else None,
        "prior_shift": imbalance.get("prior_shift"),
    }


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


def _misses_positives(compared: HeadTail) -> bool:
    return judged(compared) == "problem" and (compared.tail_predicted_ratio or 1.0) < 0.8
