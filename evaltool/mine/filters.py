"""Which rows may be mined, and the group each belongs to."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from evaltool.errors import EvaltoolError
from evaltool.mine.where import Where
from evaltool.readers.side_files import TABLES, read_ids
from evaltool.run.reader import Run

Array = np.ndarray[Any, Any]


class Filter:
    """Says of consecutive rows which may be mined.

    Args:
        run: the run.
        where: a boolean SQL expression over its columns.
        exclude: a table of reviewed rows; by ``id`` where the run and the table have ids, else by ``index``. With a
            column ``class`` that is filled in, only that decision of the row is excluded.

    Raises:
        EvaltoolError: either of them cannot be used.
    """

    def __init__(self, run: Run, where: str | None, exclude: str | Path | None) -> None:
        self._where = None if where is None else Where(where, run.schema)
        self._reviewed = None if exclude is None else _Reviewed(Path(exclude), run)
        columns = set(self._where.columns if self._where else ())
        if self._reviewed is not None:
            columns.add(self._reviewed.by)
        self._batches = run.batches(sorted(columns)) if columns else None
        self._left: pa.Table | None = None

    def keep(self, rows: Array, start: int, stop: int) -> Array:
        """Return the candidates of rows start to stop that may be mined; called for consecutive rows."""
        if self._batches is None:
            return rows
        table = self._take(stop - start)
        kept = np.ones(stop - start, bool)
        if self._where is not None:
            kept = np.concatenate([self._where.mask(batch) for batch in table.to_batches()] or [kept])
        rows = rows[kept[rows["index"] - start]]
        if self._reviewed is not None:
            rows = rows[~self._reviewed.reviewed(rows, table[self._reviewed.by], start)]
        return rows

    def _take(self, count: int) -> pa.Table:
        assert self._batches is not None
        parts = [] if self._left is None else [self._left]
        while sum(len(part) for part in parts) < count:
            parts.append(pa.Table.from_batches([next(self._batches)]))
        table = pa.concat_tables(parts) if parts else pa.table({})
        self._left = table.slice(count)
        return table.slice(0, count)


class _Reviewed:
    """Rows that somebody has looked at."""

    def __init__(self, path: Path, run: Run) -> None:
        table = read_table(path, "the reviewed rows")
        self.by = "id" if "id" in run.schema.names and "id" in table.column_names else "index"
        if self.by not in table.column_names:
            raise EvaltoolError(
                f"which rows have been reviewed?\n  {path}: columns {', '.join(table.column_names)}, expected id or "
                "index\n  Give a table that has ids of this run or row numbers from 0."
            )
        try:
            keys = table[self.by].cast(run.schema.field(self.by).type)
            classes = table["class"].cast(pa.int64()) if "class" in table.column_names else None
        except pa.ArrowException as error:
            raise EvaltoolError(
                f"the reviewed rows cannot be read\n  {path}: column {self.by}: {str(error).splitlines()[0]}\n"
                "  Give the ids or indices as the run has them."
            ) from None
        self._keys = keys.combine_chunks()
        self._classes = None if classes is None else classes.fill_null(-1).to_numpy()

    def reviewed(self, rows: Array, keys: Any, start: int) -> Array:
        """Return which candidates have been reviewed, bool; keys are those of the rows from start on."""
        import pyarrow.compute as pc

        mine = pa.chunked_array([keys.combine_chunks()]).take(pa.array(rows["index"] - start))
        if self._classes is None:
            return np.asarray(pc.is_in(mine, value_set=self._keys).to_numpy())
        found = np.zeros(len(rows), bool)
        for one in np.unique(self._classes):
            of_class = self._keys.filter(pa.array(self._classes == one))
            inside = np.asarray(pc.is_in(mine, value_set=of_class).to_numpy())
            found |= inside if one < 0 else inside & ((rows["class"] == one) | (rows["class"] < 0))
        return found


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
        text = pyarrow.csv.ConvertOptions(column_types={"id": pa.string()})
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
    try:
        return read_ids(source, run.n_samples)
    except EvaltoolError as error:
        first, _, rest = str(error).partition("\n")
        raise EvaltoolError(f"the groups cannot be read: {first}\n{rest.replace('--ids', '--group-by')}") from None
