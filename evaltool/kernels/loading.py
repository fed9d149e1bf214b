"""Predictions as kernels read them: a number of a file's dtype as float32 or float64, its place in their order.

float16 comes as the uint16 of its bits, bfloat16 as int16, so that the compiler tells them apart by their type.
"""

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import overload

from evaltool.kernels.elementary import double_of_int, float_of_int, int_of_double, int_of_float

Array = np.ndarray[Any, Any]

LINE = 64  # bytes of a cache line

# of ``order_key``: +inf, beyond which there is NaN alone, and -inf
INFINITE_KEY = 0x7F000001
INFINITE_KEY64 = 0x7FE0000000000001
_HALF_SHIFT, _BFLOAT_SHIFT = np.int32(13), np.int32(16)
_HALF_BIAS = np.float32(2.0**112)
_HALF_INFINITE = np.int32(0x7C00 << 13)


def as_read(preds: Array) -> Array:
    """Return predictions, of which uint16 is bfloat16, in the dtype that ``read`` knows them by."""
    preds = writable(preds)
    if preds.dtype == np.uint16:
        return preds.view(np.int16)
    return preds.view(np.uint16) if preds.dtype == np.float16 else preds


class _Shown:
    """Memory as an array that may be written to."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def writable(array: Array) -> Array:
    """Return an array, such as a map of a file, without its protection; numba would compile anew for what has one.

    Kernels do not write to what they are given.
    """
    return array if array.flags.writeable else np.asarray(_Shown(array))


def working_dtype(preds: Array) -> Any:
    """Return the dtype in which ``read`` gives predictions."""
    return np.dtype(np.float64 if preds.dtype == np.float64 else np.float32)


def aligned(size: int, dtype: Any) -> Array:
    """Return a flat array of zeros that starts at a cache line; lanes without a sample read what is in it."""
    dtype = np.dtype(dtype)
    room = np.zeros(size * dtype.itemsize + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + size * dtype.itemsize].view(dtype)


def read(value: Any) -> Any:
    """Return a number as float32 or float64, for a number of an array that ``as_read`` gave; compiled code only."""
    raise NotImplementedError


@overload(read, jit_options={"fastmath": False}, inline="never")
def _read(value: Any) -> Any:
    if value in (types.float32, types.float64):
        return _same
    if value == types.int16:
        return _bfloat
    if value == types.uint16:
        return _half
    return None


def _same(value: Any) -> Any:
    return value


def _bfloat(value: Any) -> Any:
    return float_of_int(np.int32(np.int32(value) << _BFLOAT_SHIFT))


def _half(value: Any) -> Any:
    magnitude = np.int32((np.int32(value) & 0x7FFF) << _HALF_SHIFT)
    sign = np.int32((np.int32(value) & 0x8000) << _BFLOAT_SHIFT)
    # the exponent's bias is made up by a product, which makes subnormal halves normal
    finite = int_of_float(float_of_int(magnitude) * _HALF_BIAS)
    special = np.int32(magnitude + 0x70000000)
    return float_of_int(np.int32((special if magnitude >= _HALF_INFINITE else finite) | sign))


def order_key(value: Any) -> Any:
    """Return an integer in the order of a float's values, -inf least and every NaN above +inf; compiled code only."""
    raise NotImplementedError


# of negative numbers all bits but the sign turn; the shift down wraps the negative NaN around to the top
def _key32(value: Any) -> Any:
    bits = int_of_float(value)
    return np.int32((bits ^ ((bits >> 31) & 0x7FFFFFFF)) - 0x7FFFFF)


def _key64(value: Any) -> Any:
    bits = int_of_double(value)
    return np.int64((bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF)) - 0xFFFFFFFFFFFFF)


@overload(order_key, inline="never")
def _order_key(value: Any) -> Any:
    return {types.float32: _key32, types.float64: _key64}.get(value)


def keyed(key: Any) -> Any:
    """Return the number that has a key; compiled code only."""
    raise NotImplementedError


def _keyed32(key: Any) -> Any:
    ordered = np.int32(key + 0x7FFFFF)
    return float_of_int(np.int32(ordered ^ ((ordered >> 31) & 0x7FFFFFFF)))


def _keyed64(key: Any) -> Any:
    ordered = np.int64(key + 0xFFFFFFFFFFFFF)
    return double_of_int(np.int64(ordered ^ ((ordered >> 63) & 0x7FFFFFFFFFFFFFFF)))


@overload(keyed, inline="never")
def _keyed(key: Any) -> Any:
    return {types.int32: _keyed32, types.int64: _keyed64}.get(key)


def is_nonfinite(key: Any) -> Any:
    """Return whether the largest number of a softmax, by its key, says that one of them is NaN or +inf; compiled."""
    raise NotImplementedError


def _nonfinite32(key: Any) -> Any:
    return key >= INFINITE_KEY


def _nonfinite64(key: Any) -> Any:
    return key >= INFINITE_KEY64


@overload(is_nonfinite, inline="never")
def _is_nonfinite(key: Any) -> Any:
    return {types.int32: _nonfinite32, types.int64: _nonfinite64}.get(key)
