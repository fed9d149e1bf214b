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
SETS = 3  # of a group's arrays: one to fill, and two for groups that are still being written


class RowBuffer:
    """Takes blocks and gives row groups.

    Args:
        n_samples: rows of the whole job.
    """

    def __init__(self, n_samples: int) -> None:
        self._capacity = min(n_samples, ROW_GROUP)
        self._sets: list[tuple[Array, dict[str, Array]]] = []
        self._filled = 0
        self._start = 0

    def add(self, block: Block) -> Iterator[tuple[int, Block]]:
        """Copy a block's rows; yield each group that becomes full with the index of its first row.

        The group's arrays are filled again ``SETS`` groups later: be done with them when asking for the last of those.
        """
        taken = 0
        while taken < len(block.status):
            status, columns = self._set(block)
            count = min(len(block.status) - taken, self._capacity - self._filled)
            there, here = slice(self._filled, self._filled + count), slice(taken, taken + count)
            status[there] = block.status[here]
            for name, values in block.columns.items():
                columns[name][there] = values[here]
            self._filled += count
            taken += count
            if self._filled == self._capacity:
                yield from self.rest()

    def rest(self) -> Iterator[tuple[int, Block]]:
        """Yield what is there, if anything."""
        if self._filled:
            status, columns = self._sets[-1]
            yield self._start, Block(status[: self._filled], {n: v[: self._filled] for n, v in columns.items()})
            self._start += self._filled
            self._filled = 0

    def _set(self, block: Block) -> tuple[Array, dict[str, Array]]:
        """Return the arrays to fill, the last of the sets."""
        if not self._filled:  # the one that was filled longest ago, or a new one
            self._sets.append(self._sets.pop(0) if len(self._sets) == SETS else self._new_set(block))
        return self._sets[-1]

    def _new_set(self, block: Block) -> tuple[Array, dict[str, Array]]:
        columns = {name: np.empty(self._capacity, values.dtype) for name, values in block.columns.items()}
        return np.empty(self._capacity, np.int8), columns
