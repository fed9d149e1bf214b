"""Writes the directory of a run: every file whole or not at all, run.json last."""

import contextlib
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from evaltool.errors import EvaltoolError
from evaltool.partial_files import PARTIAL, partial_path, remove_stale, sync_folder
from evaltool.run.state import State

SCORES, SUMMARY, STATE, MANIFEST = "scores.parquet", "summary.json", "state.npz", "run.json"
FILES = (SCORES, SUMMARY, STATE, MANIFEST)
LABEL_ERRORS = "label-errors.npz"  # what mine computed from the run's inputs
CACHES = (LABEL_ERRORS,)  # they go when the run is replaced


class RunWriter:
    """Collects a run in temporary files of its directory and puts them in place at the end.

    Until ``commit`` an older run in the same directory stays whole. Leaving the ``with`` block without a commit removes
    everything this writer made.

    Args:
        directory: the run's directory, made where missing.
        schema: of the table.
        overwrite: replace a run that is there.

    Raises:
        EvaltoolError: the directory holds a run (and ``overwrite`` is off) or something else, or cannot be written.
    """

    keeps = False  # no batch, once it is added

    def __init__(self, directory: Path, schema: pa.Schema, *, overwrite: bool) -> None:
        self.directory = directory
        check_output(directory, overwrite=overwrite)
        self._made = [path for path in (directory, *directory.parents) if not path.exists()]
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._scores = self._temporary(SCORES).open("wb")
        except OSError as error:
            self._remove_made()
            raise unwritable(directory, error) from None
        remove_stale(directory)
        self._writer = pyarrow.parquet.ParquetWriter(self._scores, schema, **_parquet_options(schema))
        self._committed = False

    def __enter__(self) -> "RunWriter":
        return self

    def __exit__(self, *_: object) -> None:
        if not self._committed:
            self._discard()

    def add(self, batch: pa.RecordBatch) -> None:
        """Append rows to the table, as one row group."""
        self._guarded(lambda: self._writer.write_batch(batch, row_group_size=max(1, len(batch))))

    def close_table(self) -> None:
        """Write the table's footer; the columns can be read back from then on."""
        self._guarded(self._writer.close)
        self._guarded(self._scores.flush)

    def column(self, name: str) -> Iterator[Any]:
        """Yield a column's values by row group, null as NaN, once the table is closed."""
        with pyarrow.parquet.ParquetFile(self._temporary(SCORES)) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns=[name])[name].to_numpy()

    def commit(self, summary: dict[str, Any], state: State, manifest: dict[str, Any]) -> None:
        """Put the table, the summary, the counts and, last, run.json in place."""
        self._guarded(lambda: self._commit(summary, state, manifest))
        self._committed = True

    def _commit(self, summary: dict[str, Any], state: State, manifest: dict[str, Any]) -> None:
        os.fsync(self._scores.fileno())
        self._scores.close()
        self._write(SUMMARY, json_bytes(summary))
        packed = io.BytesIO()
        np.savez_compressed(packed, **state.arrays())  # type: ignore[arg-type]
        self._write(STATE, packed.getvalue())
        self._write(MANIFEST, json_bytes(manifest))
        for name in (MANIFEST, *CACHES):  # the old run is one no longer
            (self.directory / name).unlink(missing_ok=True)
        for name in FILES:
            self._temporary(name).replace(self.directory / name)
        sync_folder(self.directory)

    def _temporary(self, name: str) -> Path:
        return partial_path(self.directory / name)

    def _write(self, name: str, content: bytes) -> None:
        with self._temporary(name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:
            raise unwritable(self.directory, error) from None

    def _discard(self) -> None:
        with contextlib.suppress(Exception):  # the disk may be full: the footer need not be written
            self._writer.close()
        with contextlib.suppress(OSError):
            self._scores.close()
        for name in FILES:
            with contextlib.suppress(OSError):
                self._temporary(name).unlink(missing_ok=True)
        self._remove_made()

    def _remove_made(self) -> None:
        for path in self._made:
            with contextlib.suppress(OSError):
                path.rmdir()


def check_output(directory: Path, *, overwrite: bool) -> None:
    """Raise EvaltoolError if a run must not or cannot be written to the directory."""
    try:
        if not directory.exists():
            return
        if not directory.is_dir():
            raise EvaltoolError(f"the output is a file\n  {directory}\n  Name another directory with -o.")
        names = {path.name for path in directory.iterdir()}
    except OSError as error:
        raise unwritable(directory, error) from None
    strange = sorted(name for name in names if name not in (*FILES, *CACHES) and PARTIAL not in name)
    if strange:
        raise EvaltoolError(
            f"the output directory holds other files\n  {directory}: {', '.join(strange[:3])}\n"
            "  Name another directory with -o; a run has one of its own."
        )
    if names.intersection(FILES) and not overwrite:
        raise EvaltoolError(
            f"the output exists\n  {directory}\n  Pass --overwrite to replace that run, or name another with -o."
        )


def unwritable(directory: Path, error: OSError) -> EvaltoolError:
    """Return the error for a directory that cannot be written."""
    reason = error.strerror or str(error)
    return EvaltoolError(f"cannot write the run\n  {directory}: {reason}\n  Name a writable directory with -o.")


def json_bytes(value: dict[str, Any]) -> bytes:
    """Return value as indented JSON; NaN and infinities are refused, for JSON has none."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _parquet_options(schema: pa.Schema) -> dict[str, Any]:
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    return {
        "compression": "zstd",
        "use_dictionary": [f.name for f in schema if f.name != "index" and f.name not in floats and f.name != "id"],
        "use_byte_stream_split": floats,
        "column_encoding": {"index": "DELTA_BINARY_PACKED"},
    }
