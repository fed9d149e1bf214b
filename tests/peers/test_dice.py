"""Dice losses beside MONAI, smp and kornia.

They differ in what is summed (a sample; smp: the batch), in the smoothing (evaltool: 1 above and below; MONAI: 1e-5;
smp: none, and counted twice; kornia: 1e-8 below), and in the classes that are absent from a sample.
"""

import pytest
import torch

from evaltool import losses
from evaltool.losses import DiceLoss
from tests.peers.closeness import as_one_sample, different, same

SMOOTH = [(1.0, 1.0), (0.0, 1e-5), (0.5, 2.0)]


@pytest.mark.parametrize("smooth", SMOOTH)
@pytest.mark.parametrize("squared", [False, True], ids=["plain", "squared"])
def test_monai_softmax(monai, sparse, smooth, squared):
    """Its value per sample and class is evaltool's by_class times the number of classes; absent classes count."""
    nr, dr = smooth
    peer = monai.DiceLoss(
        softmax=True, to_onehot_y=True, smooth_nr=nr, smooth_dr=dr, squared_pred=squared, reduction="none"
    )
    theirs = peer(sparse.logits, sparse.labels.unsqueeze(1))
    assert theirs.shape == (4, 3, 1, 1)
    ours = DiceLoss(smooth_nr=nr, smooth_dr=dr, squared=squared, classes="all")
    same(ours.by_class(sparse.logits, sparse.labels) * 3, theirs.flatten(1))
    same(ours(sparse.logits, sparse.labels), theirs.flatten(1).mean(1))
    different(DiceLoss(smooth_nr=nr, smooth_dr=dr, squared=squared)(sparse.logits, sparse.labels)[:1], theirs[0].mean())


@pytest.mark.parametrize("smooth", SMOOTH)
@pytest.mark.parametrize("squared", [False, True], ids=["plain", "squared"])
def test_monai_sigmoid(monai, mask, smooth, squared):
    nr, dr = smooth
    peer = monai.DiceLoss(sigmoid=True, smooth_nr=nr, smooth_dr=dr, squared_pred=squared, reduction="none")
    ours = DiceLoss(smooth_nr=nr, smooth_dr=dr, squared=squared)
    same(ours(mask.logits, mask.labels), peer(mask.logits, mask.labels).flatten())


def test_monai_ignored_positions(monai, image):
    labels = image.labels.clone()
    labels[:, 2:4] = 255
    peer = monai.DiceLoss(softmax=True, to_onehot_y=True, smooth_nr=1, smooth_dr=1, ignore_index=255, reduction="none")
    theirs = peer(image.logits, labels.unsqueeze(1))
    same(DiceLoss(classes="all", ignore_index=255)(image.logits, labels), theirs.flatten(1).mean(1))


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_smp_binary_sums_over_the_batch(smp, mask, smooth):
    """Its smooth is added to the intersection, half of what evaltool's is added to."""
    theirs = smp.DiceLoss("binary", smooth=smooth)(mask.logits, mask.labels)
    ours = DiceLoss(smooth_nr=2 * smooth, smooth_dr=2 * smooth)
    same(ours(as_one_sample(mask.logits), as_one_sample(mask.labels)), theirs.reshape(1))
    different(ours(mask.logits, mask.labels).mean(), theirs)


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_smp_multiclass_sums_over_the_batch(smp, image, smooth):
    theirs = smp.DiceLoss("multiclass", smooth=smooth)(image.logits, image.labels)
    ours = DiceLoss(smooth_nr=2 * smooth, smooth_dr=2 * smooth, reduction="mean")
    same(ours(as_one_sample(image.logits), image.labels.reshape(1, -1)), theirs)


def test_smp_counts_a_class_absent_from_the_batch_as_0(smp, image):
    """evaltool leaves it out of the mean ("present") or gives it its loss ("all")."""
    labels = image.labels.clamp(max=1)
    theirs = smp.DiceLoss("multiclass", smooth=0.5)(image.logits, labels)
    one, flat = as_one_sample(image.logits), labels.reshape(1, -1)
    same(DiceLoss()(one, flat) * 2 / 3, theirs.reshape(1))
    different(DiceLoss(classes="all")(one, flat), theirs.reshape(1))


def test_kornia_macro(kornia, sparse):
    """Per sample over the present classes, as evaltool, then the batch's mean in every case."""
    theirs = kornia.DiceLoss(average="macro", eps=1e-3)(sparse.logits, sparse.labels)
    same(DiceLoss(smooth_nr=0, smooth_dr=1e-3, reduction="mean")(sparse.logits, sparse.labels), theirs)


def test_kornia_micro_is_its_default(kornia, image):
    """One sum over classes and positions: evaltool pools so where there are no positions."""
    theirs = kornia.DiceLoss()(image.logits, image.labels)
    ours = DiceLoss(smooth_nr=0, smooth_dr=1e-8, preds_are="probs", activation="sigmoid", reduction="mean")
    same(ours(image.logits.softmax(1).flatten(1), image.hot.flatten(1)), theirs)
    different(DiceLoss(reduction="mean")(image.logits, image.labels), theirs)


@pytest.mark.parametrize("smooth", [(0.0, 0.0), (1e-5, 1e-5)])
@pytest.mark.parametrize("absent", [False, True], ids=["all present", "one absent"])
def test_monai_generalized(monai, image, sparse, smooth, absent):
    """Eager; what its scripted module returns is another number (scripts/peers)."""
    scene = sparse if absent else image
    nr, dr = smooth
    peer = monai.GeneralizedDiceLoss(softmax=True, to_onehot_y=True, smooth_nr=nr, smooth_dr=dr, reduction="none")
    theirs = peer(scene.logits, scene.labels.unsqueeze(1))
    ours = losses.GeneralizedDiceLoss(smooth_nr=nr, smooth_dr=dr)
    same(ours(scene.logits, scene.labels), theirs.flatten())


def test_monai_dice_ce(monai, image):
    peer = monai.DiceCELoss(
        softmax=True, to_onehot_y=True, smooth_nr=1, smooth_dr=1, lambda_dice=0.7, lambda_ce=1.3, reduction="mean"
    )
    ours = losses.DiceCELoss(lambda_dice=0.7, lambda_ce=1.3, classes="all", reduction="mean")
    same(ours(image.logits, image.labels), peer(image.logits, image.labels.unsqueeze(1)))


def test_monai_dice_ce_weighs_dice_too(monai, image):
    """evaltool's weight is the cross-entropy's alone."""
    weight = torch.tensor([0.5, 1.0, 2.0])
    peer = monai.DiceCELoss(softmax=True, to_onehot_y=True, smooth_nr=1, smooth_dr=1, weight=weight)
    theirs = peer(image.logits, image.labels.unsqueeze(1))
    ours = losses.DiceCELoss(weight=weight, classes="all", reduction="mean")(image.logits, image.labels)
    different(ours, theirs)
    by_class = DiceLoss(classes="all").by_class(image.logits, image.labels)
    same(ours + (by_class * (weight - 1)).sum(1).mean(), theirs)


def test_monai_dice_ce_of_masks(monai, mask):
    """With one channel the sigmoid's; with more, its cross-entropy is a softmax's even where Dice is a sigmoid's."""
    peer = monai.DiceCELoss(sigmoid=True, smooth_nr=1, smooth_dr=1)
    ours = losses.DiceCELoss(activation="sigmoid", reduction="mean")
    same(ours(mask.logits, mask.labels), peer(mask.logits, mask.labels))
    x, y = (values.reshape(2, 2, 6, 7) for values in (mask.logits, mask.labels))
    each = [ours(x[:, c], y[:, c]) for c in range(2)]
    different(sum(each) / 2, peer(x, y))


def test_monai_dice_ce_gives_no_value_per_sample(monai, image):
    with pytest.raises(ValueError, match="Unsupported option 'none'"):
        monai.DiceCELoss(softmax=True, to_onehot_y=True, reduction="none")
    assert losses.DiceCELoss()(image.logits, image.labels).shape == (4,)


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_monai_dice_focal_of_masks(monai, mask, alpha):
    peer = monai.DiceFocalLoss(sigmoid=True, smooth_nr=1, smooth_dr=1, gamma=1.5, alpha=alpha, lambda_focal=2)
    ours = losses.DiceFocalLoss(gamma=1.5, alpha=alpha, lambda_focal=2, reduction="mean")
    same(ours(mask.logits, mask.labels), peer(mask.logits, mask.labels))


def test_monai_dice_focal_of_a_softmax_keeps_the_sigmoid_focal_loss(monai, image):
    """The parts give its number; evaltool's focal loss there is the softmax's."""
    peer = monai.DiceFocalLoss(softmax=True, to_onehot_y=True, smooth_nr=1, smooth_dr=1)
    theirs = peer(image.logits, image.labels.unsqueeze(1))
    dice = DiceLoss(classes="all", reduction="mean")(image.logits, image.labels)
    same(dice + losses.BinaryFocalLoss(reduction="mean")(image.logits, image.hot), theirs)
    different(losses.DiceFocalLoss(classes="all", reduction="mean")(image.logits, image.labels), theirs)
