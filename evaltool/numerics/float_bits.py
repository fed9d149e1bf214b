"""What the bits of float32 numbers say of them, in NumPy: their order, their octave, and whole units to add up.

As ``float_bins`` has it in tensors, without reading bits.  A sum kept by octaves is exact: the numbers of an octave are
whole multiples of one power of two.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

OCTAVES = 255  # by the exponent's bits; 0 holds 0 and what is below 2^-126


def ordered_bits(values: Array) -> Array:
    """Return float32 values as uint32 in the same order (-inf first)."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def octave_units(values: Array) -> tuple[Array, Array]:
    """Return each number's octave and how many units of it the number is, both int64.

    Args:
        values: float32, finite.
    """
    bits = np.ascontiguousarray(values, np.float32).view(np.int32)
    octaves = (bits >> 23) & 255
    units = (bits & 0x7FFFFF) | (np.minimum(octaves, 1) << 23)
    return octaves.astype(np.int64), np.where(bits < 0, -units, units).astype(np.int64)


def octave_sizes() -> Array:
    """Return the unit of each octave, float64 [255]: 2^-149 for the first two, then twice as much for each next."""
    sizes: Array = np.ldexp(1.0, np.maximum(np.arange(OCTAVES), 1) - 150)
    return sizes


def octave_totals(sums: Array) -> Array:
    """Return the sums, float64 [...], of units added up by octave, int64 [..., 255]."""
    totals: Array = (sums * octave_sizes()).sum(-1)
    return totals
