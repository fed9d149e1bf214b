"""AUROC and average precision: scikit-learn's on the bins exactly, and on the predictions within the stated bound."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from evaltool.metrics import AUROC, AveragePrecision

METRICS = {"auroc": (AUROC, roc_auc_score), "average-precision": (AveragePrecision, average_precision_score)}


def bins(log_odds, num_bins):
    """Return the bin of each of the log-odds, as documented."""
    return np.clip(np.floor((np.clip(log_odds, -32, 32) + 32) * num_bins / 64), 0, num_bins - 1)


@pytest.mark.parametrize("num_bins", [2, 64, 4096])
@pytest.mark.parametrize("name", METRICS)
def test_binary_is_scikit_learns_on_the_bins_and_within_the_bound(name, num_bins, rng):
    metric, function = METRICS[name]
    labels = rng.integers(0, 2, 500)
    scores = (rng.normal(size=500) * 2 + labels).astype(np.float32)
    module = metric(task="binary", num_bins=num_bins)
    module.update(torch.from_numpy(scores), torch.from_numpy(labels))
    assert float(module.compute()) == pytest.approx(function(labels, bins(scores, num_bins)), abs=1e-12)
    error = abs(float(module.compute()) - function(labels, scores))
    assert error <= float(module.error_bound()) + 1e-12
    if num_bins == 4096:
        assert float(module.error_bound()) < 0.01


@given(st.lists(st.tuples(st.integers(-40, 40), st.booleans()), min_size=2, max_size=30))
def test_the_bound_holds_for_any_scores(rows):
    scores = np.array([score for score, _ in rows], np.float32)
    labels = np.array([label for _, label in rows], np.int64)
    if labels.all() or not labels.any():
        return
    for metric, function in METRICS.values():
        module = metric(task="binary", num_bins=7)
        module.update(torch.from_numpy(scores), torch.from_numpy(labels))
        error = abs(float(module.compute()) - function(labels, scores))
        assert error <= float(module.error_bound()) + 1e-12


@pytest.mark.parametrize("name", METRICS)
def test_the_bound_is_reached_in_the_worst_order(name):
    metric, function = METRICS[name]
    scores, labels = np.array([5.0, 4.0], np.float32), np.array([1, 0])
    module = metric(task="binary", num_bins=2)
    module.update(torch.from_numpy(scores), torch.from_numpy(labels))
    assert (float(module.compute()), function(labels, scores), float(module.error_bound())) == (0.5, 1.0, 0.5)


def test_positives_below_many_negatives_are_bounded_from_below():
    """Taken as tied they have a precision of 2 / 12 each; one after the other, 1 / 11 and 2 / 12."""
    scores, labels = np.array([5.0] * 10 + [-4.0, -5.0], np.float32), np.array([0] * 10 + [1, 1])
    module = AveragePrecision(task="binary", num_bins=2)
    module.update(torch.from_numpy(scores), torch.from_numpy(labels))
    error = float(module.compute()) - average_precision_score(labels, scores)
    assert error == pytest.approx((2 / 12 - 1 / 11) / 2)
    assert float(module.error_bound()) == pytest.approx(2 / 12 - 1 / 11)


@pytest.mark.parametrize("average", ["macro", "micro", "weighted", "none"])
@pytest.mark.parametrize("name", METRICS)
def test_multilabel_averages_are_scikit_learns_on_the_bins(name, average, rng):
    metric, function = METRICS[name]
    labels = (rng.uniform(size=(400, 3)) < [0.1, 0.5, 0.8]).astype(np.int64)
    scores = (rng.normal(size=(400, 3)) + labels).astype(np.float32)
    module = metric(task="multilabel", num_classes=3, average=average)
    got = module(torch.from_numpy(scores), torch.from_numpy(labels))
    expected = function(labels, bins(scores, 4096), average=None if average == "none" else average)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("average", ["macro", "micro", "weighted", "none"])
@pytest.mark.parametrize("name", METRICS)
def test_multiclass_is_each_class_against_the_rest(name, average, rng):
    metric, function = METRICS[name]
    labels = rng.integers(0, 4, 600)
    logits = torch.from_numpy(rng.normal(size=(600, 4)) * 3 + 2 * np.eye(4)[labels]).float()
    module = metric(num_classes=4, average=average)
    module.update(logits, torch.from_numpy(labels))
    log_odds = logits.double().softmax(1).logit().numpy()
    expected = function(np.eye(4)[labels], log_odds, average=None if average == "none" else average)
    error = (module.compute() - torch.as_tensor(np.asarray(expected))).abs()
    assert bool((error <= module.error_bound()).all())
    assert bool((module.error_bound() < 0.02).all())


def test_probabilities_that_are_1_in_float32_are_still_told_apart():
    """20 and 25 are both 1 as float32 probabilities, and all that a ranking of those can see."""
    logits, labels = torch.tensor([20.0, 25.0]), torch.tensor([0, 1])
    assert float(AUROC(task="binary")(logits, labels)) == 1.0
    assert float(AUROC(task="binary", preds_are="probs")(logits.sigmoid(), labels)) == 0.5


def test_of_one_class_there_is_no_ranking():
    preds, ones = torch.tensor([0.3, -0.2]), torch.tensor([1, 1])
    assert bool(AUROC(task="binary")(preds, ones).isnan())
    assert bool(AUROC(task="binary")(preds, 1 - ones).isnan())
    assert float(AveragePrecision(task="binary")(preds, ones)) == 1.0
    assert bool(AveragePrecision(task="binary")(preds, 1 - ones).isnan())


def test_the_mean_over_classes_leaves_out_the_undefined():
    preds, labels = torch.tensor([[1.0, 0.5], [-1.0, 0.2], [0.5, 0.1]]), torch.tensor([[1, 1], [0, 1], [0, 1]])
    assert AUROC(task="multilabel", num_classes=2, average="none")(preds, labels).isnan().tolist() == [False, True]
    for average in ("macro", "weighted"):
        assert float(AUROC(task="multilabel", num_classes=2, average=average)(preds, labels)) == 1.0


def test_masked_classes_rank_last():
    logits = torch.tensor([[2.0, -torch.inf, 0.0], [0.0, 1.0, -torch.inf], [0.0, 2.0, 1.0]])
    value = AUROC(num_classes=3, average="none")(logits, torch.tensor([0, 1, 2]))
    assert value.tolist()[0] == 1.0
    assert bool(value.isfinite().all())
