"""The rows of two runs side by side: the same sample in each."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaltool.errors import EvaltoolError
from evaltool.run.reader import Run
from evaltool.schema import OK, STATUSES

Array = np.ndarray[Any, Any]


class Pairs(NamedTuple):
    """Samples that both runs scored: a column of each, in step; NaN where a value is null."""

    before: dict[str, Array]
    after: dict[str, Array]


class Pairing:
    """Which rows of two runs belong together.

    By id where both runs have ids, else by index. Where the rows stand in the same order, memory does not depend on
    their number; where ids have to be looked up, they and the columns that are compared of the second run are held.

    Args:
        run: the first run.
        other: the second.

    Attributes:
        by: "id" or "index".
        n_paired: samples that both scored; known once ``blocks`` has ended, as are the next two.
        n_only_first: samples that the first run alone scored.
        n_only_second: samples that the second run alone scored.

    Raises:
        EvaltoolError: the rows cannot be paired.
    """

    def __init__(self, run: Run, other: Run) -> None:
        self.run, self.other = run, other
        have_ids = all("id" in r.schema.names for r in (run, other))
        self.by = "id" if have_ids else "index"
        self._place: Array | None = None
        if have_ids and not _same_ids(run, other):
            self._place = _places(run, other)
        elif not have_ids and run.n_samples != other.n_samples:
            raise EvaltoolError(
                f"the runs cannot be paired\n  {run.name}: {run.n_samples:,} samples, {other.name}: "
                f"{other.n_samples:,} samples, without ids in both\n  Score both with --ids FILE[:COLUMN]."
            )
        self.n_paired = self.n_only_first = self.n_only_second = 0

    def blocks(self, columns: Sequence[str]) -> Iterator[Pairs]:
        """Yield the pairs that both runs scored, in the first run's order."""
        columns = [*columns, "status"]
        self.n_paired = self.n_only_first = 0
        for first, second in self._in_step(columns):
            ok, ok_second = _is_ok(first), _is_ok(second)
            both = ok & ok_second
            self.n_paired += int(both.sum())
            self.n_only_first += int((ok & ~ok_second).sum())
            yield Pairs(_columns(first, columns, both), _columns(second, columns, both))
        self.n_only_second = int(self.other.summary["n_scored"]) - self.n_paired

    def _in_step(self, columns: Sequence[str]) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        if self._place is None:
            yield from _slices(self.run.batches(columns), self.other.batches(columns))
            return
        # no sample in its place is a row of nulls, whose status is not ok
        batches = list(self.other.batches(columns))
        table = pa.Table.from_batches(batches) if batches else _schema(self.other, columns).empty_table()
        start = 0
        for batch in self.run.batches(columns):
            place = self._place[start : start + len(batch)]
            start += len(batch)
            taken = table.take(pa.array(place, mask=place < 0)).combine_chunks().to_batches()
            if taken:
                yield batch, taken[0]


def _schema(run: Run, columns: Sequence[str]) -> pa.Schema:
    return pa.schema([run.schema.field(name) for name in columns])


def _slices(
    first: Iterator[pa.RecordBatch], second: Iterator[pa.RecordBatch]
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Yield two tables of the same length in pieces of the same length."""
    left: pa.RecordBatch | None = None
    right: pa.RecordBatch | None = None
    while True:
        left = left if left is not None and len(left) else next((batch for batch in first if len(batch)), None)
        right = right if right is not None and len(right) else next((batch for batch in second if len(batch)), None)
        if left is None or right is None:
            return
        count = min(len(left), len(right))
        yield left.slice(0, count), right.slice(0, count)
        left, right = left.slice(count), right.slice(count)


def _same_ids(run: Run, other: Run) -> bool:
    """Whether the rows of both runs have the same ids in the same order."""
    if run.n_samples != other.n_samples:
        return False
    for first, second in _slices(run.batches(["id"]), other.batches(["id"])):
        equal = pc.equal(_text(first.column(0)), _text(second.column(0)))
        if equal.null_count or not pc.all(equal, min_count=0).as_py():
            return False
    return True


def _places(run: Run, other: Run) -> Array:
    """Return where in the second run the first one's samples are, int64 [N]; -1 where it has none of that id."""
    ids = [pa.chunked_array([_text(batch.column(0)) for batch in r.batches(["id"])], pa.string()) for r in (run, other)]
    for r, column in zip((run, other), ids, strict=True):
        twice = len(column) - column.null_count - pc.count_distinct(column, mode="only_valid").as_py()
        if twice:
            raise EvaltoolError(
                f"the runs cannot be paired by id\n  {r.name}: {twice:,} ids occur more than once, and the runs' rows "
                "differ in order or number\n  Score both with ids that are unique."
            )
    place = pc.index_in(ids[0], value_set=ids[1].combine_chunks(), skip_nulls=True)
    found = np.asarray(pc.fill_null(place, -1).to_numpy()).astype(np.int64)
    if len(found) and (found < 0).all():
        raise EvaltoolError(
            f"the runs have no sample in common\n  {run.name}: ids as {ids[0][0].as_py()!r}, {other.name}: "
            f"{ids[1][0].as_py()!r}\n  Compare runs of the same samples."
        )
    return found


def _text(ids: Any) -> Any:
    return ids.cast(pa.string())


def _is_ok(batch: pa.RecordBatch) -> Array:
    status = pc.fill_null(pc.equal(batch.column("status"), STATUSES[OK]), False)
    return np.asarray(status.to_numpy(zero_copy_only=False), bool)


def _columns(batch: pa.RecordBatch, columns: Sequence[str], kept: Array) -> dict[str, Array]:
    return {
        name: np.asarray(batch.column(name).filter(pa.array(kept)).to_numpy(zero_copy_only=False))
        for name in columns
        if name != "status"
    }
