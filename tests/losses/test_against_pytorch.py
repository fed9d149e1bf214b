"""Reductions are PyTorch's, so that the modules can stand in for its losses."""

import pytest
import torch
from torch.nn import functional as F

from evaltool.losses import (
    BinaryCrossEntropyLoss,
    CrossEntropyLoss,
    FocalLoss,
    L1Loss,
    MSELoss,
    SmoothL1Loss,
)

WEIGHT = [0.5, 2.0, 1.0, 3.0]
SPACES = [(), (6,), (4, 5)]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("space", SPACES, ids=["flat", "sequence", "image"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_with_weights_smoothing_and_ignored_labels(reduction, space, weight, smoothing):
    preds, labels = torch.randn(8, 4, *space) * 3, torch.randint(0, 4, (8, *space))
    labels[0] = 255
    ours = CrossEntropyLoss(weight=weight, label_smoothing=smoothing, ignore_index=255, reduction=reduction)
    theirs = F.cross_entropy(
        preds,
        labels,
        weight=None if weight is None else torch.tensor(weight),
        label_smoothing=smoothing,
        ignore_index=255,
        reduction=reduction,
    )
    torch.testing.assert_close(ours(preds, labels), theirs, rtol=2e-6, atol=0)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_with_soft_labels(reduction, weight, smoothing):
    preds, labels = torch.randn(8, 4) * 3, torch.rand(8, 4).softmax(1)
    tensor = None if weight is None else torch.tensor(weight)
    ours = CrossEntropyLoss(weight=weight, label_smoothing=smoothing, reduction=reduction)(preds, labels)
    theirs = F.cross_entropy(preds, labels, weight=tensor, label_smoothing=smoothing, reduction=reduction)
    torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=0)


def test_one_hot_soft_labels_equal_class_indices_in_both_tails():
    preds = torch.tensor([[60.0, -40.0, 0.0], [-60.0, 40.0, 0.0], [1.0, 2.0, 3.0]])
    labels = torch.tensor([0, 0, 2])
    one_hot = F.one_hot(labels, 3).float()
    torch.testing.assert_close(CrossEntropyLoss()(preds, one_hot), CrossEntropyLoss()(preds, labels), rtol=1e-6, atol=0)


def test_soft_labels_leave_masked_classes_without_share_out():
    preds = torch.tensor([[1.0, -torch.inf, 2.0]])
    value = CrossEntropyLoss()(preds, torch.tensor([[0.25, 0.0, 0.75]]))
    expected = F.cross_entropy(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.25, 0.75]]))
    torch.testing.assert_close(value[0], expected)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_binary_cross_entropy_with_weights_and_soft_labels(reduction):
    preds, labels = torch.randn(6, 4) * 3, torch.rand(6, 4)
    ours = BinaryCrossEntropyLoss(pos_weight=WEIGHT, weight=[1.0, 0.5, 2.0, 1.0], reduction=reduction)(preds, labels)
    theirs = F.binary_cross_entropy_with_logits(
        preds,
        labels,
        pos_weight=torch.tensor(WEIGHT),
        weight=torch.tensor([1.0, 0.5, 2.0, 1.0]),
        reduction=reduction,
    )
    torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=0)


def test_binary_cross_entropy_mean_is_over_valid_elements():
    preds, labels = torch.randn(6, 4), torch.randint(0, 2, (6, 4)).float()
    labels[0, :3] = -100
    valid = labels != -100
    theirs = F.binary_cross_entropy_with_logits(preds[valid], labels[valid])
    torch.testing.assert_close(BinaryCrossEntropyLoss(reduction="mean")(preds, labels), theirs)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(L1Loss, F.l1_loss), (MSELoss, F.mse_loss), (SmoothL1Loss, F.smooth_l1_loss)],
    ids=["l1", "mse", "smooth-l1"],
)
def test_regression(ours, theirs, reduction):
    preds, labels = torch.randn(6, 4, 3), torch.randn(6, 4, 3)
    torch.testing.assert_close(ours(reduction=reduction)(preds, labels), theirs(preds, labels, reduction=reduction))


def test_smooth_l1_beta():
    preds, labels = torch.randn(50), torch.randn(50)
    ours = SmoothL1Loss(beta=0.3, reduction="mean")(preds, labels)
    torch.testing.assert_close(ours, F.smooth_l1_loss(preds, labels, beta=0.3))


def test_softmax_over_two_classes_equals_sigmoid_of_the_difference():
    preds, labels = torch.randn(40, 2, dtype=torch.float64) * 10, torch.randint(0, 2, (40,))
    torch.testing.assert_close(
        CrossEntropyLoss()(preds, labels),
        BinaryCrossEntropyLoss()(preds[:, 1] - preds[:, 0], labels),
        rtol=1e-13,
        atol=0,
    )


def test_gamma_zero_is_cross_entropy_and_alpha_one_changes_nothing():
    preds, labels = torch.randn(40, 5) * 20, torch.randint(0, 5, (40,))
    assert torch.equal(FocalLoss(gamma=0)(preds, labels), CrossEntropyLoss()(preds, labels))
    assert torch.equal(FocalLoss(alpha=1.0)(preds, labels), FocalLoss()(preds, labels))
