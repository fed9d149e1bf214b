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
    preds, labels = gaussian(np.random.default_rng(seed), LONG_TAIL, prior=[1] * 5 + [100] * 5)
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


def broken(rng, what, n=6000):
    """Return logits and labels of five classes, of which ``what`` is broken."""
    priors = [0.7, 0.2, 0.06, 0.03, 0.01]
    labels = rng.choice(5, n, p=priors)
    logits = rng.normal(size=(n, 5))
    logits[np.arange(n), labels] += 3
    if what == "head":
        logits[labels == 0, 0] -= 2.5
    elif what == "middle":
        logits[np.arange(n), labels] += 1
        logits[labels == 2, 2] -= 4
        logits += 0.5 * np.log(priors)
    elif what == "everything":
        logits = rng.normal(size=(n, 5))
    return logits.astype(np.float32), labels


def test_a_broken_head_is_not_missed_alike(rng):
    preds, labels = broken(rng, "head")
    document, verdict = reported(preds, labels)
    assert verdict["imbalance"] == "problem"
    assert "the other way round" in verdict["sentences"][0]
    assert "alike" not in verdict["sentences"][0]
    hit = preds.argmax(1) == labels
    assert verdict["evidence"]["recall_gap"] == pytest.approx(hit[labels < 2].mean() - hit[labels > 2].mean())
    assert verdict["evidence"]["tail_predicted_ratio_low"] > 1.5
    # what the verdict rests on is what the sentence shows
    assert f"{100 * verdict['evidence']['tail_precision']:.0f}% of those predictions" in verdict["sentences"][0]
    assert not any("focal" in action["title"] for action in document["advice"]["actions"])


def test_a_broken_class_of_the_middle_is_named(rng):
    _, verdict = reported(*broken(rng, "middle"))
    assert verdict["classes"][0] == 2
    assert "not rare" in verdict["sentences"][1]
    # where the tail is fine as well
    preds, labels = broken(rng, "nothing")
    preds[labels == 2, 2] -= 4
    _, verdict = reported(preds, labels)
    assert 2 in verdict["classes"]


def test_most_is_said_of_more_than_half():
    verdict = verdict_of(by_hand([100] * 10, [0.9] * 10))
    assert verdict["sentences"][1].startswith("What is missed most often is class 0 (10 of 100)")
    verdict = verdict_of(by_hand([100] * 10, [0.1, *[0.99] * 9]))
    assert verdict["sentences"][1].startswith("Most of what is missed is class 0 (90 of 100)")
    counts, recalls = [10_000] * 4 + [7000] * 2, [0.9] * 4 + [0.9, 0.9]
    verdict = verdict_of(by_hand([*counts, 7000, 6900], [*recalls, 0.98, 0.8]))
    assert 7 in verdict["classes"]


def test_errors_that_spare_no_class_are_rarely_called_a_problem():
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        n = [150, 600, 3000][seed % 3]
        labels = rng.choice(4, n, p=[0.6, 0.25, 0.1, 0.05])
        preds = rng.normal(size=(n, 4))
        preds[np.arange(n), labels] += 1.5 + seed % 2
        found.append(verdict_of(numbers_of(scored(preds.astype(np.float32), labels, preds_are="logits")))["imbalance"])
    assert found.count("problem") <= 2
    assert found.count("minor") <= 2
    assert "none" in found[2::3]


def test_wrong_labels_are_no_imbalance(rng):
    labels = rng.choice(4, 5000, p=[0.8, 0.15, 0.04, 0.01])
    preds = (5 * np.eye(4)[labels] + 0.3 * rng.normal(size=(5000, 4))).astype(np.float32)
    noisy = np.where(rng.random(5000) < 0.05, rng.integers(0, 4, 5000), labels)
    document, verdict = reported(preds, noisy)
    assert verdict["imbalance"] == "unknown"
    assert verdict["sentences"][0].startswith("Wrong labels may explain what looks like imbalance")
    assert document["advice"]["actions"][0]["command"].endswith("--by label-error")
    # missed for being unsure, or sure in the tail alone, is imbalance
    assert reported(*gaussian(rng, LONG_TAIL))[1]["imbalance"] == "problem"
    weak = np.where((labels >= 2)[:, None] & (rng.random((5000, 1)) < 0.4), np.float32([9, 0, 0, 0]), preds)
    assert reported(weak, noisy)[1]["imbalance"] == "problem"  # more than wrong labels explain
    preds[(labels == 3) & (rng.random(5000) < 0.6)] = [9, 0, 0, 0]
    assert reported(preds, labels)[1]["imbalance"] == "problem"


def test_few_images_have_the_rare_class(rng):
    """Positions of one image hang together: 2 images with 160 positions are 2."""
    labels = np.zeros((14, 8, 8), int)
    labels[:, 4:] = 1
    labels[:2, :4] = 2
    preds = 0.1 * rng.normal(size=(14, 3, 8, 8))
    np.put_along_axis(preds, labels[:, None], 3.0, 1)
    preds[0, 0] += 9 * (labels[0] == 2)
    preds[2:, 2, :1] += 9  # predicted in others, which are no images that have it
    document, verdict = reported(preds.astype(np.float32), labels)
    assert [row["per_image"]["labelled"] for row in document["classes"]] == [12, 14, 2]
    assert verdict["imbalance"] == "unknown"
    assert "2 images with the rarest classes" in verdict["sentences"][0]


def test_one_class_does_not_ask_for_more_of_it(rng):
    preds = rng.standard_normal(300).astype(np.float32)
    document, verdict = reported(preds, np.ones(300, int), task="binary")
    assert "more samples" not in " ".join([*verdict["sentences"], *(a["title"] for a in document["advice"]["actions"])])
    assert "threshold" not in verdict["sentences"][2]
    _, verdict = reported(np.abs(preds) + 1, np.ones(300, int), task="binary")
    assert "other classes" in verdict["sentences"][2]


def test_nothing_scored_and_one_class(rng):
    preds = rng.standard_normal((30, 3)).astype(np.float32)
    _, nothing = reported(preds, np.full(30, -100))
    assert nothing["imbalance"] == "unknown"
    assert nothing["sentences"][0] == "No sample was scored, so nothing can be said about imbalance."
    _, one = reported(preds, np.full(30, 1))
    assert one["imbalance"] == "unknown"
    assert "only one class has labels" in one["sentences"][0]
    assert one["classes"] == [1]


def test_a_multilabel_tail_is_measured_by_its_decisions(rng):
    labels = (rng.random((3000, 6)) < [0.4, 0.4, 0.4, 0.4, 0.02, 0.02]).astype(int)
    preds = rng.normal(size=labels.shape) + 4 * labels - 2
    preds[:, 4:] -= 3 * labels[:, 4:]
    preds = preds.astype(np.float32)
    labels[rng.random(labels.shape) < [0.2, 0, 0, 0, 0.5, 0]] = -100
    _, verdict = reported(preds, labels, task="multilabel")
    loss, scored = np.logaddexp(0, np.where(labels == 1, -preds, preds).astype(np.float64)), labels >= 0
    share, size = loss[:, 4:][scored[:, 4:]].sum() / loss[scored].sum(), scored[:, 4:].sum() / scored.sum()
    evidence = verdict["evidence"]
    assert evidence["tail_loss_share"] == pytest.approx(share, rel=1e-4)
    assert evidence["tail_share_ratio"] == pytest.approx(share / size, rel=1e-4)
    assert evidence["tail_share"] == pytest.approx((labels[:, 4:] == 1).sum() / (labels == 1).sum())
    said = f", and the decisions on the rare, {100 * size:.0f}% of all, carry {100 * share:.0f}% of the loss;"
    assert said in verdict["sentences"][0]


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
    perfect = verdict_of(numbers_of(scored(labels, labels, task="regression")))
    assert perfect["sentences"][2] == "First: nothing has to be done; there is no error to mend."
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
    def judged(recalls, predicted, counts=(1000, 100)):
        return verdict_of(by_hand(list(counts), recalls, predicted=predicted))

    found = judged([0.7, 0.95], [705, 395])
    assert found["imbalance"] == "problem"
    assert "the other way round" in found["sentences"][0]
    assert judged([0.91, 0.99], [911, 189])["imbalance"] == "minor"
    # errors as frequent in both: those of the many outnumber the labels of the few
    even = judged([0.9, 0.9], [910, 190])
    assert even["imbalance"] == "none"
    assert "predicted 1.9 times as often as they occur is the errors of the many" in even["sentences"][0]
    # the more, the worse: no shift is so large that it is none
    assert all(
        judged([r, 0.99], [round(1000 * r) + 1, 1099 - round(1000 * r)])["imbalance"] == "problem"
        for r in (0.6, 0.3, 0.0)
    )
    # too few to tell a shift from chance
    assert judged([0.6, 0.8], [40, 30], counts=(50, 20))["imbalance"] == "unknown"


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
