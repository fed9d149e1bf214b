"""What to think of it: is imbalance the problem, which classes, what first; three sentences with their numbers."""

from typing import Any

from evaltool.report.document import Verdict
from evaltool.report.head_tail import HeadTail
from evaltool.report.judgement import FEW, FEWEST, judgement_of
from evaltool.report.regression_words import regression_verdict
from evaltool.report.sentences import classes_sentence, first_step, imbalance_sentence, unscored


def verdict_of(document: dict[str, Any]) -> Verdict:
    """Return the verdict on a report's document, whose other sections are there (``advice`` or not).

    The head are the most frequent classes, the tail the rarest (``head_tail``; training counts where given).  In order:

    - "unknown": fewer than 20 scored samples (10 images), fewer than two classes with labels, or fewer than 10 labels
      (images that have one) in the tail.
    - "none": the largest class is less than 1.5 times the smallest.
    - "problem": the recall of the head is at least 0.10 above that of the tail, and the 95% interval of the difference
      leaves out 0.
    - "problem", the other way round: the recall of the tail is as much above that of the head, and the interval of how
      many times as often as it occurs the tail is predicted begins at 1.5 or above: a shifted prior.  From 0.03 it is
      "minor".  Neither precision nor a tail predicted too often tell by themselves: where errors are as frequent in
      all classes, those of the frequent ones outnumber the labels of the rare ones.
    - "minor": the recall of the head is above that of the tail beyond chance, by at least 0.03, but below 0.10.
    - "unknown": the interval of the difference holds 0 as well as 0.10; or 0 and -0.10, and the tail is predicted 1.5
      times as often as it occurs.
    - "none": otherwise; the tail is found as often as the head, be it well or badly.

    Where the tail is found less often, but most of what is missed the model takes as surely for another class as it is
    sure elsewhere, and as many as the other classes' wrong labels let expect (``label_noise``), and without so many the
    difference is no longer one, it is "unknown": wrong labels may explain it.

    Multilabel: where the classes do not tell (none or unknown) and under a third of all decisions are positive,
    positives stand against negatives as tail and head; it is a problem only if fewer than 0.8 times as many are
    predicted.

    What a loss share says is in the sentences and the evidence, but decides nothing: a rare class found as often as the
    others may well carry more loss than its share, and costs nobody a wrong answer.

    Regression has no classes: "none", and the sentences are about how errors are spread.
    """
    if document["task"] == "regression":
        return regression_verdict(document, FEWEST)
    judgement = judgement_of(document)
    compared = judgement.compared
    if compared is None or judgement.route == FEW:
        return unscored(document, compared)
    sentence, classes = classes_sentence(document, judgement, compared)
    return {
        "imbalance": judgement.imbalance,
        "sentences": [imbalance_sentence(document, judgement, compared), sentence, first_step(document, judgement)],
        "classes": classes,
        "evidence": evidence(document, compared),
    }


def evidence(document: dict[str, Any], compared: HeadTail) -> dict[str, float | None]:
    """Return the numbers behind a verdict."""
    imbalance = document["imbalance"] or {}
    share, size = compared.tail_loss_share, compared.tail_loss_size
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
        "tail_predicted_ratio": compared.tail_predicted["value"],
        "tail_predicted_ratio_low": compared.tail_predicted["low"],
        "tail_predicted_ratio_high": compared.tail_predicted["high"],
        "tail_loss_share": share,
        "tail_share_ratio": share / size if share is not None and size else None,
        "prior_shift": imbalance.get("prior_shift"),
    }
