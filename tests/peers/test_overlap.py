"""Tversky, Jaccard and Lovász losses beside MONAI, smp and kornia.

evaltool's smoothing is Dice's: added to 2 TP, where Tversky losses elsewhere add theirs to TP. So theirs is doubled.
"""

import pytest
import torch

from evaltool import losses
from tests.peers.closeness import as_one_sample, different, same

RATIOS = [(0.5, 0.5), (0.3, 0.7), (0.8, 0.1)]


@pytest.mark.parametrize("ratio", RATIOS)
def test_monai_tversky(monai, image, ratio):
    """alpha weighs false positives and beta false negatives everywhere; the peers' defaults are 0.5 and 0.5."""
    alpha, beta = ratio
    peer = monai.TverskyLoss(
        softmax=True, to_onehot_y=True, alpha=alpha, beta=beta, smooth_nr=0.5, smooth_dr=0.25, reduction="none"
    )
    ours = losses.TverskyLoss(alpha=alpha, beta=beta, smooth_nr=1, smooth_dr=0.5, classes="all")
    same(ours(image.logits, image.labels), peer(image.logits, image.labels.unsqueeze(1)).mean(1))


@pytest.mark.parametrize("ratio", RATIOS)
def test_monai_tversky_of_masks(monai, mask, ratio):
    alpha, beta = ratio
    peer = monai.TverskyLoss(sigmoid=True, alpha=alpha, beta=beta, smooth_nr=0.5, smooth_dr=0.5, reduction="none")
    ours = losses.TverskyLoss(alpha=alpha, beta=beta)
    same(ours(mask.logits, mask.labels), peer(mask.logits, mask.labels).flatten())


@pytest.mark.parametrize("ratio", RATIOS)
def test_smp_tversky_sums_over_the_batch(smp, image, mask, ratio):
    alpha, beta = ratio
    ours = losses.TverskyLoss(alpha=alpha, beta=beta)
    theirs = smp.TverskyLoss("multiclass", alpha=alpha, beta=beta, smooth=0.5)(image.logits, image.labels)
    same(ours(as_one_sample(image.logits), image.labels.reshape(1, -1)), theirs.reshape(1))
    theirs = smp.TverskyLoss("binary", alpha=alpha, beta=beta, smooth=0.5)(mask.logits, mask.labels)
    same(ours(as_one_sample(mask.logits), as_one_sample(mask.labels)), theirs.reshape(1))


def test_smp_focal_tversky(smp, image, mask):
    """Its gamma is the exponent, evaltool's (and the paper's) its inverse; and it raises the mean over the classes."""
    theirs = smp.TverskyLoss("binary", alpha=0.3, beta=0.7, smooth=0.5, gamma=0.75)(mask.logits, mask.labels)
    ours = losses.FocalTverskyLoss(alpha=0.3, beta=0.7, gamma=4 / 3)
    same(ours(as_one_sample(mask.logits), as_one_sample(mask.labels)), theirs.reshape(1))
    theirs = smp.TverskyLoss("multiclass", alpha=0.3, beta=0.7, smooth=0.5, gamma=4.0)(image.logits, image.labels)
    one, flat = as_one_sample(image.logits), image.labels.reshape(1, -1)
    same(losses.TverskyLoss(alpha=0.3, beta=0.7)(one, flat) ** 4, theirs.reshape(1))
    by_class = losses.TverskyLoss(alpha=0.3, beta=0.7).by_class(one, flat) * 3
    ours = losses.FocalTverskyLoss(alpha=0.3, beta=0.7, gamma=0.25)
    same(ours(one, flat), (by_class**4).mean(1))


@pytest.mark.parametrize("ratio", RATIOS)
def test_kornia_tversky(kornia, sparse, ratio):
    """Over the classes in the sample, as evaltool, then the batch's mean; eps is added below only."""
    alpha, beta = ratio
    theirs = kornia.TverskyLoss(alpha, beta, eps=1e-3)(sparse.logits, sparse.labels)
    ours = losses.TverskyLoss(alpha=alpha, beta=beta, smooth_nr=0, smooth_dr=2e-3, reduction="mean")
    same(ours(sparse.logits, sparse.labels), theirs)


def test_monai_jaccard(monai, image, mask):
    """MONAI's Jaccard is an option of its Dice loss and adds its smoothing to 2 I, as evaltool."""
    peer = monai.DiceLoss(softmax=True, to_onehot_y=True, jaccard=True, smooth_nr=1, smooth_dr=2, reduction="none")
    theirs = peer(image.logits, image.labels.unsqueeze(1)).flatten(1).mean(1)
    same(losses.JaccardLoss(smooth_dr=2, classes="all")(image.logits, image.labels), theirs)
    peer = monai.DiceLoss(sigmoid=True, jaccard=True, smooth_nr=1, smooth_dr=1, reduction="none")
    same(losses.JaccardLoss()(mask.logits, mask.labels), peer(mask.logits, mask.labels).flatten())


@pytest.mark.parametrize("smooth", [0.0, 0.5])
def test_smp_jaccard_sums_over_the_batch(smp, image, mask, smooth):
    ours = losses.JaccardLoss(smooth_nr=2 * smooth, smooth_dr=2 * smooth)
    theirs = smp.JaccardLoss("multiclass", smooth=smooth)(image.logits, image.labels)
    same(ours(as_one_sample(image.logits), image.labels.reshape(1, -1)), theirs.reshape(1))
    theirs = smp.JaccardLoss("binary", smooth=smooth)(mask.logits, mask.labels)
    same(ours(as_one_sample(mask.logits), as_one_sample(mask.labels)), theirs.reshape(1))


def test_smp_lovasz_softmax(smp, sparse):
    """per_image=True is the mean of evaltool's values; its default sorts the whole batch's positions together."""
    ours = losses.LovaszLoss(reduction="mean")
    theirs = smp.LovaszLoss("multiclass", per_image=True)(sparse.logits, sparse.labels)
    same(ours(sparse.logits, sparse.labels), theirs)
    theirs = smp.LovaszLoss("multiclass")(sparse.logits, sparse.labels)
    same(ours(as_one_sample(sparse.logits), sparse.labels.reshape(1, -1)), theirs)
    different(ours(sparse.logits, sparse.labels), theirs)


def test_smp_lovasz_hinge(smp, mask):
    ours = losses.LovaszLoss(reduction="mean")
    x, y = mask.logits.squeeze(1), mask.labels.squeeze(1)
    same(ours(x, y), smp.LovaszLoss("binary", per_image=True)(x, y))
    same(ours(x.reshape(1, -1), y.reshape(1, -1)), smp.LovaszLoss("binary")(x, y))


def test_lovasz_ignored_positions(smp, image):
    labels = image.labels.clone()
    labels[:, 2:4] = 255
    theirs = smp.LovaszLoss("multiclass", per_image=True, ignore_index=255)(image.logits, labels)
    same(losses.LovaszLoss(ignore_index=255, reduction="mean")(image.logits, labels), theirs)


def test_kornia_lovasz_softmax_counts_every_class(kornia, sparse):
    """A class that is absent enters with its largest probability: classes="all"."""
    theirs = kornia.LovaszSoftmaxLoss()(sparse.logits, sparse.labels)
    same(losses.LovaszLoss(classes="all", reduction="mean")(sparse.logits, sparse.labels), theirs)
    different(losses.LovaszLoss(reduction="mean")(sparse.logits, sparse.labels), theirs)


def test_kornia_lovasz_hinge(kornia, mask):
    theirs = kornia.LovaszHingeLoss()(mask.logits, mask.labels.squeeze(1))
    same(losses.LovaszLoss(reduction="mean")(mask.logits, mask.labels.squeeze(1)), theirs)
    assert torch.isfinite(theirs)
