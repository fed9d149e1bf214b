"""Brier scores against scikit-learn, and their sums against exact arithmetic."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss

from evaltool.metrics import BrierScore


@pytest.mark.parametrize("kind", ["logits", "probs", "log-probs"])
def test_multiclass_is_scikit_learns(kind, rng):
    logits = torch.from_numpy(rng.normal(size=(300, 5)) * 4).float()
    labels = rng.integers(0, 5, 300)
    preds = {"logits": logits, "probs": logits.softmax(1), "log-probs": logits.log_softmax(1)}[kind]
    got = BrierScore(preds_are=kind)(preds, torch.from_numpy(labels))
    probs = logits.double().softmax(1).numpy()
    assert float(got) == pytest.approx(brier_score_loss(labels, probs, labels=range(5), scale_by_half=False), rel=1e-6)


def test_binary_is_scikit_learns_and_multilabel_the_mean_over_classes(rng):
    probs, labels = rng.uniform(size=(300, 3)).astype(np.float32), rng.integers(0, 2, (300, 3))
    each = [brier_score_loss(labels[:, c], probs[:, c].astype(np.float64)) for c in range(3)]
    inputs = torch.from_numpy(probs), torch.from_numpy(labels)
    got = BrierScore(task="binary", preds_are="probs")(inputs[0][:, 0], inputs[1][:, 0])
    assert float(got) == pytest.approx(each[0], rel=1e-6)
    got = BrierScore(task="multilabel", preds_are="probs")(*inputs)
    assert float(got) == pytest.approx(np.mean(each), rel=1e-6)


def test_a_confident_model_keeps_its_digits():
    """1 - p is 2.06e-9, of which float32 probabilities know nothing."""
    got = BrierScore(task="binary")(torch.tensor([20.0, 20.0]), torch.tensor([1, 1]))
    assert float(got) == pytest.approx((1 / (1 + math.exp(20))) ** 2, rel=1e-6)
    got = BrierScore()(torch.tensor([[20.0, 0.0]]), torch.tensor([0]))
    assert float(got) == pytest.approx(2 * (1 / (1 + math.exp(20))) ** 2, rel=1e-6)


def test_the_sum_is_exact_over_all_of_float32(rng):
    """Terms from 1 down to the subnormal, of which a running float64 sum would lose most."""
    logits = torch.from_numpy(rng.uniform(-10, 46, 100)).float()
    terms = [float(BrierScore(task="binary")(logits[i : i + 1], torch.ones(1))) for i in range(100)]
    metric = BrierScore(task="binary")
    metric.update(logits, torch.ones(100))
    assert float(metric.compute()) == pytest.approx(math.fsum(terms) / 100, rel=1e-15)
    assert min(terms) < 1e-38 < 0.9 < max(terms)
