"""The result of a scoring: columns as arrays, the summary, and the run it can be saved to."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from evaltool.run.state import State
from evaltool.run.writer import SCORES, RunWriter

Array = np.ndarray[Any, Any]


class Columns(Mapping[str, Array]):
    """The columns by name as arrays, read when asked for.

    Null is NaN in a float column, -1 in an integer column and None in a text column.
    """

    def __init__(self, scores: "Scores") -> None:
        self._scores = scores

    def __getitem__(self, name: str) -> Array:
        column = self._scores.column(name)
        if pa.types.is_integer(column.type):
            column = column.fill_null(-1)
        return np.asarray(column.to_numpy())

    def __repr__(self) -> str:
        return f"<Columns {', '.join(self)}>"

    def __iter__(self) -> Iterator[str]:
        return iter(self._scores.schema.names)

    def __len__(self) -> int:
        return len(self._scores.schema.names)


class TableInMemory:
    """Takes batches as ``RunWriter`` does and keeps them."""

    keeps = True

    def __init__(self, schema: pa.Schema) -> None:
        self._batches: list[pa.RecordBatch] = []
        self.table = pa.Table.from_batches([], schema)

    def __enter__(self) -> "TableInMemory":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to give back."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        self._batches.append(batch)

    def close_table(self) -> None:
        """Make the table of the rows so far."""
        self.table = pa.Table.from_batches(self._batches, self.table.schema)

    def column(self, name: str) -> Iterator[Array]:
        """Yield a column's values, null as NaN, once the table is closed."""
        yield self.table[name].to_numpy()

    def commit(self, summary: dict[str, Any], state: State, manifest: dict[str, Any]) -> None:
        """Nothing to put in place."""


class Scores:
    """Per-sample scores.

    Attributes:
        schema: names, types and formulas of the columns.
        summary: what ``summary.json`` holds.
        manifest: what ``run.json`` holds.
        path: the run's directory, None while not saved.
        state: the counts behind the summary.
        given: what was scored by role, "preds" and "labels", as it was passed: arrays are not copied. ``mine``,
            ``report`` and ``relabel.apply`` read those of them that came from memory again.
        failure: why more rows were bad than ``max_bad`` allows, None where they were not.
    """

    def __init__(
        self,
        table: pa.Table | None,
        schema: pa.Schema,
        *,
        summary: dict[str, Any],
        state: State,
        manifest: dict[str, Any],
        path: Path | None = None,
        failure: str | None = None,
    ) -> None:
        self._table = table
        self.state = state
        self.schema = schema
        self.summary = summary
        self.manifest = manifest
        self.path = path
        self.failure = failure
        self.given: Mapping[str, Any] = {}

    @property
    def columns(self) -> Columns:
        """The columns by name as arrays."""
        return Columns(self)

    @property
    def table(self) -> pa.Table:
        """The whole table, nulls as nulls."""
        return self._table if self._table is not None else self._read(None)

    def column(self, name: str) -> "pa.ChunkedArray[Any]":
        """Return a column, nulls as nulls.

        Raises:
            KeyError: there is no such column.
        """
        if name not in self.schema.names:
            raise KeyError(f"no column {name!r}; there are {', '.join(self.schema.names)}")
        return (self._table if self._table is not None else self._read([name]))[name]

    def __getitem__(self, name: str) -> Array:
        """Return a column as an array."""
        return self.columns[name]

    __iter__ = None  # neither rows nor columns: say which

    def __len__(self) -> int:
        return int(self.summary["n_samples"])

    def __repr__(self) -> str:
        losses = ", ".join(
            f"{name} {stats['mean']:.4g}" for name, stats in self.summary["losses"].items() if stats["mean"] is not None
        )
        bad = f", {self.summary['n_bad']} of them bad" if self.summary["n_bad"] else ""
        return f"<Scores of {len(self)} samples{bad}, {self.summary['task']}: {losses}>"

    def save(self, directory: str | Path, *, overwrite: bool = False) -> Path:
        """Write the run to a directory and return its path.

        Raises:
            EvaltoolError: the directory is taken or cannot be written.
        """
        with RunWriter(Path(directory), self.schema, overwrite=overwrite) as writer:
            for batch in self.table.to_batches():
                writer.add(batch)
            writer.close_table()
            writer.commit(self.summary, self.state, self.manifest)
        self.path = Path(directory)
        return self.path

    def _read(self, columns: list[str] | None) -> pa.Table:
        assert self.path is not None  # a run without a table in memory has been written
        return pyarrow.parquet.read_table(self.path / SCORES, columns=columns)
