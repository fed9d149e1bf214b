"""Counts add up the same in any blocks, for few classes and for many."""

import numpy as np
import pytest

from evaltool.block import Block
from evaltool.engines.class_losses import class_sums
from evaltool.run.counts import merged
from evaltool.run.state import DENSE_PAIRS, PairCounts, State
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


def counted(start, stop, classes):
    """Return the state of some of 500 rows."""
    rng = np.random.default_rng(0)
    label, pred = rng.integers(0, classes, (2, 500))
    values = rng.gamma(1, 3, 500).astype(np.float32)
    values[::50] = np.inf
    status = rng.choice(5, 500, p=[0.8, 0.05, 0.05, 0.05, 0.05]).astype(np.int8)
    here = slice(start, stop)
    state = State(["ce"], task="multiclass", num_classes=classes)
    block = Block(status[here], {"ce": values[here], "label": label[here]}, n_clamped=stop % 7)
    ok = block.status == 0
    block.confusion = np.stack(np.unique((label * classes + pred)[here][ok], return_counts=True))
    block.class_loss["ce"] = class_sums(np.where(ok, values[here], np.nan), label[here], classes)
    block.counts = {name: np.full(counts.shape, stop) for name, counts in state.counts.items()}
    state.add(block)
    return state


@pytest.mark.parametrize("classes", [5, 1030])
def test_arrays_of_other_rows_add_up_as_blocks_do(classes):
    first, second = counted(0, 170, classes), counted(170, 500, classes)
    merged_arrays = merged(first.arrays(), second.arrays())
    first.add_arrays(second.arrays())
    assert first.n_samples == 500
    assert first.n_clamped == 170 % 7 + 500 % 7
    for name, counts in first.arrays().items():
        np.testing.assert_array_equal(counts, merged_arrays[name], err_msg=name)
    one = counted(0, 500, classes).arrays()
    for name in ("status", "loss_octaves", "loss_max", "histogram", "class_loss", "class_loss_count"):
        np.testing.assert_array_equal(first.arrays()[name], one[name], err_msg=name)


def test_of_a_block_that_its_engine_counts_only_the_bad_labels_are_added():
    state = State(["ce"], task="multiclass", num_classes=3)
    block = Block(np.array([0, 3], np.int8), {"ce": np.ones(2, np.float32)}, bad_labels=np.array([[7], [1]]))
    block.counted = True
    state.add(block)
    assert state.n_samples == 0
    assert state.bad_labels == {7: 1}
