"""One interface over what predictions and labels come in: a .npy file, an array, a tensor."""

import os
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.readers.npy import NpyFile


@runtime_checkable
class Rows(Protocol):
    """Rows that can be read in blocks.  ``dtype`` is a NumPy dtype, as the blocks have it."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    path: Path | None

    def read(self, start: int, stop: int) -> Any:
        """Return rows start to stop: an array in C order and native byte order, or a tensor."""


class ArrayRows:
    """The rows of an array in memory (or a memory map that the caller made)."""

    path: Path | None = None

    def __init__(self, array: np.ndarray[Any, Any], name: str) -> None:
        self.name = name
        self.array = array
        self.shape = array.shape
        self.dtype = array.dtype

    def read(self, start: int, stop: int) -> np.ndarray[Any, Any]:
        """Return a copy of rows start to stop in C order."""
        return np.array(self.array[start:stop], order="C")

    def borrow(self, start: int, stop: int) -> np.ndarray[Any, Any]:
        """Return rows start to stop in C order, a view where they lie so."""
        return np.asarray(self.array[start:stop], order="C")


TENSOR_DTYPES = (
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
)


class TensorRows:
    """The rows of a torch tensor; they stay on the tensor's device."""

    path: Path | None = None

    def __init__(self, tensor: Any, name: str) -> None:
        self.name = name
        self.tensor = tensor.detach()
        self.shape = tuple(tensor.shape)
        kind = str(tensor.dtype).removeprefix("torch.")
        if tensor.is_sparse or tensor.device.type == "meta" or kind not in TENSOR_DTYPES:
            raise EvaltoolError(
                f"this tensor cannot be scored\n  {name}: dtype {kind}, {tensor.layout}, on {tensor.device.type}\n"
                "  Convert it: tensor.to_dense(), tensor.float()."
            )
        # NumPy has no bfloat16; its values are float32 values
        self.dtype = np.dtype("float32" if kind == "bfloat16" else kind)
        self.coarse = kind == "bfloat16"

    def read(self, start: int, stop: int) -> Any:
        """Return rows start to stop as a tensor."""
        return self.tensor[start:stop]


class ConvertedRows:
    """Rows whose blocks are converted: native byte order, bfloat16 bits to float32, integers over a scale."""

    def __init__(self, rows: Rows, *, bfloat16: bool = False, scale: float | None = None) -> None:
        self.rows = rows
        self.name = rows.name
        self.path = rows.path
        self.shape = rows.shape
        self.bfloat16 = bfloat16
        self.scale = scale
        self.dtype = np.dtype(np.float32) if bfloat16 or scale else rows.dtype.newbyteorder("=")

    def read(self, start: int, stop: int) -> Any:
        """Return rows start to stop, converted."""
        return self._converted(self.rows.read(start, stop))

    def peek(self, start: int, stop: int) -> Any:
        """Return rows start to stop, converted; see the function ``peek``."""
        return self._converted(peek(self.rows, start, stop))

    def borrow(self, start: int, stop: int) -> Any:
        """Return rows start to stop, converted, but bfloat16 as its bits, uint16; see the function ``borrowed``."""
        block = borrowed(self.rows, start, stop)
        return _bits(block) if self.bfloat16 else self._converted(block)

    def _converted(self, block: Any) -> Any:
        if self.bfloat16:
            return (_bits(block).astype(np.uint32) << 16).view(np.float32)
        if self.scale:
            return _scaled(block, self.scale)
        return block.astype(self.dtype, copy=False) if isinstance(block, np.ndarray) else block


def peek(rows: Rows, start: int, stop: int) -> Any:
    """Return rows start to stop, read out of order: rows that are computed in blocks need not compute whole ones."""
    return getattr(rows, "peek", rows.read)(start, stop)


def borrowed(rows: Rows, start: int, stop: int) -> Any:
    """Return rows start to stop where they lie, or in a place that the calling thread's next block takes.

    Nobody may change them; what is to be kept is copied. bfloat16 of a file comes as its bits, uint16.
    """
    return getattr(rows, "borrow", rows.read)(start, stop)


def _bits(block: Any) -> np.ndarray[Any, Any]:
    """Return raw values of 2 bytes as uint16."""
    block = as_array(block)
    # raw bytes have no order of their own: they are taken as little-endian, as every framework writes them
    return np.asarray((block.view("<u2") if block.dtype.kind == "V" else block).astype(np.uint16, copy=False))


def as_array(block: Any) -> np.ndarray[Any, Any]:
    """Return a block that a reader gave, array or tensor on any device, as an array (bfloat16 as float32)."""
    if isinstance(block, np.ndarray):
        return block
    return np.asarray(block.float().cpu() if str(block.dtype) == "torch.bfloat16" else block.cpu())


def _scaled(block: Any, scale: float) -> Any:
    if isinstance(block, np.ndarray):
        return block.astype(np.float32) / np.float32(scale)
    return block.float() / scale


def open_rows(source: Any, name: str) -> Rows:
    """Return the rows of a path, array, tensor or nested list; rows are returned as they are.

    Raises:
        EvaltoolError: the file cannot be read (see ``readers.npy``), or the array has no axis of samples.
    """
    rows: Rows
    if isinstance(source, (str, os.PathLike)):
        rows = NpyFile(Path(source))
    elif type(source).__module__.partition(".")[0] == "torch":  # a tensor, without importing torch
        rows = TensorRows(source, name)
    elif isinstance(source, Rows):
        rows = source
    else:
        try:
            rows = ArrayRows(source if isinstance(source, np.ndarray) else np.asarray(source), name)
        except ValueError as error:
            raise EvaltoolError(f"{name} is not an array\n  {error}\n  Give an array, a tensor or a path.") from None
    if not rows.shape:
        raise EvaltoolError(
            f"the array is a single number\n  {rows.name}: shape [], expected [N, ...]\n  Save one row per sample."
        )
    if rows.dtype.kind not in "biufV" or rows.dtype.names:
        raise EvaltoolError(
            f"the array does not hold real numbers\n  {rows.name}: dtype {_dtype_text(rows.dtype)}, expected float, "
            f"integer or bool\n  {_dtype_hint(rows.dtype)}"
        )
    return rows


def _dtype_text(dtype: np.dtype[Any]) -> str:
    return f"structured {list(dtype.names)}" if dtype.names else str(dtype)


def _dtype_hint(dtype: np.dtype[Any]) -> str:
    if dtype.names:
        return f"Save the field that holds the numbers, for instance array[{dtype.names[0]!r}]."
    if dtype.kind in "US":
        return "Encode names as class indices: np.unique(names, return_inverse=True)[1]."
    if dtype.kind == "c":
        return "Save the real part, array.real, if that is what you mean."
    if dtype.kind == "O":
        return "Stack the rows to one array: np.stack(rows).astype(np.float32)."
    return "Convert it with array.astype(np.float32)."


def open_preds(source: Any, *, dtype: str | None = None, scale: float | None = None) -> Rows:
    """Return predictions as rows of float16, float32 or float64.

    Args:
        source: a path, an array or a tensor.
        dtype: "bfloat16" reads a file of 2-byte values (which NumPy stores as ``|V2``) as bfloat16; the name
            of a stored dtype changes nothing.
        scale: divide by this, as in 255 for uint8 probabilities.

    Raises:
        EvaltoolError: the dtype cannot be predictions.
    """
    rows = open_rows(source, "preds")
    if dtype == "bfloat16" and scale is not None:
        raise EvaltoolError(
            f"bfloat16 values are not scaled\n  {rows.name}: --dtype bfloat16 and --scale {scale:g}\n"
            "  Leave one of them out."
        )
    where = f"{rows.name}: dtype {rows.dtype}"
    if dtype == "bfloat16" and not getattr(rows, "coarse", False):
        if rows.dtype.itemsize != 2 or rows.dtype.kind not in "Vui":
            raise EvaltoolError(f"the file does not hold 2-byte raw values\n  {where}\n  Leave --dtype out.")
        return ConvertedRows(rows, bfloat16=True)
    if rows.dtype.kind == "V":
        raise EvaltoolError(
            f"NumPy does not know this dtype\n  {where}, expected a float\n"
            "  A 2-byte one is most likely bfloat16: pass --dtype bfloat16."
        )
    if dtype not in (None, "bfloat16") and np.dtype(dtype) != rows.dtype.newbyteorder("="):
        raise EvaltoolError(f"the file holds another dtype\n  {where}, but --dtype {dtype} was given\n  Leave it out.")
    if scale is not None:
        if rows.dtype.kind not in "ui":
            raise EvaltoolError(f"--scale divides integers\n  {where}, expected an integer dtype\n  Leave --scale out.")
        return ConvertedRows(rows, scale=scale)
    if rows.dtype.kind != "f" or rows.dtype.itemsize > 8:
        hint = (
            "Probabilities stored as 0..255 need --scale 255. Class indices cannot be scored: save logits or "
            "probabilities (or are predictions and labels swapped?)."
            if rows.dtype.kind in "ui"
            else "Save logits or probabilities as float32."
        )
        raise EvaltoolError(f"predictions have to be floats\n  {where}, expected float16, float32 or float64\n  {hint}")
    return ConvertedRows(rows)


def open_inputs(source: Any, name: str) -> Rows:
    """Return what a model is given as rows of any integer, bool or float dtype.

    Args:
        source: a path, an array or a tensor.
        name: of the input.

    Raises:
        EvaltoolError: the dtype cannot be an input.
    """
    rows = open_rows(source, name)
    if rows.dtype.kind == "V" or rows.dtype.itemsize > 8:
        raise EvaltoolError(
            f"inputs have to be integers, bools or floats\n  {rows.name}: dtype {rows.dtype}\n"
            "  Convert them with array.astype(np.float32)."
        )
    return ConvertedRows(rows)


def open_labels(source: Any) -> Rows:
    """Return labels as rows of any integer, bool or float dtype.

    Raises:
        EvaltoolError: the dtype cannot be labels.
    """
    rows = open_rows(source, "labels")
    if rows.dtype.kind == "V" or rows.dtype.itemsize > 8:
        raise EvaltoolError(
            f"labels have to be integers, bools or floats\n  {rows.name}: dtype {rows.dtype}\n"
            "  Convert them with labels.astype(np.int64)."
        )
    return ConvertedRows(rows)
