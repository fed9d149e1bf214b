"""What mined rows are written as: a table from format to writer.

A writer takes the table and a binary file.  A format that cannot carry something says so in ``LEAVES_OUT``.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from evaltool.errors import EvaltoolError
from evaltool.mine.formats.csv_ import write_csv
from evaltool.mine.formats.jsonl import write_jsonl
from evaltool.mine.formats.parquet import write_parquet

WRITERS: Mapping[str, Callable[[Any, IO[bytes]], None]] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
}
LEAVES_OUT: Mapping[str, str] = {}  # format -> what it cannot carry, in one line


def format_of(path: Path, asked: str | None) -> str:
    """Return the format of an output: the one asked for, else that of the path's suffix.

    Raises:
        EvaltoolError: the suffix is none of them.
    """
    if asked is not None:
        return asked
    found = path.suffix.lower().removeprefix(".")
    if found not in WRITERS:
        raise EvaltoolError(
            f"which format is this?\n  {path}: {path.suffix or 'no suffix'}, expected .{', .'.join(WRITERS)}\n"
            f"  Name the output so, or pass --format {next(iter(WRITERS))}."
        )
    return found
