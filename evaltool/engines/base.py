"""The interface of an engine."""

from typing import Any, Protocol

from evaltool.block import Block


class Engine(Protocol):
    """Computes the columns of one job."""

    name: str
    device: str  # what was obtained, not what was asked for

    def score(self, preds: Any, labels: Any) -> Block:
        """Return the scores of a block of rows, arrays or tensors as the readers give them."""

    def close(self) -> None:
        """Give back what the engine holds."""
