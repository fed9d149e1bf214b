"""Bins of float32 are those of its bits, and sums by octave are exact."""

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evaltool.numerics.float_bins import bins_of, histogram_edges, octave_edges, octave_parts, octave_sum
from evaltool.run.state import LOW_BITS, ordered_bits

FLOATS = st.floats(width=32, allow_nan=False)


@given(hnp.arrays(np.float32, st.integers(1, 50), elements=FLOATS))
def test_bins_are_the_upper_bits_in_the_numbers_order(values):
    values = values + np.float32(0)  # -0 is counted as 0 here
    got = bins_of(torch.from_numpy(values), histogram_edges())
    assert np.array_equal(got, ordered_bits(values) >> LOW_BITS)


def test_every_edge_is_in_its_own_bin_and_the_number_below_it_is_not():
    edges = histogram_edges()[17:8177]
    assert torch.equal(bins_of(edges, histogram_edges()), torch.arange(17, 8177))
    below = torch.from_numpy(np.nextafter(edges.numpy(), np.float32(-np.inf)))
    below[4096 - 17] = -1e-45  # the number below 0
    assert torch.equal(bins_of(below, histogram_edges()), torch.arange(16, 8176))


@given(hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_sums_by_octave_are_exact(values):
    octaves, units = octave_parts(torch.from_numpy(values), octave_edges())
    assert int(units.abs().max()) < 1 << 24
    sums = torch.zeros(255, dtype=torch.int64).scatter_add(0, octaves, units)
    exact = sum(int(unit) * 2 ** max(int(octave) - 1, 0) for octave, unit in zip(octaves, units, strict=True))
    assert exact == sum(int(math.ldexp(float(value), 149)) for value in values)
    np.testing.assert_allclose(
        float(octave_sum(sums, octave_edges())),
        math.fsum(values.astype(float)),
        rtol=1e-12,
        atol=1e-12 * np.abs(values).max(),
    )
