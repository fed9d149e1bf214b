"""The rows with the highest loss, kept while blocks stream by."""

import math
from typing import Any

import numpy as np
import pyarrow as pa

from evaltool.block import Block
from evaltool.schema import OK

SHOWN = 10


class Hardest:
    """The ten rows with the highest value of a column; of equals the first.

    Args:
        column: the loss that ranks.
    """

    def __init__(self, column: str) -> None:
        self.column = column
        self._rows: list[dict[str, Any]] = []
        self._least: np.float32 | None = None  # the value to exceed, once there are enough rows

    def add(self, batch: pa.RecordBatch, block: Block) -> None:
        """Look through a block and what the table has of it; they come in the table's order."""
        values = np.where(block.status == OK, block.columns[self.column], np.float32(np.nan)).astype(np.float32)
        # of equals the first stays; NaN, for null, is above nothing
        chosen = np.flatnonzero(values > self._least if self._least is not None else ~np.isnan(values))
        if len(chosen) > SHOWN:
            least = np.partition(values[chosen], -SHOWN)[-SHOWN]
            chosen = chosen[values[chosen] >= least]
        order = chosen[np.argsort(-values[chosen], kind="stable")[:SHOWN]]
        if not len(order):
            return
        self._rows += [{name: batch[name][i].as_py() for name in batch.schema.names} for i in order.tolist()]
        self._rows.sort(key=lambda row: (-row[self.column], row["index"]))
        del self._rows[SHOWN:]
        if len(self._rows) == SHOWN:
            self._least = np.float32(self._rows[-1][self.column])

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows, hardest first, ready for JSON: an infinite number is the text "inf" or "-inf"."""
        return [{name: _plain(value) for name, value in row.items() if name != "status"} for row in self._rows]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and math.isinf(value) else value
