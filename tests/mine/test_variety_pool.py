"""Rows that differ are looked for past the first candidates; groups stand together among random controls."""

import itertools

import numpy as np
import pytest

from evaltool.mine.job import mine

from .runs import scored, scored_arrays

N, SAME = 600, 300


@pytest.fixture
def run(tmp_path, rng):
    logits = rng.normal(0, 1, (N, 3)).astype(np.float32)
    labels = logits.argmax(1)
    logits[:SAME], labels[:SAME] = (9, 0, 0), 1  # the highest losses, all one
    return scored_arrays(tmp_path, logits, labels)


@pytest.mark.parametrize("options", [{"dedup": True}, {"diverse": True}, {"dedup": True, "diverse": True}])
def test_identical_rows_on_top_do_not_end_the_search(run, options):
    index = mine(run, by="ce", top=20, **options).table["index"].to_numpy()
    assert len(index) == 20
    assert (index >= SAME).sum() >= 19


def test_of_each_class_as_well(run):
    table = mine(run, by="ce", per_class=7, dedup=True).table
    assert np.bincount(table["label"].to_numpy()).tolist() == [7, 7, 7]
    assert (table["index"].to_numpy() < SAME).sum() == 1


def test_too_few_are_told(tmp_path, capsys):
    logits = np.tile(np.float32([2, 1, 0]), (50, 1))
    run = scored_arrays(tmp_path, logits, np.arange(50) % 3)
    assert len(mine(run, by="ce", top=20, dedup=True, progress="auto").table) == 3
    assert "3 rows differ, 20 were asked for: looked at the best 50" in capsys.readouterr().err


def test_a_group_stands_together_among_random_controls(tmp_path, rng):
    run = scored(tmp_path, "multiclass", 80)
    groups = [f"g{k}" for k in rng.integers(0, 6, 80)]
    mined = mine(run, by="ce", top=30, random_controls=20, group_by=groups)
    listed = mined.table["group"].to_pylist()
    assert len([key for key, _ in itertools.groupby(listed)]) == len(set(listed))
    assert mined.key["index"].equals(mined.table["index"])
    top = set(mine(run, by="ce", top=30).table["index"].to_pylist())
    control = dict(zip(mined.key["index"].to_pylist(), mined.key["control"].to_pylist(), strict=True))
    assert {i for i, one in control.items() if not one} == top
