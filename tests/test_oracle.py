"""The oracle can fail: it tells wrong numbers from right ones."""

import mpmath as mp
import numpy as np
import pytest

from tests import oracle


def test_worst_error_sees_a_wrong_digit():
    assert oracle.worst_error([1.0001], [mp.mpf(1)]) == pytest.approx(1e-4)


def test_worst_error_sees_nan_and_a_finite_number_for_infinity():
    assert oracle.worst_error([np.nan], [mp.mpf(1)]) == np.inf
    assert oracle.worst_error([3.0], [mp.inf]) == np.inf
    assert oracle.worst_error([np.inf], [mp.mpf(10) ** 39]) == 0


def test_worst_error_sees_a_number_flushed_to_zero():
    assert oracle.worst_error([0.0], [mp.mpf(10) ** -40]) == 1


def test_oracle_agrees_with_hand_computed_values():
    assert float(oracle.minus_log(oracle.softmax([0.0, 0.0]), 0)) == pytest.approx(0.6931471805599453, abs=1e-16)
    assert float(oracle.entropy(oracle.softmax([1.0, 1.0, 1.0, 1.0]))) == pytest.approx(1.3862943611198906, abs=1e-15)
