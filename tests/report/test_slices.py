"""Slices against per-group computations that share no code."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from evaltool.errors import EvaltoolError
from evaltool.report.slices import MOST_ROWS, read_groups, slices_of
from tests.report.faults import gaussian, scored


@pytest.fixture
def problem(rng):
    preds, labels = gaussian(rng, [300, 100, 50], distance=2.0)
    groups = rng.choice(["Köln", "<script>", "a,b", "rest"], len(labels), p=[0.3, 0.1, 0.1, 0.5])
    bad = groups == "<script>"
    preds[bad] = preds[bad][:, [1, 2, 0]]
    return preds, labels, groups


def test_a_group_has_what_its_rows_have(problem):
    preds, labels, groups = problem
    run = scored(preds, labels, preds_are="logits", losses=["ce", "focal"])
    found = slices_of(run, groups)
    table = pd.DataFrame({name: run._table[name].to_numpy() for name in ("ce", "focal", "label", "pred")})
    assert found["n_groups"] == 4
    assert found["rows"][0]["group"] == "<script>"
    p_values = {}
    for row in found["rows"]:
        mine, rest = table[groups == row["group"]], table[groups != row["group"]]
        assert row["count"] == len(mine)
        assert row["rates"]["accuracy"]["value"] == pytest.approx(accuracy_score(mine.label, mine.pred))
        assert row["rates"]["balanced_accuracy"]["value"] == pytest.approx(
            balanced_accuracy_score(mine.label, mine.pred)
        )
        for name in ("ce", "focal"):
            values = mine[name].to_numpy(np.float64)
            low, high = scipy.stats.t.interval(0.95, len(values) - 1, values.mean(), scipy.stats.sem(values))
            assert row["losses"][name] == pytest.approx(
                {"value": values.mean(), "low": max(low, 0), "high": high}, rel=1e-6
            )
        test = scipy.stats.ttest_ind(mine.ce.astype(float), rest.ce.astype(float), equal_var=False)
        pooled = scipy.stats.ttest_ind(mine.ce.astype(float), rest.ce.astype(float))
        p_values[row["group"]] = max(test.pvalue, pooled.pvalue)
        assert row["p_value"] == pytest.approx(p_values[row["group"]], rel=1e-6)
        assert row["difference"]["low"] == pytest.approx(test.confidence_interval().low, rel=1e-6)
        recalls = mine.assign(hit=mine.label == mine.pred).groupby("label").hit.mean()
        assert recalls[row["worst_class"]] == recalls.min()
    expected = scipy.stats.false_discovery_control(list(p_values.values()))
    assert [row["q_value"] for row in found["rows"]] == pytest.approx(expected.tolist(), rel=1e-6)
    assert found["rows"][0]["significant"]
    json.dumps(found, allow_nan=False)


def test_groups_by_chance_are_not_significant(rng):
    preds, labels = gaussian(rng, [400, 400], distance=2.0)
    found = slices_of(scored(preds, labels, preds_are="logits"), rng.integers(0, 40, len(labels)))
    assert not any(row["significant"] for row in found["rows"])
    assert min(row["p_value"] for row in found["rows"]) < 0.2


def test_small_groups_are_not_tested_and_missing_names_are_a_group(problem):
    preds, labels, _ = problem
    names = ["big"] * len(labels)
    names[:3] = ["tiny"] * 3
    names[3], names[4] = None, ""
    found = slices_of(scored(preds, labels, preds_are="logits"), names)
    rows = {row["group"]: row for row in found["rows"]}
    assert found["n_missing"] == 2
    assert set(rows) == {"big", "tiny", "(none)"}
    assert rows["tiny"]["p_value"] is None
    assert not rows["tiny"]["significant"]
    assert rows["big"]["count"] == len(labels) - 5


@pytest.mark.parametrize("kind", ["csv", "parquet", "npy", "txt"])
def test_files_are_read_as_ids_are(problem, tmp_path, kind):
    preds, labels, groups = problem
    path = tmp_path / f"groups.{kind}"
    frame = pd.DataFrame({"site": groups, "other": 1})
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "parquet":
        frame.to_parquet(path)
    elif kind == "npy":
        np.save(path, groups.astype(str))
    else:
        path.write_text("\n".join(groups), "utf-8")
    run = scored(preds, labels, preds_are="logits")
    column = ":site" if kind in ("csv", "parquet") else ""
    found = slices_of(run, f"{path}{column}")
    assert found["rows"] == slices_of(run, groups)["rows"]
    assert found["column"] == ("site" if column else path.name)
    with pytest.raises(EvaltoolError):
        slices_of(run, groups[:-1])


def test_many_groups_take_one_pass_and_show_the_worst(rng):
    n = 60_000
    preds = rng.standard_normal((n, 5)).astype(np.float32)
    found = slices_of(scored(preds, rng.integers(0, 5, n), preds_are="logits"), np.arange(n) // 3)
    assert found["n_groups"] == 20_000
    assert len(found["rows"]) == MOST_ROWS
    means = [row["losses"]["ce"]["value"] for row in found["rows"]]
    assert means == sorted(means, reverse=True)


def test_the_worst_stand_first_and_no_interval_of_a_loss_goes_below_0(rng):
    labels = rng.integers(0, 3, 240)
    preds = (np.eye(3)[labels] * 6 + rng.normal(size=(240, 3)) * 0.1).astype(np.float32)
    preds[::20] = np.roll(preds[::20], 1, axis=1)  # a large loss among small ones
    groups = np.arange(240) // 20 % 4
    groups[:2] = [4, 5]
    run = scored(preds, labels, preds_are="logits")
    rows = slices_of(run, groups)["rows"]
    values = run._table["ce"].to_numpy().astype(np.float64)
    expected = sorted(range(6), key=lambda g: -values[groups == g].mean())
    assert [row["group"] for row in rows] == [str(g) for g in expected]
    lows = [row["losses"]["ce"]["low"] for row in rows if row["count"] > 1]
    assert min(lows) == 0.0
    assert all(row["losses"]["ce"]["high"] > row["losses"]["ce"]["value"] for row in rows if row["count"] > 1)


def test_a_group_that_is_surely_worse_stays_among_very_many(rng):
    n = 6000
    preds = rng.standard_normal((n, 3)).astype(np.float32)
    labels = rng.integers(0, 3, n)
    groups = np.arange(n)
    groups[:500] = -1
    preds[:500] -= 2 * np.eye(3, dtype=np.float32)[labels[:500]]
    rows = slices_of(scored(preds, labels, preds_are="logits"), groups)["rows"]
    row = next(row for row in rows if row["group"] == "-1")
    assert row["significant"]
    assert row is rows[-1]  # single rows have larger losses


def test_rows_that_are_not_scored_count_in_no_group(problem):
    preds, labels, groups = problem
    labels = labels.copy()
    labels[groups == "Köln"] = -100
    found = slices_of(scored(preds, labels, preds_are="logits"), groups)
    row = next(row for row in found["rows"] if row["group"] == "Köln")
    assert row["count"] == 0
    assert row["rates"]["accuracy"]["value"] is None
    assert row["worst_class"] is None
    assert found["rows"][-1] is row


@pytest.mark.parametrize("n", [0, 1])
def test_runs_of_no_or_one_row(rng, n):
    run = scored(rng.standard_normal((4, 3))[: max(n, 1)], np.array([1, 0, 2, 1])[: max(n, 1)], preds_are="logits")
    if n == 0:
        run = scored(rng.standard_normal((1, 3)), np.array([-100]), preds_are="logits")
    found = slices_of(run, ["only"])
    assert found["rows"][0]["count"] == n
    assert found["rows"][0]["p_value"] is None
    json.dumps(found, allow_nan=False)


def test_multilabel_segmentation_and_regression_have_the_rates_of_their_rows(rng):
    groups = np.repeat(["a", "b"], 30)
    preds, labels = rng.standard_normal((60, 4)), rng.integers(0, 2, (60, 4))
    rates = slices_of(scored(preds, labels, task="multilabel", preds_are="logits"), groups)["rows"][0]
    mine = groups == rates["group"]
    right = (preds > 0) == labels
    assert rates["rates"]["accuracy"]["value"] == pytest.approx(right[mine].mean())
    assert rates["rates"]["exact_match"]["value"] == pytest.approx(right[mine].all(1).mean())

    preds, labels = rng.standard_normal((60, 3, 5, 5)), rng.integers(0, 3, (60, 5, 5))
    row = slices_of(scored(preds, labels, preds_are="logits"), groups)["rows"][0]
    right = (preds.argmax(1) == labels).reshape(60, -1).mean(1)
    assert row["rates"]["accuracy"]["value"] == pytest.approx(right[groups == row["group"]].mean())
    assert set(row["rates"]) == {"accuracy", "iou"}

    run = scored(rng.standard_normal(60), rng.standard_normal(60), task="regression")
    assert slices_of(run, groups)["rows"][0]["rates"] == {}


@pytest.mark.parametrize(
    ("content", "column", "said"),
    [
        (
            "id,site\n1,a\n2,b\n",
            "",
            "which column holds the groups?\n  {path}: several columns; it has id, site\n  Pass --group-by",
        ),
        ("id,site\n1,a\n2,b\n", ":sit", "which column holds the groups?\n  {path}: no column 'sit'"),
        ("site\na\n", "", "there is not one group per sample\n  {path}: 1 group, expected 2 = N\n  Give the groups"),
    ],
)
def test_messages_speak_of_groups(tmp_path, content, column, said):
    path = tmp_path / "meta.csv"
    path.write_text(content)
    with pytest.raises(EvaltoolError) as raised:
        read_groups(f"{path}{column}", 2)
    assert str(raised.value).startswith(said.format(path=path))
    assert "--ids" not in str(raised.value)
