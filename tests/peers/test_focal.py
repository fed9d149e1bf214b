"""Focal losses beside torchvision, MONAI, smp and kornia: gamma is the same everywhere, alpha and the mean are not."""

import pytest
import torch

from evaltool.losses import BinaryFocalLoss, FocalLoss
from tests.peers.closeness import different, same

GAMMAS = [0.5, 1.0, 2.0, 5.0]


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("alpha", [None, 0.25, 0.9])
def test_torchvision_sigmoid(torchvision, rows, gamma, alpha):
    """Its alpha is 0.25 unless -1 turns it off; evaltool's is None unless given."""
    theirs = torchvision.sigmoid_focal_loss(rows.logits, rows.many, alpha=-1 if alpha is None else alpha, gamma=gamma)
    same(BinaryFocalLoss(gamma=gamma, alpha=alpha).map(rows.logits, rows.many), theirs)
    same(BinaryFocalLoss(gamma=gamma, alpha=alpha)(rows.logits, rows.many), theirs.mean(1))


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_monai_sigmoid(monai, mask, gamma, alpha):
    theirs = monai.FocalLoss(gamma=gamma, alpha=alpha, reduction="none")(mask.logits, mask.labels)
    ours = BinaryFocalLoss(gamma=gamma, alpha=alpha)
    same(ours.map(mask.logits, mask.labels), theirs)
    same(ours(mask.logits, mask.labels), theirs.flatten(1).mean(1))


def test_monai_sigmoid_alpha_per_class_weighs_positives_only(monai, rows):
    """evaltool's pair (negatives, positives) says so, here column by column."""
    alpha = [0.1, 0.3, 0.5, 0.7, 0.9]
    theirs = monai.FocalLoss(alpha=alpha, reduction="none")(rows.logits, rows.many)
    ours = [BinaryFocalLoss(alpha=(1.0, a))(rows.logits[:, c], rows.many[:, c]) for c, a in enumerate(alpha)]
    same(torch.stack(ours, 1), theirs)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_monai_softmax(monai, image, gamma):
    """Its map has an axis of classes with zeros off the label, which its mean counts: C times too small."""
    ours = FocalLoss(gamma=gamma)
    arguments = {"use_softmax": True, "gamma": gamma, "to_onehot_y": True}
    theirs = monai.FocalLoss(**arguments, reduction="none")(image.logits, image.labels.unsqueeze(1))
    same(ours.map(image.logits, image.labels), theirs.sum(1))
    same(ours(image.logits, image.labels), theirs.sum(1).flatten(1).mean(1))
    mean = monai.FocalLoss(**arguments)(image.logits, image.labels.unsqueeze(1))
    same(FocalLoss(gamma=gamma, reduction="mean")(image.logits, image.labels), 3 * mean)


def test_monai_sum_is_over_samples_of_their_mean(monai, image):
    """evaltool's sum is over positions, as PyTorch's."""
    theirs = monai.FocalLoss(use_softmax=True, reduction="sum")(image.logits, image.hot)
    same(FocalLoss()(image.logits, image.labels).sum(), theirs)
    same(FocalLoss(reduction="sum")(image.logits, image.labels), theirs * 6 * 7)


@pytest.mark.parametrize("peer", ["monai", "kornia"])
def test_one_alpha_of_a_softmax_makes_class_0_the_background(peer, image, request):
    """MONAI and kornia read alpha=a as 1 - a for class 0 and a for the others; evaltool as a factor for all."""
    losses = request.getfixturevalue(peer)
    if peer == "monai":
        theirs = losses.FocalLoss(use_softmax=True, alpha=0.25, reduction="none")(image.logits, image.hot)
    else:
        theirs = losses.FocalLoss(alpha=0.25, reduction="none")(image.logits, image.labels)
    same(FocalLoss(alpha=[0.75, 0.25, 0.25])(image.logits, image.labels), theirs.sum(1).flatten(1).mean(1))
    same(FocalLoss(alpha=0.25).map(image.logits, image.labels)[image.labels > 0], theirs.sum(1)[image.labels > 0])


@pytest.mark.parametrize("peer", ["monai", "kornia"])
def test_one_alpha_per_class_of_a_softmax(peer, image, request):
    """MONAI calls it alpha (or weight), kornia weight."""
    factors = torch.tensor([0.2, 0.3, 0.5])
    losses = request.getfixturevalue(peer)
    if peer == "monai":
        theirs = losses.FocalLoss(use_softmax=True, alpha=factors.tolist(), reduction="none")(image.logits, image.hot)
    else:
        theirs = losses.FocalLoss(alpha=None, weight=factors, reduction="none")(image.logits, image.labels)
    same(FocalLoss(alpha=factors).map(image.logits, image.labels), theirs.sum(1))


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_smp_binary(smp, mask, gamma, alpha):
    """reduction="none" gives [N * S] without the samples' boundaries; the mean is PyTorch's."""
    theirs = smp.FocalLoss("binary", gamma=gamma, alpha=alpha)(mask.logits, mask.labels)
    same(BinaryFocalLoss(gamma=gamma, alpha=alpha, reduction="mean")(mask.logits, mask.labels), theirs)
    flat = smp.FocalLoss("binary", gamma=gamma, alpha=alpha, reduction="none")(mask.logits, mask.labels)
    same(BinaryFocalLoss(gamma=gamma, alpha=alpha)(mask.logits, mask.labels), flat.view(4, -1).mean(1))


def test_smp_multiclass_is_a_sigmoid_of_each_class(smp, image):
    """Not the softmax's focal loss: the sigmoid one of one-hot labels; and a scalar, whatever reduction asks for."""
    theirs = smp.FocalLoss("multiclass", reduction="none")(image.logits, image.labels)
    assert theirs.shape == ()
    same(BinaryFocalLoss(reduction="mean")(image.logits, image.hot), theirs)
    different(FocalLoss(reduction="mean")(image.logits, image.labels), theirs)
    different(FocalLoss(reduction="mean")(image.logits, image.labels) / 3, theirs)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_kornia_softmax(kornia, image, gamma):
    """As MONAI's: an axis of classes, and a mean that counts it."""
    theirs = kornia.FocalLoss(alpha=None, gamma=gamma)(image.logits, image.labels)
    same(FocalLoss(gamma=gamma).map(image.logits, image.labels), theirs.sum(1))
    mean = kornia.FocalLoss(alpha=None, gamma=gamma, reduction="mean")(image.logits, image.labels)
    same(FocalLoss(gamma=gamma, reduction="mean")(image.logits, image.labels), 3 * mean)


def test_ignored_positions_of_a_softmax(monai, kornia, image):
    """kornia's mean counts ignored positions, MONAI's counts the others and then no longer the classes."""
    labels = image.labels.clone()
    labels[:, 1:3] = -100
    valid = labels != -100
    ours = FocalLoss(reduction="mean")(image.logits, labels)
    theirs = kornia.FocalLoss(alpha=None, reduction="mean")(image.logits, labels)
    same(ours, theirs * 3 * labels.numel() / valid.sum())
    theirs = monai.FocalLoss(use_softmax=True, to_onehot_y=True, ignore_index=-100)(image.logits, labels.unsqueeze(1))
    same(ours, theirs)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_kornia_binary(kornia, mask, gamma, alpha):
    theirs = kornia.BinaryFocalLossWithLogits(alpha=alpha, gamma=gamma)(mask.logits, mask.labels)
    same(BinaryFocalLoss(gamma=gamma, alpha=alpha).map(mask.logits, mask.labels), theirs)


def test_kornia_binary_weights(kornia, rows):
    """weight is evaltool's; pos_weight is the second of evaltool's pair, for one class."""
    weight = torch.tensor([1.0, 2.0, 0.5, 0.0, 3.0])
    theirs = kornia.BinaryFocalLossWithLogits(alpha=None, weight=weight)(rows.logits, rows.many)
    same(BinaryFocalLoss(weight=weight).map(rows.logits, rows.many), theirs)
    x, y = rows.logits[:, :1], rows.many[:, :1]
    theirs = kornia.BinaryFocalLossWithLogits(alpha=None, pos_weight=torch.tensor([3.0]))(x, y)
    same(BinaryFocalLoss(alpha=(1.0, 3.0)).map(x, y), theirs)
