"""Who is told how a job goes; the command line shows it."""

from collections.abc import Sequence
from typing import Protocol


class Watcher(Protocol):
    """Is told how a job goes; the command line shows it."""

    def decided(self, reasons: Sequence[str]) -> None:
        """What was decided, one line each."""

    def warned(self, text: str) -> None:
        """Something the user should know."""

    def progressed(self, rows: int, total: int) -> None:
        """So many rows of all are scored."""


class Silence:
    """A watcher that shows nothing."""

    def decided(self, reasons: Sequence[str]) -> None:
        """Show nothing."""

    def warned(self, text: str) -> None:
        """Show nothing."""

    def progressed(self, rows: int, total: int) -> None:
        """Show nothing."""
