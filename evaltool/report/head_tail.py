"""Head against tail: what of a report tells whether imbalance is what hurts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from evaltool.report.document import ClassRow, Estimate
from evaltool.report.intervals import estimate, wilson

FEWEST_TAIL = 30  # labels that the tail is widened to, as far as the middle of the range
Z = 1.959964  # of 95%
Rows = Sequence[ClassRow]


class HeadTail(NamedTuple):
    """The most and the least frequent classes beside each other."""

    head: list[int]
    tail: list[int]
    ratio: float  # largest frequency over the smallest above 0
    head_recall: Estimate
    tail_recall: Estimate
    recall_gap: Estimate  # head minus tail
    precision_gap: Estimate
    head_precision: Estimate
    tail_precision: Estimate
    tail_labels: int
    tail_units: int  # what the tail's numbers rest on: its labels; of segmentation the images that have one
    tail_share: float  # of all labels
    tail_predicted: Estimate  # predicted over labelled
    tail_loss_share: float | None  # of the first loss
    tail_loss_size: float | None  # the tail's part of what that loss is summed over: labels; multilabel: decisions


def head_and_tail(document: dict[str, Any]) -> HeadTail | None:
    """Return head and tail of a classification; None where fewer than two classes have labels.

    By frequency (training counts where given, else label counts) the classes lie between the rarest and the most
    frequent; the head is the upper third of that range on a logarithmic scale, the tail the lower third, widened by the
    next rarest up to the middle until it has 30 labels.  The rates are those of all labels (predictions) of the classes
    together, with Wilson's interval; of segmentation, whose positions hang together, the mean over the classes with the
    interval that their own intervals give.  The difference's interval is Newcombe's (1998, method 10).
    """
    rows = [row for row in document["classes"] if row["count"] > 0]
    if len(rows) < 2:
        return None
    trained = all(row["train_count"] is not None for row in rows)
    # a class that training never saw is as rare as one can be
    sizes = {row["index"]: max(float(row["train_count"] or 0.5) if trained else row["count"], 0.5) for row in rows}
    low, high = min(sizes.values()), max(sizes.values())
    ratio = high / low
    third = ratio ** (1 / 3) * (1 + 1e-9)  # what lies on the edge belongs to it
    head = [row for row in rows if sizes[row["index"]] >= high / third]
    tail = _tail(document, sorted(rows, key=lambda row: sizes[row["index"]]), sizes, low)
    return _compared(document, head, tail, ratio)


def _tail(document: dict[str, Any], rows: Rows, sizes: dict[int, float], low: float) -> list[ClassRow]:
    ratio = sizes[rows[-1]["index"]] / low
    tail: list[ClassRow] = []
    for row in rows:
        size = sizes[row["index"]]
        few = _units(document, tail) < FEWEST_TAIL
        if size <= low * ratio ** (1 / 3) * (1 + 1e-9) or (few and size <= low * ratio**0.5):
            tail.append(row)
    return tail


def _units(document: dict[str, Any], rows: Rows) -> int:
    """Return how many independent cases the labels of classes are; positions of one image are one."""
    if document["task"] != "segmentation":
        return sum(row["count"] for row in rows)
    images = int(document["n_scored"])
    # which images classes share is not known: those of the most frequent are there for certain
    return max((int((row["per_image"] or {}).get("labelled") or min(row["count"], images)) for row in rows), default=0)


def _compared(document: dict[str, Any], head: Rows, tail: Rows, ratio: float) -> HeadTail:
    pooled = document["task"] != "segmentation"
    images = int(document["n_scored"])
    recalls = [_recall(rows, pooled, images) for rows in (head, tail)]
    precisions = [_precision(rows, pooled, images) for rows in (head, tail)]
    labels = sum(row["count"] for row in tail)
    predicted = sum(row["predicted"] for row in tail)
    units = _units(document, tail)
    tail_share = labels / sum(row["count"] for row in document["classes"])
    return HeadTail(
        head=[row["index"] for row in head],
        tail=[row["index"] for row in tail],
        ratio=ratio,
        head_recall=recalls[0],
        tail_recall=recalls[1],
        recall_gap=difference(*recalls),
        precision_gap=difference(*precisions),
        head_precision=precisions[0],
        tail_precision=precisions[1],
        tail_labels=labels,
        tail_units=units,
        tail_share=tail_share,
        tail_predicted=count_ratio(predicted, labels, _right(tail), together=labels / max(units, 1)),
        tail_loss_share=loss_share(document, tail),
        tail_loss_size=_decisions_share(document, tail) if document["task"] == "multilabel" else tail_share,
    )


def difference(first: Estimate, second: Estimate) -> Estimate:
    """Return first - second with Newcombe's interval from those of both; all None where one is not known."""
    a, b = first["value"], second["value"]
    if a is None or b is None:
        return estimate(None)
    ends = (first["low"], first["high"], second["low"], second["high"])
    if any(end is None for end in ends):
        return estimate(a - b)
    low_a, high_a, low_b, high_b = (float(end or 0.0) for end in ends)
    down = np.hypot(a - low_a, high_b - b)
    up = np.hypot(high_a - a, b - low_b)
    return estimate(a - b, max(a - b - float(down), -1.0), min(a - b + float(up), 1.0))


def count_ratio(predicted: int, labelled: int, both: int, *, together: float = 1.0) -> Estimate:
    """Return predicted / labelled with a 95% interval: the delta method on its logarithm, of Poisson counts.

    Args:
        predicted: how often.
        labelled: how often.
        both: predicted and labelled; these move numerator and denominator together.
        together: how many of them hang together, by which the variance grows.
    """
    if not labelled:
        return estimate(None)
    ratio = predicted / labelled
    if not predicted:
        return estimate(ratio)
    both = min(both, predicted, labelled)
    a, b = 1 / predicted, 1 / labelled
    variance = both * (a - b) ** 2 + (predicted - both) * a**2 + (labelled - both) * b**2
    width = float(np.exp(min(Z * np.sqrt(variance * together), 100.0)))
    return estimate(ratio, ratio / width, ratio * width)


def loss_share(document: dict[str, Any], rows: Rows) -> float | None:
    """Return the share of the ranking loss that classes carry; None where no class has one."""
    first = next(iter(document["losses"]), None)
    shares = [row["losses"][first]["share"] for row in rows if first in row["losses"]]
    known = [share for share in shares if share is not None]
    return float(sum(known)) if known else None


def _decisions_share(document: dict[str, Any], rows: Rows) -> float:
    """Return the share of all decisions, positive and negative, that are about some classes of a multilabel problem."""
    first = next(iter(document["losses"]), None)
    total = 0.0
    for row in rows:
        own = row["losses"].get(first) if first is not None else None
        ratio = own["share_ratio"]["value"] if own is not None else None
        share = own["share"] if own is not None else None
        # the ratio is the loss share over this share; where no loss tells, classes have equally many decisions
        total += share / ratio if share is not None and ratio else 1 / len(document["classes"])
    return total


def _recall(rows: Rows, pooled: bool, images: int) -> Estimate:
    if not pooled:
        return _mean([_of_images(row, "recall", images) for row in rows])
    return wilson(_right(rows), sum(row["count"] for row in rows))


def _precision(rows: Rows, pooled: bool, images: int) -> Estimate:
    predicted = sum(row["predicted"] for row in rows)
    if not pooled:
        return _mean([_of_images(row, "precision", images) for row in rows if row["predicted"]])
    return wilson(min(_right(rows), predicted), predicted)


def _of_images(row: ClassRow, rate: str, images: int) -> Estimate:
    """Return a rate of a class in segmentation, with an interval as of one decision per image where it has none.

    It has none where the predictions could not be read, or where no image differs from another (a class always found).
    """
    found: Estimate = row[rate]  # type: ignore[literal-required]
    if found["value"] is None or found["low"] is not None:
        return found
    n = float((row["per_image"] or {}).get("n") or min(row["count"], images))
    return {**wilson(found["value"] * n, n), "value": found["value"]}


def _right(rows: Rows) -> int:
    return round(sum(row["count"] * (row["recall"]["value"] or 0.0) for row in rows))


def _mean(parts: Sequence[Estimate]) -> Estimate:
    """Return the mean of independent estimates; the distances to the ends add up as squares do."""
    known = [part for part in parts if part["value"] is not None]
    if not known:
        return estimate(None)
    values = np.array([part["value"] for part in known], np.float64)
    mean = float(values.mean())
    if any(part["low"] is None or part["high"] is None for part in known):
        return estimate(mean)
    down = np.linalg.norm(values - np.array([part["low"] for part in known], np.float64)) / len(known)
    up = np.linalg.norm(np.array([part["high"] for part in known], np.float64) - values) / len(known)
    return estimate(mean, mean - float(down), mean + float(up))


def pair_compared(head: Sequence[int], tail: Sequence[int]) -> HeadTail:
    """Return two sides that are no classes beside each other, as (labelled, predicted, both) each."""
    recalls = [wilson(side[2], side[0]) for side in (head, tail)]
    precisions = [wilson(side[2], side[1]) for side in (head, tail)]
    return HeadTail(
        head=[],
        tail=[],
        ratio=max(head[0], tail[0]) / max(1, min(head[0], tail[0])),
        head_recall=recalls[0],
        tail_recall=recalls[1],
        recall_gap=difference(*recalls),
        precision_gap=difference(*precisions),
        head_precision=precisions[0],
        tail_precision=precisions[1],
        tail_labels=tail[0],
        tail_units=tail[0],
        tail_share=tail[0] / (head[0] + tail[0]),
        tail_predicted=count_ratio(tail[1], tail[0], tail[2]),
        tail_loss_share=None,
        tail_loss_size=None,
    )
