"""The small inputs beside predictions and labels: ids, class names, class weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from evaltool.errors import EvaltoolError
from evaltool.readers.npy import NpyFile
from evaltool.schema import WEIGHT_WORDS

OPTIONS = {"ids": "--ids", "groups": "--group-by"}
TABLES = (".csv", ".tsv", ".parquet")


def read_ids(
    source: str | Path | Sequence[Any] | np.ndarray[Any, Any], n_samples: int, *, what: str = "ids"
) -> "pa.Array[Any]":
    """Return one id or group per sample, as int64 where all are integers and as text otherwise.

    Args:
        source: ``FILE`` or ``FILE:COLUMN`` (.csv, .parquet, .npy, or text with one id per line), or a sequence.
        n_samples: how many there have to be.
        what: "ids" or "groups", for messages; a column "id" is taken unasked for ids only.

    Raises:
        EvaltoolError: the file cannot be read, has no such column, or another number of rows.
    """
    where = str(source) if isinstance(source, (str, Path)) else what
    try:
        ids = _ids_from_file(where, what) if isinstance(source, (str, Path)) else _as_arrow(source)
        if isinstance(ids, pa.ChunkedArray):
            ids = ids.combine_chunks()
        fits = pa.types.is_integer(ids.type) and ids.type != pa.uint64()
        column = ids.cast(pa.int64() if fits else pa.string())
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise EvaltoolError(
            f"this cannot be {what}\n  {where}: {error}\n  Give integers or text, one per sample."
        ) from None
    if len(column) != n_samples:
        one = what.removesuffix("s")
        got = f"{len(column)} {one if len(column) == 1 else what}"
        raise EvaltoolError(
            f"there is not one {one} per sample\n  {where}: {got}, expected {n_samples} = N\n"
            f"  Give the {what} of exactly these samples, in their order."
        )
    return column


def _as_arrow(ids: Any) -> Any:
    if not isinstance(ids, (list, tuple)):
        ids = np.asarray(ids)
    return pa.array(ids.tolist() if isinstance(ids, np.ndarray) and ids.dtype.kind in "USO" else ids)


def count_duplicates(ids: "pa.Array[Any]") -> int:
    """Return how many ids occur before in the array."""
    known = ids.drop_null()
    return len(known) - len(known.unique())


def _ids_from_file(text: str, what: str) -> Any:
    path, column = _path_and_column(text)
    kind = path.suffix.lower()
    if column is not None and kind not in TABLES:
        raise EvaltoolError(
            f"this file has no columns\n  {path}: column {column!r} was asked for\n  Leave {column!r} out, or name a "
            f"file of {', '.join(TABLES)}."
        )
    if kind == ".npy":
        file = NpyFile(path)
        if len(file.shape) != 1 or file.dtype.kind not in "iuUS":
            raise EvaltoolError(
                f"this cannot be {what}\n  {path}: shape {list(file.shape)}, dtype {file.dtype}, expected [N]\n"
                "  Give integers or text, one per sample."
            )
        values = file.read(0, file.shape[0])
        return _as_arrow(
            np.char.decode(values) if file.dtype.kind == "S" else values.astype(values.dtype.newbyteorder("="))
        )
    if kind in TABLES:
        return _table_column(path, kind, column, what)
    return pa.array(_lines(path))


def _path_and_column(text: str) -> tuple[Path, str | None]:
    path, colon, column = text.rpartition(":")
    if colon and not Path(text).exists():
        return Path(path), column
    return Path(text), None


def _table_column(path: Path, kind: str, column: str | None, what: str) -> Any:
    try:
        if kind == ".parquet":
            names = pyarrow.parquet.read_schema(path).names
        else:
            options = pyarrow.csv.ParseOptions(delimiter="\t" if kind == ".tsv" else ",")
            with pyarrow.csv.open_csv(path, parse_options=options) as reader:
                names = reader.schema.names
        chosen = column or ("id" if "id" in names and what == "ids" else names[0] if len(names) == 1 else "")
        if chosen not in names:
            asked = f"no column {column!r}" if column else "several columns"
            raise EvaltoolError(
                f"which column holds the {what}?\n  {path}: {asked}; it has {', '.join(names)}\n"
                f"  Pass {OPTIONS[what]} {path}:{names[0]}, with the right name."
            )
        if kind == ".parquet":
            return pyarrow.parquet.read_table(path, columns=[chosen])[chosen]
        as_text = pyarrow.csv.ConvertOptions(include_columns=[chosen], column_types={chosen: pa.string()})
        return pyarrow.csv.read_csv(path, parse_options=options, convert_options=as_text)[chosen]
    except (OSError, pa.ArrowException) as error:
        raise EvaltoolError(f"cannot read the {what}\n  {path}: {error}\n  Check the path.") from None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise EvaltoolError(
            f"cannot read the file\n  {path}: {reason}\n  Give UTF-8 text, one item per line."
        ) from None


def read_class_names(source: str | Path | Sequence[str], num_classes: int) -> list[str]:
    """Return the class names: of a file with one per line, of ``a,b,c``, or of a sequence.

    Raises:
        EvaltoolError: there is not one name per class, or a name twice.
    """
    if isinstance(source, (str, Path)):
        source = str(source)
        path = Path(source)
        is_file = path.is_file()
        if not is_file and "," not in source and (path.suffix or num_classes > 1):
            raise EvaltoolError(f"no such file\n  {source}\n  Give a file with one name per line, or a,b,c.")
        names = [line for line in _lines(path) if line.strip()] if is_file else source.split(",")
    else:
        names = [str(name) for name in source]
    names = [name.strip() for name in names]
    where = source if isinstance(source, str) else "class_names"
    if len(names) != num_classes:
        raise EvaltoolError(
            f"there is not one name per class\n  {where}: {len(names)} names, expected {num_classes} = C\n"
            "  Name every class, in the order of the class indices."
        )
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    if twice:
        raise EvaltoolError(
            f"class names have to differ\n  {where}: {', '.join(sorted(twice))} more than once\n"
            "  Name every class once."
        )
    return names


def read_class_weights(source: str | Path | Sequence[float], num_classes: int | None) -> str | list[float]:
    """Return class weights: a rule's name, or the numbers of a file (.npy, or text), of ``1,2,3`` or a sequence.

    ``num_classes`` None takes any number of them.

    Raises:
        EvaltoolError: there is not one finite number >= 0 per class.
    """
    if isinstance(source, (str, Path)) and str(source) in WEIGHT_WORDS:
        return str(source)
    where, values = _per_class(source, "class weights")
    if num_classes is not None and len(values) != num_classes:
        raise EvaltoolError(
            f"there is not one weight per class\n  {where}: {len(values)} weights, expected {num_classes} = C\n"
            "  Give one number per class, in the order of the class indices."
        )
    if not all(np.isfinite(v) and v >= 0 for v in values) or not any(values):
        raise EvaltoolError(
            f"class weights are no weights\n  {where}: {values}, expected finite numbers >= 0, one of them above 0\n"
            "  Mend the numbers, or name a rule such as inverse."
        )
    return values


def read_counts(source: str | Path | Sequence[float]) -> list[float]:
    """Return the labels of each class: the numbers of a file (.npy, or text), of ``1,2,3`` or a sequence.

    Raises:
        EvaltoolError: they are no finite numbers >= 0, one of them above 0.
    """
    where, values = _per_class(source, "counts")
    if not all(np.isfinite(v) and v >= 0 for v in values) or not any(values):
        raise EvaltoolError(
            f"these are no counts\n  {where}: {values}, expected finite numbers >= 0, one of them above 0\n"
            "  Give how many labels each class has."
        )
    return values


def _per_class(source: str | Path | Sequence[float], what: str) -> tuple[str, list[float]]:
    """Return where numbers come from, for messages, and the numbers."""
    if isinstance(source, (str, Path)):
        return str(source), _numbers(str(source), what)
    where = what.replace(" ", "_")
    try:
        return where, [float(value) for value in source]
    except (TypeError, ValueError):
        raise EvaltoolError(f"these are no {what}\n  {where}: {source!r}\n  Give one number per class.") from None


def _numbers(source: str, what: str) -> list[float]:
    path = Path(source)
    if path.suffix == ".npy":
        file = NpyFile(path)
        if len(file.shape) != 1 or file.dtype.kind not in "iuf":
            raise EvaltoolError(
                f"these are no {what}\n  {path}: {list(file.shape)} of {file.dtype}, expected [C] of numbers\n"
                "  Save one number per class."
            )
        return [float(value) for value in file.read(0, file.shape[0])]
    texts = " ".join(_lines(path)).replace(",", " ").split() if path.is_file() else source.split(",")
    try:
        return [float(text) for text in texts]
    except ValueError:
        words = f", or one of {', '.join(WEIGHT_WORDS)}" if what == "class weights" else ""
        raise EvaltoolError(
            f"these are no {what}\n  {source}\n  Give a file with one number per class, or numbers as 1,2,0.5{words}."
        ) from None
