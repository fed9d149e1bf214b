"""Reads a run back: what ``mine`` and ``report`` start from, a directory or what ``score`` returned."""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from evaltool.errors import EvaltoolError
from evaltool.run.manifest import FORMAT
from evaltool.run.writer import FILES, MANIFEST, SCORES, STATE, SUMMARY
from evaltool.schema import OK, STATUSES

Array = np.ndarray[Any, Any]


class Run:
    """A run that has been written, or scores in memory.

    Attributes:
        path: the directory, None for scores in memory.
        name: the directory's name, for headings.
        manifest: what ``run.json`` holds.
        summary: what ``summary.json`` holds.
        state: the arrays of ``state.npz`` by name.
        schema: names, types and formulas of the columns of ``scores.parquet``.
        given: of scores, what they were made of by role; {} of a run that was opened by its path.
    """

    def __init__(
        self,
        *,
        path: Path | None,
        manifest: dict[str, Any],
        summary: dict[str, Any],
        state: Mapping[str, Array],
        schema: pa.Schema,
        table: pa.Table | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        self.name = "scores" if path is None else path.resolve().name
        self.manifest = manifest
        self.summary = summary
        self.state = state
        self.schema = schema
        self.given = given or {}
        self._table = table

    @property
    def task(self) -> str:
        """One of ``schema.TASKS``."""
        return str(self.summary["task"])

    @property
    def num_classes(self) -> int:
        """C; 2 for binary and for one foreground class, 0 for regression."""
        return int(self.manifest["decisions"]["num_classes"])

    @property
    def class_names(self) -> list[str]:
        """One name per class, in the order of the class indices; the indices themselves where none were given."""
        return list(self.manifest["class_names"])

    @property
    def losses(self) -> list[str]:
        """The loss columns, the one that ranks first."""
        return list(self.summary["losses"])

    @property
    def n_samples(self) -> int:
        """Rows, the bad ones included."""
        return int(self.summary["n_samples"])

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in input order, some of the columns (None: all), as many at once as a row group holds."""
        if self._table is not None:
            table = self._table if columns is None else self._table.select(list(columns))
            yield from table.to_batches()
            return
        assert self.path is not None
        with pyarrow.parquet.ParquetFile(self.path / SCORES) as file:
            for group in range(file.num_row_groups):
                yield from file.read_row_group(group, columns=columns).to_batches()


def ok_rows(batch: pa.RecordBatch) -> Array:
    """Return which rows of a batch with ``status`` have scores; bool [n]."""
    return np.asarray(pyarrow.compute.equal(batch.column("status"), STATUSES[OK]).to_numpy(zero_copy_only=False))


def open_run(source: Any) -> Run:
    """Return a run to read: of its directory's path, or of ``Scores``.

    Raises:
        EvaltoolError: there is no whole run there, or a newer evaltool wrote it.
    """
    if isinstance(source, Run):
        return source
    if not isinstance(source, (str, Path)):
        return _of_scores(source)
    return _of_directory(Path(source), {})


def _of_directory(path: Path, given: Mapping[str, Any]) -> Run:
    _check_whole(path)
    manifest = _json(path / MANIFEST)
    if manifest.get("format") != FORMAT:
        raise EvaltoolError(
            f"the run has another format\n  {path / MANIFEST}: format {manifest.get('format')!r}, expected {FORMAT}\n"
            "  Score the predictions again with this version of evaltool."
        )
    schema = _undamaged(path / SCORES, pyarrow.parquet.read_schema)
    state = _undamaged(path / STATE, _arrays)
    summary = _json(path / SUMMARY)
    return Run(path=path, manifest=manifest, summary=summary, state=state, schema=schema, given=given)


def _of_scores(scores: Any) -> Run:
    if not all(hasattr(scores, name) for name in ("manifest", "summary", "schema", "table", "state")):
        raise EvaltoolError(
            f"this is no run\n  got {type(scores).__name__}, expected a run's path or what evaltool.score returned\n"
            "  Score first: evaltool.score(preds, labels)."
        )
    given = getattr(scores, "given", {})
    if scores.path is not None:
        return _of_directory(Path(scores.path), given)
    return Run(
        path=None,
        manifest=scores.manifest,
        summary=scores.summary,
        state=scores.state.arrays(),
        schema=scores.schema,
        table=scores.table,
        given=given,
    )


def _check_whole(path: Path) -> None:
    if not path.exists():
        raise EvaltoolError(f"there is no such run\n  {path}\n  `evaltool score PREDS LABELS -o {path}` writes one.")
    if not path.is_dir():
        raise EvaltoolError(
            f"this is no run\n  {path}: a file, expected the directory that `evaltool score` wrote\n"
            "  Score first: evaltool score PREDS LABELS."
        )
    missing = [name for name in FILES if not (path / name).is_file()]
    if missing:
        what = "this is no run" if len(missing) == len(FILES) else "the run is not whole"
        raise EvaltoolError(f"{what}\n  {path}: no {', '.join(missing)}\n  `evaltool score` writes it; score again.")


def _undamaged(path: Path, read: Callable[[Path], Any]) -> Any:
    """Return what a file holds; whatever its reader raises of damaged content is said of the file."""
    try:
        return read(path)
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error, pa.ArrowException) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise EvaltoolError(f"the run is damaged\n  {path}: {reason}\n  Score the predictions again.") from None


def _arrays(path: Path) -> dict[str, Array]:
    with path.open("rb") as file:  # NumPy leaves open what it opened and cannot read
        arrays = np.load(file)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError("no arrays by name")
        with arrays:
            return dict(arrays)


def _json(path: Path) -> dict[str, Any]:
    content = _undamaged(path, lambda path: json.loads(path.read_bytes()))
    if not isinstance(content, dict):
        raise EvaltoolError(f"the run is damaged\n  {path}: no JSON object\n  Score the predictions again.")
    return content
