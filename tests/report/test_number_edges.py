"""Runs that have little to say: each gives a document that JSON takes, with None where nothing is known."""

import json

import numpy as np
import pytest
import torch

from evaltool.errors import EvaltoolError
from evaltool.report.class_table import class_table
from evaltool.report.groups import split_classes
from evaltool.report.numbers import numbers_of
from tests.report.problems import binary, long_tail, multilabel, scored, segmentation


class BelowZero(torch.nn.Module):
    """A module whose values are below 0, and 0."""

    def forward(self, preds, labels):
        return -preds.gather(1, labels[:, None])[:, 0].clamp(min=0)


RNG = np.random.default_rng(3)
PREDS = RNG.normal(size=(200, 4)).astype(np.float32)
LABELS = RNG.integers(0, 4, 200)
EDGES = {
    "one label": (PREDS, np.zeros(200, int), {}),
    "one label of two": (PREDS[:, :2], np.zeros(200, int), {}),
    "no errors": (np.eye(4)[LABELS] * 200, LABELS, {}),
    "all errors": (-np.eye(4)[LABELS] * 200, LABELS, {}),
    "one row": (PREDS[:1], LABELS[:1], {"task": "multiclass"}),
    "no scored row": (PREDS, np.full(200, 77), {"task": "multiclass"}),
    "all ignored": (PREDS, np.full(200, -100), {"task": "multiclass"}),
    "infinite losses": (np.where(RNG.uniform(size=(200, 4)) < 0.2, -np.inf, PREDS), LABELS, {}),
    "all infinite": (np.where(np.eye(4)[LABELS] > 0, -np.inf, PREDS), LABELS, {}),
    "even predictions": (np.full((200, 4), 0.25), LABELS, {"preds_are": "probs"}),
    "losses of 0": (np.eye(4)[LABELS] * 200, LABELS, {"losses": ["ce"]}),
    "losses below 0": (PREDS, LABELS, {"losses": [BelowZero()]}),
    "soft labels": (PREDS, RNG.dirichlet(np.ones(4), 200), {"task": "multiclass"}),
    "weighted": (PREDS, LABELS, {"losses": ["ce:weight=[1,2,3,4]"]}),
    "binary, one label": (PREDS[:, 0], np.zeros(200, int), {"task": "binary"}),
    "binary, one row": (PREDS[:1, 0], np.ones(1, int), {"task": "binary"}),
    "binary, fractions": (PREDS[:, 0], RNG.uniform(size=200), {"task": "binary"}),
    "multilabel, no positives": (PREDS, np.zeros((200, 4), int), {"task": "multilabel"}),
    "multilabel, one row": (PREDS[:1], np.ones((1, 4), int), {"task": "multilabel"}),
    "multilabel, ignored parts": (PREDS, np.where(PREDS > 1, -100, PREDS > 0), {"task": "multilabel"}),
    "segmentation, one image": (RNG.normal(size=(1, 3, 4, 4)), RNG.integers(0, 3, (1, 4, 4)), {}),
    "segmentation, one foreground": (RNG.normal(size=(5, 1, 4, 4)), RNG.integers(0, 2, (5, 4, 4)), {}),
    "segmentation, empty foreground": (
        RNG.normal(size=(5, 1, 4, 4)),
        np.zeros((5, 4, 4), int),
        {"task": "segmentation"},
    ),
    "regression, right": (PREDS[:, 0], PREDS[:, 0], {"task": "regression"}),
    "regression, one row": (PREDS[:1, 0], PREDS[1:2, 0], {"task": "regression"}),
    "regression, many outputs": (PREDS, PREDS + 1, {"task": "regression"}),
    "regression, no scored row": (np.full(9, np.nan), np.zeros(9), {"task": "regression"}),
    "null names": (PREDS, LABELS, {"class_names": ["<script>", 'a,"b"', "猫", ""]}),
}


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("split", ["many-medium-few", "lvis"])
def test_every_run_has_numbers(name, split):
    preds, labels, options = EDGES[name]
    run = scored(preds, labels, **options)
    numbers = numbers_of(run, split=split)
    json.dumps(numbers, allow_nan=False)
    assert len(numbers["classes"]) == (0 if run.task == "regression" else run.num_classes)
    for rate in [*numbers["rates"].values(), *(row["f1"] for row in numbers["classes"])]:
        assert rate["low"] is None or rate["low"] <= rate["value"] <= rate["high"]


def test_what_is_not_known_is_none():
    numbers = numbers_of(scored(PREDS, np.full(200, 77), task="multiclass"))
    assert numbers["n_scored"] == 0
    assert numbers["imbalance"]["ratio"] is None
    assert numbers["imbalance"]["lrid"] is None
    assert numbers["imbalance"]["lorenz"] == []
    assert numbers["confusions"]["pairs"] == []
    assert numbers["hardness"]["ce"]["histogram"] == []
    assert numbers["hardness"]["ce"]["easy_half_share"] is None
    assert numbers["focusing"]["rows"] == []
    assert numbers["focusing"]["suggested"] is None


def test_losses_of_0_have_no_shares():
    numbers = numbers_of(scored(*EDGES["losses of 0"][:2], losses=["ce"]))
    loss = numbers["classes"][0]["losses"]["ce"]
    assert loss["mean"]["value"] == 0
    assert loss["share"] is None
    assert loss["share_ratio"] == {"value": None, "low": None, "high": None}
    assert numbers["hardness"]["ce"]["lorenz"] == []
    assert numbers["hardness"]["ce"]["histogram"][0]["count"] == 200


def test_a_bootstrap_that_cannot_vary_gives_no_interval():
    rates = numbers_of(scored(*EDGES["no errors"][:2]))["rates"]
    assert rates["kappa"] == {"value": 1.0, "low": None, "high": None}
    assert rates["accuracy"]["low"] > 0.97  # Wilson's has one


@pytest.mark.parametrize(
    ("split", "counts", "names"),
    [
        ("many-medium-few", [0, 19, 19.5, 20, 100, 101], ["few", "few", "few", "medium", "medium", "many"]),
        ("lvis", [0, 1, 10, 11, 100, 101], ["rare", "rare", "rare", "common", "common", "frequent"]),
    ],
)
def test_training_counts_group_the_classes(rng, split, counts, names):
    run = scored(*long_tail(rng))
    numbers = numbers_of(run, train_counts=counts, split=split)
    assert [row["group"] for row in numbers["classes"]] == names
    assert [row["train_count"] for row in numbers["classes"]] == counts
    assert numbers["groups"]["by"] == "training counts"
    assert sorted(c for group in numbers["groups"]["rows"] for c in group["classes"]) == list(range(6))
    assert [group["name"] for group in numbers["groups"]["rows"]] == list(dict.fromkeys(reversed(names)))


def test_label_counts_group_the_classes_without_training_counts(rng):
    numbers = numbers_of(scored(*long_tail(rng)))
    counts = [row["count"] for row in numbers["classes"]]
    expected = ["many" if count > 100 else "medium" if count >= 20 else "few" for count in counts]
    assert [row["group"] for row in numbers["classes"]] == expected
    assert numbers["groups"]["by"] == "label counts"
    assert numbers["groups"]["rows"][0]["rule"] == "more than 100 labels"
    rows = numbers["classes"]
    for group in numbers["groups"]["rows"]:
        own = [rows[c]["recall"]["value"] for c in group["classes"] if rows[c]["recall"]["value"] is not None]
        assert group["recall"]["value"] == (pytest.approx(np.mean(own)) if own else None)
        assert group["count"] == sum(rows[c]["count"] for c in group["classes"])


def test_a_class_that_is_never_predicted_counts_as_precision_0():
    preds = np.eye(3)[[0, 0, 1, 0]] * 5
    numbers = numbers_of(scored(preds, np.array([0, 0, 1, 2]), task="multiclass"))
    assert numbers["classes"][2]["precision"] == {"value": 0.0, "low": None, "high": None}
    assert numbers["groups"]["rows"][0]["precision"]["value"] == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_training_counts_of_other_classes_are_refused(rng):
    table = class_table(scored(*long_tail(rng)))
    with pytest.raises(EvaltoolError) as error:
        split_classes(table, [1, 2, 3], "lvis")
    assert str(error.value) == (
        "the training counts do not match the classes\n  got 3 numbers, expected 6, one per class\n"
        "  Give how often each class is in the training set, in the order of the classes."
    )
    with pytest.raises(EvaltoolError) as error:
        split_classes(table, [1, 2, float("nan"), 4, -5, 6], "lvis")
    assert str(error.value) == (
        "a training count is no count\n  class 2: nan, expected a number of 0 or more\n"
        "  Give how often each class is in the training set."
    )
    with pytest.raises(ValueError, match=r"split='x', expected one of many-medium-few, lvis"):
        split_classes(table, None, "x")


@pytest.mark.parametrize("classes", [2, 20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_any_number_of_classes(classes):
    rng = np.random.default_rng(1)
    preds = rng.normal(size=(48, classes)).astype(np.float32)
    labels = rng.integers(0, classes, 48)
    preds[:24, labels[:24]] += 9
    run = scored(preds, labels)
    numbers = numbers_of(run)
    assert len(numbers["classes"]) == classes
    assert len(numbers["confusions"]["block"]) <= 25
    assert numbers["imbalance"]["n_absent"] == classes - len(np.unique(labels))
    assert len(numbers["imbalance"]["lorenz"]) <= 200
    if classes > 16384:
        assert numbers["rates"]["auroc"]["value"] is None


@pytest.mark.parametrize("made", [binary, multilabel, segmentation])
def test_the_groups_of_every_task(rng, made):
    numbers = numbers_of(scored(*made(rng)), split="lvis")
    assert sum(group["share"] for group in numbers["groups"]["rows"]) == pytest.approx(1)
    for group in numbers["groups"]["rows"]:
        assert (group["recall"]["low"] is None) == (made is segmentation)
