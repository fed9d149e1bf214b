"""Do wrong labels look like the missed rare classes: what a flipped label does to recall, and how it is told.

Labels drawn anew at random put about as many wrong ones into every class, however small it is: a rare class has few
right ones beside them, and its recall falls although its samples are found.  A model that knows the classes disagrees
with a wrong label as surely as it agrees with a right one; a model that is unsure of rare classes does not.
"""

from collections.abc import Sequence
from math import expm1, log, sqrt
from typing import Any, NamedTuple

from evaltool.report.document import Estimate
from evaltool.report.head_tail import difference
from evaltool.report.intervals import wilson

SURE = 0.75  # of the median margin of all samples: so far the label is behind where it is most likely wrong
LEAST_LOSS = -log(0.1)  # nats: the probability of the label is below 0.1
MOSTLY = 0.5  # of what is missed in the tail
FACTOR = 2.0  # between what the other classes let expect and what the tail has
FEWEST = 5  # sure disagreements in the other classes
CROSS_ENTROPY = ("ce", "bce")


class Disagreements(NamedTuple):
    """Labels of the tail that the model surely takes for another class."""

    sure: int
    missed: int  # all that are not found
    expected: float  # from those of the other classes
    gap: Estimate  # of recall, head minus tail, without the labels that may be wrong


def disagreements_of(document: dict[str, Any], head: Sequence[int], tail: Sequence[int]) -> Disagreements | None:
    """Return them where they are most of what is missed, and as many as the other classes let expect; else None.

    Sure is a confusion whose mean cross-entropy is at least 0.75 of the median margin (log-odds of the label) of all
    samples.  If flips are blind to the classes, N samples flipped at a rate r to each other class give class c about
    r (N - n_c) wrong labels; r is that of the sure confusions of the labels outside the tail.  None where the first
    loss is not the cross-entropy.  Whether they explain the gap, the gap without them says.
    """
    confusions = document.get("confusions")
    if confusions is None or confusions["loss"] not in CROSS_ENTROPY:
        return None
    least = _least_loss(document["losses"][confusions["loss"]]["p50"])
    if least is None:
        return None
    rows, rare = document["classes"], set(tail)
    total = sum(row["count"] for row in rows)
    sure = [pair for pair in confusions["pairs"] if pair["mean_loss"] is not None and pair["mean_loss"] >= least]
    inside = sum(pair["count"] for pair in sure if pair["label"] in rare)
    outside = sum(pair["count"] for pair in sure if pair["label"] not in rare)
    room = [sum(total - row["count"] for row in rows if (row["index"] in rare) == part) for part in (True, False)]
    missed = sum(round(row["count"] * (1 - (row["recall"]["value"] or 0.0))) for row in rows if row["index"] in rare)
    if outside < FEWEST or not room[1] or inside < MOSTLY * missed:
        return None
    expected = outside * room[0] / room[1]
    if not inside / FACTOR <= expected <= inside * FACTOR:
        return None
    # as many as chance may add, here and where the rate is from, but none that the model is not sure of
    wrong = min(inside, round(expected + 2 * sqrt(expected + expected**2 / outside)))
    in_head = sum(pair["count"] for pair in sure if pair["label"] in head)
    return Disagreements(inside, missed, expected, difference(_recall(rows, head, in_head), _recall(rows, tail, wrong)))


def _recall(rows: Sequence[Any], classes: Sequence[int], without: int) -> Estimate:
    """Return the recall of classes together, of the labels that are left without some that are not found."""
    counts = [
        (row["count"], round(row["count"] * (row["recall"]["value"] or 0.0))) for row in rows if row["index"] in classes
    ]
    return wilson(sum(found for _, found in counts), sum(count for count, _ in counts) - without)


def _least_loss(median: float | None) -> float | None:
    """Return the cross-entropy from which a confusion is sure, of the median of all."""
    if median is None:
        return None
    # below the smallest loss that float32 tells from 0, a margin is as large as any
    margin = -log(max(expm1(min(median, 50.0)), 1e-7))
    return max(SURE * margin, LEAST_LOSS) if margin > 0 else None
