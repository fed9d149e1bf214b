"""What a report needs of ``scores.parquet`` beyond the counts of ``state.npz``, from one pass over its rows.

Losses are counted in the bins of ``state.npz``'s histogram, sparse by class, so that memory does not grow with N.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from evaltool.numerics.float_bits import ordered_bits
from evaltool.report.class_table import ClassTable
from evaltool.run.reader import Run, ok_rows
from evaltool.run.state import HISTOGRAM_BINS, LOW_BITS, PairCounts

Array = np.ndarray[Any, Any]

GAMMAS = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0)
ONE_LABEL = ("multiclass", "binary")  # a sample is its label's
REPLICATES = 200


class Scan:
    """The pass over a run.

    Args:
        run: the run.
        table: its confusion counts, None for regression.

    Attributes:
        bins: int64 [L, 8192], how many finite losses are in each bin, and ``sums``, float64, what they add up to.
        by_class: for each loss keys class * 8192 + bin, sorted, and their counts, int64 [2, k]; empty unless a sample
            has one label.
        pair_sums: float64 [k], the ranking loss of each of the table's pairs, and ``pair_counts``, of how many samples.
        focal_bins: how many cross-entropies are in each bin, int64 [8192], with ``focal_sums`` [6, 8192] of the focal
            losses of ``GAMMAS`` and ``focal_squares`` [6]; ``focal_from`` says of which column, None where of none.
        wrong: multilabel: how many samples have so many wrong labels, int64 [C + 1].
        images: segmentation: float64 [200, 4], of each replicate of the images (the weights' sum, that of the IoUs, the
            right positions, the positions).
        iou: segmentation: how many images have an IoU, and what they add up to.
    """

    def __init__(self, run: Run, table: ClassTable | None) -> None:
        self.run = run
        losses, classes = run.losses, run.num_classes
        self.one_label = run.task in ONE_LABEL and table is not None
        self.bins = np.zeros((len(losses), HISTOGRAM_BINS), np.int64)
        self.sums = np.zeros((len(losses), HISTOGRAM_BINS))
        self._by_class = [PairCounts(max(classes, 1) * HISTOGRAM_BINS) for _ in losses]
        self._pairs = None
        if self.one_label and table is not None and table.pairs is not None:
            label, pred, _ = table.pairs
            self._pairs = label * classes + pred
        size = 0 if self._pairs is None else len(self._pairs)
        self.pair_sums, self.pair_counts = np.zeros(size), np.zeros(size, np.int64)
        self.focal_from = cross_entropy_column(run) if self.one_label else None
        self.focal_bins = np.zeros(HISTOGRAM_BINS, np.int64)
        self.focal_sums = np.zeros((len(GAMMAS), HISTOGRAM_BINS))
        self.focal_squares = np.zeros(len(GAMMAS))
        self.wrong = np.zeros(classes + 1, np.int64)
        self.images = np.zeros((REPLICATES, 4))
        self.iou = [0.0, 0.0]
        self._rng = np.random.default_rng(0)
        for batch in run.batches(self._columns()):
            self._add(batch)
        self.by_class = [counts.pairs() for counts in self._by_class]

    def _columns(self) -> list[str]:
        extra = {"multilabel": ["n_wrong"], "segmentation": ["n_valid", "accuracy", "iou"]}.get(self.run.task, [])
        if self.one_label:
            extra = ["label", "pred", *([self.focal_from] if self.focal_from else [])]
        return list(dict.fromkeys(["status", *self.run.losses, *extra]))

    def _add(self, batch: pa.RecordBatch) -> None:
        ok = ok_rows(batch)
        columns = {name: floats(batch, name)[ok] for name in self.run.losses}
        if self.one_label:
            label, pred = (integers(batch, name)[ok] for name in ("label", "pred"))
        for i, values in enumerate(columns.values()):
            finite = np.isfinite(values)
            bins = ordered_bits(values[finite].astype(np.float32)) >> LOW_BITS
            self.bins[i] += np.bincount(bins, minlength=HISTOGRAM_BINS)
            self.sums[i] += np.bincount(bins, values[finite], HISTOGRAM_BINS)
            if self.one_label:
                count_keys(self._by_class[i], label[finite] * HISTOGRAM_BINS + bins)
        if self.one_label:
            self._add_pairs(label, pred, next(iter(columns.values())))
        if self.focal_from:
            self._add_focal(floats(batch, self.focal_from)[ok])
        if self.run.task == "multilabel":
            self.wrong += np.bincount(integers(batch, "n_wrong")[ok], minlength=len(self.wrong))
        if self.run.task == "segmentation":
            self._add_images(*(floats(batch, name)[ok] for name in ("iou", "accuracy", "n_valid")))

    def _add_pairs(self, label: Array, pred: Array, values: Array) -> None:
        if self._pairs is None or not len(self._pairs):
            return
        keys = label * self.run.num_classes + pred
        places = np.minimum(np.searchsorted(self._pairs, keys), len(self._pairs) - 1)
        counted = np.isfinite(values) & (self._pairs[places] == keys)
        np.add.at(self.pair_sums, places[counted], values[counted])
        np.add.at(self.pair_counts, places[counted], 1)

    def _add_focal(self, values: Array) -> None:
        entropy = values if self.focal_from != "p_label" else -np.log(values, where=values > 0, out=values * np.inf)
        entropy = entropy[np.isfinite(entropy)]
        bins = ordered_bits(entropy.astype(np.float32)) >> LOW_BITS
        miss = -np.expm1(-entropy)
        self.focal_bins += np.bincount(bins, minlength=HISTOGRAM_BINS)
        for g, gamma in enumerate(GAMMAS):
            focal = miss**gamma * entropy
            self.focal_sums[g] += np.bincount(bins, focal, HISTOGRAM_BINS)
            self.focal_squares[g] += (focal**2).sum()

    def _add_images(self, iou: Array, accuracy: Array, n_valid: Array) -> None:
        # image by image, so that the draws do not depend on how rows come in batches
        for start in range(0, len(iou), 4096):
            some = slice(start, start + 4096)
            weights = self._rng.poisson(1.0, (len(iou[some]), REPLICATES)).T.astype(np.float64)
            right = accuracy[some] * n_valid[some]
            of_image = np.stack([np.ones_like(right), iou[some], right, n_valid[some]], 1)
            self.images += weights @ of_image
        self.iou = [self.iou[0] + len(iou), self.iou[1] + float(iou.sum())]


def cross_entropy_column(run: Run) -> str | None:
    """Return the column that holds -ln p of the label: an unweighted, unsmoothed cross-entropy, else ``p_label``.

    None where labels are no single class (shares) or neither column is there.
    """
    decisions = run.manifest["decisions"]
    if decisions["soft_labels"] or decisions["fractions"]:
        return None
    for record in run.manifest["losses"]:
        plain = all(value is None or value == 0 for value in record.get("parameters", {}).values())
        if record.get("loss") in ("ce", "bce") and plain:
            return str(record["column"])
    return "p_label" if "p_label" in run.schema.names else None


def count_keys(counts: PairCounts, keys: Array) -> None:
    """Add 1 for each key."""
    if counts.dense is not None:
        np.add.at(counts.dense, keys, 1)
    else:
        counts.add(np.stack(np.unique(keys, return_counts=True)))


def floats(batch: pa.RecordBatch, name: str) -> Array:
    """Return a column as float64, null as NaN."""
    return np.asarray(batch.column(name).to_numpy(zero_copy_only=False), np.float64)


def integers(batch: pa.RecordBatch, name: str) -> Array:
    """Return an integer column as int64, null as 0."""
    return np.asarray(batch.column(name).fill_null(0).to_numpy(zero_copy_only=False), np.int64)
