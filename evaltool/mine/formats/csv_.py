"""CSV that spreadsheets open without computing anything: text that could be a formula gets a leading apostrophe."""

import io
import math
from collections.abc import Iterable
from typing import IO, Any

import pyarrow as pa

from evaltool.spreadsheets import guarded


def write_csv(table: pa.Table, file: IO[bytes]) -> None:
    """Write the table with a header; null is empty, a box is its numbers with blanks between."""
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    text.write(_line(table.column_names))
    for batch in table.to_batches(max_chunksize=4096):
        columns = [column.to_pylist() for column in batch.columns]
        text.writelines(_line(row) for row in zip(*columns, strict=True))
    text.flush()
    text.detach()


def _line(row: Iterable[Any]) -> str:
    return ",".join(_quoted(cell(value)) for value in row) + "\n"


def _quoted(text: str) -> str:
    """Return a cell in quotes where it needs them; Python's csv leaves a lone carriage return bare."""
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text


def cell(value: Any) -> str:
    """Return what stands in a cell for a value."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.9g}" if math.isfinite(value) else ("inf" if value > 0 else "'-inf")
    if isinstance(value, list):
        return " ".join(map(str, value))
    if not isinstance(value, str):
        return str(value)
    return guarded(value)
