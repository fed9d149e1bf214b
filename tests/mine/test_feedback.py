"""What goes back into training: weights and indices that PyTorch takes as they are."""

import numpy as np
import pyarrow.parquet
import pytest
import torch
from torch.utils.data import Subset, TensorDataset, WeightedRandomSampler

from evaltool.errors import EvaltoolError
from evaltool.mine.job import mine

from .runs import scored, scored_arrays


@pytest.fixture
def run(tmp_path, rng):
    labels = rng.choice(4, 300, p=[0.6, 0.1, 0.2, 0.1])
    logits = rng.normal(0, 1, (300, 4)).astype(np.float32)
    logits[np.arange(300), labels] += 2
    labels[7] = -100
    return scored_arrays(tmp_path, logits, labels)


def test_weights_are_the_chance_that_the_label_is_right(run, tmp_path):
    mine(run, as_weights=tmp_path / "w.npy")
    weights = np.load(tmp_path / "w.npy")
    table = mine(run, fraction=1.0).table
    expected = np.zeros(300)
    expected[table["index"].to_numpy()] = 1 - table["p_wrong"].to_numpy()
    np.testing.assert_array_equal(weights, expected)
    assert weights[7] == 0
    drawn = list(WeightedRandomSampler(weights, 1000, generator=torch.Generator().manual_seed(0)))
    assert 7 not in drawn


def test_a_loss_is_its_own_weight(run, tmp_path):
    mine(run, by="hard", as_weights=tmp_path / "w.npy")
    ce = pyarrow.parquet.read_table(run / "scores.parquet")["ce"].fill_null(0).to_numpy()
    np.testing.assert_array_equal(np.load(tmp_path / "w.npy"), ce)
    mine(run, by="margin", as_weights=tmp_path / "m.npy")
    margin = pyarrow.parquet.read_table(run / "scores.parquet")["margin"].to_numpy()
    expected = np.nan_to_num(np.nanmax(margin) - margin)
    np.testing.assert_allclose(np.load(tmp_path / "m.npy"), expected, atol=1e-7)


def test_multilabel_samples_are_as_right_as_their_worst_label(tmp_path):
    run = scored(tmp_path, "multilabel")
    mine(run, as_weights=tmp_path / "w.npy")
    table = mine(run, fraction=1.0).table
    index, p_wrong = table["index"].to_numpy(), table["p_wrong"].to_numpy()
    assert np.load(tmp_path / "w.npy").tolist() == [1 - p_wrong[index == i].max() for i in range(60)]


def test_the_sampler_takes_the_hardest_of_each_class_by_ratio(run, tmp_path):
    mine(run, by="ce", as_sampler=tmp_path / "i.npy", ratio=2)
    taken = np.load(tmp_path / "i.npy")
    table = pyarrow.parquet.read_table(run / "scores.parquet").to_pydict()
    rows = [i for i in range(300) if table["status"][i] == "ok"]
    least = min(sum(table["label"][i] == c for i in rows) for c in range(4))
    expected = []
    for c in range(4):
        of_class = sorted((i for i in rows if table["label"][i] == c), key=lambda i: (-table["ce"][i], i))
        expected += of_class[: 2 * least]
    assert taken.tolist() == sorted(expected)
    data = Subset(TensorDataset(torch.arange(300)), taken)
    assert len(data) == len(taken)
    assert data[0][0] == taken[0]


def test_labels_that_are_likely_wrong_are_not_taken_for_hard(run, tmp_path):
    mine(run, as_sampler=tmp_path / "i.npy", ratio=1000)
    table = mine(run, fraction=1.0).table
    right = table["index"].to_numpy()[table["p_wrong"].to_numpy() < 0.5]
    assert np.load(tmp_path / "i.npy").tolist() == sorted(right)
    assert len(right) < 299


def test_samples_without_a_single_class_cannot_be_drawn_by_class(tmp_path):
    with pytest.raises(EvaltoolError, match="Use --as-weights"):
        mine(scored(tmp_path, "segmentation"), as_sampler=tmp_path / "i.npy")
