"""Some decisions of a run, evenly drawn by a hash of their index, for what needs whole predictions.

Every label's rows are thinned to about the same number, so that rare classes keep all of theirs; a weight per row makes
up for it.  The same run gives the same rows, whatever the block size.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from evaltool.progress import Watcher
from evaltool.run.inputs import Inputs, Predictions

Array = np.ndarray[Any, Any]

MAX_NUMBERS = 1 << 23  # log-probabilities kept, in float32: 32 MB
KEPT, HALF, BUCKET = 1, 2, 3  # what a hash decides; each draws on its own


class Sample(NamedTuple):
    """Decisions of a run.

    Softmax tasks have ``odds`` [n, C], log p; sigmoids [n, K], the log-odds, with K = 1 for binary and one foreground
    class.  ``labels`` and ``valid`` are [n] and [n, K].
    """

    odds: Array  # float32
    labels: Array  # int64
    valid: Array  # bool
    rows: Array  # int64 [n], the sample of the run, which several positions share
    held_out: Array  # bool [n], by the sample's hash: fit on the others, measure on these
    softmax: bool

    def part(self, held_out: bool) -> "Sample":
        """Return one of the halves."""
        mine = self.held_out == held_out
        odds, labels, valid, rows, halves = (
            array[mine] for array in (self.odds, self.labels, self.valid, self.rows, self.held_out)
        )
        return Sample(odds, labels, valid, rows, halves, self.softmax)


def hashed(index: Array, purpose: int) -> Array:
    """Return uint64 that look random, one per index; splitmix64's finalizer (Steele 2014)."""
    x = index.astype(np.uint64) + np.uint64((purpose * 0x9E3779B97F4A7C15) % (1 << 64))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(x ^ (x >> np.uint64(31)))


def in_second_half(rows: Array) -> Array:
    """Return whether samples belong to the half that is measured; bool, by their index alone."""
    return np.asarray(hashed(rows, HALF) >> np.uint64(63)).astype(bool)


class Sampler:
    """Draws decisions from blocks of predictions.

    Args:
        counts: how many decisions have each label, [C]; of multilabel, how many samples there are, [1].
        numbers: in one decision's prediction: C of a softmax, 1 of binary, C of multilabel.
        softmax: whether classes share one distribution.
        most: numbers to keep, about.
    """

    def __init__(self, counts: Sequence[int], *, numbers: int, softmax: bool, most: int = MAX_NUMBERS) -> None:
        self.softmax = softmax
        per_label = _level(np.asarray(counts, np.float64), max(1, most // max(1, numbers)))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(np.asarray(counts) > per_label, per_label / np.asarray(counts, np.float64), 1.0)
        self._share = share
        self._parts: list[tuple[Array, ...]] = []

    def keeps(self, decisions: Array, labels: Array) -> Array:
        """Return which decisions are drawn, bool [n], of their indices and labels."""
        share = self._share[labels if labels.ndim == 1 and len(self._share) > 1 else np.zeros(len(decisions), np.int64)]
        chance = (hashed(decisions, KEPT) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return np.asarray(chance < share)

    def add_rows(self, rows: Array, block: Predictions) -> None:
        """Add rows that were drawn, of a task without positions."""
        odds = block.odds if block.odds.ndim == 2 else block.odds[:, None]
        labels = block.labels if self.softmax or block.labels.ndim == 2 else block.labels[:, None]
        valid = block.valid if self.softmax or block.valid.ndim == 2 else block.valid[:, None]
        self._parts.append((odds.astype(np.float32), labels, valid, rows))

    def add_positions(self, block: Predictions) -> None:
        """Draw from the positions of a block and add them."""
        n = len(block.ok)
        labels, valid = block.labels.reshape(n, -1), block.valid.reshape(n, -1)
        row, place = np.nonzero(valid)
        flat = labels[row, place]
        kept = self.keeps((block.start + row) * labels.shape[1] + place, flat)
        row, place, flat = row[kept], place[kept], flat[kept]
        odds = block.odds.reshape(n, -1, labels.shape[1])[row, :, place]
        ok = np.ones(len(row), bool)
        if self.softmax:
            self._parts.append((odds.astype(np.float32), flat, ok, block.start + row))
        else:
            self._parts.append((odds.astype(np.float32), flat[:, None], ok[:, None], block.start + row))

    def sample(self) -> Sample | None:
        """Return what was drawn, None where nothing was."""
        if not any(len(part[3]) for part in self._parts):
            return None
        odds, labels, valid, rows = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))
        return Sample(odds, labels, valid, rows, in_second_half(rows), self.softmax)


def _level(counts: Array, most: int) -> float:
    """Return the largest m with sum of min(counts, m) <= most."""
    ordered = np.sort(counts)
    before = 0.0
    for place, count in enumerate(ordered):
        left = len(ordered) - place
        if before + float(count) * left > most:
            return (most - before) / left
        before += float(count)
    return float(ordered[-1]) if len(ordered) else 0.0


def label_weights(sample: Sample, counts: Sequence[int]) -> Array:
    """Return what a decision of each label stands for, float64 [C]: labels in the run over those in the sample.

    Args:
        sample: the sample, both halves of it.
        counts: of the whole run, [C] or, of one sigmoid, [2]; [] gives [], where all weigh the same.
    """
    seen = np.bincount(sample.labels[sample.valid], minlength=len(counts)) if len(counts) else np.zeros(0, np.int64)
    return np.asarray(counts, np.float64) / np.maximum(seen, 1)


def drawn_rows(inputs: Inputs, sampler: Sampler, watcher: Watcher) -> None:
    """Read a run without positions and draw from it."""
    total = inputs.preds.shape[0]
    for rows, block in inputs.chosen(sampler.keeps):
        sampler.add_rows(rows, block)
        watcher.progressed(block.start + len(block.ok), total)
