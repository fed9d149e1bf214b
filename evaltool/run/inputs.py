"""The predictions and labels that a run was scored from: found again, checked by digest, and streamed.

``mine`` and ``report`` need them for what the scores do not hold: all classes of a prediction.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.readers import Rows, as_array, open_labels, open_preds
from evaltool.readers.averaged import AveragedRows
from evaltool.run.manifest import quick_digest
from evaltool.run.reader import Run, ok_rows
from evaltool.run.writer import FILES, LABEL_ERRORS
from evaltool.schema import is_softmax

Array = np.ndarray[Any, Any]
BLOCK_NUMBERS = 1 << 20  # predictions in a block: 8 MB of float64, and as much again for each step of what is computed


class Predictions(NamedTuple):
    """A block of predictions beside their labels.

    Softmax tasks have ``odds`` [n, C, *S], log p of each class; of sigmoids it is log(p / (1 - p)), [n, C] multilabel,
    [n] binary and [n, *S] for one foreground class. ``labels`` and ``valid`` are [n, *S], [n] or, multilabel, [n, C].
    """

    start: int  # index of the first row
    odds: Array  # float64; of rows that are not ok it means nothing
    labels: Array  # int64 class, or 0 and 1; 0 where not valid
    valid: Array  # bool: of an ok row, and not ignored
    ok: Array  # bool [n]


class Inputs:
    """The predictions and labels of a run.

    Args:
        run: the run.
        preds: path, array or tensor in place of the recorded path; the same digest (a file) or shape is expected.
        labels: likewise.

    Attributes:
        are_recorded: they are the files that were scored, by their digests; of arrays nobody knows.

    Raises:
        EvaltoolError: they cannot be found, are others than those that were scored, or were never stored.
    """

    def __init__(self, run: Run, *, preds: Any = None, labels: Any = None) -> None:
        self.run = run
        records = {record["role"]: record for record in run.manifest["inputs"]}
        if "model" in records and preds is None:
            raise EvaltoolError(
                f"the predictions of this run were not stored\n  {run.name}: scored with --model "
                f"{records['model']['name'] if 'name' in records['model'] else records['model']['path']}\n"
                "  Store them with `evaltool predict`, and score those."
            )
        arguments = run.manifest["arguments"]
        self.preds = _opened_preds(run, records["preds"], preds)
        self.labels = open_labels(source_of(run, records["labels"], labels))
        self.are_recorded = _is_recorded(records["preds"], preds) and _is_recorded(records["labels"], labels)
        for role, rows in (("preds", self.preds), ("labels", self.labels)):
            _check_shape(rows, records[role], role)
        decisions = run.manifest["decisions"]
        self.task: str = decisions["task"]
        self.softmax = is_softmax(self.task, decisions["foreground"])
        self._kind = decisions["preds_are"]
        self._shares = self.softmax and (decisions["one_hot"] or decisions["soft_labels"])
        self._ignore_index = arguments["ignore_index"]

    def blocks(self, rows: int | None = None) -> Iterator[Predictions]:
        """Yield all rows in order, ``rows`` of them at a time (None: as many as some megabytes hold)."""
        n = self.preds.shape[0]
        row = max(1, int(np.prod(self.preds.shape[1:], dtype=np.int64)))
        step = rows or max(1, BLOCK_NUMBERS // row)
        status = _Statuses(self.run)
        for start in range(0, n, step):
            stop = min(start + step, n)
            yield self._block(start, stop, status.read(stop - start))

    def chosen(self, keep: Callable[[Array, Array], Array]) -> Iterator[tuple[Array, Predictions]]:
        """Yield the rows that a rule keeps, with their indices; of the others, no prediction is computed.

        Args:
            keep: is given the indices of rows that are ok and not ignored, int64 [n], and their labels, as
                ``Predictions`` has them; returns bool [n].
        """
        n = self.preds.shape[0]
        step = max(1, BLOCK_NUMBERS // max(1, int(np.prod(self.preds.shape[1:], dtype=np.int64))))
        status = _Statuses(self.run)
        for start in range(0, n, step):
            stop = min(start + step, n)
            ok = status.read(stop - start)
            given = as_array(self.labels.read(start, stop))
            with np.errstate(all="ignore"):  # rows that are not ok hold anything
                labels, valid = self._labels(given[:, 0] if self._is_column(given) else given)
            index = np.flatnonzero(ok & valid.reshape(len(ok), -1).any(1))
            index = index[keep(start + index, np.where(valid, labels, 0)[index])]
            preds = as_array(self.preds.read(start, stop))
            yield start + index, self._predictions(start, preds[index], given[index], ok[index])

    def rows(self, index: Array) -> Predictions:
        """Return some rows, in the order given; ``start`` is 0.

        Args:
            index: int64 [k], ascending.
        """
        ok = np.concatenate(list(_status_chunks(self.run)))[index]
        # neighbours are read together
        firsts = np.flatnonzero(np.diff(index, prepend=-2) != 1)
        spans = [(int(index[i]), int(index[j - 1]) + 1) for i, j in pairwise([*firsts, len(index)])] or [(0, 0)]
        preds, labels = (
            np.concatenate([as_array(rows.read(*span)) for span in spans]) for rows in (self.preds, self.labels)
        )
        return self._predictions(0, preds, labels, ok)

    def _block(self, start: int, stop: int, ok: Array) -> Predictions:
        preds, labels = (as_array(rows.read(start, stop)) for rows in (self.preds, self.labels))
        return self._predictions(start, preds, labels, ok)

    def _predictions(self, start: int, preds: Array, labels: Array, ok: Array) -> Predictions:
        preds = preds.astype(np.float64)
        if preds.ndim == labels.ndim + 1 and preds.shape[1] == 1 and not self.softmax:
            preds = preds[:, 0]
        if self._is_column(labels):
            labels = labels[:, 0]
            preds = preds[:, 0] if preds.ndim == 2 and preds.shape[1] == 1 else preds
        with np.errstate(all="ignore"):  # rows that are not ok hold anything
            odds = _log_softmax(preds, self._kind) if self.softmax else _log_odds(preds, self._kind)
            labels, valid = self._labels(labels)
        by_row = ok.reshape(-1, *[1] * (valid.ndim - 1))
        valid = valid & by_row
        return Predictions(start, odds, np.where(valid, labels, 0), valid, ok)

    def _is_column(self, labels: Array) -> bool:
        return self.task in ("multiclass", "binary") and labels.ndim == 2 and labels.shape[1] == 1

    def _labels(self, labels: Array) -> tuple[Array, Array]:
        if self._shares:
            return labels.argmax(1).astype(np.int64), np.ones(len(labels), bool)
        valid = labels != self._ignore_index
        if not self.softmax:
            return (labels > 0.5).astype(np.int64), valid
        return np.where(valid & np.isfinite(labels), labels, 0).astype(np.int64), valid


class _Statuses:
    """Reads which rows are ok, in step with blocks of another length."""

    def __init__(self, run: Run) -> None:
        self._chunks = _status_chunks(run)
        self._left = np.zeros(0, bool)

    def read(self, count: int) -> Array:
        while len(self._left) < count:
            self._left = np.concatenate([self._left, next(self._chunks)])
        taken, self._left = self._left[:count], self._left[count:]
        return taken


def _status_chunks(run: Run) -> Iterator[Array]:
    for batch in run.batches(["status"]):
        yield ok_rows(batch)


def _log_softmax(preds: Array, kind: str) -> Array:
    """Return log p, float64, of [n, C, *S]; probabilities are divided by their sum, as everywhere."""
    if kind == "probs":
        return np.asarray(np.log(preds) - np.log(preds.sum(1, keepdims=True)))
    shifted = preds - preds.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))


def _log_odds(preds: Array, kind: str) -> Array:
    if kind == "logits":
        return preds
    if kind == "probs":
        return np.asarray(np.log(preds) - np.log1p(-preds))
    return np.asarray(preds - np.log(-np.expm1(preds)))


def _is_recorded(record: Mapping[str, Any], given: Any) -> bool:
    """Whether each file's digest is compared with the one in run.json; see ``source_of``."""
    parts = record.get("average", [record])
    sources = given if isinstance(given, (list, tuple)) else [given]
    of_files = all(source is None or isinstance(source, (str, Path)) for source in sources)
    return of_files and all(part["path"] is not None for part in parts)


def _opened_preds(run: Run, record: Mapping[str, Any], given: Any) -> Rows:
    arguments = run.manifest["arguments"]
    dtype, scale = arguments.get("dtype"), arguments.get("scale")
    if "average" not in record:
        if isinstance(given, (list, tuple)) and given and isinstance(given[0], (str, Path)):
            raise EvaltoolError(
                f"the run did not average\n  {run.name}: got {len(given)} predictions, expected one: {record['name']}\n"
                "  Give that one."
            )
        return open_preds(source_of(run, record, given), dtype=dtype, scale=scale)
    parts = record["average"]
    held = run.given.get("preds")
    if given is None and isinstance(held, Sequence):
        given = [None if part["path"] is not None else one for part, one in zip(parts, held, strict=True)]
    sources = [None] * len(parts) if given is None else given
    if isinstance(sources, (str, Path)) or not isinstance(sources, Sequence) or len(sources) != len(parts):
        raise EvaltoolError(
            f"the run averaged {len(parts)} predictions\n  {run.name}: {', '.join(part['name'] for part in parts)}\n"
            "  Give each of them in this order: --preds A --preds B, in Python preds=[a, b]."
        )
    rows = [
        open_preds(source_of(run, part, source), dtype=dtype, scale=scale)
        for part, source in zip(parts, sources, strict=True)
    ]
    kinds, tolerances = ([part[name] for part in parts] for name in ("preds_are", "tolerance"))
    return AveragedRows(rows, kinds, softmax=record["softmax"], tolerances=tolerances)


def files_of(run: Run) -> list[Path]:
    """Return the files that a run consists of and those that it was scored from: no output may replace them."""
    found = [] if run.path is None else [run.path / name for name in (*FILES, LABEL_ERRORS)]
    for record in run.manifest["inputs"]:
        found += [Path(part["path"]) for part in record.get("average", [record]) if part.get("path") is not None]
    return found


def source_of(run: Run, record: Mapping[str, Any], given: Any) -> Any:
    """Return what to read an input from: what is given, or the recorded path if the file is the one scored.

    Raises:
        EvaltoolError: there is no such file, or it is not the one that was scored.
    """
    role = record["role"]
    if given is None and record["path"] is None:
        given = run.given.get(role)
    if given is not None and not isinstance(given, (str, Path)):
        return given
    if given is None and record["path"] is None:
        raise EvaltoolError(
            f"the {role} of this run came from memory\n  {run.name}: {record['name']} {record['shape']}\n"
            f"  Give them again: {role}=array in Python, --{role} FILE on the command line."
        )
    path = Path(given if given is not None else record["path"])
    if not path.is_file():
        raise EvaltoolError(
            f"the {role} of this run are no longer there\n  {path}\n  Say where they are with --{role} FILE."
        )
    if record["path"] is not None and quick_digest(path) != record["digest"]:
        raise EvaltoolError(
            f"the {role} are not those that were scored\n  {path}: {path.stat().st_size} bytes, another digest than in "
            f"run.json ({record['size']} bytes)\n  Score them again, or say where the others are with --{role} FILE."
        )
    return path


def _check_shape(rows: Rows, record: Mapping[str, Any], role: str) -> None:
    if list(rows.shape) != record["shape"]:
        raise EvaltoolError(
            f"the {role} are not those that were scored\n  {rows.name}: shape {list(rows.shape)}, expected "
            f"{record['shape']}\n  Give the {role} of this run."
        )
