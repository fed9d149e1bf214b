"""The same numbers by group: where a model is worse than elsewhere, beyond what chance explains.

Each group's mean of the ranking loss is set against that of all other rows by two t tests, which need sums of squares
only (a permutation test would need all rows at once), and the larger p-value counts.  Losses are skewed: among twenty
rows there may be no large loss by chance, and Welch's test takes the small spread for certainty; Student's, with one
variance for all, does not.  It is the other way round where one large loss makes a group's mean.  Groups of fewer than
10 rows get no p-value.  What is tested many times is found
by chance as often: Benjamini and Hochberg's q-values hold the share of false findings at 5%.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from evaltool.progress import Silence, Watcher
from evaltool.readers.side_files import read_ids
from evaltool.report.document import Estimate, SliceRow, Slices
from evaltool.report.intervals import estimate, estimates, mean_proportion, wilson
from evaltool.report.student import Moments, benjamini_hochberg, mean_bounds, moments, pooled_p_value, welch
from evaltool.run.reader import Run
from evaltool.schema import OK, STATUSES

Array = np.ndarray[Any, Any]

NO_GROUP = "(none)"
MOST_ROWS = 200
FEWEST_TESTED = 10
LEVEL = 0.05
MEANS = {"segmentation": ("accuracy", "iou"), "multilabel": ("n_wrong",)}  # columns that rates are means of


class Grouped(NamedTuple):
    """Which group each row of a run is in."""

    names: list[str]
    codes: Array  # int32 [N]
    column: str
    n_missing: int


def slices_of(run: Run, group_by: str | Path | Sequence[Any] | Array, *, watcher: Watcher | None = None) -> Slices:
    """Return the numbers by group, worst first: by the ranking loss's mean, groups without one last.

    Of more than 200 groups those stay that differ significantly for the worse, then those of the highest mean.

    Args:
        run: the run.
        group_by: ``FILE`` or ``FILE:COLUMN``, read as ``score --ids`` reads it, or a sequence of N
            names; of several columns one has to be named, "id" as well.  A row whose
            name is null or empty is in the group "(none)".
        watcher: is told how many rows are read.

    Returns:
        200 groups at most; rates are accuracy and balanced accuracy, of segmentation the means of accuracy and IoU per
        image, of multilabel the share of right decisions and of samples without an error, of regression none.

    Raises:
        EvaltoolError: the groups cannot be read, or are not one per row.
    """
    grouped = read_groups(group_by, run.n_samples)
    sums = _Sums(run, grouped)
    sums.read(grouped.codes, watcher or Silence())
    first = sums.columns[0]
    tested, q_values = _tested(sums, first)
    mean = sums.moments(first).mean
    last_unknown = np.where(np.isnan(mean), np.inf, -mean)
    worse = (q_values <= LEVEL) & (tested.difference > 0)
    kept = np.lexsort((last_unknown, ~worse))[:MOST_ROWS]
    shown = [int(g) for g in sorted(kept, key=lambda g: (last_unknown[g], g))]
    loss_rows = {name: _means(sums.moments(name), sums.smallest[name]) for name in run.losses}
    differences = estimates(
        tested.difference, tested.difference - tested.half_width, tested.difference + tested.half_width
    )
    rows: list[SliceRow] = []
    for g in shown:
        p, q = float(tested.p_value[g]), float(q_values[g])
        rows.append(
            {
                "group": grouped.names[g],
                "count": int(sums.count[g]),
                "rates": sums.rates(g),
                "losses": {name: found[g] for name, found in loss_rows.items()},
                "difference": differences[g],
                "p_value": None if np.isnan(p) else p,
                "q_value": None if np.isnan(q) else q,
                "significant": bool(q <= LEVEL),
                "worst_class": sums.worst_class(g),
            }
        )
    return {"column": grouped.column, "n_missing": grouped.n_missing, "rows": rows, "n_groups": len(grouped.names)}


def read_groups(group_by: str | Path | Sequence[Any] | Array, n_samples: int) -> Grouped:
    """Return the group of each row; see ``slices_of``."""
    names = read_ids(group_by, n_samples, what="groups").cast(pa.string())
    encoded = names.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    found = encoded.dictionary.to_pylist()
    missing = np.isnan(codes) if codes.dtype.kind == "f" else np.zeros(len(codes), bool)
    codes = np.where(missing, len(found), codes).astype(np.int32)
    if "" in found:
        missing |= codes == found.index("")
        codes[missing] = found.index("")
        found[found.index("")] = NO_GROUP
    elif missing.any():
        found.append(NO_GROUP)
    where = str(group_by) if isinstance(group_by, (str, Path)) else "group_by"
    column = where.rpartition(":")[2] if isinstance(group_by, str) and not Path(where).exists() else Path(where).name
    return Grouped([str(name) for name in found], codes, column, int(missing.sum()))


def _tested(sums: "_Sums", first: str) -> tuple[Any, Array]:
    of = sums.moments(first)
    tested = welch(of, sums.rest(first))
    # maximum, not fmax: where one of the two is unknown, so is the larger
    larger = np.where(tested.p_value == 1, 1.0, np.maximum(tested.p_value, pooled_p_value(of, sums.rest(first))))
    p = np.where(of.n >= FEWEST_TESTED, larger, np.nan)
    return tested._replace(p_value=p), benjamini_hochberg(p)


def _means(of: Moments, smallest: float) -> list[Estimate]:
    """Return means with intervals, which end at 0 where no value of the run is below."""
    low, high = mean_bounds(of)
    return estimates(of.mean, np.maximum(low, 0.0) if smallest >= 0 else low, high)


class _Sums:
    """Sums by group of what a run holds per row."""

    def __init__(self, run: Run, grouped: Grouped) -> None:
        self.run = run
        self.size = len(grouped.names)
        self.count = np.zeros(self.size, np.int64)
        self.columns = [*run.losses, *MEANS.get(run.task, ())]
        self.columns = [name for name in self.columns if name in run.schema.names]
        self._parts = {name: np.zeros((3, self.size)) for name in self.columns}  # n, sum, squares of x - center
        # a center near the mean keeps the digits of the variance
        self._centers = {name: float(run.summary["losses"].get(name, {}).get("mean") or 0.0) for name in self.columns}
        self.smallest = dict.fromkeys(self.columns, np.inf)  # value of all rows
        self.without_error = np.zeros(self.size, np.int64)
        self._labelled = {"label", "pred"} <= set(run.schema.names) and run.task in ("multiclass", "binary")
        self._keys: list[tuple[Array, Array]] = []
        self.by_class = (np.zeros(0, np.int64), np.zeros((0, 2), np.int64))

    def read(self, codes: Array, watcher: Watcher) -> None:
        """Read all rows."""
        columns = ["status", *self.columns, *(("label", "pred") if self._labelled else ())]
        start = 0
        for batch in self.run.batches(columns):
            ok = batch.column("status").to_numpy(zero_copy_only=False) == STATUSES[OK]
            group = codes[start : start + len(ok)][ok].astype(np.int64)
            self.count += np.bincount(group, minlength=self.size)
            for name in self.columns:
                self._add(name, group, np.asarray(batch.column(name).to_numpy(zero_copy_only=False), np.float64)[ok])
            if self._labelled:
                label, pred = (batch.column(name).to_numpy(zero_copy_only=False)[ok] for name in ("label", "pred"))
                known = np.isfinite(label.astype(np.float64)) & np.isfinite(pred.astype(np.float64))
                self._add_labels(group[known], label[known].astype(np.int64), pred[known].astype(np.int64))
            start += len(ok)
            watcher.progressed(start, self.run.n_samples)
        self._merge()

    def _add(self, name: str, group: Array, values: Array) -> None:
        if name == "n_wrong":
            self.without_error += np.bincount(group[values == 0], minlength=self.size)
        finite = np.isfinite(values)
        self.smallest[name] = min(self.smallest[name], values[finite].min(initial=np.inf))
        group, values = group[finite], values[finite] - self._centers[name]
        for part, weights in zip(self._parts[name], (None, values, values**2), strict=True):
            part += np.bincount(group, weights, self.size)

    def _add_labels(self, group: Array, label: Array, pred: Array) -> None:
        keys, place = np.unique(group * self.run.num_classes + label, return_inverse=True)
        sums = np.stack([np.bincount(place, minlength=len(keys)), np.bincount(place, label == pred, len(keys))], 1)
        self._keys.append((keys, sums.astype(np.int64)))
        if sum(len(keys) for keys, _ in self._keys) > max(1 << 20, len(self.by_class[0])):
            self._merge()

    def _merge(self) -> None:
        keys = np.concatenate([self.by_class[0], *(keys for keys, _ in self._keys)])
        sums = np.concatenate([self.by_class[1], *(sums for _, sums in self._keys)])
        found, place = np.unique(keys, return_inverse=True)
        merged = np.zeros((len(found), 2), np.int64)
        np.add.at(merged, place, sums)
        self.by_class, self._keys = (found, merged), []

    def moments(self, name: str) -> Moments:
        """Return the moments of a column by group."""
        n, sums, squares = self._parts[name]
        return moments(n, sums, squares, self._centers[name])

    def rest(self, name: str) -> Moments:
        """Return the moments of all other rows."""
        parts = self._parts[name]
        n, sums, squares = parts.sum(1, keepdims=True) - parts
        return moments(n, sums, squares, self._centers[name])

    def rates(self, g: int) -> dict[str, Estimate]:
        """Return the rates of a group."""
        if self._labelled:
            _, counts = self._classes(g)
            found = {"accuracy": wilson(int(counts[:, 1].sum()), int(counts[:, 0].sum()))}
            return found | {"balanced_accuracy": mean_proportion(counts[:, 1], counts[:, 0])}
        if self.run.task == "segmentation":
            return {name: self._mean(name, g) for name in MEANS["segmentation"] if name in self.columns}
        if self.run.task == "multilabel" and "n_wrong" in self.columns:
            found = {"exact_match": wilson(int(self.without_error[g]), int(self.count[g]))}
            wrong = self._mean("n_wrong", g)
            classes = self.run.num_classes
            if self._all_decided() and wrong["value"] is not None:
                ends = (wrong["value"], wrong["high"], wrong["low"])
                found["accuracy"] = estimate(*(None if end is None else 1 - end / classes for end in ends))
            return found
        return {}

    def _mean(self, name: str, g: int) -> Estimate:
        of = Moments(*(part[g : g + 1] for part in self.moments(name)))
        low, high = mean_bounds(of)
        return estimate(float(of.mean[0]), max(0.0, float(low[0])), float(high[0]))

    def _all_decided(self) -> bool:
        """Return whether no label of a multilabel run is ignored, so that right decisions are C less the wrong ones."""
        confusion = self.run.state.get("confusion")
        return confusion is not None and int(confusion.sum()) == int(self.count.sum()) * self.run.num_classes

    def _classes(self, g: int) -> tuple[Array, Array]:
        """Return the classes with labels in a group, and how many there are and are right, int64 [k, 2]."""
        classes = self.run.num_classes
        first, last = np.searchsorted(self.by_class[0], [g * classes, (g + 1) * classes])
        return self.by_class[0][first:last] - g * classes, self.by_class[1][first:last]

    def worst_class(self, g: int) -> int | None:
        """Return the class of the lowest recall in a group, of equals the one with the most labels."""
        if not self._labelled:
            return None
        classes, counts = self._classes(g)
        if not len(classes):
            return None
        return int(classes[np.lexsort((classes, -counts[:, 0], counts[:, 1] / counts[:, 0]))[0]])
