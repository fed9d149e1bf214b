"""Who is told how a job goes, and shows it on stderr: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import click

SECONDS_BETWEEN_LINES = 5.0


class Watcher(Protocol):
    """Is told how a job goes; the command line shows it."""

    def decided(self, reasons: Sequence[str]) -> None:
        """What was decided, one line each."""

    def warned(self, text: str) -> None:
        """Something the user should know."""

    def progressed(self, rows: int, total: int) -> None:
        """So many rows of all are done."""


class Silence:
    """A watcher that shows nothing."""

    def decided(self, reasons: Sequence[str]) -> None:
        """Show nothing."""

    def warned(self, text: str) -> None:
        """Show nothing."""

    def progressed(self, rows: int, total: int) -> None:
        """Show nothing."""


class PlainProgress:
    """Prints decisions and warnings, and a line every few seconds.

    Args:
        lines: print lines of progress.
        done: what has been done to them.
        unit: what they are.
    """

    def __init__(self, *, lines: bool, done: str = "scored", unit: str = "rows") -> None:
        self._lines = lines
        self._done, self._unit = done, unit
        self._started = self._last = time.monotonic()

    def decided(self, reasons: Sequence[str]) -> None:
        """Print what was decided."""
        for reason in reasons:
            click.echo(reason, err=True)

    def warned(self, text: str) -> None:
        """Print a warning."""
        click.echo(f"warning: {text}", err=True)

    def progressed(self, rows: int, total: int) -> None:
        """Print how far the job is, if the last line is some seconds old."""
        now = time.monotonic()
        if self._lines and now - self._last >= SECONDS_BETWEEN_LINES and rows < total:
            self._last = now
            left = (now - self._started) * (total - rows) / rows
            share = f"{rows:,} of {total:,} {self._unit} ({rows / total:.0%})"
            click.echo(f"{self._done} {share}, about {left:.0f} s left", err=True)


class BarProgress(PlainProgress):
    """The same with a bar on a terminal instead of lines.

    Args:
        bar: a started rich.progress.Progress.
        doing: what is being done to the rows.
    """

    def __init__(self, bar: Any, *, doing: str = "scoring") -> None:
        super().__init__(lines=False)
        self._bar = bar
        self._doing = doing
        self._task: Any = None

    def decided(self, reasons: Sequence[str]) -> None:
        """Print what was decided above the bar."""
        for reason in reasons:
            self._bar.console.print(reason)

    def warned(self, text: str) -> None:
        """Print a warning above the bar."""
        self._bar.console.print(f"warning: {text}")

    def progressed(self, rows: int, total: int) -> None:
        """Move the bar."""
        if self._task is None:
            self._task = self._bar.add_task(self._doing, total=total)
        self._bar.update(self._task, completed=rows)


@contextmanager
def opened_progress(
    kind: str | None, *, doing: str = "scoring", done: str = "scored", unit: str = "rows"
) -> Iterator[Watcher]:
    """Yield a watcher: "rich", "plain", "none" (decisions and warnings only), "auto" (rich on a terminal, else plain).

    None shows nothing at all.
    """
    if kind is None:
        yield Silence()
    elif kind == "rich" or (kind == "auto" and sys.stderr.isatty()):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            yield BarProgress(bar, doing=doing)
    else:
        yield PlainProgress(lines=kind != "none", done=done, unit=unit)
