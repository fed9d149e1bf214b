"""The texts of samples, or the columns of their table: ``FILE:COLUMN[,COLUMN...]``."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from evaltool.errors import EvaltoolError

Field = tuple[str, str]  # name ("" for the only one) and value
Texts = dict[int, list[Field]]
KINDS = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".txt")
LONGEST = 20_000  # characters of one text that the page holds


def read_texts(source: str | Path, indices: Sequence[int], n_samples: int) -> Texts:
    """Return the texts of some samples by index; the file is streamed, and has one row per sample, in their order.

    Args:
        source: ``FILE:COLUMN[,COLUMN...]`` (.csv, .tsv, .parquet, .jsonl, .ndjson), or a .txt with one text per line.
        indices: which samples.
        n_samples: rows the file has to have.

    Raises:
        EvaltoolError: the file cannot be read, has no such column, or another number of rows.
    """
    path, columns = _path_and_columns(str(source))
    wanted = np.unique(np.asarray(indices, np.int64))
    texts: Texts = {}
    row = 0
    try:
        for batch in _batches(path, columns):
            length = len(batch[0])
            for index in wanted[(wanted >= row) & (wanted < row + length)].tolist():
                values = [_text(column[index - row]) for column in batch]
                names = columns if len(columns) > 1 else [""]
                texts[index] = list(zip(names, values, strict=True))
            row += length
    except (OSError, UnicodeDecodeError, ValueError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise EvaltoolError(f"cannot read the texts\n  {path}: {reason}\n  Check the path and the file.") from None
    if row != n_samples:
        raise EvaltoolError(
            f"there is not one text per sample\n  {path}: {row:,} rows, expected {n_samples:,} = N\n"
            "  Give the table of exactly these samples, in their order."
        )
    return texts


def check_texts(source: str | Path) -> None:
    """Raise EvaltoolError if there is no such file or column; its rows are not read."""
    _path_and_columns(str(source))


def _path_and_columns(source: str) -> tuple[Path, list[str]]:
    whole = Path(source)
    head, colon, tail = source.rpartition(":")
    path, columns = (Path(head), tail.split(",")) if colon and not whole.exists() else (whole, [])
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise EvaltoolError(
            f"this cannot be texts\n  {path}: expected one of {', '.join(KINDS)}\n"
            "  Give --text FILE:COLUMN, or a .txt with one text per line."
        )
    if kind == ".txt" and columns:
        raise EvaltoolError(
            f"this file has no columns\n  {path}: column {','.join(columns)!r} was asked for\n  Give --text {path}."
        )
    if not path.is_file():
        raise EvaltoolError(f"there is no such file of texts\n  {path}\n  Check the path.")
    if kind != ".txt":
        _check_columns(path, columns)
    return path, columns


def _check_columns(path: Path, columns: list[str]) -> None:
    names = _names(path)
    missing = [name for name in columns if name not in names]
    if missing or not columns:
        got = f"no column {', '.join(missing)}" if missing else "no column was named"
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        raise EvaltoolError(
            f"which column holds the text?\n  {path}: {got}; it has {shown}\n  Give --text {path}:COLUMN[,COLUMN...]."
        )


def _names(path: Path) -> list[str]:
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            return list(pyarrow.parquet.read_schema(path).names)
        if kind in (".csv", ".tsv"):
            with pyarrow.csv.open_csv(path, parse_options=_parsing(kind)) as reader:
                return list(reader.schema.names)
        with path.open(encoding="utf-8") as lines:
            return list(_object(next(lines, "{}")))
    except (OSError, UnicodeDecodeError, ValueError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise EvaltoolError(f"cannot read the texts\n  {path}: {reason}\n  Check the file.") from None


def _batches(path: Path, columns: list[str]) -> Iterator[list[Sequence[Any]]]:
    """Yield the columns, some rows at a time."""
    kind = path.suffix.lower()
    if kind == ".parquet":
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=columns):
                yield [batch.column(name) for name in columns]
    elif kind in (".csv", ".tsv"):
        texts = pyarrow.csv.ConvertOptions(
            include_columns=columns, column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
        )
        with pyarrow.csv.open_csv(path, parse_options=_parsing(kind), convert_options=texts) as reader:
            for batch in reader:
                yield [batch.column(name) for name in columns]
    else:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                if kind == ".txt":
                    yield [[line.rstrip("\r\n")]]
                elif line.strip():
                    yield [[value] for value in _values(line, columns)]


def _parsing(kind: str) -> Any:
    return pyarrow.csv.ParseOptions(delimiter="\t" if kind == ".tsv" else ",", newlines_in_values=True)


def _values(line: str, columns: list[str]) -> list[Any]:
    found = _object(line)
    return [found.get(name) for name in columns]


def _object(line: str) -> dict[str, Any]:
    found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError(f"a line is no JSON object: {line[:60]}")
    return found


def _text(value: Any) -> str:
    value = value.as_py() if isinstance(value, pa.Scalar) else value
    text = "" if value is None else value if isinstance(value, str) else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … (cut: {len(text):,} characters)"
