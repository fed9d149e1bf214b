"""Writes a .npy file in blocks of rows: whole under its name, or not at all."""

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.partial_files import partial_path, remove_stale, sync_folder


class NpyWriter:
    """Takes rows and puts the file in place at ``commit``; leaving the ``with`` block without one removes it.

    Args:
        path: the file.
        shape: of the whole array.
        dtype: its dtype.
        overwrite: replace a file that is there; of a link the link, not what it points to.

    Raises:
        EvaltoolError: the file exists (and ``overwrite`` is off) or cannot be written.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], *, overwrite: bool) -> None:
        check_npy_output(path, overwrite=overwrite)
        self.path = path
        self._partial = partial_path(path)
        self._rows_left = shape[0]
        self._committed = False
        header = {"shape": shape, "fortran_order": False, "descr": np.lib.format.dtype_to_descr(dtype)}
        try:
            remove_stale(path.parent, path.name)
            self._file = self._partial.open("wb")
        except OSError as error:
            raise _unwritable(path, error) from None
        try:
            self._guarded(lambda: np.lib.format.write_array_header_1_0(self._file, header))
        except EvaltoolError:
            self._discard()
            raise

    def __enter__(self) -> "NpyWriter":
        return self

    def __exit__(self, *_: object) -> None:
        if not self._committed:
            self._discard()

    def add(self, rows: np.ndarray[Any, Any]) -> None:
        """Append rows in C order."""
        self._rows_left -= len(rows)
        self._guarded(lambda: self._file.write(np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data))

    def commit(self) -> None:
        """Put the file in place."""
        assert self._rows_left == 0  # else the header would not be true
        self._guarded(self._commit)
        self._committed = True

    def _commit(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.replace(self.path)
        sync_folder(self.path.parent)

    def _guarded(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._partial.unlink(missing_ok=True)


def check_npy_output(path: Path, *, overwrite: bool, sources: Iterable[Path] = ()) -> None:
    """Raise EvaltoolError if an array must not or cannot be written to a path, as to one of its sources."""
    if path.is_dir():
        raise EvaltoolError(f"the output is a directory\n  {path}\n  Name a .npy file with -o.")
    if path.suffix != ".npy":
        raise EvaltoolError(
            f"the output is a .npy file\n  {path}: got {path.suffix or 'no suffix'}\n  Name it with -o."
        )
    if not path.parent.is_dir():
        raise EvaltoolError(f"no such directory\n  {path.parent}\n  Make it, or name another file with -o.")
    for source in sources:
        if path.exists() and source.exists() and path.samefile(source):
            raise EvaltoolError(
                f"the output is what the predictions are made from\n  {path}: the same file as {source}\n"
                "  Name another file with -o."
            )
    if os.path.lexists(path) and not overwrite:  # a link that leads nowhere is there too
        raise EvaltoolError(f"the output exists\n  {path}\n  Pass --overwrite to replace it, or name another with -o.")


def _unwritable(path: Path, error: OSError) -> EvaltoolError:
    reason = error.strerror or str(error)
    return EvaltoolError(f"cannot write the predictions\n  {path}: {reason}\n  Name a writable file with -o.")
