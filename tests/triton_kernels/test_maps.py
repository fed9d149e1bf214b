"""Kernels of positions: every column, map and part of a segmentation against PyTorch."""

import numpy as np
import pytest
import torch

from evaltool.losses import BinaryCrossEntropyLoss, BinaryFocalLoss, CrossEntropyLoss, DiceLoss, FocalLoss
from evaltool.metrics import SegmentationScorecard
from evaltool.numerics.log_odds import two_classes
from evaltool.schema import KINDS, OK
from evaltool.triton_kernels.task import kernel_task
from tests.triton_kernels.running import DEVICE, FLOOR, assert_near, kernels_run, readable

pytestmark = kernels_run
SHAPES = [(2, (7,)), (5, (24, 23)), (12, (5, 4, 2))]


def tolerance_of(dtype):
    """Return how far the probabilities of a dtype may sum from 1: rounded to half precision they miss by more."""
    return 1e-3 if dtype == torch.float32 else 5e-2


def maps_of(preds, labels, losses, kind, foreground=False):
    from evaltool.triton_kernels.launch import map_columns

    asked = kernel_task(
        losses,
        task="segmentation",
        preds_are=kind,
        foreground=foreground,
        tolerance=tolerance_of(preds.dtype),
        ignore_index=-100,
        device=DEVICE,
    )
    n = len(labels)
    flat = preds.reshape(n, -1) if foreground else preds.flatten(2)
    return map_columns(flat.contiguous().to(DEVICE), labels.reshape(n, -1).to(DEVICE), asked)


def laced(classes, sizes, kind, dtype):
    """Seven images: plain ones, a sure one, one of ignored positions alone, and three that cannot be scored."""
    z = torch.randn(7, classes, *sizes) * torch.tensor([0.1, 1, 30, 5, 5, 5, 5]).reshape(7, *[1] * (1 + len(sizes)))
    if kind != "logits":
        z = z.double().log_softmax(1).float()
        z = z.exp() if kind == "probs" else z
    z = z.to(dtype)
    labels = torch.randint(0, classes, (7, *sizes))
    flat, rows = labels.view(7, -1), z.view(7, classes, -1)
    flat[:, :2], flat[3] = -100, -100
    flat[4, -1] = classes
    rows[0, :, 0] = torch.nan  # at an ignored position, where it counts for nothing
    rows[5, 1, -1], rows[6, 0, 3] = torch.inf, torch.nan
    if kind != "probs":
        rows[1, 0, 4], flat[1, 4] = -torch.inf, 0 if kind == "logits" else 1
    return readable(z), labels


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("classes", "sizes"), SHAPES, ids=str)
def test_columns_are_those_of_pytorch(classes, sizes, kind, dtype):
    preds, labels = laced(classes, sizes, kind, dtype)
    weight = torch.linspace(0.5, 2, classes)
    losses = {
        "ce": CrossEntropyLoss(weight=weight, preds_are=kind),
        "dice": DiceLoss(preds_are=kind),
        "focal": FocalLoss(gamma=weight, preds_are=kind),
        "squared": DiceLoss(squared=True, smooth_nr=0.0, smooth_dr=0.0, classes="all", preds_are=kind),
    }
    card = SegmentationScorecard(preds_are=kind, tolerance=tolerance_of(dtype))
    check(preds, labels, losses, kind, card(preds, labels), given=preds)


@pytest.mark.parametrize("kind", KINDS)
def test_one_foreground_class_is_that_of_pytorch(kind):
    two, labels = laced(2, (24, 23), "logits", torch.float32)
    preds = two[:, 1] - two[:, 0]
    preds = {"logits": preds, "probs": preds.sigmoid(), "log-probs": torch.nn.functional.logsigmoid(preds)}[kind]
    preds[2] = 0.0 if kind == "probs" else -50.0
    labels[2] = 0  # nothing in the label, nothing in the prediction
    losses = {
        "bce": BinaryCrossEntropyLoss(pos_weight=3.0, preds_are=kind),
        "dice": DiceLoss(preds_are=kind),
        "binary_focal": BinaryFocalLoss(alpha=0.25, preds_are=kind),
        "ce": CrossEntropyLoss(preds_are=kind),
    }
    card = SegmentationScorecard(foreground=True, preds_are=kind)(preds, labels)
    check(preds, labels, losses, kind, card, given=two_classes(preds, kind), foreground=True)


def check(preds, labels, losses, kind, expected, *, given, foreground=False):
    found = maps_of(preds, labels, losses, kind, foreground)
    got = {name: values.cpu() for name, values in found.columns.of(found.columns.buffer).items()}
    assert got["status"].tolist() == expected["status"].tolist()
    ok = expected["status"] == OK
    assert ok.sum() >= 2
    n = len(labels)
    valid = (labels.reshape(n, -1) != -100)[ok]
    pred = expected["pred_map"].reshape(n, -1)[ok]
    assert found.pred.cpu()[ok][valid].tolist() == pred[valid].tolist()
    for name in ("n_valid", "worst_class", "clamped"):
        assert got[name][ok].tolist() == expected[name][ok].long().tolist(), name
    for name, loss in losses.items():
        of = given if isinstance(loss, CrossEntropyLoss) else preds
        expected[name] = loss(of, labels)
        if name in found.losses:
            assert_near(found.losses[name].cpu()[ok], loss.map(of, labels).reshape(n, -1)[ok], f"map of {name}")
        else:
            parts = loss.by_class(of, labels)[ok]
            got_parts = found.parts[name].cpu()[ok][:, -parts.size(1) :]
            assert_near(got_parts, parts, f"parts of {name}", steps=FLOOR * labels[0].numel())
    for name in ("accuracy", "iou", "p_label", "p_pred", "margin", "entropy", *losses):
        assert_near(got[name][ok], expected[name][ok], name, steps=FLOOR * labels[0].numel())


def test_an_image_is_the_same_whatever_is_beside_it():
    preds, labels = laced(5, (24, 23), "logits", torch.float32)
    losses = {"ce": CrossEntropyLoss(), "dice": DiceLoss()}
    whole, alone = maps_of(preds, labels, losses, "logits"), maps_of(preds[1:2], labels[1:2], losses, "logits")
    assert np.array_equal(whole.columns.buffer.cpu()[:, 1], alone.columns.buffer.cpu()[:, 0])


@pytest.mark.gpu  # the interpreter takes a minute
def test_a_dice_of_a_half_precision_mask_has_its_digits():
    preds = torch.randn(1, 2, 512, 512).half()
    labels = torch.randint(0, 2, (1, 512, 512))
    found = maps_of(preds, labels, {"dice": DiceLoss()}, "logits")
    assert_near(found.columns.buffer[-1], DiceLoss()(preds.double(), labels), "dice")
