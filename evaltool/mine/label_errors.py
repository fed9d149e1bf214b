"""The state behind ``label-error``: transitions and expected errors, fitted in two passes and kept in the run."""

import contextlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaltool.mine.confident import ConfidentCounts, Thresholds
from evaltool.mine.order import hashed
from evaltool.mine.sureness import OddsCounts
from evaltool.mine.transitions import (
    ROUNDS,
    STRENGTH,
    Judged,
    Sample,
    judged_sigmoid,
    judged_softmax,
    sigmoid_odds,
    sigmoid_transitions,
    softmax_odds,
    softmax_sample,
    softmax_transitions,
)
from evaltool.partial_files import partial_path
from evaltool.progress import Watcher
from evaltool.run.inputs import Inputs, Predictions
from evaltool.run.reader import Run
from evaltool.run.writer import LABEL_ERRORS

Array = np.ndarray[Any, Any]

VERSION = 3  # of the cache
MAX_CLASSES = 4096  # T takes 134 MB
KEPT_NUMBERS = 1 << 26  # of predictions that T is fitted to: 256 MB of float32; of more rows, a hashed share


@dataclass
class LabelErrors:
    """What is known of a run's label errors.

    Attributes:
        softmax: whether the classes share one distribution.
        transitions: T[g|k], float64 [C, C], of sigmoids [C, 2, 2]; None above 4,096 classes.
        expected: the expected number of errors of each label, float64 [C], of sigmoids [2 C] (class * 2 + label).
        counts: how many rows have each label, int64, shaped like ``expected``.
        n_fitted: rows that T was fitted to.
        shift: what p_wrong adds to the log-odds; see ``sureness``.
    """

    softmax: bool
    transitions: Array | None
    expected: Array
    counts: Array
    n_fitted: int
    shift: float

    @property
    def n_expected(self) -> int:
        """The expected number of errors, of sigmoids among all decisions."""
        return round(float(self.expected.sum()))

    def judged(self, log_probs: Array, labels: Array) -> Judged:
        """Return what is thought of labels; see ``judged_softmax`` and ``judged_sigmoid``."""
        if self.softmax:
            return judged_softmax(log_probs, labels, self.transitions, self.shift)
        assert self.transitions is not None
        return judged_sigmoid(log_probs, labels, self.transitions, self.shift)


def classwise(block: Predictions, softmax: bool) -> tuple[Array, Array, Array]:
    """Return odds, labels and valid of a block, binary as one sigmoid: [n, C], and [n] (softmax) or [n, C]."""
    if softmax or block.odds.ndim == 2:
        return block.odds, block.labels, block.valid
    return block.odds[:, None], block.labels[:, None], block.valid[:, None]


def label_errors(run: Run, inputs: Inputs, watcher: Watcher) -> LabelErrors:
    """Return the state of a run, from the run's directory if it was computed from the same inputs before.

    Inputs that were given as arrays have no digest: for them nothing is kept, nor looked up.
    """
    key = _key(run, inputs) if inputs.are_recorded else None
    found = _read(run, key)
    if found is not None and _fits(found, run, inputs):
        return found
    found = _fitted(run, inputs, watcher)
    if key is not None:
        _write(run, key, found, watcher)
    return found


def _fitted(run: Run, inputs: Inputs, watcher: Watcher) -> LabelErrors:
    softmax, classes = inputs.softmax, run.num_classes if inputs.softmax else max(1, _columns(inputs))
    thresholds = Thresholds(classes if softmax else 2 * classes)
    share = min(1.0, KEPT_NUMBERS / max(1, run.n_samples * classes))
    fits = not softmax or classes <= MAX_CLASSES
    samples: list[Sample] = []
    for odds, labels, valid, start in _blocks(inputs, softmax, run.n_samples, watcher, part=0):
        kept = hashed(np.arange(start, start + len(odds))) < share
        if softmax:
            rows = np.flatnonzero(valid)
            thresholds.add(np.exp(odds[rows, labels[rows]]), labels[rows])
            rows = rows[kept[rows]]
            if fits and len(rows):
                samples.append(softmax_sample(odds[rows], labels[rows]))
        else:
            probs = np.exp(-np.logaddexp(0, -np.where(valid, odds, 0)))  # rows that are not ok hold anything
            by_label = 2 * np.arange(classes) + labels
            thresholds.add(np.where(labels == 1, probs, 1 - probs)[valid], by_label[valid])
            rows = np.flatnonzero(kept & valid.any(1))
            signs = np.where(valid, labels, -1).astype(np.int8)
            samples.append(Sample(np.where(valid, probs, 0.5)[rows].astype(np.float32), signs[rows]))
    counts = ConfidentCounts(thresholds)
    for odds, labels, valid, _ in _blocks(inputs, softmax, run.n_samples, watcher, part=1):
        if softmax:
            counts.add_softmax(np.exp(odds[valid]), labels[valid])
        else:
            counts.add_sigmoid(np.exp(-np.logaddexp(0, -np.where(valid, odds, 0))), labels, valid)
    fit = softmax_transitions if softmax else sigmoid_transitions
    found = fit(samples, classes) if fits else None
    n_fitted = sum(len(sample.probs) for sample in samples)
    expected = counts.expected()
    share = float(expected.sum() / max(1, counts.counts.sum()))
    shift = 0.0 if found is None else _shift(samples, found, softmax, share)
    return LabelErrors(softmax, found, expected, counts.counts, n_fitted, shift)


def _shift(samples: list[Sample], transitions: Array, softmax: bool, expected_share: float) -> float:
    """Return what p_wrong adds to the log-odds, found on the rows that the transitions are fitted to."""
    odds = OddsCounts()
    for probs, labels in samples:
        with np.errstate(divide="ignore"):  # probabilities of 0 and 1
            if softmax:
                odds.add(softmax_odds(np.log(probs.astype(np.float64)), labels, transitions)[1])
            else:
                probs = probs.astype(np.float64)
                log_odds = np.log(probs) - np.log1p(-probs)
                odds.add(sigmoid_odds(log_odds, np.maximum(labels, 0).astype(np.int64), transitions)[labels >= 0])
    return odds.shift(expected_share)


def _columns(inputs: Inputs) -> int:
    return 1 if inputs.task == "binary" else int(inputs.preds.shape[1])


def _blocks(
    inputs: Inputs, softmax: bool, total: int, watcher: Watcher, *, part: int
) -> Iterator[tuple[Array, Array, Array, int]]:
    for block in inputs.blocks():
        yield (*classwise(block, softmax), block.start)
        watcher.progressed(part * total + block.start + len(block.ok), 3 * total)


def _fits(found: LabelErrors, run: Run, inputs: Inputs) -> bool:
    """Whether arrays that were read have the shapes of this run's."""
    classes = run.num_classes if inputs.softmax else max(1, _columns(inputs))
    labels = (classes,) if inputs.softmax else (2 * classes,)
    square = (classes, classes) if inputs.softmax else (classes, 2, 2)
    if inputs.softmax and classes > MAX_CLASSES:
        square_fits = found.transitions is None
    else:
        square_fits = found.transitions is not None and found.transitions.shape == square
    return found.softmax == inputs.softmax and square_fits and found.expected.shape == found.counts.shape == labels


def _key(run: Run, inputs: Inputs) -> str | None:
    """Return what the state depends on, None where an input has no digest."""
    digests: dict[str, list[str]] = {"preds": [], "labels": []}
    for record in run.manifest["inputs"]:
        for part in record.get("average", [record]) if record["role"] in digests else ():
            if part["path"] is None:
                return None
            digests[record["role"]].append(part["digest"])
    if run.path is None:
        return None
    arguments = {name: run.manifest["arguments"].get(name) for name in ("dtype", "scale", "ignore_index")}
    parameters = {"rounds": ROUNDS, "strength": STRENGTH, "kept": KEPT_NUMBERS, "version": VERSION}
    kind = {"task": inputs.task, "preds_are": run.manifest["decisions"]["preds_are"]}
    return json.dumps({**digests, **arguments, **parameters, **kind}, sort_keys=True)


def _read(run: Run, key: str | None) -> LabelErrors | None:
    if run.path is None or key is None:
        return None
    try:
        with np.load(run.path / LABEL_ERRORS, allow_pickle=False) as held:
            if str(held["key"]) != key:
                return None
            transitions = held["transitions"] if held["transitions"].size else None
            return LabelErrors(
                bool(held["softmax"]),
                transitions,
                held["expected"],
                held["counts"],
                int(held["n_fitted"]),
                float(held["shift"]),
            )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None  # none yet, or damaged: it is computed again


def _write(run: Run, key: str, found: LabelErrors, watcher: Watcher) -> None:
    assert run.path is not None
    packed = io.BytesIO()
    transitions = np.zeros((0, 0)) if found.transitions is None else found.transitions
    np.savez(
        packed,
        key=np.array(key),
        softmax=np.array(found.softmax),
        transitions=transitions,
        expected=found.expected,
        counts=found.counts,
        n_fitted=np.array(found.n_fitted),
        shift=np.array(found.shift),
    )
    path = run.path / LABEL_ERRORS
    partial = partial_path(path)
    try:
        with partial.open("wb") as file:
            file.write(packed.getvalue())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        watcher.warned(f"{path}: {error.strerror}; the next call computes the transitions again")
