"""Bins of float32 numbers by their bit pattern, without reading bits, so that every runtime finds the same ones.

A histogram's bin is the number's upper 13 bits (sign, exponent and 16 bins per octave) in the numbers' order; an octave
its exponent alone.  A sum kept by octaves is exact: the numbers of an octave are whole multiples of one power of two,
and whole numbers add up in any order to the same bits.  2^39 numbers or more fit.
"""

import math

import torch
from torch import Tensor

HISTOGRAM_BINS = 8192
FIRST_FINITE, INFINITE = 16, 8176  # bins of the finite numbers, and that of inf; the others are NaN's


def histogram_edges() -> Tensor:
    """Return the lower edges of the bins, float32 [8192], ascending; below the finite ones -inf, above inf NaN."""
    ordered = torch.arange(HISTOGRAM_BINS, dtype=torch.int64) << 19
    negative = ordered < 1 << 31
    bits = torch.where(negative, ordered ^ 0xFFFFFFFF, ordered ^ (1 << 31))
    edges = torch.where(bits >= 1 << 31, bits - (1 << 32), bits).to(torch.int32).view(torch.float32).clone()
    edges[:FIRST_FINITE] = -math.inf
    edges[INFINITE + 1 :] = math.nan
    return edges


def octave_edges() -> Tensor:
    """Return the least number of each octave, float32 [256]: 0, then 2^-126 to 2^127, then inf."""
    return torch.cat([torch.zeros(1), 2.0 ** torch.arange(-126, 128), torch.full([1], math.inf)])


def bins_of(values: Tensor, edges: Tensor) -> Tensor:
    """Return for each number the last bin whose edge it reaches, int64; -0 is 0.

    Args:
        values: float32, no NaN; at least edges[0].
        edges: float32, as many as a power of two.
    """
    flat = values.reshape(-1)
    places = torch.zeros_like(flat, dtype=torch.int64)
    step = edges.numel() // 2
    while step > 0:
        further = places + step
        # gather, for every edges[further] becomes a copy of the edges in ONNX
        places = torch.where(flat >= edges.gather(0, further), further, places)
        step = step // 2
    return places.reshape(values.shape)


def octave_parts(values: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Return each number's octave and how many units of it the number is, both int64.

    Args:
        values: float32, finite.
        edges: of the octaves.
    """
    octaves = bins_of(values.abs(), edges)
    least = edges[octaves.clamp(min=1)].to(torch.float64)  # numbers below 2^-126 have the units of those above
    return octaves, (values.to(torch.float64) / least * 8388608.0).to(torch.int64)


def octave_sum(sums: Tensor, edges: Tensor) -> Tensor:
    """Return the sums, float64, of units added up by octave, int64 [..., 255]."""
    least = edges[1:255].to(torch.float64)
    units = torch.cat([least[:1], least]) / 8388608.0
    return (sums.to(torch.float64) * units).sum(-1)
