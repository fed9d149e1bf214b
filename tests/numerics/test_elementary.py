"""Kahan's forms keep the digits that log(1 + x) and exp(x) - 1 lose."""

import mpmath as mp
import numpy as np
import pytest
import torch

from evaltool.numerics.elementary import expm1, log1p, sum_error
from tests import oracle


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log1p(dtype):
    x = np.concatenate([[0.0, 1e-45, 1e-38, 1.0], 10 ** np.linspace(-38, 3, 3000)]).astype(dtype)
    expected = [mp.log1p(oracle.exact(v)) for v in x]
    assert oracle.worst_error(log1p(torch.from_numpy(x)), expected) < 4 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_expm1(dtype):
    x = -np.concatenate([[0.0, 1e-45, 1e-38, 1.0, 200.0], 10 ** np.linspace(-38, 2, 3000)]).astype(dtype)
    expected = [mp.expm1(oracle.exact(v)) for v in x]
    assert oracle.worst_error(expm1(torch.from_numpy(x)), expected) < 4 * np.finfo(dtype).eps


def test_sum_error_is_exactly_what_rounding_lost(rng):
    a, b = (torch.from_numpy(rng.uniform(-1e4, 1e4, 500).astype(np.float32)) for _ in range(2))
    assert torch.equal((a + b).double() + sum_error(a, b).double(), a.double() + b.double())


def test_sum_error_of_infinities_is_zero():
    a = torch.tensor([torch.inf, -torch.inf, 1.0, torch.inf])
    b = torch.tensor([1.0, 1.0, torch.inf, -torch.inf])
    assert torch.equal(sum_error(a, b), torch.zeros(4))
