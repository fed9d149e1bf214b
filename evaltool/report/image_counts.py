"""Segmentation's counts by image: how IoU is spread over images, and intervals that draw images, not positions.

Positions of one image hang together: an interval of a million positions from ten images has to be one of ten.
"""

from typing import Any

import numpy as np

from evaltool.report.document import Estimate
from evaltool.report.intervals import REPLICATES, Resampler, estimates, percentile_bounds
from evaltool.report.row_sample import BUCKET, hashed

Array = np.ndarray[Any, Any]

MOST_BUCKETS = 512  # of images that are drawn together
MOST_BINS = 2048  # of the IoU of an image
MOST_CELLS = 1 << 22
FEWEST_IMAGES = 5
LABELLED, PREDICTED, BOTH = 0, 1, 2
RATES = ("recall", "precision", "f1", "iou")


class ImageCounts:
    """Counts per class and image.

    Args:
        num_classes: C.
        n_images: that may come.
    """

    def __init__(self, num_classes: int, n_images: int) -> None:
        self.num_classes = num_classes
        most = max(2, min(MOST_BUCKETS, MOST_CELLS // (3 * num_classes)))
        self._own = n_images <= most  # an image has a bucket of its own
        self.buckets = np.zeros((n_images if self._own else most, num_classes, 3), np.int64)
        self.n_bins = max(32, min(MOST_BINS, MOST_CELLS // num_classes))
        self.histogram = np.zeros((num_classes, self.n_bins + 1), np.int64)  # the last bin: IoU 1
        self.labelled = np.zeros(num_classes, np.int64)  # images that have a label of the class
        self.n_images = 0

    def add(self, start: int, labels: Array, preds: Array, valid: Array) -> None:
        """Add images.

        Args:
            start: index of the first.
            labels: int64 [n, P], class of each position.
            preds: likewise.
            valid: bool [n, P].
        """
        n, c = len(labels), self.num_classes
        row = np.broadcast_to(np.arange(n)[:, None], labels.shape)[valid]
        label, pred = labels[valid], preds[valid]
        counts = np.stack(
            [
                np.bincount(row * c + label, minlength=n * c),
                np.bincount(row * c + pred, minlength=n * c),
                np.bincount((row * c + label)[label == pred], minlength=n * c),
            ],
            -1,
        ).reshape(n, c, 3)
        self.labelled += (counts[..., LABELLED] > 0).sum(0)
        index = start + np.arange(n)
        size = np.uint64(max(1, len(self.buckets)))
        np.add.at(self.buckets, index if self._own else (hashed(index, BUCKET) % size).astype(np.int64), counts)
        image, place = np.nonzero(counts[:, :, LABELLED])
        has = counts[image, place]
        iou = has[:, BOTH] / (has[:, LABELLED] + has[:, PREDICTED] - has[:, BOTH])
        np.add.at(self.histogram, (place, (iou * self.n_bins).astype(np.int64)), 1)
        self.n_images += int(valid.any(1).sum())

    def per_image(self) -> list[dict[str, float | None]]:
        """Return for each class the quantiles of the IoU over the images that have it; off by a bin at most.

        An image has a class where it is labelled or predicted; ``labelled`` counts the images where it is labelled.
        """
        return [
            {**self._quantiles(row), "labelled": float(n)}
            for row, n in zip(self.histogram, self.labelled.tolist(), strict=True)
        ]

    def _quantiles(self, row: Array) -> dict[str, float | None]:
        n = int(row.sum())
        below = row.cumsum()
        found: dict[str, float | None] = {}
        for name, share in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9)):
            ranks = share * (n - 1)
            found[name] = self._value(below, ranks) if n else None
        return {**found, "n": float(n)}

    def _value(self, below: Array, rank: float) -> float:
        """Return the IoU at a rank from 0, between two neighbours where the rank is."""
        first = int(np.searchsorted(below, int(rank), side="right"))
        second = int(np.searchsorted(below, int(np.ceil(rank)), side="right"))
        ends = [1.0 if place == self.n_bins else (place + 0.5) / self.n_bins for place in (first, second)]
        return float(ends[0] + (ends[1] - ends[0]) * (rank - int(rank)))

    def rates(self, groups: list[list[int]]) -> tuple[dict[str, list[Estimate]], list[dict[str, Estimate]]]:
        """Return recall, precision, F1 (Dice) and IoU of each class, and their means over groups of classes.

        The intervals draw images, each a Poisson(1) number of times; of fewer than 5 images there are none.
        """
        values = {name: table[0] for name, table in _rates(self.buckets.sum(0)[None]).items()}
        drawn = _rates(self._replicates()) if self.n_images >= FEWEST_IMAGES else None
        by_class, by_group = {}, [dict[str, Estimate]() for _ in groups]
        for name in RATES:
            by_class[name] = _with_bounds(values[name], None if drawn is None else drawn[name])
            for found, classes in zip(by_group, groups, strict=True):
                value = _mean(values[name][None, classes])
                found[name] = _with_bounds(value, None if drawn is None else _mean(drawn[name][:, classes])[:, None])[0]
        return by_class, by_group

    def _replicates(self) -> Array:
        rng = Resampler().stream("images")
        weights = rng.poisson(1.0, size=(REPLICATES, len(self.buckets))).astype(np.float64)
        flat = self.buckets.reshape(len(self.buckets), -1).astype(np.float64)
        return np.asarray((weights @ flat).reshape(REPLICATES, self.num_classes, 3))


def _rates(counts: Array) -> dict[str, Array]:
    """Return the rates of counts [r, C, 3], [r, C] each; NaN where undefined, precision 0 where never predicted."""
    labelled, predicted, both = (counts[..., i].astype(np.float64) for i in range(3))
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where((predicted == 0) & (labelled > 0), 0.0, both / predicted)
        sums = labelled + predicted
        return {
            "recall": both / labelled,
            "precision": precision,
            "f1": 2 * both / sums,
            "iou": both / (sums - both),
        }


def _mean(values: Array) -> Array:
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(1) / known.sum(1))


def _with_bounds(values: Array, replicates: Array | None) -> list[Estimate]:
    return estimates(values) if replicates is None else estimates(values, *percentile_bounds(replicates))
