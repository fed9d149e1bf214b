"""Intervals: Wilson's against its equation, the Poisson bootstrap against a plain one, coverage by simulation."""

import numpy as np
import pytest

from evaltool.report.intervals import (
    Resampler,
    estimate,
    f1_bounds,
    mean_f1,
    mean_proportion,
    percentile_bounds,
    wilson,
)


@pytest.mark.parametrize(("right", "n"), [(0, 10), (3, 10), (10, 10), (1, 1), (812, 1000), (1, 10**9)])
def test_wilson_ends_are_where_the_score_test_is_1_96(right, n):
    result = wilson(right, n)
    assert result["value"] == right / n
    for end in (result["low"], result["high"]):
        if end not in (0, 1):
            assert abs(right / n - end) / np.sqrt(end * (1 - end) / n) == pytest.approx(1.959964, rel=1e-6)
    assert (result["low"] == 0) == (right == 0)
    assert (result["high"] == 1) == (right == n)


def test_wilson_of_nothing_is_unknown():
    assert wilson(0, 0) == {"value": None, "low": None, "high": None}


def test_an_estimate_has_no_number_that_json_lacks():
    assert estimate(float("nan"), 0, 1) == {"value": None, "low": None, "high": None}
    assert estimate(0.5, float("nan"), 1) == {"value": 0.5, "low": None, "high": None}
    assert estimate(float("inf")) == {"value": None, "low": None, "high": None}


@pytest.mark.parametrize("p", [0.02, 0.3, 0.9])
def test_f1_interval_covers(rng, p):
    n = 60
    cells = rng.multinomial(n, [0.3 * p, 0.3 * (1 - p), 0.1, 0.6], size=4000)  # hits, missed, false alarms, neither
    hits, union = cells[:, 0], cells[:, :3].sum(1)
    truth = 2 * 0.3 * p / (0.3 + 0.3 * p + 0.1)
    low, high = f1_bounds(hits, union)
    assert 0.93 <= np.mean((low <= truth) & (truth <= high)) <= 0.99


@pytest.mark.parametrize("n", [1, 2, 5, 50])
def test_the_mean_of_recalls_covers_even_with_one_sample_a_class(rng, n):
    chance = rng.uniform(0.2, 1, 30)
    covered = []
    for _ in range(1000):
        hits = rng.binomial(n, chance)
        result = mean_proportion(hits, np.full(30, n))
        covered.append(result["low"] <= chance.mean() <= result["high"])
    assert 0.93 <= np.mean(covered) <= (0.97 if n > 10 else 1)


@pytest.mark.parametrize(("classes", "n"), [(2, 40), (10, 3), (10, 300)])
def test_the_mean_of_f1_scores_covers(rng, classes, n):
    chance = rng.uniform(0.3, 0.9, classes)
    table = np.diag(chance) + (1 - np.eye(classes)) * ((1 - chance) / (classes - 1))[:, None]
    share = np.diag(table)
    truth = np.mean(2 * share / (table.sum(0) + 1))
    covered = []
    for _ in range(1000):
        counts = np.stack([rng.multinomial(n, row) for row in table])
        hits = np.diag(counts)
        label, pred = np.nonzero(counts * (1 - np.eye(classes, dtype=int)))
        pairs = np.stack([label, pred, counts[label, pred]])
        result = mean_f1(hits, counts.sum(0) + counts.sum(1) - hits, pairs=pairs)
        covered.append(result["low"] <= truth <= result["high"])
    assert np.mean(covered) >= 0.91  # of three samples a class 0.917, for F1 is biased there; else 0.94


def test_the_mean_of_nothing_is_unknown():
    none = {"value": None, "low": None, "high": None}
    assert mean_proportion(np.zeros(2), np.zeros(2)) == none
    assert mean_f1(np.zeros(0), np.zeros(0)) == none


def test_poisson_replicates_spread_as_a_plain_bootstrap_of_samples(rng):
    samples = rng.choice(4, 2000, p=[0.5, 0.3, 0.15, 0.05])
    weights = np.array([0.1, 1.0, 3.0, 9.0])
    counts = np.bincount(samples, minlength=4)
    plain = [weights[rng.choice(samples, len(samples))].mean() for _ in range(4000)]
    ours = Resampler(replicates=4000).replicate(counts, lambda c: c @ weights / c.sum(1), "mean")
    # 4,000 replicates tell a standard deviation to 1.1%
    assert ours.std() == pytest.approx(np.std(plain), rel=0.06)
    assert ours.mean() == pytest.approx(np.mean(plain), rel=0.01)


def test_bootstrap_interval_covers(rng):
    values = np.array([0.1, 1.0, 3.0, 9.0])
    chance = np.array([0.5, 0.3, 0.15, 0.05])
    truth = values @ chance
    covered = []
    for _ in range(600):
        counts = rng.multinomial(500, chance)
        result = Resampler().interval(counts, lambda c: c @ values / c.sum(1), "mean")
        covered.append(result["low"] <= truth <= result["high"])
    assert 0.91 <= np.mean(covered) <= 0.98  # 200 replicates, 600 trials: +-1.7% at two sigma


def test_the_same_counts_give_the_same_numbers_whatever_was_drawn_before():
    counts = np.arange(12).reshape(3, 4)
    first, second = Resampler(), Resampler()
    next(second.draws(np.arange(100), "other"))

    def mean(c):
        return c.mean((1, 2))

    assert first.interval(counts, mean, "a") == second.interval(counts, mean, "a")
    assert first.interval(counts, mean, "a") != first.interval(counts, mean, "b")
    assert first.interval(counts, mean, "a") != Resampler(seed=1).interval(counts, mean, "a")


def test_large_tables_are_drawn_in_pieces_and_less_often():
    draws = list(Resampler().draws(np.zeros(1 << 19), "large"))
    assert [draw.shape for draw in draws] == [(2, 1 << 19)] * 32
    assert Resampler().number(10**9) == 40
    assert Resampler().number(0) == 200
    assert sum(len(draw) for draw in Resampler().draws(np.ones(10), "small")) == 200


def test_percentiles_are_those_of_numpy_without_the_undefined(rng):
    replicates = rng.normal(size=(200, 7))
    replicates[:50, 2] = np.nan
    replicates[:120, 3] = np.nan
    low, high = percentile_bounds(replicates)
    expected = np.nanquantile(replicates, [0.025, 0.975], axis=0)
    expected[:, 3] = np.nan
    np.testing.assert_allclose([low, high], expected, rtol=1e-12)
