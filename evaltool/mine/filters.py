"""Which rows may be mined, and the group each belongs to."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from evaltool.errors import EvaltoolError
from evaltool.mine.table import names_given
from evaltool.mine.where import Where
from evaltool.readers.side_files import TABLES, read_ids
from evaltool.run.reader import Run
from evaltool.spreadsheets import unguarded

Array = np.ndarray[Any, Any]


class Filter:
    """Says of consecutive rows which may be mined.

    Args:
        run: the run.
        where: a boolean SQL expression over its columns.
        exclude: a table of reviewed rows; by ``id`` where the run and the table have one, else by ``index``. With a
            column ``class`` that is filled in (a name or number), only that decision of the row is excluded.
        ids: one per sample, in place of the run's.

    Attributes:
        note: what the user should know, None for nothing.

    Raises:
        EvaltoolError: either of them cannot be used.
    """

    def __init__(
        self, run: Run, where: str | None, exclude: str | Path | None, ids: "pa.Array[Any] | None" = None
    ) -> None:
        self._where = None if where is None else Where(where, run.schema, run.class_names if names_given(run) else ())
        self._reviewed = None if exclude is None else _Reviewed(Path(exclude), run, ids)
        self.note = None if self._reviewed is None else self._reviewed.note
        self._run = run
        self.restart()

    @property
    def lets_all_pass(self) -> bool:
        """Whether there is neither a condition nor reviewed rows."""
        return self._where is None and self._reviewed is None

    def restart(self) -> None:
        """Begin at the first row again."""
        self._batches = None if self._where is None else self._run.batches(self._where.columns)
        self._left: pa.Table | None = None

    def keep(self, rows: Array, start: int, stop: int) -> Array:
        """Return the candidates of rows start to stop that may be mined; called for consecutive rows."""
        if self._where is not None:
            masks = [self._where.mask(batch) for batch in self._take(stop - start).to_batches()]
            rows = rows[np.concatenate([np.zeros(0, bool), *masks])[rows["index"] - start]]
        return rows if self._reviewed is None else rows[~self._reviewed.reviewed(rows)]

    def _take(self, count: int) -> pa.Table:
        assert self._batches is not None
        parts = [] if self._left is None else [self._left]
        while sum(len(part) for part in parts) < count:
            parts.append(pa.Table.from_batches([next(self._batches)]))
        table = pa.concat_tables(parts) if parts else pa.table({})
        self._left = table.slice(count)
        return table.slice(0, count)


class _Reviewed:
    """Rows that somebody has looked at, and what of them: the whole row, or one class."""

    def __init__(self, path: Path, run: Run, ids: "pa.Array[Any] | None") -> None:
        self._path, self._run = path, run
        table = read_table(path, "the reviewed rows")
        names = table.column_names
        twice = sorted({name for name in names if names.count(name) > 1} & {"id", "index", "class"})
        if twice:
            raise EvaltoolError(f"two columns have one name\n  {path}: {', '.join(names)}\n  Rename one {twice[0]}.")
        has_ids = "id" in names and (ids is not None or "id" in run.schema.names)
        if not has_ids and "index" not in names:
            raise EvaltoolError(
                f"which rows have been reviewed?\n  {path}: columns {', '.join(names)}, expected id or "
                "index\n  Give a table that has ids of this run or row numbers from 0."
            )
        guarded = path.suffix.lower() != ".parquet"
        classes = self._classes(table, guarded)
        keys: list[Any] = self._keys(table, guarded) if has_ids else [None] * len(table)
        index = self._indices(table) if "index" in names else [None] * len(table)
        by_id: dict[Any, set[int]] = {}
        codes: set[tuple[int, int]] = set()
        known: set[tuple[Any, Any]] = set()
        for key, row, one in zip(keys, index, classes, strict=True):
            if key is not None:
                by_id.setdefault(key, set()).add(one)
            elif row is not None and 0 <= row < run.n_samples:
                codes.add((row, one))
                known.add((None, row))
        for row, key in self._matches(by_id, ids):
            codes |= {(row, one) for one in by_id[key]}
            known.add((key, None))
        wanted = {(key, None if key is not None else row) for key, row in zip(keys, index, strict=True)}
        wanted.discard((None, None))
        self.note = self._missing(len(wanted) - len(known), len(wanted))
        self._codes = np.array(sorted(self._code(*code) for code in codes), np.int64)
        self._rows = np.unique(np.array([row for row, _ in codes], np.int64))

    def reviewed(self, rows: Array) -> Array:
        """Return which candidates have been reviewed, bool."""
        whole = np.isin(self._code(rows["index"], -1), self._codes)
        of_class = np.isin(self._code(rows["index"], rows["class"]), self._codes)
        return np.asarray(whole | of_class | ((rows["class"] < 0) & np.isin(rows["index"], self._rows)))

    def _code(self, index: Any, one: Any) -> Any:
        return index * (self._run.num_classes + 1) + one + 1

    def _classes(self, table: pa.Table, guarded: bool) -> list[int]:
        """Return the class of each row, -1 for none: by name, as the gallery writes it, else by number."""
        if "class" not in table.column_names:
            return [-1] * len(table)
        names = {} if "class_name" in table.column_names else {n: k for k, n in enumerate(self._run.class_names)}
        found = []
        for value in table["class"].to_pylist():
            text = "" if value is None else unguarded(str(value)) if guarded else str(value)
            number = names.get(text, -1 if not text.strip() else None)
            if number is None and text.strip().removesuffix(".0").isdecimal():
                number = int(text.strip().removesuffix(".0"))
            if number is None or number >= max(1, self._run.num_classes):
                raise self._unreadable("class", f"{text!r} is no class of the run")
            found.append(number)
        return found

    def _keys(self, table: pa.Table, guarded: bool) -> list[Any]:
        texts = [None if value is None else str(value) for value in table["id"].to_pylist()]
        return [(unguarded(text) if guarded else text) if text else None for text in texts]

    def _indices(self, table: pa.Table) -> list[Any]:
        try:
            found: list[Any] = table["index"].cast(pa.int64()).to_pylist()
        except pa.ArrowException as error:
            raise self._unreadable("index", str(error).splitlines()[0]) from None
        return found

    def _matches(self, wanted: Mapping[str, Any], ids: "pa.Array[Any] | None") -> Iterator[tuple[int, str]]:
        """Yield row and id of each row of the run whose id is wanted."""
        if not wanted:
            return
        import pyarrow.compute as pc

        keys = pa.array(list(wanted), pa.string())
        start = 0
        for column in [ids] if ids is not None else (batch.column(0) for batch in self._run.batches(["id"])):
            text = column.cast(pa.string())
            for row in np.flatnonzero(pc.is_in(text, value_set=keys).to_numpy(zero_copy_only=False)):
                yield start + int(row), text[int(row)].as_py()
            start += len(column)

    def _missing(self, missing: int, wanted: int) -> str | None:
        if missing and missing == wanted:
            raise EvaltoolError(
                f"none of the reviewed rows is in this run\n  {self._path}: {wanted:,} rows, {self._run.name}: "
                f"{self._run.n_samples:,} samples\n  Give the reviewed rows of this run."
            )
        return f"--exclude: {missing:,} of {wanted:,} reviewed rows are not in this run" if missing else None

    def _unreadable(self, column: str, reason: str) -> EvaltoolError:
        return EvaltoolError(
            f"the reviewed rows cannot be read\n  {self._path}: column {column}: {reason}\n"
            "  Give the ids or indices, and the classes, as the run has them."
        )


def read_table(path: Path, what: str) -> pa.Table:
    """Return a .csv, .tsv or .parquet file as a table.

    Raises:
        EvaltoolError: it is none of them or cannot be read.
    """
    kind = path.suffix.lower()
    if kind not in TABLES:
        raise EvaltoolError(f"{what} are a table\n  {path}: expected {', '.join(TABLES)}\n  Save them as one of these.")
    try:
        if kind == ".parquet":
            return pyarrow.parquet.read_table(path)
        options = pyarrow.csv.ParseOptions(delimiter="\t" if kind == ".tsv" else ",", newlines_in_values=True)
        text = pyarrow.csv.ConvertOptions(column_types={"id": pa.string(), "class": pa.string()})
        return pyarrow.csv.read_csv(path, parse_options=options, convert_options=text)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise EvaltoolError(f"cannot read {what}\n  {path}: {reason}\n  Check the path.") from None


def read_groups(source: Any, run: Run) -> "pa.Array[Any]":
    """Return the group of every sample: a column of the run by name, or ``FILE[:COLUMN]``, or a sequence.

    Raises:
        EvaltoolError: there is not one group per sample.
    """
    if isinstance(source, str) and source in run.schema.names:
        batches: Iterator[pa.RecordBatch] = run.batches([source])
        chunks: Sequence[Any] = [batch.column(0) for batch in batches]
        return pa.chunked_array(chunks, run.schema.field(source).type).combine_chunks()
    if isinstance(source, str) and not Path(source).suffix and ":" not in source and not Path(source).exists():
        raise EvaltoolError(
            f"there is no such group\n  {run.name}: {source!r}, expected a column: {', '.join(run.schema.names)}\n"
            "  Name one of them with --group-by, or a file with one group per sample, FILE[:COLUMN]."
        )
    return read_ids(source, run.n_samples, what="groups")
