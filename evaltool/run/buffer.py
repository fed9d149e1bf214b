"""Gathers the columns of small blocks into arrays of one row group that are allocated once.

Small arrays kept alive between the large, short-lived ones of a block would pin the heap around them: with blocks of
4 MB, 800 MB by the time a few row groups are written.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from evaltool.block import Block

Array = np.ndarray[Any, Any]
ROW_GROUP = 1 << 17


class RowBuffer:
    """Takes blocks and gives row groups.

    Args:
        n_samples: rows of the whole job.
    """

    def __init__(self, n_samples: int) -> None:
        self._capacity = min(n_samples, ROW_GROUP)
        self._status = np.empty(self._capacity, np.int8)
        self._columns: dict[str, Array] = {}
        self._filled = 0
        self._start = 0

    def add(self, block: Block) -> Iterator[tuple[int, Block]]:
        """Copy a block's rows; yield each group that becomes full with the index of its first row.

        The group's arrays are used again for the next: take what is needed before asking for more.
        """
        if not self._columns:
            self._columns = {name: np.empty(self._capacity, v.dtype) for name, v in block.columns.items()}
        taken = 0
        while taken < len(block.status):
            count = min(len(block.status) - taken, self._capacity - self._filled)
            there, here = slice(self._filled, self._filled + count), slice(taken, taken + count)
            self._status[there] = block.status[here]
            for name, values in block.columns.items():
                self._columns[name][there] = values[here]
            self._filled += count
            taken += count
            if self._filled == self._capacity:
                yield from self.rest()

    def rest(self) -> Iterator[tuple[int, Block]]:
        """Yield what is there, if anything."""
        if self._filled:
            columns = {name: values[: self._filled] for name, values in self._columns.items()}
            yield self._start, Block(self._status[: self._filled], columns)
            self._start += self._filled
            self._filled = 0
