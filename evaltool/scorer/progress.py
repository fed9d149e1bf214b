"""Watchers that show how a job goes on stderr: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from evaltool.scorer.watcher import Silence, Watcher

SECONDS_BETWEEN_LINES = 5.0


class PlainProgress:
    """Prints decisions and warnings, and a line every few seconds.

    Args:
        lines: print lines of progress.
    """

    def __init__(self, *, lines: bool) -> None:
        self._lines = lines
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
            click.echo(f"scored {rows:,} of {total:,} rows ({rows / total:.0%}), about {left:.0f} s left", err=True)


class BarProgress(PlainProgress):
    """The same with a bar on a terminal instead of lines.

    Args:
        bar: a started rich.progress.Progress.
    """

    def __init__(self, bar: Any) -> None:
        super().__init__(lines=False)
        self._bar = bar
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
            self._task = self._bar.add_task("scoring", total=total)
        self._bar.update(self._task, completed=rows)


@contextmanager
def opened_progress(kind: str | None) -> Iterator[Watcher]:
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
            yield BarProgress(bar)
    else:
        yield PlainProgress(lines=kind != "none")
