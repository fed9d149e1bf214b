"""Welch's t test and q-values against SciPy."""

import numpy as np
import pytest
import scipy.stats

from evaltool.report.student import benjamini_hochberg, mean_bounds, moments, pooled_p_value, quantile, two_sided, welch


@pytest.mark.parametrize("freedom", [1, 1.3, 2, 3.7, 10, 19.5, 100, 1e4, 1e6])
def test_chances_are_those_of_scipy(freedom):
    t = np.array([0, 1e-6, 0.01, 0.5, 1, 2, -2, 3, 6, 20, 100])
    expected = 2 * scipy.stats.t.sf(np.abs(t), freedom)
    # SciPy's own digits at a million degrees of freedom, 1e-10
    np.testing.assert_allclose(two_sided(t, np.full(len(t), freedom)), expected, rtol=1e-9, atol=1e-280)
    np.testing.assert_allclose(quantile(np.array([freedom])), scipy.stats.t.ppf(0.975, freedom), rtol=1e-10)


def sums(x, center=0.0):
    return np.array([len(x)]), np.array([(x - center).sum()]), np.array([((x - center) ** 2).sum()])


@pytest.mark.parametrize("sizes", [(2, 2), (10, 1000), (300, 40)])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_welch_is_that_of_scipy(rng, sizes, offset):
    a, b = rng.gamma(0.5, 2, sizes[0]) + offset, rng.gamma(0.4, 3, sizes[1]) + offset
    center = offset + 1.0
    found = welch(moments(*sums(a, center), center), moments(*sums(b, center), center))
    expected = scipy.stats.ttest_ind(a, b, equal_var=False)
    bounds = expected.confidence_interval()
    np.testing.assert_allclose(found.p_value, expected.pvalue, rtol=1e-6)
    pooled = pooled_p_value(moments(*sums(a, center), center), moments(*sums(b, center), center))
    np.testing.assert_allclose(pooled, scipy.stats.ttest_ind(a, b).pvalue, rtol=1e-6)
    np.testing.assert_allclose(found.difference - found.half_width, bounds.low, rtol=1e-6, atol=1e-9 * (1 + offset))
    np.testing.assert_allclose(found.difference + found.half_width, bounds.high, rtol=1e-6, atol=1e-9 * (1 + offset))


def test_one_row_or_no_spread_has_no_interval():
    one, same = moments(*sums(np.array([3.0])), 0.0), moments(*sums(np.array([3.0, 3.0])), 0.0)
    other = moments(*sums(np.array([1.0, 2.0, 4.0])), 0.0)
    assert np.isnan(welch(one, other).p_value).all()
    assert np.isnan(mean_bounds(one)[0]).all()
    assert welch(same, same).p_value.tolist() == [1.0]
    assert np.isnan(welch(same, moments(*sums(np.array([4.0, 4.0])), 0.0)).p_value).all()


@pytest.mark.parametrize("n", [1, 2, 50, 3000])
def test_q_values_are_those_of_scipy(rng, n):
    p = rng.random(n) ** 3
    np.testing.assert_allclose(benjamini_hochberg(p), scipy.stats.false_discovery_control(p), rtol=1e-12)


def test_q_values_leave_the_untested_out():
    q = benjamini_hochberg(np.array([0.01, np.nan, 0.04]))
    np.testing.assert_allclose(q, [0.02, np.nan, 0.04])
    assert benjamini_hochberg(np.zeros(0)).shape == (0,)
