"""Verdicts on problems whose fault is known, and on documents made by hand."""

import json

import numpy as np
import pytest

from evaltool.report.head_tail import difference, head_and_tail
from evaltool.report.intervals import estimate, wilson
from evaltool.report.numbers import numbers_of
from evaltool.report.predictions import predictions_of, with_predictions
from evaltool.report.verdict import verdict_of
from tests.report.faults import gaussian, scored

LONG_TAIL = [2000] * 5 + [20] * 5


def reported(preds, labels, *, train_counts=None, **options):
    """Return the document and the verdict, from the same steps as a report."""
    run = scored(preds, labels, preds_are="logits", **options)
    numbers = numbers_of(run, train_counts=train_counts)
    document = with_predictions(numbers, predictions_of(run, numbers, preds=preds, labels=labels))
    verdict = verdict_of(document)
    json.dumps([document, verdict], allow_nan=False)
    assert len(verdict["sentences"]) == 3
    assert all(sentence.endswith(".") for sentence in verdict["sentences"])
    return document, verdict


def test_balanced_data_with_label_noise_is_no_imbalance(rng):
    document, verdict = reported(*gaussian(rng, [400] * 10, flips=0.15))
    assert verdict["imbalance"] == "none"
    assert verdict["sentences"][0].startswith("Imbalance is not your problem: the classes are about equally frequent")
    assert document["advice"]["actions"][0]["command"].endswith("--by label-error")


@pytest.mark.parametrize("seed", range(2))
def test_a_weak_tail_is_a_problem(seed):
    preds, labels = gaussian(np.random.default_rng(seed), LONG_TAIL)
    document, verdict = reported(preds, labels)
    hit = preds.argmax(1) == labels
    head, tail = hit[labels < 5].mean(), hit[labels >= 5].mean()
    assert verdict["imbalance"] == "problem"
    assert verdict["evidence"]["head_recall"] == pytest.approx(head)
    assert verdict["evidence"]["tail_recall"] == pytest.approx(tail)
    assert verdict["evidence"]["recall_gap_low"] > 0
    assert set(verdict["classes"]) <= {5, 6, 7, 8, 9}
    assert "log prior" in verdict["sentences"][2]
    assert "log prior" in document["advice"]["actions"][0]["title"]


@pytest.mark.parametrize("seed", range(2))
def test_a_tail_as_good_as_the_head_is_no_problem(seed):
    _, verdict = reported(*gaussian(np.random.default_rng(seed), LONG_TAIL, distance=9.0))
    assert verdict["imbalance"] == "none"
    assert verdict["evidence"]["ratio"] == 100
    assert verdict["sentences"][1] == "All labels of all 10 classes are found."


@pytest.mark.parametrize("seed", range(2))
def test_a_shifted_prior_is_a_problem_the_other_way_round(seed):
    preds, labels = gaussian(np.random.default_rng(seed), LONG_TAIL, prior=[1] * 10)
    _, verdict = reported(preds, labels)
    assert verdict["imbalance"] == "problem"
    assert "the other way round" in verdict["sentences"][0]
    ratio = (preds.argmax(1) >= 5).sum() / (labels >= 5).sum()
    assert verdict["evidence"]["tail_predicted_ratio"] == pytest.approx(ratio)
    assert "bring the predictions back" in verdict["sentences"][2]


def test_everything_wrong_alike_is_no_imbalance(rng):
    labels = np.repeat(np.arange(4), [2000, 2000, 300, 300])
    preds = rng.standard_normal((len(labels), 4)).astype(np.float32)
    _, verdict = reported(preds, labels)
    assert verdict["imbalance"] == "none"
    assert "both are missed alike" in verdict["sentences"][0]


def test_the_classes_are_those_of_the_training_counts(rng):
    preds, labels = gaussian(rng, [200] * 10, distance=3.0, prior=LONG_TAIL)
    assert reported(preds, labels)[1]["imbalance"] == "none"
    _, verdict = reported(preds, labels, train_counts=LONG_TAIL)
    assert verdict["imbalance"] == "problem"
    assert set(verdict["classes"]) <= {5, 6, 7, 8, 9}


def test_too_few_samples_are_unknown(rng):
    for n in (1, 2, 19):
        preds, labels = gaussian(rng, [n, n], distance=1.0)
        assert reported(preds[:n], labels[:n])[1]["imbalance"] == "unknown"
    # one of six missed, beside 6 of 300
    preds = np.zeros((306, 2), np.float32)
    labels = np.repeat([0, 1], [300, 6])
    preds[np.arange(306), labels] = 1
    preds[300, 0] = 2
    preds[:6, 1] = 2
    assert reported(preds, labels)[1]["imbalance"] == "unknown"


def test_nothing_scored_and_one_class(rng):
    preds = rng.standard_normal((30, 3)).astype(np.float32)
    _, nothing = reported(preds, np.full(30, -100))
    assert nothing["imbalance"] == "unknown"
    assert nothing["sentences"][0] == "No sample was scored, so nothing can be said about imbalance."
    _, one = reported(preds, np.full(30, 1))
    assert one["imbalance"] == "unknown"
    assert "only one class has labels" in one["sentences"][0]
    assert one["classes"] == [1]


def test_binary_multilabel_and_foreground(rng):
    labels = (rng.random(20_000) < 0.02).astype(int)
    preds = (2 * (rng.standard_normal(20_000) + 2 * labels) - 2 + np.log(0.02 / 0.98)).astype(np.float32)
    _, verdict = reported(preds, labels, task="binary")
    assert verdict["imbalance"] == "problem"
    assert verdict["classes"] == [1]

    labels = (rng.random((3000, 4)) < 0.1).astype(int)
    preds = (2 * (rng.standard_normal(labels.shape) + 2 * labels) - 2 + np.log(1 / 9)).astype(np.float32)
    _, verdict = reported(preds, labels, task="multilabel")
    assert verdict["imbalance"] == "problem"  # the classes are equal, but positives are missed
    assert "the labels 1" in verdict["sentences"][0]
    perfect = np.where(labels > 0, 9.0, -9.0).astype(np.float32)
    assert reported(perfect, labels, task="multilabel")[1]["imbalance"] == "none"

    labels = (rng.random((40, 8, 8)) < 0.1).astype(int)
    preds = (2 * (rng.standard_normal(labels.shape) + 2 * labels) - 2 + np.log(1 / 9)).astype(np.float32)
    assert reported(preds, labels, task="segmentation")[1]["imbalance"] == "problem"
    assert reported(np.where(labels > 0, 9.0, -9.0), labels, task="segmentation")[1]["imbalance"] == "none"
    assert reported(preds[:9], labels[:9], task="segmentation")[1]["imbalance"] == "unknown"


def test_regression_is_about_outliers(rng):
    labels = rng.standard_normal(1000)
    preds = labels + rng.standard_normal(1000) * np.where(np.arange(1000) < 5, 200, 1)
    run = scored(preds, labels, task="regression")
    numbers = numbers_of(run)
    verdict = verdict_of(with_predictions(numbers, predictions_of(run, numbers)))
    assert verdict["imbalance"] == "none"
    assert "a few outliers carry the error" in verdict["sentences"][0]
    few = numbers_of(scored(preds[:3], labels[:3], task="regression"))
    assert verdict_of(few)["imbalance"] == "unknown"
    spread = numbers_of(scored(labels + rng.standard_normal(1000), labels, task="regression"))
    assert "spread over many samples" in verdict_of(spread)["sentences"][0]


def by_hand(counts, recalls, *, predicted=None, names=None):
    """Return what a verdict reads of a document."""
    right = [round(n * r) for n, r in zip(counts, recalls, strict=True)]
    predicted = predicted or counts
    rows = [
        {
            "index": c,
            "count": n,
            "train_count": None,
            "predicted": m,
            "recall": wilson(hit, n),
            "precision": wilson(min(hit, m), m),
            "losses": {},
            "per_image": None,
        }
        for c, (n, m, hit) in enumerate(zip(counts, predicted, right, strict=True))
    ]
    document = {"task": "multiclass", "n_scored": sum(counts), "classes": rows, "losses": {}, "imbalance": None}
    return {**document, "names": names or [str(c) for c in range(len(counts))], "hardness": {}}


@pytest.mark.parametrize(
    ("counts", "recalls", "expected"),
    [
        ([1000, 10], [0.9, 0.2], "problem"),
        ([1000, 300], [0.95, 0.84], "problem"),
        ([10_000, 3000], [0.95, 0.90], "minor"),
        ([100_000, 50_000], [0.95, 0.94], "none"),  # beyond chance, but of no size
        ([1000, 10], [0.9, 0.8], "unknown"),
        ([1000, 9], [0.9, 0.0], "unknown"),
        ([1000, 800], [0.9, 0.1], "none"),  # a hard class, and no imbalance
        ([1000, 100], [0.6, 0.9], "none"),
    ],
)
def test_the_rule_by_its_edges(counts, recalls, expected):
    assert verdict_of(by_hand(counts, recalls))["imbalance"] == expected


def test_rare_classes_that_take_what_is_not_theirs():
    assert verdict_of(by_hand([1000, 100], [0.9, 0.9], predicted=[900, 200]))["imbalance"] == "problem"
    assert verdict_of(by_hand([1000, 100], [0.95, 0.9], predicted=[955, 145]))["imbalance"] == "minor"
    assert verdict_of(by_hand([1000, 100], [0.9, 0.9], predicted=[1000, 100]))["imbalance"] == "none"


def test_head_and_tail_are_the_outer_thirds_of_the_range():
    found = head_and_tail(by_hand([1000, 400, 200, 100, 30, 10, 1], [1.0] * 7))
    assert found.ratio == 1000
    assert found.head == [0, 1, 2, 3]
    assert found.tail == [6, 5, 4]  # 1 and 10 are 11 labels: 30 more, up to the middle of the range
    assert head_and_tail(by_hand([5, 0, 0], [1, 0, 0])) is None


def test_the_interval_of_a_difference_is_newcombes():
    # Newcombe 1998, table II, (a): 56/70 - 48/80
    found = difference(wilson(56, 70), wilson(48, 80))
    assert found == pytest.approx({"value": 0.2, "low": 0.0524, "high": 0.3339}, abs=5e-5)
    assert difference(estimate(0.5), wilson(1, 2)) == estimate(0.0)
    assert difference(estimate(None), wilson(1, 2)) == estimate(None)


def test_names_are_shortened_and_otherwise_as_they_are():
    names = ["<script>", "x" * 100]
    sentence = verdict_of(by_hand([1000, 100], [0.9, 0.2], names=names))["sentences"][0]
    assert "<script>" in sentence
    assert "x" * 39 + "…" in sentence


def test_the_gap_of_chance_is_rarely_called_a_problem():
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(300):
        n = [2000, 60]
        recalls = [rng.binomial(k, 0.8) / k for k in n]
        wrong += verdict_of(by_hand(n, recalls))["imbalance"] in ("problem", "minor")
    assert wrong <= 12  # 2.5% of one side, and what has the size
