"""The rows with the highest loss, kept while blocks stream by."""

import math
from typing import Any

import numpy as np
import pyarrow as pa

SHOWN = 10


class Hardest:
    """The ten rows with the highest value of a column; of equals the first.

    Args:
        column: the loss that ranks.
    """

    def __init__(self, column: str) -> None:
        self.column = column
        self._rows: list[dict[str, Any]] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Look through a batch of the table."""
        values = batch.column(self.column).to_numpy(zero_copy_only=False)
        known = np.flatnonzero(~np.isnan(values))
        order = known[np.argsort(-values[known], kind="stable")[:SHOWN]]
        self._rows += batch.take(pa.array(order)).to_pylist()
        self._rows.sort(key=lambda row: (-row[self.column], row["index"]))
        del self._rows[SHOWN:]

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows, hardest first, ready for JSON: an infinite number is the text "inf" or "-inf"."""
        return [{name: _plain(value) for name, value in row.items() if name != "status"} for row in self._rows]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and math.isinf(value) else value
