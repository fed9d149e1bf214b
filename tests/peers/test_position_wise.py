"""Cross-entropies, asymmetric and poly losses beside smp and timm, which has no value per sample but for some."""

import pytest
import torch

from evaltool import losses
from evaltool.losses import BinaryCrossEntropyLoss, CrossEntropyLoss
from tests.peers.closeness import different, same


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_smp_cross_entropy(smp, image, smoothing):
    """label_smoothing is called smooth_factor; None is no 0 there, and fails."""
    peer = smp.SoftCrossEntropyLoss(smooth_factor=smoothing, reduction="none")
    theirs = peer(image.logits, image.labels.unsqueeze(1)).squeeze(1)
    same(CrossEntropyLoss(label_smoothing=smoothing).map(image.logits, image.labels), theirs)


def test_smp_mean_counts_ignored_positions(smp, image):
    """evaltool's mean is over the valid positions, as PyTorch's."""
    labels = image.labels.clone()
    labels[:, 2:4] = -100
    theirs = smp.SoftCrossEntropyLoss(smooth_factor=0.0)(image.logits, labels.unsqueeze(1))
    same(CrossEntropyLoss(reduction="mean")(image.logits, labels), theirs * 6 / 4)


def test_smp_binary_cross_entropy(smp, mask):
    """Its smooth_factor s moves labels to s and 1 - s: evaltool takes such soft labels."""
    weight = torch.tensor([3.0])
    theirs = smp.SoftBCEWithLogitsLoss(pos_weight=weight, reduction="none")(mask.logits, mask.labels)
    same(BinaryCrossEntropyLoss(pos_weight=3.0).map(mask.logits, mask.labels), theirs)
    theirs = smp.SoftBCEWithLogitsLoss(smooth_factor=0.1, reduction="none")(mask.logits, mask.labels)
    same(BinaryCrossEntropyLoss().map(mask.logits, 0.1 + 0.8 * mask.labels), theirs)


def test_timm_cross_entropy(timm, rows):
    theirs = timm.LabelSmoothingCrossEntropy(smoothing=0.1)(rows.logits, rows.labels)
    same(CrossEntropyLoss(label_smoothing=0.1, reduction="mean")(rows.logits, rows.labels), theirs)
    shares = torch.rand(6, 5).softmax(1)
    theirs = timm.SoftTargetCrossEntropy()(rows.logits, shares)
    same(CrossEntropyLoss(reduction="mean")(rows.logits, shares), theirs)


def test_timm_binary_cross_entropy(timm, rows):
    """It smooths by 0.1 unless told not to."""
    theirs = timm.BinaryCrossEntropy(smoothing=0.0)(rows.logits, rows.many)
    same(BinaryCrossEntropyLoss(reduction="mean")(rows.logits, rows.many), theirs)


@pytest.mark.parametrize("clip", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("gammas", [(1.0, 4.0), (0.0, 2.0)])
def test_timm_asymmetric(timm, rows, clip, gammas):
    """Its default reduction is the batch's mean of the classes' sum; evaltool's value is the mean over the classes."""
    positive, negative = gammas
    arguments = {"gamma_pos": positive, "gamma_neg": negative, "clip": clip}
    ours = losses.AsymmetricLoss(**arguments)
    theirs = timm.AsymmetricLossMultiLabel(**arguments, reduction="none")(rows.logits, rows.many)
    same(ours.map(rows.logits, rows.many), theirs)
    theirs = timm.AsymmetricLossMultiLabel(**arguments)(rows.logits, rows.many)
    same(ours(rows.logits, rows.many).mean() * 5, theirs)


@pytest.mark.parametrize("eps", [-0.5, 1.0, 2.0])
def test_timm_poly(timm, rows, eps):
    """Its epsilon is 2 by default, evaltool's 1."""
    theirs = timm.PolyCrossEntropy(epsilon=eps, reduction="none")(rows.logits, rows.labels)
    same(losses.PolyLoss(eps=eps)(rows.logits, rows.labels), theirs)


def test_timm_binary_poly_is_the_sigmoid(timm, rows):
    """evaltool's PolyLoss is the softmax's: of the logits (0, x) for the label it is timm's binary one."""
    theirs = timm.PolyBinaryCrossEntropy(epsilon=1.0, gamma=2.0, alpha=0.25, reduction="none")(rows.logits, rows.many)
    x, y = rows.logits.flatten(), rows.many.flatten().long()
    two = torch.stack([torch.zeros_like(x), x], 1)
    same(losses.PolyLoss(eps=1.0, gamma=2.0, alpha=[0.75, 0.25])(two, y), theirs.flatten())
    different(losses.PolyLoss(eps=1.0)(two, y), theirs.flatten())
