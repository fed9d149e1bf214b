"""Parquet: the table as it is."""

from typing import IO

import pyarrow as pa
import pyarrow.parquet


def write_parquet(table: pa.Table, file: IO[bytes]) -> None:
    """Write the table."""
    pyarrow.parquet.write_table(table, file, compression="zstd")
