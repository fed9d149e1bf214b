"""Streams of candidates: every row, or of multilabel every label of a row, with what ranks it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from evaltool.mine.label_errors import LabelErrors, classwise
from evaltool.mine.masks import dice_of_images
from evaltool.mine.order import NONE, candidates
from evaltool.mine.ranking import AMBIGUOUS, Ranking
from evaltool.mine.transitions import Judged
from evaltool.progress import Watcher
from evaltool.run.inputs import Inputs
from evaltool.run.reader import Run

Array = np.ndarray[Any, Any]
Blocks = Iterator[tuple[int, int, Array]]  # first row, the row after the last, candidates among them


def of_column(run: Run, ranking: Ranking, watcher: Watcher) -> Blocks:
    """Yield the rows that have a value in the column that ranks."""
    column = str(ranking.column)
    known = ("label", "pred", "p_label", "p_pred", "worst_class")
    wanted = [name for name in (*known, column) if name in run.schema.names]
    start = 0
    for batch in run.batches(list(dict.fromkeys(wanted))):
        values = _numbers(batch, column)
        there = np.flatnonzero(~np.isnan(values))
        rows = candidates(len(there))
        rows["index"] = start + there
        rows["key"] = -values[there] if ranking.ascending else values[there]
        if run.task in ("multiclass", "binary"):
            _fill_known(rows, batch, there)
        elif run.task in ("multilabel", "segmentation"):
            rows["class"] = rows["quota"] = _classes(batch, "worst_class")[there]
        yield start, start + len(batch), rows
        start += len(batch)
        watcher.progressed(start, run.n_samples)


def _fill_known(rows: Array, batch: pa.RecordBatch, there: Array) -> None:
    for name in ("label", "pred"):
        rows[name] = _classes(batch, name)[there]
    rows["quota"] = rows["label"]
    rows["p_label"] = _numbers(batch, "p_label")[there]
    differs = (rows["pred"] != rows["label"]) & (rows["pred"] >= 0)
    rows["suggested"] = np.where(differs, rows["pred"], NONE)
    rows["p_suggested"] = np.where(differs, _numbers(batch, "p_pred")[there], np.nan)


def _numbers(batch: pa.RecordBatch, name: str) -> Array:
    """Return a column as float64, null as NaN."""
    return np.asarray(batch.column(name).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def _classes(batch: pa.RecordBatch, name: str) -> Array:
    return np.asarray(batch.column(name).cast(pa.int64()).fill_null(NONE).to_numpy(zero_copy_only=False))


def of_predictions(inputs: Inputs, ranking: Ranking, found: LabelErrors, watcher: Watcher) -> Blocks:
    """Yield the rows, or the decisions of multilabel, with what is thought of their labels."""
    total = inputs.run.n_samples
    for block in inputs.blocks():
        odds, labels, valid = classwise(block, found.softmax)
        if found.softmax:
            place = np.flatnonzero(valid)
            judged = found.judged(odds[place], labels[place])
            rows = _judged_rows(judged, ranking)
            rows["index"], rows["label"] = block.start + place, labels[place]
            rows["quota"] = rows["label"]
        else:
            judged = found.judged(np.where(valid, odds, 0), labels)
            rows = _judged_rows(Judged(*(part[valid] for part in judged)), ranking)
            place, column = np.nonzero(valid)
            rows["index"], rows["label"] = block.start + place, labels[valid]
            if inputs.task == "multilabel":
                rows["class"] = column
            rows["quota"] = column if inputs.task == "multilabel" else rows["label"]
        if ranking.word == AMBIGUOUS:
            right = rows["p_wrong"] < 0.5 if found.transitions is not None else judged.score <= 0
            rows = rows[right]
        yield block.start, block.start + len(block.ok), rows
        watcher.progressed(2 * total + block.start + len(block.ok), 3 * total)


def _judged_rows(judged: Judged, ranking: Ranking) -> Array:
    rows = candidates(len(judged.score))
    for name in ("p_wrong", "suggested", "p_label", "p_suggested", "pred"):
        rows[name] = getattr(judged, name)
    rows["key"] = judged.entropy if ranking.word == AMBIGUOUS else judged.score
    return rows


def of_masks(inputs: Inputs, watcher: Watcher) -> Blocks:
    """Yield the images by their soft Dice loss."""
    for block in inputs.blocks():
        losses, worst = dice_of_images(block, inputs.softmax)
        there = np.flatnonzero(~np.isnan(losses))
        rows = candidates(len(there))
        rows["index"], rows["key"] = block.start + there, losses[there]
        rows["class"] = rows["quota"] = worst[there]
        yield block.start, block.start + len(losses), rows
        watcher.progressed(block.start + len(losses), inputs.run.n_samples)
