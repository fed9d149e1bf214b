"""Which rows are on the list: against brute force over the whole run, in any blocks."""

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.mine import order
from evaltool.mine.job import mine
from evaltool.mine.variety import distinct, spread
from tests.scorer.problems import problem

from . import oracle
from .runs import scored, scored_arrays


@pytest.fixture
def run(tmp_path):
    return scored(tmp_path, "multiclass", 200, ids=[f"s{i:03d}" for i in range(200)])


def columns(run):
    return pyarrow.parquet.read_table(run / "scores.parquet").to_pydict()


def index_of(mined):
    return mined.table["index"].to_pylist()


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(("limit", "per_class"), [(None, None), (5, None), (400, None), (None, 3), (10, 3), (1, 1)])
def test_the_best_of_a_stream(monkeypatch, rng, size, limit, per_class):
    monkeypatch.setattr(order, "LEAST_WAITING", 16)
    keys = rng.integers(0, 40, 300) / 4  # many ties
    quota = rng.integers(-1, 6, 300)
    rows = order.candidates(300)
    rows["index"], rows["key"], rows["quota"] = np.arange(300), keys, quota
    best = order.Best(limit, per_class=per_class)
    for start in range(0, 300, size):
        best.add(rows[start : start + size])
    expected = oracle.best(list(zip(keys, range(300), quota, strict=True)), limit, per_class)
    assert best.rows()["index"].tolist() == [row[1] for row in expected]


def test_top_fraction_and_threshold(run):
    ce = columns(run)["ce"]
    expected = sorted(range(200), key=lambda i: (-ce[i], i))
    assert index_of(mine(run, by="ce", top=7)) == expected[:7]
    assert index_of(mine(run, by="hard")) == expected
    assert index_of(mine(run, by="ce", fraction=0.07)) == expected[:14]
    over = [i for i in expected if ce[i] >= 2.5]
    assert index_of(mine(run, by="ce", threshold=2.5)) == over
    assert 0 < len(over) < 200


def test_the_lowest_come_first_where_low_is_bad(run):
    margin = columns(run)["margin"]
    expected = sorted(range(200), key=lambda i: (margin[i], i))
    mined = mine(run, by="margin", top=9)
    assert index_of(mined) == expected[:9]
    assert mined.table["score"].to_pylist() == [margin[i] for i in expected[:9]]
    assert index_of(mine(run, by="margin", ascending=False, top=1)) == [expected[-1]]
    assert index_of(mine(run, by="margin", threshold=-0.5)) == [i for i in expected if margin[i] <= -0.5]


def test_so_many_of_each_class_rarest_first(tmp_path, rng):
    labels = rng.choice(4, 200, p=[0.5, 0.1, 0.3, 0.1])
    run = scored_arrays(tmp_path, rng.normal(0, 3, (200, 4)).astype(np.float32), labels)
    ce = columns(run)["ce"]
    rows = [(ce[i], i, labels[i]) for i in range(200)]
    assert index_of(mine(run, by="ce", per_class=3)) == [row[1] for row in oracle.best(rows, None, 3)]
    counts = np.bincount(labels)
    by_rarity = sorted(oracle.best(rows, None, 3), key=lambda row: (counts[row[2]], row[2]))
    assert index_of(mine(run, by="ce", per_class=3, tail_first=True)) == [row[1] for row in by_rarity]
    assert index_of(mine(run, by="ce", per_class=3, tail_first=True, top=5)) == [row[1] for row in by_rarity[:5]]
    listed = sorted(oracle.best(rows, 20), key=lambda row: (counts[row[2]], row[2]))
    assert index_of(mine(run, by="ce", top=20, tail_first=True)) == [row[1] for row in listed]


def test_budget_auto_is_what_is_expected_wrong_among_the_rows_that_count(run):
    whole = mine(run, budget="auto")
    assert len(whole.table) == whole.n_expected_errors > 0
    some = mine(run, budget="auto", where="label < 2")
    assert 0 < len(some.table) < len(whole.table)
    assert set(some.table["label"].to_pylist()) <= {0, 1}


def test_where_and_fraction_count_the_rows_that_pass(run):
    table = columns(run)
    passing = [i for i in range(200) if table["label"][i] == 3 and table["ce"][i] > 1]
    mined = mine(run, by="ce", where="label = 3 AND ce > 1", fraction=0.5)
    assert mined.n_rows == len(passing)
    assert len(mined.table) == -(-len(passing) // 2)
    assert set(index_of(mined)) <= set(passing)


def test_reviewed_rows_are_left_out_by_id_or_index(run, tmp_path):
    first = mine(run, top=10)
    ids = first.table["id"].to_pylist()
    (tmp_path / "by_id.csv").write_text("decision,id\n" + "".join(f"keep,{name}\n" for name in ids[:4]))
    (tmp_path / "by_index.csv").write_text("index\n" + "".join(f"{i}\n" for i in index_of(first)[:4]))
    assert mine(run, top=6, exclude=tmp_path / "by_id.csv").table["id"].to_pylist() == ids[4:]
    assert index_of(mine(run, top=6, exclude=tmp_path / "by_index.csv")) == index_of(first)[4:]
    (tmp_path / "neither.csv").write_text("name\nx\n")
    with pytest.raises(EvaltoolError, match="which rows have been reviewed"):
        mine(run, exclude=tmp_path / "neither.csv")


def test_what_mine_wrote_excludes_its_own_decisions(tmp_path):
    run = scored(tmp_path, "multilabel")
    first = mine(run, top=10, output=tmp_path / "first.csv").table
    rest = mine(run, fraction=1.0, exclude=tmp_path / "first.csv").table
    pairs = [set(zip(t["index"].to_pylist(), t["class"].to_pylist(), strict=True)) for t in (first, rest)]
    assert not pairs[0] & pairs[1]
    assert len(pairs[0] | pairs[1]) == 300


def test_groups_stand_together_in_the_order_of_their_worst(run, tmp_path):
    groups = [f"g{i % 7}" for i in range(200)]
    (tmp_path / "groups.csv").write_text("file,scene\n" + "".join(f"f{i},{g}\n" for i, g in enumerate(groups)))
    plain = index_of(mine(run, top=30))
    mined = mine(run, top=30, group_by=f"{tmp_path}/groups.csv:scene")
    seen = list(dict.fromkeys(groups[i] for i in plain))
    assert index_of(mined) == sorted(plain, key=lambda i: (seen.index(groups[i]), plain.index(i)))
    assert mined.table["group"].to_pylist() == [groups[i] for i in index_of(mined)]
    by_label = mine(run, top=30, group_by="label").table
    assert by_label["group"].equals(by_label["label"])


def test_random_rows_show_nothing_that_tells_them(run, tmp_path):
    out = tmp_path / "list.csv"
    mined = mine(run, top=40, random_controls=20, seed=5, output=out)
    again = mine(run, top=40, random_controls=20, seed=5)
    other = mine(run, top=40, random_controls=20, seed=6)
    assert mined.table.equals(again.table)
    assert index_of(mined) != index_of(other)
    assert mined.table.column_names == ["rank", "index", "id", "label", "suggested"]
    assert mined.table["suggested"].null_count == 0
    with (tmp_path / "list.csv.controls.csv").open(newline="") as file:
        key = list(csv.DictReader(file))
    control = [row["control"] == "1" for row in key]
    assert [int(row["index"]) for row in key] == index_of(mined)
    assert sum(control) == 20
    plain = set(index_of(mine(run, top=40)))
    assert {i for i, c in zip(index_of(mined), control, strict=True) if not c} == plain
    # neither first nor last, nor in the order of anything that is known
    places = np.flatnonzero(control)
    assert 20 < places.mean() < 40
    scores = [float(row["score"]) for row in key]
    assert scores != sorted(scores, reverse=True)


def test_random_rows_are_any_of_the_others(tmp_path):
    run = scored(tmp_path, "multiclass", 50)
    drawn = np.zeros(50)
    for seed in range(300):
        mined = mine(run, by="ce", top=10, random_controls=8, seed=seed)
        key = mined.key.filter(mined.key["control"].to_numpy() == 1)
        drawn[key["index"].to_numpy()] += 1
    assert (drawn == 0).sum() == 10
    others = drawn[drawn > 0]
    # 300 * 8 / 40 = 60 each; 5 standard deviations are 35
    assert others.min() > 25
    assert others.max() < 95


def test_near_identical_predictions_of_a_label_are_one(tmp_path):
    preds, labels = problem("multiclass", 40)
    preds, labels = np.concatenate([preds] * 3), np.concatenate([labels, labels, (labels + 1) % 5])
    run = scored_arrays(tmp_path, preds, labels)
    mined = mine(run, fraction=1.0, dedup=True)
    assert len(mined.table) == 80
    assert not set(range(40, 80)) & set(index_of(mined))


def test_spread_is_greedy_k_center(rng):
    vectors = rng.normal(size=(60, 3))
    taken = [0]
    while len(taken) < 12:
        distance = [min(np.linalg.norm(v - vectors[t]) for t in taken) for v in vectors]
        taken.append(int(np.argmax(distance)))
    assert spread(vectors, 12).tolist() == taken
    assert sorted(spread(np.zeros((4, 2)), 9).tolist()) == [0, 1, 2, 3]


def test_diverse_covers_what_the_best_leave_out(run, tmp_path):
    rng = np.random.default_rng(0)
    centers = np.eye(8)[rng.integers(0, 8, 200)] + rng.normal(0, 0.01, (200, 8))
    plain = mine(run, top=8)
    diverse = mine(run, top=8, diverse=True, embeddings=centers.astype(np.float32))
    kinds = {int(centers[i].argmax()) for i in index_of(diverse)}
    assert len(kinds) > len({int(centers[i].argmax()) for i in index_of(plain)})
    assert len(diverse.table) == 8
    scores = diverse.table["score"].to_numpy()
    assert (np.diff(scores) <= 0).all()
    per_class = mine(run, by="ce", per_class=2, diverse=True).table
    assert np.bincount(per_class["label"].to_numpy()).max() == 2


def test_embeddings_average_ranks_with_the_neighbours_labels(tmp_path, rng):
    true = rng.integers(0, 3, 120)
    labels = true.copy()
    labels[:12] = (true[:12] + 1) % 3
    run = scored_arrays(tmp_path, rng.normal(0, 1, (120, 3)).astype(np.float32), labels)  # predictions know nothing
    embeddings = (np.eye(3)[true] + rng.normal(0, 0.05, (120, 3))).astype(np.float32)
    alone = index_of(mine(run, by="label-error", top=12))
    together = index_of(mine(run, by="label-error", top=12, embeddings=embeddings))
    assert sum(i < 12 for i in together) > sum(i < 12 for i in alone)
    with pytest.raises(EvaltoolError, match="not one embedding per sample"):
        mine(run, embeddings=embeddings[:-1])
    with pytest.raises(EvaltoolError, match="nothing looks at the embeddings"):
        mine(run, by="ce", embeddings=embeddings)


def test_distinct_compares_rows_of_one_label_alone():
    rows = order.candidates(4)
    rows["label"] = [0, 0, 1, 1]
    vectors = np.array([[1, 0], [0.9995, 0.0005], [1, 0], [0.5, 0.5]])
    assert distinct(rows, vectors, cosine=False).tolist() == [0, 2, 3]


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "segmentation", "regression"])
def test_one_or_two_rows(tmp_path, task, n):
    preds, labels = problem(task, n)
    run = scored_arrays(tmp_path, preds, labels, preds_are="auto" if task == "regression" else "logits", task=task)
    rows = 5 * n if task == "multilabel" else n
    assert len(mine(run).table) == rows
    assert len(mine(run, by="hard", dedup=task != "regression", random_controls=1).key) >= n


def test_nothing_passes(run):
    mined = mine(run, where="ce > 1e9", random_controls=3, group_by="label", diverse=True)
    assert len(mined.table) == mined.n_rows == 0
    assert isinstance(mined.table, pa.Table)


def test_an_infinite_loss_comes_first(tmp_path):
    logits = np.array([[0, 1], [-np.inf, 0], [2, 0]], np.float32)
    run = scored_arrays(tmp_path, logits, np.array([0, 0, 0]))
    mined = mine(run, by="ce", output=tmp_path / "a.jsonl")
    assert index_of(mined) == [1, 0, 2]
    assert mine(run, by="label-error").table["index"][0].as_py() == 1
    assert '"ce": null' in (tmp_path / "a.jsonl").read_text().splitlines()[0]


@pytest.mark.parametrize(
    "options",
    [
        {"top": 0},
        {"top": 3, "fraction": 0.5},
        {"fraction": 0.0},
        {"threshold": float("nan")},
        {"budget": "all"},
        {"ratio": 0},
    ],
)
def test_options_that_mean_nothing(run, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        mine(run, **options)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_scores_in_memory_know_their_arrays_and_a_saved_run_does_not(tmp_path, kind):
    preds, labels = map(kind, problem("multiclass", 30))
    scores = evaltool.score(preds, labels, preds_are="logits")
    assert scores.given["preds"] is preds  # no copy
    given = mine(scores.save(tmp_path / "a.run"), preds=preds, labels=labels).table
    assert len(given) == 30
    assert mine(scores, by="label-error").table.equals(given)
    with pytest.raises(EvaltoolError, match="preds of this run came from memory"):
        mine(tmp_path / "a.run")
    assert len(mine(tmp_path / "a.run", by="ce").table) == 30
    with pytest.raises(EvaltoolError, match="not those that were scored"):
        mine(scores, preds=preds[:9])


def test_averaged_scores_know_their_arrays_and_files(tmp_path):
    (preds, labels), (others, _) = problem("multiclass", 30), problem("multiclass", 30, 1)
    np.save(tmp_path / "a.npy", preds)
    given = [tmp_path / "a.npy", others]
    scores = evaltool.score(given, labels, average=True)
    assert mine(scores).table.equals(mine(scores, preds=given, labels=labels).table)
    np.save(tmp_path / "a.npy", preds + 1)
    with pytest.raises(EvaltoolError, match="another digest"):
        mine(scores)
