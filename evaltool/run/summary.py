"""``summary.json``: what the terminal shows, from the counts of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaltool.run.counts import class_loss_sums, loss_sums
from evaltool.run.metric_values import class_metric_values, metric_values
from evaltool.run.state import State
from evaltool.schema import BAD_STATUSES, STATUSES

Array = np.ndarray[Any, Any]
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def summary_of(
    state: State,
    *,
    task: str,
    preds_are: str | None,
    class_names: Sequence[str],
    quantiles: Mapping[str, Sequence[float | None]],
    hardest: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the summary; the keys are those of the run's format.

    Args:
        state: the counts of all rows.
        task: the task.
        preds_are: the kind of the predictions, None for regression.
        class_names: one per class.
        quantiles: of each loss, at ``QUANTILES``.
        hardest: rows to show, the hardest first.
    """
    by_status = dict(zip(STATUSES, state.status.tolist(), strict=True))
    summary: dict[str, Any] = {
        "task": task,
        "preds_are": preds_are,
        "n_samples": state.n_samples,
        "n_scored": by_status["ok"],
        "n_ignored": by_status["ignored"],
        "n_bad": sum(by_status[name] for name in BAD_STATUSES),
        **{f"n_{name}": by_status[name] for name in BAD_STATUSES},
        "n_clamped": state.n_clamped,
        "n_infinite": state.n_infinite,
        "n_failed": state.n_failed,
    }
    table = class_counts(state)
    rates = [rate for rate in (*table.recall, *table.specificity) if rate is not None]
    summary["accuracy"] = ratio(table.right, table.total)
    summary["balanced_accuracy"] = float(np.mean(rates)) if rates else None
    arrays = state.arrays()
    of_classes = class_metric_values(arrays)
    summary["metrics"] = metric_values(arrays, of_classes)
    sums = loss_sums(arrays)
    summary["losses"] = {name: _loss(state, i, float(sums[i]), quantiles[name]) for i, name in enumerate(state.losses)}
    class_sums = class_loss_sums(arrays)
    whole = class_sums.sum(1)
    summary["classes"] = [
        _class(table, class_names, c)
        | {name: values[c] for name, values in of_classes.items()}
        | {
            "loss_share": {name: ratio(class_sums[i, c], whole[i]) for i, name in enumerate(state.losses)},
            "mean_loss": {
                name: ratio(class_sums[i, c], state.class_loss_count[i, c]) for i, name in enumerate(state.losses)
            },
        }
        for c in range(state.num_classes)
    ]
    summary["imbalance"] = imbalance(table.count)
    summary["hardest"] = list(hardest)
    return summary


class ClassCounts:
    """Per class: samples (positions) labelled, predicted, and both; int64 [C]."""

    def __init__(
        self, count: Array, predicted: Array, both: Array, *, right: int, total: int, rejected: Array | None = None
    ) -> None:
        self.count, self.predicted, self.both = count, predicted, both
        self.right, self.total = right, total  # decisions that are right, and all
        self.recall = [ratio(b, n) for b, n in zip(both, count, strict=True)]
        # multilabel: of the samples without the class, the share that was not given it
        self.specificity = [] if rejected is None else [ratio(a, b) for a, b in rejected]


def class_counts(state: State) -> ClassCounts:
    """Return the counts per class of a run's confusion counts; regression has no class."""
    keys, n = state.confusion
    c = max(state.num_classes, 1)
    if state.multilabel:
        cells = np.zeros((c, 4), np.int64)
        cells[keys // 4, keys % 4] = n
        both = cells[:, 3]
        right = int(cells[:, 0].sum() + both.sum())
        rejected = np.stack([cells[:, 0], cells[:, 0] + cells[:, 1]], 1)
        counts = (cells[:, 2] + both, cells[:, 1] + both, both)
        return ClassCounts(*counts, right=right, total=int(n.sum()), rejected=rejected)
    label, pred = keys // c, keys % c
    hit = label == pred
    both = _sums(label[hit], n[hit], c)
    return ClassCounts(_sums(label, n, c), _sums(pred, n, c), both, right=int(both.sum()), total=int(n.sum()))


def _sums(place: Array, counts: Array, size: int) -> Array:
    sums = np.zeros(size, np.int64)
    np.add.at(sums, place, counts)
    return sums


def ratio(part: float, whole: float) -> float | None:
    """Return part / whole, None where whole is 0."""
    return float(part) / float(whole) if whole else None


def _loss(state: State, i: int, total: float, quantiles: Sequence[float | None]) -> dict[str, float | None]:
    count = int(state.loss_count[i])
    return {
        "mean": ratio(total, count),
        "sum": total,
        **dict(zip(QUANTILES, quantiles, strict=True)),
        "max": float(state.loss_max[i]) if count else None,
    }


def _class(table: ClassCounts, names: Sequence[str], c: int) -> dict[str, Any]:
    count, predicted, both = int(table.count[c]), int(table.predicted[c]), int(table.both[c])
    # a class that occurs but is never predicted has precision 0, as scikit-learn has it
    precision = ratio(both, predicted) if predicted else (0.0 if count else None)
    return {
        "class": c,
        "name": names[c],
        "count": count,
        "share": ratio(count, int(table.count.sum())),
        "recall": table.recall[c],
        "precision": precision,
        "f1": ratio(2 * both, count + predicted),
    }


def imbalance(counts: Array) -> dict[str, float | None]:
    """Return how uneven class counts are.

    ``ratio``: the largest count over the smallest above 0; ``entropy``: of the label distribution, in nats;
    ``effective_classes``: exp(entropy); ``gini``: 0 for equal counts, (C - 1) / C for a single class.
    """
    present = counts[counts > 0]
    if not len(present):
        return {"ratio": None, "entropy": None, "effective_classes": None, "gini": None}
    share = present / present.sum()
    entropy = max(0.0, float(-(share * np.log(share)).sum()))
    ordered = np.sort(counts)
    rank = np.arange(1, len(ordered) + 1)
    gini = float(((2 * rank - len(ordered) - 1) * ordered).sum() / (len(ordered) * ordered.sum()))
    return {
        "ratio": float(present.max() / present.min()),
        "entropy": entropy,
        "effective_classes": float(np.exp(entropy)),
        "gini": gini,
    }
