"""CSV that spreadsheets open without computing anything: text that could be a formula gets a leading apostrophe."""

import csv
import io
import math
from typing import IO, Any

import pyarrow as pa

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_csv(table: pa.Table, file: IO[bytes]) -> None:
    """Write the table with a header; null is empty, a box is its numbers with blanks between."""
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([cell(name) for name in table.column_names])
    for batch in table.to_batches(max_chunksize=4096):
        columns = [column.to_pylist() for column in batch.columns]
        writer.writerows([cell(value) for value in row] for row in zip(*columns, strict=True))
    text.flush()
    text.detach()


def cell(value: Any) -> Any:
    """Return what stands in a cell for a value."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.9g}" if math.isfinite(value) else ("inf" if value > 0 else "'-inf")
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value
