"""``--budget auto``: how many of the rows that pass are expected to be wrong, against plain sums and known flips."""

import csv
import math

import numpy as np
import pytest

from evaltool.errors import EvaltoolError
from evaltool.mine import label_errors
from evaltool.mine.job import mine

from .runs import scored, scored_arrays

FLIPPED = 0.08


@pytest.fixture
def flipped(tmp_path, rng):
    """Return a run of 1,200 rows, 8 % of them with another class's label, and which these are."""
    truth = rng.choice(6, 1200, p=[0.4, 0.2, 0.15, 0.1, 0.1, 0.05])
    centres = rng.normal(0, 2, (6, 10))
    x = centres[truth] + rng.normal(size=(1200, 10))
    wrong = rng.random(1200) < FLIPPED
    labels = np.where(wrong, (truth + rng.integers(1, 6, 1200)) % 6, truth)
    run = scored_arrays(tmp_path, x @ centres.T - (centres**2).sum(1) / 2, labels, task="multiclass")
    return run, wrong


def judged(run, **options):
    """Return every judged label's p_wrong by its row and class."""
    table = mine(run, by="label-error", fraction=1.0, **options).table
    names = [name for name in ("index", "class") if name in table.column_names]
    keys = zip(*(table[name].to_pylist() for name in names), strict=True)
    return dict(zip(keys, table["p_wrong"].to_pylist(), strict=True))


def expected_of(run, passing):
    """Return the expected errors of labels, all p_wrong scaled to add up to the run's."""
    return min(len(passing), mine(run).n_expected_errors * math.fsum(passing) / math.fsum(judged(run).values()))


@pytest.mark.parametrize("where", ["ce > 3", "ce < 1", "label < 3", "label = pred", "p_pred < 0.9"])
def test_a_filter_takes_its_own_errors(flipped, where):
    run, wrong = flipped
    mined = mine(run, budget="auto", where=where)
    passing = judged(run, where=where)
    assert len(mined.table) == pytest.approx(expected_of(run, list(passing.values())), abs=1)
    there = wrong[[index for (index,) in passing]].sum()
    assert abs(len(mined.table) - there) <= max(8, 0.3 * there)


def test_reviewed_rows_take_their_errors_with_them(flipped, tmp_path):
    run, wrong = flipped
    first = mine(run, budget="auto", output=tmp_path / "first.csv").table["index"].to_pylist()
    second = mine(run, budget="auto", exclude=tmp_path / "first.csv").table["index"].to_pylist()
    assert len(first) > 80
    assert wrong.sum() - wrong[first].sum() < 10
    assert len(second) < 10


def test_when_all_flips_are_reviewed_nothing_is_left(flipped, tmp_path):
    run, wrong = flipped
    expected = mine(run).n_expected_errors
    likely = mine(run, top=int(1.5 * expected)).table["index"].to_pylist()
    reviewed = {*likely, *np.flatnonzero(wrong).tolist()}
    with (tmp_path / "reviewed.csv").open("w") as file:
        csv.writer(file).writerows([["index"], *([index] for index in reviewed)])
    assert len(mine(run, budget="auto", exclude=tmp_path / "reviewed.csv").table) <= 1


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_sigmoids(tmp_path, task):
    run = scored(tmp_path, task, 300)
    loss = "bce > 0.5"
    passing = list(judged(run, where=loss).values())
    mined = mine(run, budget="auto", where=loss)
    assert len(mined.table) == pytest.approx(expected_of(run, passing), abs=1)
    assert 0 < len(mined.table) < mined.n_expected_errors


def test_where_nothing_passes(flipped):
    assert len(mine(flipped[0], budget="auto", where="ce < 0").table) == 0


def test_where_everything_passes(flipped):
    mined = mine(flipped[0], budget="auto", where="ce >= 0")
    assert len(mined.table) == mined.n_expected_errors


def test_without_transitions(flipped, monkeypatch):
    monkeypatch.setattr(label_errors, "MAX_CLASSES", 3)
    run, wrong = flipped
    loss = np.array(mine(run, by="ce", fraction=1.0, ascending=True).table.sort_by("index")["score"])
    mined = mine(run, budget="auto", where="ce > 3")
    assert mined.table["p_wrong"].null_count == len(mined.table)
    assert len(mined.table) == pytest.approx(wrong[loss > 3].sum(), rel=0.2)


@pytest.mark.parametrize("by", ["hard", "focal", "margin", "ambiguous"])
def test_every_ranking_has_the_number_of_label_error(flipped, tmp_path, by):
    run, _ = flipped
    mine(run, by="label-error", top=40, output=tmp_path / "seen.csv")
    for options in ({}, {"where": "ce > 2"}, {"exclude": tmp_path / "seen.csv"}):
        expected = mine(run, by="label-error", budget="auto", **options)
        mined = mine(run, by=by, budget="auto", **options)
        passing = mine(run, by=by, fraction=1.0, **options)  # ambiguous: of those likely right
        assert len(mined.table) == min(len(expected.table), len(passing.table))
        assert mined.n_expected_errors == expected.n_expected_errors


def test_a_loss_of_multilabel_counts_labels_and_lists_samples(tmp_path):
    run = scored(tmp_path, "multilabel", 300)
    mined = mine(run, by="hard", budget="auto", where="bce > 2")
    labels = mine(run, budget="auto", where="bce > 2").table
    assert len(mined.table) == min(len(labels), mined.n_rows) > 0


def test_the_list_by_a_loss_is_that_of_the_loss(flipped):
    run, _ = flipped
    mined = mine(run, by="hard", budget="auto")
    assert mined.table.equals(mine(run, by="hard", top=mined.n_expected_errors).table)


@pytest.mark.parametrize("task", ["regression", "segmentation"])
def test_a_task_without_the_number_is_refused(tmp_path, task):
    with pytest.raises(
        EvaltoolError, match=rf"--budget auto is the number.*\n.*{task} ranked by .* has no such number"
    ):
        mine(scored(tmp_path, task), budget="auto")


def test_a_run_without_its_predictions_is_refused(tmp_path):
    run = scored(tmp_path, "multiclass")
    (tmp_path / "preds.npy").unlink()
    with pytest.raises(EvaltoolError, match=r"--budget auto counts errors in the predictions.*no longer there"):
        mine(run, by="hard", budget="auto")
