"""Intervals of calibration errors: coverage by simulation, the folded normal by draws."""

import numpy as np
import pytest

from evaltool.report.calibration import UNIT, ece_interval, expected_error
from evaltool.report.calibration_bounds import class_bounds, folded_normal

BINS = 15


def counted(rng, n, sharpness, *, classes=3, top=True):
    """Return [K, B, 3] of a softmax whose logits are ``sharpness`` times those that the labels are drawn from."""
    logits = 1.5 * rng.normal(size=(n, classes))
    chance = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (rng.random(n)[:, None] > chance.cumsum(1)).sum(1).clip(0, classes - 1)
    given = np.exp(sharpness * logits)
    given /= given.sum(1, keepdims=True)
    right = labels[:, None] == np.arange(classes)
    if top:
        place = given.argmax(1)[:, None]
        given, right = np.take_along_axis(given, place, 1), np.take_along_axis(right, place, 1)
    cells = np.minimum((given * BINS).astype(int), BINS - 1) + np.arange(given.shape[1]) * BINS
    columns = [np.bincount(cells.ravel(), weights, given.shape[1] * BINS) for weights in (None, right.ravel())]
    columns.append(np.bincount(cells.ravel(), np.rint(given / UNIT).ravel(), given.shape[1] * BINS))
    return np.stack(columns, -1).astype(np.int64).reshape(-1, BINS, 3)


@pytest.mark.parametrize(
    ("n", "sharpness", "options"),
    [
        (300, 1.0, {}),
        (3000, 1.0, {}),
        (300, 2.0, {}),
        (1000, 1.3, {}),
        (1000, 1.1, {}),
        (30, 2.0, {}),
        (300, 1.0, {"top": False, "classes": 2}),
        (1000, 1.3, {"top": False, "classes": 2}),
        (1000, 1.3, {"top": False, "classes": 10}),
    ],
)
def test_the_interval_of_a_calibration_error_covers(n, sharpness, options):
    truth = float(expected_error(counted(np.random.default_rng(99), 200_000, sharpness, **options)))
    found = [
        ece_interval(counted(np.random.default_rng([1, i]), n, sharpness, **options), softmax=bool(options))
        for i in range(200)
    ]
    slack = 2e-3 if sharpness == 1 else 0.0  # the truth of a calibrated model is 0, but for these draws
    covered = np.mean([row["low"] - slack <= truth <= row["high"] for row in found])
    assert covered >= 0.93
    assert all(row["low"] <= row["value"] <= row["high"] for row in found)
    if sharpness == 1:
        assert np.mean([row["low"] < 0.001 for row in found]) >= 0.95
    if sharpness == 2 and n == 300:
        assert np.mean([row["low"] > 0.03 for row in found]) > 0.95  # it tells miscalibration from none


@pytest.mark.parametrize("sharpness", [1.0, 2.0])
def test_the_interval_of_each_class_covers(sharpness):
    def of(counts):
        return counts[..., 0], counts[..., 1], counts[..., 2] * UNIT

    whole = counted(np.random.default_rng(99), 200_000, sharpness, classes=5, top=False)
    truth = np.array([expected_error(counts[None]) for counts in whole])
    covered = []
    for i in range(200):
        low, high = class_bounds(*of(counted(np.random.default_rng([1, i]), 200, sharpness, classes=5, top=False)))
        covered.append((low - 2e-3 <= truth) & (truth <= high))
    assert np.mean(covered) >= 0.93


def test_a_model_that_is_always_right_and_sure_may_be_wrong_once():
    counts = np.zeros((2, BINS, 3), np.int64)
    counts[0, -1] = 200, 200, 200 / UNIT
    low, high = class_bounds(counts[..., 0], counts[..., 1], counts[..., 2] * UNIT)
    assert low[0] == 0
    assert 0.005 < high[0] < 0.03
    assert np.isnan([low[1], high[1]]).all()
    nothing = ece_interval(np.zeros((2, BINS, 3), np.int64), softmax=False)
    assert nothing == {"value": None, "low": None, "high": None}


def test_a_folded_normal_is_that_of_draws(rng):
    means, variances = np.array([0.0, 0.4, -2.0, 9.0]), np.array([1.0, 0.3, 2.0, 4.0])
    draws = np.abs(means + np.sqrt(variances) * rng.normal(size=(400_000, 4)))
    mean, variance = folded_normal(means, variances)
    np.testing.assert_allclose(mean, draws.mean(0), rtol=0.005)
    np.testing.assert_allclose(variance, draws.var(0), rtol=0.01)
