"""``.npy`` files, read in blocks of rows: memory stays independent of the file's size.

Format: numpy.lib.format, versions 1.0 to 3.0.  Rows in C order are read with plain reads, so that a file's pages do not
count as the process's memory; Fortran order is memory-mapped and its pages are given back after each block.
"""

import ast
import mmap
import struct
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evaltool.errors import EvaltoolError

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 1_000_000
OTHER_FORMATS = {
    b"PK\x03\x04": "a zip file (.npz or .pt); save one array with np.save",
    b"\x80\x02": "a pickle; save the array with np.save",
    b"\x80\x03": "a pickle; save the array with np.save",
    b"\x80\x04": "a pickle; save the array with np.save",
    b"\x80\x05": "a pickle; save the array with np.save",
    b"\x89HDF": "an HDF5 file; save the array with np.save",
    b"PAR1": "a Parquet file; save the array with np.save",
}


class NpyHeader(NamedTuple):
    """What the head of a .npy file says."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int


def read_header(path: Path) -> NpyHeader:
    """Return the header of a .npy file whose data are all there.

    Raises:
        EvaltoolError: the file is missing, empty, truncated, not a .npy, or holds what is not numbers.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(12)
            header = _parse(path, head, file.read(LONGEST_HEADER)) if head.startswith(MAGIC) else None
    except FileNotFoundError:
        raise EvaltoolError(f"no such file\n  {path}\n  Check the path.") from None
    except IsADirectoryError:
        raise EvaltoolError(f"this is a directory\n  {path}\n  Name the .npy file in it.") from None
    except OSError as error:
        raise EvaltoolError(
            f"cannot read the file\n  {path}: {error.strerror}\n  Check the path and its rights."
        ) from None
    if size == 0:
        raise EvaltoolError(f"the file is empty\n  {path}: 0 bytes\n  Write it again with np.save.")
    if header is None:
        looks = next((text for magic, text in OTHER_FORMATS.items() if head.startswith(magic)), None)
        hint = f"It looks like {looks}." if looks else "Save the array with np.save."
        raise EvaltoolError(f"not a .npy file\n  {path}: begins with {head[:6]!r}, expected {MAGIC!r}\n  {hint}")
    _check_dtype(path, header.dtype)
    needed = header.offset + header.dtype.itemsize * int(np.prod(header.shape, dtype=object))
    if size < needed:
        raise EvaltoolError(
            f"the file is truncated\n  {path}: {size} bytes, expected {needed} for shape {list(header.shape)} of "
            f"{header.dtype}\n  Copy or write it again."
        )
    return header


def _parse(path: Path, head: bytes, rest: bytes) -> NpyHeader:
    damaged = EvaltoolError(f"the .npy header is damaged\n  {path}\n  Copy or write the file again.")
    content = head + rest
    if len(content) < 12:
        raise EvaltoolError(f"the file is truncated\n  {path}: ends within its header\n  Copy or write it again.")
    version = content[6]
    start = 10 if version == 1 else 12
    length = struct.unpack("<H", content[8:10])[0] if version == 1 else struct.unpack("<I", content[8:12])[0]
    if version not in (1, 2, 3) or length > LONGEST_HEADER:
        raise damaged
    if len(content) < start + length:
        raise EvaltoolError(f"the file is truncated\n  {path}: ends within its header\n  Copy or write it again.")
    try:
        text = content[start : start + length].decode("utf8" if version == 3 else "latin1")
        fields = ast.literal_eval(text.strip())
        shape = tuple(fields["shape"])
        if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape):
            raise ValueError("shape")
        dtype = np.lib.format.descr_to_dtype(fields["descr"])
        return NpyHeader(shape, dtype, bool(fields["fortran_order"]), start + length)
    except (ValueError, TypeError, KeyError, SyntaxError, UnicodeDecodeError, MemoryError, RecursionError):
        raise damaged from None


def _check_dtype(path: Path, dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise EvaltoolError(
            f"the array holds Python objects\n  {path}: dtype object, expected numbers\n"
            "  Objects are stored as a pickle, which runs code from the file when it is loaded, so it is refused. "
            "Save a plain array: np.save(path, np.stack(rows).astype(np.float32))."
        )


class NpyFile:
    """The rows of a .npy file.

    Args:
        path: the file.

    Raises:
        EvaltoolError: see ``read_header``.
    """

    def __init__(self, path: Path) -> None:
        self.path: Path | None = path
        self._file = path
        self.name = str(path)
        self._header = read_header(path)
        self.shape = self._header.shape
        self.dtype = self._header.dtype
        self._mine = threading.local()

    def read(self, start: int, stop: int) -> np.ndarray[Any, Any]:
        """Return rows start to stop as stored, in C order."""
        if self._header.fortran and len(self.shape) > 1:
            return self._read_fortran(start, stop)
        row = int(np.prod(self.shape[1:], dtype=np.int64))
        count = (stop - start) * row
        try:
            with self._file.open("rb") as file:
                file.seek(self._header.offset + start * row * self.dtype.itemsize)
                block = np.fromfile(file, dtype=self.dtype, count=count)
        except OSError as error:
            raise self._unreadable(error) from None
        if block.size < count:
            raise self._shorter()
        return block.reshape((stop - start, *self.shape[1:]))

    def borrow(self, start: int, stop: int) -> np.ndarray[Any, Any]:
        """Return rows start to stop as stored, in C order, until the calling thread asks again.

        Blocks of one thread are read to the same place: fresh memory costs more than what is read into it.
        """
        if self._header.fortran and len(self.shape) > 1:
            return self._read_fortran(start, stop)
        row = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        size = (stop - start) * row
        if len(getattr(self._mine, "place", ())) < size:
            self._mine.place = np.empty(size, np.uint8)
        block: np.ndarray[Any, Any] = self._mine.place[:size]
        try:
            with self._file.open("rb", buffering=0) as file:
                file.seek(self._header.offset + start * row)
                filled = 0
                while count := file.readinto(block.data[filled:]):  # at most 2 GB at a time
                    filled += count
        except OSError as error:
            raise self._unreadable(error) from None
        if filled < size:
            raise self._shorter()
        return np.asarray(block.view(self.dtype).reshape((stop - start, *self.shape[1:])))

    def _unreadable(self, error: OSError) -> EvaltoolError:
        return EvaltoolError(f"cannot read the file\n  {self.path}: {error.strerror}\n  Is it still there?")

    def _shorter(self) -> EvaltoolError:
        return EvaltoolError(f"the file became shorter while it was read\n  {self.path}\n  Score it again.")

    def _read_fortran(self, start: int, stop: int) -> np.ndarray[Any, Any]:
        rows = np.memmap(self._file, self.dtype, "r", self._header.offset, self.shape, order="F")
        block = np.ascontiguousarray(rows[start:stop])
        if hasattr(mmap, "MADV_DONTNEED"):
            rows._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]
        return np.asarray(block)
