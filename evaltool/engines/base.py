"""The interface of an engine."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from evaltool.block import Array, Block
from evaltool.readers import Rows


class Engine(Protocol):
    """Computes the columns of one job."""

    name: str
    device: str  # what was obtained, not what was asked for
    provider: str  # what runs the modules there
    workers: int  # how many threads may score blocks at the same time
    borrows: bool  # takes blocks as ``readers.borrowed`` gives them

    def enter_thread(self) -> None:
        """Prepare the calling thread for scoring beside others."""

    def score(self, preds: Any, labels: Any) -> Block:
        """Return the scores of a block of rows, arrays or tensors as the readers give them."""

    def counts(self) -> dict[str, Array] | None:
        """Return the counts of all rows so far in the layout of ``state.npz``; None where the blocks carry theirs."""

    def close(self) -> None:
        """Give back what the engine holds."""


@runtime_checkable
class Staging(Protocol):
    """An engine that takes its rows to a device itself."""

    def staged(self, preds: Rows, labels: Rows, batch_size: int | None) -> Iterator[tuple[int, int, Any, Any]]:
        """Yield the first row, the end, predictions and labels of blocks, in order, on the engine's device."""
