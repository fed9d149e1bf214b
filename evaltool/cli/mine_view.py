"""What the user sees after mining: the first rows, and where the list lies; or the list itself."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evaltool.errors import EvaltoolError
from evaltool.mine.formats import WRITERS
from evaltool.mine.job import Mined

PIPE_WIDTH = 120
SHOWN = 10
LEAST_WHY = 20
COLUMNS = ("rank", "index", "id", "class", "label", "pred", "suggested", "score", "p_wrong", "group", "why")


def print_mined(mined: Mined) -> None:
    """Print the first rows and the files that were written."""
    if sys.stdout is None:  # closed: the files are whole, and nobody reads a view
        return
    terminal = sys.stdout.isatty()
    console = Console(markup=False, highlight=False, emoji=False, width=None if terminal else PIPE_WIDTH)
    with console.capture() as captured:
        console.print(_table(mined, console))
    lines = [line.rstrip() for line in captured.get().splitlines()]
    try:
        click.echo("\n".join(lines))
        click.echo(
            f"\n{len(mined.table):,} row{'' if len(mined.table) == 1 else 's'} of {mined.n_rows:,}, by {mined.by}"
        )
        for path in mined.paths:
            click.echo(f"written: {path}")
    except BrokenPipeError:  # as in `| head`: the files are whole
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_list(mined: Mined, written_as: str) -> None:
    """Write the whole list to stdout.

    Raises:
        EvaltoolError: the format is binary, or stdout is closed.
    """
    if sys.stdout is None:
        raise EvaltoolError("the list has nowhere to go\n  standard output: closed\n  Name a file with -o.")
    if written_as == "parquet" and sys.stdout.isatty():
        raise EvaltoolError("Parquet is not for a terminal\n  standard output\n  Name a file with -o.")
    try:
        WRITERS[written_as](mined.table, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # as in `| head`: who reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _table(mined: Mined, console: Console) -> Table:
    """Return the first rows; the reason takes what room the other columns leave."""
    shown = mined.table.slice(0, SHOWN)
    names = [name for name in COLUMNS if name in shown.column_names and shown[name].null_count < len(shown)]
    rows = shown.to_pylist()
    table = _columns([name for name in names if name != "why"], rows, 0)
    if "why" not in names:
        return table
    used = console.measure(table, options=console.options.update(width=10 * PIPE_WIDTH)).maximum
    return _columns(names, rows, max(LEAST_WHY, console.width - used - 2))


def _columns(names: Sequence[str], rows: Sequence[Mapping[str, Any]], room: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for name in names:
        if name in ("id", "group", "why"):
            table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=room if name == "why" else 24)
        else:
            table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(_cell(row, name)) for name in names))
    return table


def _cell(row: Any, name: str) -> str:
    value = row.get(f"{name}_name", row[name])
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
