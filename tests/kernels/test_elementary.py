"""The compiled exp, log and their kin, on dense samples, against NumPy in float64."""

import numpy as np
import pytest

from evaltool.kernels import elementary
from evaltool.kernels.compiled import part


def applied(function, values):
    """Return the function's values in a loop that vectorises, as those of the kernels do."""

    @part
    def loop(values, out):
        for i in range(values.shape[0]):
            out[i] = function(values[i])

    out = np.empty_like(values)
    loop(values, out)
    return out


def ulps(got, expected):
    """Return the largest error in units of the last place of float32."""
    units = np.spacing(np.abs(expected).astype(np.float32)).astype(np.float64)
    return (np.abs(got.astype(np.float64) - expected) / units).max()


def test_exp_is_within_two_ulp():
    tiny = -np.geomspace(1e-9, 103.9, 400_001)
    values = np.concatenate([tiny, np.linspace(-104, 49, 400_001), [0.0]]).astype(np.float32)
    got = applied(elementary.exp32, values)
    assert ulps(got, np.exp(values.astype(np.float64))) < 2
    assert got[-1] == 1.0
    assert applied(elementary.exp32, np.array([-np.inf, -1e30], np.float32)).tolist() == [0.0, 0.0]


def test_exp_scaled_stays_normal_where_float32_ends():
    values = np.linspace(-124, 0, 200_001).astype(np.float32)
    got = applied(elementary.exp_scaled, values)
    assert ulps(got, np.exp(values.astype(np.float64)) * 2.0**56) < 2
    assert got.min() > np.finfo(np.float32).tiny


def test_log_and_log1p_are_within_two_ulp():
    values = np.concatenate([np.geomspace(1.2e-38, 3e38, 300_001), np.linspace(0.5, 2, 300_001)]).astype(np.float32)
    logs = np.log(values.astype(np.float64))
    some = logs != 0
    assert ulps(applied(elementary.log32, values)[some], logs[some]) < 2
    small = np.geomspace(1e-44, 1e38, 300_001).astype(np.float32)
    assert ulps(applied(elementary.log1p32, small), np.log1p(small.astype(np.float64))) < 2


def log1p(x):
    return elementary.log1p64(x, 1.0 / (1.0 + x))


@pytest.mark.parametrize(
    ("function", "expected", "values"),
    [
        (elementary.exp64, np.exp, np.linspace(-708, 709, 200_001)),
        (elementary.log64, np.log, np.geomspace(1e-300, 1e300, 200_000)),
        (part(log1p), np.log1p, np.geomspace(1e-300, 1e300, 200_001)),
        (elementary.one_minus_exp64, lambda x: -np.expm1(-x), np.geomspace(1e-300, 800, 200_001)),
    ],
    ids=["exp", "log", "log1p", "1-exp"],
)
def test_float64_keeps_twelve_digits(function, expected, values):
    true = expected(values)
    assert (np.abs(applied(function, values) - true) <= 1e-12 * np.abs(true)).all()
