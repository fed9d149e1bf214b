"""JSON Lines: one object per row; null for what is not known, and for infinities, which JSON has none of."""

import json
import math
from typing import IO, Any

import pyarrow as pa


def write_jsonl(table: pa.Table, file: IO[bytes]) -> None:
    """Write an object per row."""
    for batch in table.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            known = {name: _value(value) for name, value in row.items()}
            file.write(json.dumps(known, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def _value(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
