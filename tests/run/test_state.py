"""Counts add up the same in any blocks, for few classes and for many."""

import numpy as np
import pytest

from evaltool.run.state import DENSE_PAIRS, PairCounts
from evaltool.run.summary import imbalance


@pytest.mark.parametrize("size", [100, DENSE_PAIRS + 1])
def test_pair_counts(size, rng):
    keys = rng.integers(0, size, 5000)
    counts = PairCounts(size)
    for part in np.array_split(keys, 13):
        counts.add(np.stack(np.unique(part, return_counts=True)))
    assert np.array_equal(counts.pairs(), np.stack(np.unique(keys, return_counts=True)))


def test_pair_counts_merge_while_they_wait(rng, monkeypatch):
    monkeypatch.setattr("evaltool.run.state.DENSE_PAIRS", 50)
    keys = rng.integers(0, 1000, 5000)
    counts = PairCounts(1000)
    for part in np.array_split(keys, 200):
        counts.add(np.stack(np.unique(part, return_counts=True)))
    assert len(counts._waiting) < 100
    assert np.array_equal(counts.pairs(), np.stack(np.unique(keys, return_counts=True)))


def test_imbalance_of_equal_and_of_single_classes():
    equal = imbalance(np.array([5, 5, 5, 5]))
    assert equal == pytest.approx({"ratio": 1, "entropy": np.log(4), "effective_classes": 4, "gini": 0})
    single = imbalance(np.array([0, 7, 0, 0]))
    assert single == pytest.approx({"ratio": 1, "entropy": 0, "effective_classes": 1, "gini": 0.75})
    assert imbalance(np.array([0, 0]))["ratio"] is None


def test_imbalance_of_a_known_case():
    got = imbalance(np.array([70, 20, 10]))
    share = np.array([0.7, 0.2, 0.1])
    assert got["ratio"] == 7
    assert got["entropy"] == pytest.approx(-(share * np.log(share)).sum())
    differences = np.abs(share[:, None] - share[None]).sum() / (2 * 3 * share.sum())
    assert got["gini"] == pytest.approx(differences)
