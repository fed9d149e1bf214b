"""``--compare``: two runs of the same samples side by side, the second minus the first.

Each run is judged by its own labels, which may have been corrected in between: its numbers are those of its own report,
over the samples that both runs scored. A sample whose label changed counts for its old class before and for its new one
after, and as gained or lost for the new one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from evaltool.errors import EvaltoolError
from evaltool.progress import Silence, Watcher
from evaltool.report.change_words import sentences
from evaltool.report.changes import MeanCounts, RightCounts
from evaltool.report.document import ChangeRow, Comparison, Estimate, GroupRow
from evaltool.report.intervals import estimate, wilson_bounds
from evaltool.report.pairs import Pairing, Pairs
from evaltool.run.counts import label_confusion
from evaltool.run.reader import Run

Array = np.ndarray[Any, Any]
# shares of a sample's decisions that are right, by the column that weighs them
ROW_RATES: dict[str, dict[str, str | None]] = {
    "multilabel": {"n_wrong": None},
    "segmentation": {"accuracy": "n_valid", "iou": None},
}
RATE_NAMES = {"iou": "image_iou"}  # a report's mean over the images


def comparison_of(
    run: Run, other: Run, *, groups: Sequence[GroupRow] = (), watcher: Watcher | None = None
) -> Comparison:
    """Return what changed from a run to another.

    Args:
        run: the first.
        other: the second, of the same task, classes and samples.
        groups: the frequency groups of the report, whose mean recall is compared as well.
        watcher: is told how far it is.

    Raises:
        EvaltoolError: the runs are of different tasks or classes, or their rows cannot be paired.
    """
    _check_alike(run, other)
    pairing = Pairing(run, other)
    counts = _Counts(run, other)
    done = 0
    for pairs in pairing.blocks(counts.columns):
        counts.add(pairs)
        done += len(next(iter(pairs.before.values()), ()))
        (watcher or Silence()).progressed(done, run.n_samples)
    if not pairing.n_paired and run.summary["n_scored"] and other.summary["n_scored"]:
        raise EvaltoolError(
            f"the runs have no scored sample in common\n  {run.name} and {other.name}, paired by {pairing.by}\n"
            "  Compare runs of the same samples."
        )
    comparison: Comparison = {
        "other": other.name,
        "paired_by": pairing.by,
        "n_paired": pairing.n_paired,
        "n_only_first": pairing.n_only_first,
        "n_only_second": pairing.n_only_second,
        "n_label_changed": counts.n_label_changed,
        "rates": counts.rates(),
        "losses": counts.losses(),
        "classes": counts.classes(),
        "groups": counts.groups(groups),
        "sentences": [],
    }
    comparison["sentences"] = sentences(comparison, run=run, left_out=counts.left_out)
    return comparison


def _check_alike(run: Run, other: Run) -> None:
    if run.task != other.task:
        raise EvaltoolError(
            f"the runs are of different tasks\n  {run.name}: {run.task}, {other.name}: {other.task}\n"
            "  Compare runs of one task."
        )
    if run.num_classes != other.num_classes:
        raise EvaltoolError(
            f"the runs have different classes\n  {run.name}: {run.num_classes}, {other.name}: {other.num_classes}\n"
            "  Compare runs with the same classes."
        )
    numbers = [str(c) for c in range(run.num_classes)]
    names = (run.class_names, other.class_names)
    if names[0] != names[1] and numbers not in names:
        c = next(c for c, pair in enumerate(zip(*names, strict=True)) if pair[0] != pair[1])
        raise EvaltoolError(
            f"the runs have different classes\n  class {c}: {names[0][c]!r} in {run.name}, {names[1][c]!r} in "
            f"{other.name}\n  Score both with the same --class-names."
        )


class _Counts:
    """What is counted over the pairs."""

    def __init__(self, run: Run, other: Run) -> None:
        self.run, self.other = run, other
        fields = [{field.name: field.type for field in r.schema} for r in (run, other)]
        self.by_class = run.task in ("multiclass", "binary") and all(
            pa.types.is_integer(types.get(name, pa.null())) for types in fields for name in ("label", "pred")
        )
        shared = [name for name in run.losses if name in other.losses]
        self.loss_names = [name for name in shared if _record(run, name) == _record(other, name)]
        self.left_out = [name for name in shared if name not in self.loss_names]
        groups = max(1, run.num_classes)
        self.right, self.all_right = RightCounts(groups), RightCounts(1)
        self.predicted = np.zeros((2, groups), np.int64)
        self.loss_means = {name: MeanCounts(1) for name in self.loss_names}
        self.class_means = {name: MeanCounts(groups) for name in self.loss_names} if self.by_class else {}
        self.row_rates = {name: MeanCounts(1) for name in self._row_rates() if all(name in types for types in fields)}
        labelled = all("label" in types for types in fields)
        self.n_label_changed: int | None = 0 if labelled else None
        columns = [*self.row_rates, *(weight for weight in self._row_rates().values() if weight)]
        columns += ["label"] if labelled else []
        columns += ["pred"] if self.by_class else []
        self.columns = [*dict.fromkeys(columns), *self.loss_names]

    def _row_rates(self) -> dict[str, str | None]:
        return ROW_RATES.get(self.run.task, {})

    def add(self, pairs: Pairs) -> None:
        before, after = pairs
        for name, means in self.loss_means.items():
            one = np.isfinite(before[name]) & np.isfinite(after[name])
            _add_means(means, before[name], after[name], one, one)
        for name, means in self.row_rates.items():
            weight = self._row_rates()[name]
            x, y = before[name].astype(np.float64), after[name].astype(np.float64)
            known = np.isfinite(x) & np.isfinite(y)
            weights = [known * np.nan_to_num(columns[weight] if weight else np.ones(len(x))) for columns in pairs]
            _add_means(means, x, y, *weights)
        if self.n_label_changed is not None:
            self.n_label_changed += int((before["label"] != after["label"]).sum())
        if self.by_class:
            self._add_classes(pairs)

    def _add_classes(self, pairs: Pairs) -> None:
        before, after = pairs
        labels = [columns["label"].astype(np.int64) for columns in pairs]
        preds = [columns["pred"].astype(np.int64) for columns in pairs]
        right = [label == pred for label, pred in zip(labels, preds, strict=True)]
        self.right.add(*labels, *right)
        zero = np.zeros(len(labels[0]), np.int64)
        self.all_right.add(zero, zero, *right)
        for side in (0, 1):
            self.predicted[side] += np.bincount(preds[side], minlength=self.predicted.shape[1])
        moved = labels[0] != labels[1]
        for name, means in self.class_means.items():
            known = np.isfinite(before[name]) & np.isfinite(after[name])
            _add_means(means, before[name], after[name], known, known & ~moved, group=labels[0])
            joined = known & moved
            _add_means(means, before[name], after[name], 0 * joined, joined, group=labels[1])

    def rates(self) -> dict[str, dict[str, Any]]:
        if self.by_class:
            right_before, before, right_after, after = (int(counts[0]) for counts in self.all_right.shares())
            return {
                "accuracy": {
                    "before": _ratio(right_before, before),
                    "after": _ratio(right_after, after),
                    "difference": self.all_right.differences()[0],
                },
                "balanced_accuracy": self.right.mean_difference(range(self.right.groups)),
            }
        rates = {RATE_NAMES.get(name, name): _sides(means) for name, means in self.row_rates.items()}
        if "n_wrong" in rates:
            return {"accuracy": self._decisions(rates["n_wrong"])}
        return rates

    def _decisions(self, wrong: dict[str, Any]) -> dict[str, Any]:
        """Return the share of right decisions of multilabel from the wrong ones per sample."""
        per_row = [_decisions_per_row(r) for r in (self.run, self.other)]
        if wrong["before"] is None or 0 in per_row:
            return {"before": None, "after": None, "difference": estimate(None)}
        before, after = 1 - wrong["before"] / per_row[0], 1 - wrong["after"] / per_row[1]
        low, high = wrong["difference"]["low"], wrong["difference"]["high"]
        half = None if low is None else (high - low) / 2 / per_row[1]
        d = after - before
        return {
            "before": before,
            "after": after,
            "difference": estimate(d) if half is None else estimate(d, d - half, d + half),
        }

    def losses(self) -> dict[str, dict[str, Any]]:
        return {name: _sides(means) for name, means in self.loss_means.items()}

    def groups(self, groups: Sequence[GroupRow]) -> list[dict[str, Any]]:
        if not self.by_class:
            return []
        rows = [(group["name"], self.right.mean_difference(group["classes"])) for group in groups]
        return [
            {"name": name, "recall_before": row["before"], "recall_after": row["after"], "recall": row["difference"]}
            for name, row in rows
        ]

    def classes(self) -> list[ChangeRow]:
        if not self.by_class:
            return self._classes_of_summaries()
        right_before, before, right_after, after = self.right.shares()
        recall = self.right.differences()
        losses = {name: means.differences() for name, means in self.class_means.items()}
        return [
            {
                "index": c,
                "name": self.run.class_names[c],
                "recall_before": _ratio(right_before[c], before[c]),
                "recall_after": _ratio(right_after[c], after[c]),
                "recall": recall[c],
                "precision_before": _ratio(right_before[c], self.predicted[0, c]),
                "precision_after": _ratio(right_after[c], self.predicted[1, c]),
                "losses": {name: values[c] for name, values in losses.items()},
                "gained": int(self.right.gained[c]),
                "lost": int(self.right.lost[c]),
            }
            for c in range(self.run.num_classes)
        ]

    def _classes_of_summaries(self) -> list[ChangeRow]:
        """Return the classes where rows do not say which decisions are right: all rows of each run, unpaired."""
        pairs = zip(self.run.summary["classes"], self.other.summary["classes"], strict=True)
        return [
            {
                "index": c,
                "name": self.run.class_names[c],
                "recall_before": before["recall"],
                "recall_after": after["recall"],
                "recall": _unpaired(before, after, independent=self.run.task == "multilabel"),
                "precision_before": before["precision"],
                "precision_after": after["precision"],
                "losses": {
                    name: _plain(before["mean_loss"].get(name), after["mean_loss"].get(name))
                    for name in self.loss_names
                },
                "gained": None,
                "lost": None,
            }
            for c, (before, after) in enumerate(pairs)
        ]


def _record(run: Run, loss: str) -> dict[str, Any]:
    """Return what a loss is: of a file its digest, wherever it lies."""
    record = next(record for record in run.manifest["losses"] if record["column"] == loss)
    return {key: value for key, value in record.items() if key not in ("path", "mtime")}


def _add_means(means: MeanCounts, x: Array, y: Array, w: Array, v: Array, group: Array | None = None) -> None:
    zero = np.zeros(len(x), np.int64) if group is None else group
    means.add(zero, x.astype(np.float64), y.astype(np.float64), w.astype(np.float64), v.astype(np.float64))


def _sides(means: MeanCounts) -> dict[str, Any]:
    before, after = (estimate(float(values[0]))["value"] for values in means.means())
    return {"before": before, "after": after, "difference": means.differences()[0]}


def _decisions_per_row(run: Run) -> float:
    """Return how many decisions a sample of a multilabel run has, fewer than classes where some are ignored."""
    scored = run.summary["n_scored"]
    return float(label_confusion(run.state).sum()) / scored if scored else 0.0


def _ratio(part: Any, whole: Any) -> float | None:
    return float(part) / float(whole) if whole else None


def _plain(before: float | None, after: float | None) -> Estimate:
    return estimate(None if before is None or after is None else after - before)


def _unpaired(before: Any, after: Any, *, independent: bool) -> Estimate:
    """Return the difference of two recalls; of positions, which are not independent, without an interval.

    Taken as independent the two are never too narrow an interval: on the same samples they go together.
    """
    plain = _plain(before["recall"], after["recall"])
    value = plain["value"]
    if value is None or not independent:
        return plain
    n = np.array([before["count"], after["count"]], np.float64)
    share = np.array([before["recall"], after["recall"]])
    low, high = wilson_bounds(np.round(share * n), n)
    down = float(np.hypot(share[1] - low[1], high[0] - share[0]))
    up = float(np.hypot(high[1] - share[1], share[0] - low[0]))
    return estimate(value, value - down, value + up)
