"""Quantiles from two passes equal numpy's, in memory that does not grow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evaltool.run.quantiles import exact_quantiles
from evaltool.run.state import HISTOGRAM_BINS, LOW_BITS, ordered_bits

AT = [0.0, 0.1, 0.5, 0.9, 0.99, 1.0]


def quantiles(values, pieces=3):
    finite = values[np.isfinite(values)]
    histogram = np.bincount(ordered_bits(finite) >> LOW_BITS, minlength=HISTOGRAM_BINS)
    return exact_quantiles(histogram, lambda: np.array_split(values, pieces), AT)


@settings(max_examples=150)
@given(hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_equal_numpys(values):
    # the interpolation in float64 may round once more than numpy's
    np.testing.assert_allclose(quantiles(values), np.quantile(values.astype(np.float64), AT), rtol=1e-14, atol=1e-300)


def test_values_that_are_not_finite_are_passed_over():
    values = np.array([1, np.nan, 3, np.inf, 2], np.float32)
    assert quantiles(values) == pytest.approx(np.quantile([1, 2, 3], AT))


def test_no_value_has_no_quantile():
    assert quantiles(np.array([np.nan], np.float32)) == [None] * len(AT)


def test_bits_are_in_the_order_of_the_values(rng):
    values = np.sort(np.concatenate([rng.normal(size=99), [0.0, -np.inf, np.inf, 1e-45, -1e-45]])).astype(np.float32)
    assert bool((np.diff(ordered_bits(values).astype(np.int64)) >= 0).all())
