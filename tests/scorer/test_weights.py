"""Class weights and label counts: to which parameter they go, and what is recorded."""

import json

import numpy as np
import pyarrow.parquet
import pytest
import torch

import evaltool
from evaltool.catalogue import CATALOGUE
from evaltool.errors import EvaltoolError
from evaltool.losses import BinaryFocalLoss, FocalLoss
from evaltool.scorer import label_counts
from evaltool.weights import class_weights

from .problems import problem


def parameters(spec, task, **options):
    """Return the parameters that the run records of a SPEC."""
    return evaltool.score(*problem(task), losses=[spec], **options).manifest["losses"][0]["parameters"]


def weights(counts, rule="effective-number"):
    return class_weights(torch.as_tensor(counts), rule).tolist()


MULTICLASS = np.bincount(problem("multiclass")[1], minlength=5)
SEGMENTATION = np.bincount(problem("segmentation")[1].ravel(), minlength=4)
BINARY = np.bincount(problem("binary")[1], minlength=2)
FOREGROUND = np.bincount(problem("foreground")[1].ravel(), minlength=2)
POSITIVES = problem("multilabel")[1].sum(0)
BOTH = [300 - POSITIVES.sum(), POSITIVES.sum()]

FIVE, FOUR, TWO = [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0], [3.0, 2.0]
# what --class-weights set; what is not here they do not touch
WEIGHED = {
    ("ce", "multiclass"): {"weight": FIVE},
    ("ce", "segmentation"): {"weight": FOUR},
    ("ce", "foreground"): {"weight": TWO},
    ("focal", "multiclass"): {"alpha": FIVE},
    ("focal", "foreground"): {"alpha": TWO},
    ("bce", "binary"): {"neg_weight": 3.0, "pos_weight": 2.0},
    ("bce", "foreground"): {"neg_weight": 3.0, "pos_weight": 2.0},
    ("bce", "multilabel"): {"weight": FIVE},
    ("binary-focal", "binary"): {"alpha": TWO},
    ("binary-focal", "foreground"): {"alpha": TWO},
    ("binary-focal", "multilabel"): {"weight": FIVE},
    ("ova-focal", "multiclass"): {"weight": FIVE},
    ("dice", "multiclass"): {},
    ("dice-ce", "multiclass"): {"weight": FIVE},
    ("dice-ce", "binary"): {},
    ("dice-ce", "multilabel"): {"weight": FIVE},
    ("dice-focal", "segmentation"): {"alpha": FOUR},
    ("dice-focal", "binary"): {"alpha": TWO},
    ("dice-focal", "foreground"): {"alpha": TWO},
    ("dice-focal", "multilabel"): {},
    ("generalized-dice", "foreground"): {},
    ("tversky", "multiclass"): {},
    ("poly", "multiclass"): {"alpha": FIVE},
    ("gce", "multiclass"): {"weight": FIVE},
    ("logit-adjusted", "multiclass"): {"weight": FIVE, "prior": MULTICLASS.tolist()},
    ("ldam", "foreground"): {"weight": TWO, "counts": FOREGROUND.tolist()},
    ("seesaw", "segmentation"): {"weight": FOUR, "counts": SEGMENTATION.tolist()},
    ("asymmetric", "multilabel"): {"weight": FIVE},
    ("asymmetric", "binary"): {},
    ("quality-focal", "multilabel"): {"weight": FIVE},
    ("varifocal", "multilabel"): {"weight": FIVE},
    ("varifocal", "foreground"): {},
    ("ohem-ce", "multilabel"): {},
}


@pytest.mark.parametrize(("name", "task"), WEIGHED)
def test_class_weights_go_to_the_parameter_that_takes_them(name, task, capfd):
    given = {"multiclass": FIVE, "segmentation": FOUR, "multilabel": FIVE}.get(task, TWO)
    found = parameters(name, task, class_weights=given, progress="none")
    expected = WEIGHED[name, task]
    assert found == {**CATALOGUE[name].parameters, **expected}
    warned = f"warning: class weights do not apply to {name.replace('-', '_')}\n"
    assert (warned in capfd.readouterr().err) == (not expected)


# what label counts fill in
FILLED = {
    ("focal:alpha=balanced", "multiclass"): {"alpha": weights(MULTICLASS)},
    ("focal:alpha=inverse", "multiclass"): {"alpha": weights(MULTICLASS, "inverse")},
    ("focal:alpha=balanced", "segmentation"): {"alpha": weights(SEGMENTATION)},
    ("focal:alpha=balanced", "foreground"): {"alpha": weights(FOREGROUND)},
    ("ce:weight=sqrt-inverse", "multiclass"): {"weight": weights(MULTICLASS, "sqrt-inverse")},
    ("binary-focal:alpha=balanced", "binary"): {"alpha": weights(BINARY)},
    ("binary-focal:alpha=enet", "foreground"): {"alpha": weights(FOREGROUND, "enet")},
    ("binary-focal:alpha=balanced", "multilabel"): {"alpha": weights(BOTH)},
    ("binary-focal:weight=balanced", "multilabel"): {"weight": weights(POSITIVES)},
    ("bce:weight=inverse", "multilabel"): {"weight": weights(POSITIVES, "inverse")},
    ("ova-focal:alpha=inverse", "multiclass"): {"alpha": weights([240, 60], "inverse")},
    ("ova-focal:alpha=inverse", "foreground"): {"alpha": [1.0, 1.0]},
    ("ova-focal:weight=balanced", "multiclass"): {"weight": weights(MULTICLASS)},
    ("dice-focal:alpha=balanced", "multiclass"): {"alpha": weights(MULTICLASS)},
    ("dice-focal:alpha=balanced", "binary"): {"alpha": weights(BINARY)},
    ("dice-focal:alpha=balanced", "multilabel"): {"alpha": weights(BOTH)},
    ("dice-ce:weight=balanced", "segmentation"): {"weight": weights(SEGMENTATION)},
    ("dice-ce:weight=balanced", "multilabel"): {"weight": weights(POSITIVES)},
    ("poly:alpha=balanced", "multiclass"): {"alpha": weights(MULTICLASS)},
    ("gce:weight=balanced", "multiclass"): {"weight": weights(MULTICLASS)},
    ("asymmetric:weight=balanced", "multilabel"): {"weight": weights(POSITIVES)},
    ("logit-adjusted", "multiclass"): {"prior": MULTICLASS.tolist()},
    ("logit-adjusted:prior=none,tau=0.5", "segmentation"): {"prior": SEGMENTATION.tolist(), "tau": 0.5},
    ("logit-adjusted:prior=[1,2,3,4]", "segmentation"): {"prior": FOUR},
    ("ldam", "multiclass"): {"counts": MULTICLASS.tolist()},
    ("ldam:counts=3,2", "foreground"): {"counts": TWO},
    ("seesaw", "foreground"): {"counts": FOREGROUND.tolist()},
}


@pytest.mark.parametrize(("spec", "task"), FILLED)
def test_label_counts_fill_in_what_is_left_to_them(spec, task):
    name = spec.partition(":")[0]
    assert parameters(spec, task) == {**CATALOGUE[name].parameters, **FILLED[spec, task]}


def test_filled_in_weights_weigh_the_values():
    preds, labels = problem("multiclass")
    scores = evaltool.score(preds, labels, losses=["focal:alpha=balanced"])
    tensors = torch.from_numpy(preds), torch.from_numpy(labels)
    np.testing.assert_allclose(scores["focal"], FocalLoss(alpha=weights(MULTICLASS))(*tensors), rtol=1e-5)
    preds, labels = problem("multilabel")
    scores = evaltool.score(preds, labels, losses=["binary-focal:alpha=balanced"])
    tensors = torch.from_numpy(preds), torch.from_numpy(labels)
    np.testing.assert_allclose(
        scores["binary_focal"], BinaryFocalLoss(alpha=weights(BOTH))(*tensors), rtol=1e-5
    )  # the mean of the map is taken in another order


def test_filled_in_weights_are_recorded_as_numbers(tmp_path):
    preds, labels = problem("multiclass")
    evaltool.score(preds, labels, losses=["focal:alpha=balanced"], output=tmp_path / "a.run")
    record = json.loads((tmp_path / "a.run/run.json").read_text())["losses"][0]
    assert record["parameters"] == {"gamma": 2.0, "alpha": weights(MULTICLASS)}
    schema = pyarrow.parquet.read_schema(tmp_path / "a.run/scores.parquet")
    assert json.loads(schema.metadata[b"evaltool.formulas"])["focal"] == (
        f"alpha_t (1 - p_t)^gamma (-log p_t); gamma = 2.0, alpha = {weights(MULTICLASS)}"
    )


def test_labels_are_read_once_whatever_is_filled_in(monkeypatch):
    reads = []

    def counted(block):
        reads.append(len(block))
        return np.asarray(block)

    monkeypatch.setattr(label_counts, "as_array", counted)
    specs = ["focal:alpha=balanced", "other=focal:alpha=inverse", "ce:weight=enet", "dice"]
    evaltool.score(*problem("multiclass"), losses=specs, class_weights="inverse")
    assert reads == [60]
    evaltool.score(*problem("multiclass"), losses=["focal", "ce"], class_weights=FIVE)
    assert reads == [60]


def test_what_a_spec_gives_wins_over_class_weights():
    options = {"class_weights": FIVE, "losses": ["focal:alpha=0.25", "ce:weight=none", "other=focal:alpha=balanced"]}
    records = evaltool.score(*problem("multiclass"), **options).manifest["losses"]
    found = [record["parameters"] for record in records]
    assert [found[0]["alpha"], found[1]["weight"], found[2]["alpha"]] == [0.25, None, weights(MULTICLASS)]
    found = parameters("bce:pos_weight=7", "binary", class_weights=TWO)
    assert found == {"neg_weight": 3.0, "pos_weight": 7.0, "weight": None}


def test_ignored_and_bad_labels_do_not_count():
    preds, labels = problem("multiclass")
    labels[:3], labels[3:5] = -100, 77
    counts = np.bincount(labels[5:], minlength=5)
    record = evaltool.score(preds, labels, losses=["focal:alpha=inverse"], max_bad=1).manifest["losses"][0]
    assert record["parameters"]["alpha"] == weights(counts, "inverse")
    preds, labels = problem("multilabel")
    labels[0], labels[1, 2] = -100, 77
    record = evaltool.score(preds, labels, losses=["binary-focal:alpha=inverse"], max_bad=1).manifest["losses"][0]
    valid = (labels == 0) | (labels == 1)
    positives = labels[valid].sum()
    assert record["parameters"]["alpha"] == weights([valid.sum() - positives, positives], "inverse")


def test_soft_labels_count_by_their_shares():
    preds, _ = problem("multiclass")
    shares = np.random.default_rng(1).dirichlet(np.ones(5), 60)
    record = evaltool.score(preds, shares, losses=["ce:weight=inverse"]).manifest["losses"][0]
    assert record["parameters"]["weight"] == pytest.approx(weights(shares.sum(0), "inverse"))
    preds, _ = problem("binary")
    soft = np.random.default_rng(1).random(60)
    record = evaltool.score(preds, soft, losses=["binary-focal:alpha=inverse"], task="binary").manifest["losses"][0]
    assert record["parameters"]["alpha"] == pytest.approx(weights([(1 - soft).sum(), soft.sum()], "inverse"))


@pytest.mark.parametrize("options", [{"losses": ["focal:alpha=balanced"]}, {"class_weights": "balanced"}])
def test_labels_that_hold_nothing_to_count(options):
    preds, labels = problem("multiclass")
    asked = "--class-weights balanced" if "class_weights" in options else "--loss focal:alpha=balanced"
    with pytest.raises(EvaltoolError) as caught:
        evaltool.score(preds, np.full_like(labels, -100), task="multiclass", preds_are="logits", **options)
    assert str(caught.value) == (f"no label to count\n  labels: {asked}\n  Is --ignore-index right? Else give numbers.")


def test_balanced_class_weights_are_by_the_effective_number():
    found = parameters("ce", "multiclass", class_weights="balanced")
    assert found["weight"] == weights(MULTICLASS)
