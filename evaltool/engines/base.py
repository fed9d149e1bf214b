"""The interface of an engine."""

from typing import Any, Protocol

from evaltool.block import Array, Block


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
