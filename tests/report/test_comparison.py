"""--compare: two runs side by side, against counts and intervals computed another way."""

import json

import numpy as np
import pytest
from scipy import stats

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.report.changes import MeanCounts, RightCounts, chance
from evaltool.report.comparison import comparison_of
from evaltool.run.reader import open_run


def two_models(rng, n=400, classes=4):
    labels = np.minimum(rng.geometric(0.5, n) - 1, classes - 1)
    shared = rng.normal(size=(n, classes))
    preds = [shared + rng.normal(size=(n, classes)) * 0.6 for _ in range(2)]
    preds[0][np.arange(n), labels] += 1.0
    preds[1][np.arange(n), labels] += np.where(labels > 0, 2.0, 1.0)
    return [array.astype(np.float32) for array in preds], labels


def scored(preds, labels, **options):
    return evaltool.score(preds, labels, task="multiclass", preds_are="logits", **options)


def compared(*scores, **options):
    comparison = comparison_of(*map(open_run, scores), **options)
    json.dumps(comparison, allow_nan=False)
    return comparison


def test_the_numbers_are_those_of_the_two_runs(rng):
    preds, labels = two_models(rng)
    runs = [scored(array, labels) for array in preds]
    found = compared(*runs)
    right = [array.argmax(1) == labels for array in preds]
    assert found["paired_by"] == "index"
    assert (found["n_paired"], found["n_label_changed"]) == (400, 0)
    for side, rate in zip(("before", "after"), right, strict=True):
        assert found["rates"]["accuracy"][side] == rate.mean()
        recalls = [rate[labels == c].mean() for c in range(4)]
        assert found["rates"]["balanced_accuracy"][side] == pytest.approx(np.mean(recalls), rel=1e-12)
    for row in found["classes"]:
        of = labels == row["index"]
        assert row["gained"] == (~right[0] & right[1] & of).sum()
        assert row["lost"] == (right[0] & ~right[1] & of).sum()
        assert row["recall"]["value"] == pytest.approx(right[1][of].mean() - right[0][of].mean(), abs=1e-12)
        for side, k in (("before", 0), ("after", 1)):
            assert row[f"precision_{side}"] == pytest.approx(right[k][preds[k].argmax(1) == row["index"]].mean())
        for name in ("ce", "focal", "dice"):
            difference = (runs[1][name].astype(np.float64) - runs[0][name])[of]
            oracle = stats.ttest_1samp(difference, 0).confidence_interval(0.95)
            assert row["losses"][name]["value"] == pytest.approx(difference.mean(), rel=1e-9, abs=1e-12)
            assert row["losses"][name]["low"] == pytest.approx(oracle.low, rel=1e-5)
            assert row["losses"][name]["high"] == pytest.approx(oracle.high, rel=1e-5)


def test_a_run_beside_itself_has_not_changed(digits):
    found = compared(digits.run, digits.run)
    for rate in [*found["rates"].values(), *found["losses"].values()]:
        assert rate["difference"]["value"] == 0
        assert rate["difference"]["low"] <= 0 <= rate["difference"]["high"]
    for row in found["classes"]:
        assert (row["gained"], row["lost"]) == (0, 0)
        assert row["losses"]["ce"] == {"value": 0, "low": 0, "high": 0}
    said = " ".join(found["sentences"])
    assert said.count("no change") == len(found["rates"]) + 1  # of the losses the first is said
    assert "went from" not in said


def test_newcombes_interval_is_his():
    """Newcombe 1998, Statistics in Medicine 17:2635, table III, method 10 of (36, 12, 2, 0)."""
    counts = RightCounts(1)
    counts.both[0] = [[0, 2], [12, 36]]  # wrong-wrong, gained, lost, right-right
    found = counts.differences()[0]
    assert -found["value"] == pytest.approx(0.2)
    assert (-found["high"], -found["low"]) == (pytest.approx(0.0569, abs=5e-5), pytest.approx(0.3404, abs=5e-5))


@pytest.mark.parametrize("moved", [0.0, 0.3], ids=["same labels", "corrected labels"])
def test_intervals_hold_what_they_say(rng, moved):
    """The share of 95% intervals that hold the truth, of recall of a class, of the mean of classes, and of a loss."""
    held = np.zeros(3)
    trials, n = 400, 120
    for _ in range(trials):
        first = rng.integers(0, 2, n)
        second = np.where(rng.random(n) < moved, 1 - first, first)
        skill = rng.normal(size=n)
        right = [skill + rng.normal(size=n) < bar for bar in (0.8, 1.2)]
        truth = stats.norm.cdf(1.2 / np.sqrt(2)) - stats.norm.cdf(0.8 / np.sqrt(2))
        counts = RightCounts(2)
        counts.add(first, second, *right)
        loss = [np.exp(0.5 * (skill + rng.normal(size=n))) + shift for shift in (0.0, 0.2)]
        means = MeanCounts(2)
        zero, one = np.zeros(n), np.ones(n)
        means.add(first, *loss, one, (first == second) * one)
        means.add(second, *loss, zero, (first != second) * one)
        for k, (estimate, value) in enumerate(
            (
                (counts.differences()[0], truth),
                (counts.mean_difference([0, 1])["difference"], truth),
                (means.differences()[0], 0.2),
            )
        ):
            held[k] += estimate["low"] <= value <= estimate["high"]
    # 400 trials of 95%: a standard deviation is 1.1%; Newcombe's interval is somewhat conservative
    assert (held / trials > 0.92).all(), held / trials
    assert (held / trials < 0.99).all(), held / trials


def test_chance_is_mcnemars():
    for gained, lost in [(0, 0), (5, 0), (3, 9), (100, 140), (6000, 6200)]:
        oracle = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
        assert chance(gained, lost) == pytest.approx(oracle, rel=2e-2 if gained + lost > 10_000 else 1e-9)


def test_each_run_is_judged_by_its_own_labels(rng):
    preds, labels = two_models(rng)
    corrected = labels.copy()
    corrected[:30] = preds[0][:30].argmax(1)
    runs = [scored(preds[0], labels), scored(preds[0], corrected)]
    found = compared(*runs)
    assert found["n_label_changed"] == (labels != corrected).sum() > 0
    for side, run in zip(("before", "after"), runs, strict=True):
        assert found["rates"]["accuracy"][side] == run.summary["accuracy"]
        for row, of in zip(found["classes"], run.summary["classes"], strict=True):
            assert row[f"recall_{side}"] == of["recall"]
    for row, one, two in zip(found["classes"], *(run.summary["classes"] for run in runs), strict=True):
        for name in ("ce", "dice"):
            change = two["mean_loss"][name] - one["mean_loss"][name]
            assert row["losses"][name]["value"] == pytest.approx(change, rel=1e-9)


@pytest.mark.parametrize("ids", ["text", "integers"])
def test_rows_are_found_by_their_ids(rng, ids):
    preds, labels = two_models(rng)
    names = np.arange(1000, 1400)
    names = names if ids == "integers" else np.array([f"img{i}.png" for i in names])
    order = rng.permutation(400)[:350]
    first = scored(preds[0], labels, ids=names.tolist())
    second = scored(preds[1][order], labels[order], ids=names[order].tolist())
    found = compared(first, second)
    assert (found["paired_by"], found["n_paired"]) == ("id", 350)
    assert (found["n_only_first"], found["n_only_second"], found["n_label_changed"]) == (50, 0, 0)
    kept = np.sort(order)
    plain = compared(scored(preds[0][kept], labels[kept]), scored(preds[1][kept], labels[kept]))
    assert found["classes"] == [
        {**row, "losses": {k: pytest.approx(v, rel=1e-9) for k, v in row["losses"].items()}} for row in plain["classes"]
    ]
    back = compared(second, first)
    assert (back["n_only_first"], back["n_only_second"]) == (0, 50)


def test_rows_that_one_run_could_not_score_are_left_out(rng):
    preds, labels = two_models(rng)
    preds[1][:7] = np.nan
    labels[5:9] = -100
    found = compared(*(scored(array, labels, max_bad=1) for array in preds))
    assert (found["n_paired"], found["n_only_first"], found["n_only_second"]) == (391, 5, 0)


ERRORS = {
    "task": "the runs are of different tasks",
    "classes": "the runs have different classes\n  a: 4, b: 3",
    "names": "class 1: 'b' in a, 'x' in b",
    "length": "400 samples, b: 399 samples, without ids in both",
    "twice": "1 ids occur more than once",
    "strangers": "the runs have no sample in common",
}


@pytest.mark.parametrize("case", ERRORS)
def test_runs_that_cannot_be_compared_are_refused(rng, case):
    preds, labels = two_models(rng)
    first, second = {}, {}
    if case == "names":
        first, second = {"class_names": list("abcd")}, {"class_names": list("axcd")}
    if case in ("twice", "strangers"):
        first["ids"] = list(range(400))
        second["ids"] = [399, *range(398, -1, -1)] if case == "twice" else list(range(1000, 1400))
        second["ids"][-1] = 1 if case == "twice" else 5000
    one = open_run(scored(preds[0], labels, **first))
    if case == "task":
        two = open_run(evaltool.score(preds[1][:, 0], labels[:400] > 0, preds_are="logits"))
    elif case == "classes":
        two = open_run(scored(preds[1][:, :3], np.minimum(labels, 2)))
    else:
        cut = 399 if case == "length" else 400
        two = open_run(scored(preds[1][:cut], labels[:cut], **second))
    one.name, two.name = "a", "b"
    with pytest.raises(EvaltoolError) as raised:
        comparison_of(one, two)
    assert ERRORS[case] in str(raised.value)


def test_a_loss_of_other_parameters_is_not_compared(rng):
    preds, labels = two_models(rng)
    found = compared(
        scored(preds[0], labels, losses=["ce", "focal:gamma=1"]), scored(preds[1], labels, losses=["ce", "focal"])
    )
    assert list(found["losses"]) == ["ce"]
    assert "Not compared" in found["sentences"][-1]


def test_multilabel_counts_wrong_decisions(rng):
    labels = rng.integers(0, 2, (200, 5))
    preds = [(labels * 2 - 1 + rng.normal(size=(200, 5)) * s).astype(np.float32) for s in (2, 1)]
    runs = [evaltool.score(array, labels, task="multilabel", preds_are="logits") for array in preds]
    found = compared(*runs)
    wrong = [((array > 0) != labels).mean(1) for array in preds]
    oracle = stats.ttest_1samp(wrong[0] - wrong[1], 0).confidence_interval(0.95)
    accuracy = found["rates"]["accuracy"]
    assert accuracy["before"] == pytest.approx(runs[0].summary["accuracy"])
    assert accuracy["after"] == pytest.approx(runs[1].summary["accuracy"])
    assert (accuracy["difference"]["low"], accuracy["difference"]["high"]) == (
        pytest.approx(oracle.low, rel=1e-4),
        pytest.approx(oracle.high, rel=1e-4),
    )
    assert found["classes"][2]["recall_after"] == runs[1].summary["classes"][2]["recall"]
    assert found["classes"][2]["gained"] is None
    assert found["n_label_changed"] is None


def test_segmentation_pairs_images(rng):
    masks = rng.integers(0, 3, (30, 8, 8))
    masks[:, 0, 0] = -100
    masks[3] = -100
    preds = [
        (np.eye(3)[np.maximum(masks, 0)] * s + rng.normal(size=(30, 8, 8, 3))).transpose(0, 3, 1, 2) for s in (1, 2)
    ]
    runs = [evaltool.score(array.astype(np.float32), masks, preds_are="logits") for array in preds]
    found = compared(*runs)
    assert found["n_paired"] == 29
    assert found["rates"]["accuracy"]["before"] == pytest.approx(runs[0].summary["accuracy"], rel=1e-6)
    difference = (runs[1]["iou"] - runs[0]["iou"])[np.arange(30) != 3].astype(np.float64)
    oracle = stats.ttest_1samp(difference, 0).confidence_interval(0.95)
    assert found["rates"]["image_iou"]["difference"]["low"] == pytest.approx(oracle.low, rel=1e-4)
    assert found["classes"][1]["recall"]["low"] is None


def test_regression_has_losses_only(rng):
    labels = rng.normal(size=50).astype(np.float32)
    runs = [evaltool.score(labels + s, labels, task="regression") for s in (np.float32(0.5), np.float32(0.25))]
    found = compared(*runs)
    assert (found["rates"], found["classes"], found["n_label_changed"]) == ({}, [], 0)
    assert found["losses"]["l1"]["difference"]["value"] == pytest.approx(-0.25, rel=1e-5)


@pytest.mark.parametrize("rows", [0, 1])
def test_runs_with_hardly_a_row_are_compared(rows):
    preds, labels = np.zeros((2, 3), np.float32), np.full(2, -100)
    labels[:rows] = 1
    found = compared(scored(preds, labels), scored(preds, labels))
    assert found["n_paired"] == rows
    assert found["rates"]["accuracy"]["before"] == (0.0 if rows else None)
