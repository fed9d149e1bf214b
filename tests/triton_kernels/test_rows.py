"""Kernels of rows: every column against 60-digit arithmetic and against PyTorch, over kinds, dtypes and sizes."""

import itertools

import numpy as np
import pytest
import torch

from evaltool.losses import BinaryCrossEntropyLoss, BinaryFocalLoss, CrossEntropyLoss, DiceLoss, FocalLoss
from evaltool.metrics import BinaryScorecard, MulticlassScorecard
from evaltool.schema import KINDS, OK
from evaltool.triton_kernels.task import kernel_task
from tests import oracle
from tests.triton_kernels.running import DEVICE, FLOOR, assert_near, kernels_run, readable

pytestmark = kernels_run
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
TOLERANCE = 1e-3


def columns_of(preds, labels, losses, kind, task="multiclass"):
    from evaltool.triton_kernels.launch import row_columns

    asked = kernel_task(
        losses, task=task, preds_are=kind, foreground=False, tolerance=TOLERANCE, ignore_index=-100, device=DEVICE
    )
    columns = row_columns(preds.to(DEVICE), labels.to(DEVICE), asked)
    return {name: values.cpu() for name, values in columns.of(columns.buffer).items()}


def softmax_losses(kind, classes):
    weight = torch.linspace(0.5, 2, classes)
    return {
        "ce": CrossEntropyLoss(preds_are=kind),
        "weighted": CrossEntropyLoss(weight=weight, preds_are=kind),
        "focal": FocalLoss(preds_are=kind),
        "by_class": FocalLoss(gamma=weight * 2, alpha=weight, preds_are=kind),
        "dice": DiceLoss(preds_are=kind),
        "squared": DiceLoss(squared=True, smooth_nr=0.0, smooth_dr=0.0, preds_are=kind),
    }


def noisy(classes, kind, dtype, rows=48):
    """Predictions from flat to certain, laced with what cannot be scored and with masked classes; labels as well."""
    z = torch.randn(rows, classes) * torch.tensor([0.1, 1.0, 10.0, 30.0]).repeat(rows // 4)[:, None]
    labels = torch.randint(0, classes, (rows,))
    if kind != "logits":
        z = z.double().log_softmax(1).float()
        z = z.exp() if kind == "probs" else z
    z, zero = z.to(dtype), 0.0 if kind == "probs" else -torch.inf
    labels[:3] = torch.tensor([-100, classes, -1])
    z[3, -1], z[4, 0] = torch.nan, torch.inf
    z[5, :] = zero
    z[6, :], z[6, -1], labels[6] = zero, 0.0 if kind != "probs" else 1.0, classes - 1  # sure and right
    z[7], labels[7] = z[6], 0  # sure and wrong
    z[8, 0] = zero
    z[9, :2] = z[9].max()  # a tie
    z[10] *= 1.1  # no distribution
    return readable(z), labels


# the interpreter takes seconds for thousands of classes
SIZES = [*itertools.product([2, 3, 10, 33, 100], DTYPES), (1000, torch.float32), (5000, torch.float16)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("classes", "dtype"), SIZES, ids=str)
def test_columns_are_those_of_pytorch(classes, kind, dtype):
    preds, labels = noisy(classes, kind, dtype, rows=48 if classes < 1000 else 28)
    losses = softmax_losses(kind, classes)
    got = columns_of(preds, labels, losses, kind)
    expected = MulticlassScorecard(preds_are=kind, tolerance=TOLERANCE)(preds, labels)
    assert got["status"].tolist() == expected["status"].tolist()
    ok = expected["status"] == OK
    assert ok.sum() >= 15
    assert got["pred"][ok].tolist() == expected["pred"][ok].tolist()
    expected |= {name: loss(preds, labels) for name, loss in losses.items()}
    for name in ("p_label", "p_pred", "margin", "entropy", *losses):
        assert_near(got[name][ok], expected[name][ok], name)


GRID_ROWS = [row for c in (2, 3) for row in list(itertools.product(oracle.GRID, repeat=c))[:: 3 if c == 2 else 13]]


@pytest.mark.parametrize("wide", [False, True], ids=["narrow", "wide"])
@pytest.mark.parametrize("classes", [2, 3])
def test_logits_from_both_tails_match_the_oracle(classes, wide):
    rows = [row for row in GRID_ROWS if len(row) == classes]
    truth = [oracle.softmax(row) for row in rows]
    preds = torch.tensor(rows, dtype=torch.float32)
    if wide:  # masked classes beside them
        preds = torch.cat([preds, torch.full([len(rows), 40], -torch.inf)], 1)
    for t in range(classes):
        losses = {"ce": CrossEntropyLoss()} | {f"gamma {g}": FocalLoss(gamma=g) for g in oracle.GAMMAS}
        got = columns_of(preds, torch.full([len(rows)], t), losses, "logits")
        assert not got["status"].any()
        assert got["pred"].tolist() == [row.index(max(row)) for row in rows]
        p_label = [p[t] for p in truth]
        checks = {
            "p_label": p_label,
            "p_pred": [max(p) for p in truth],
            "margin": [oracle.margin(p, t) for p in truth],
            "entropy": [oracle.entropy(p) for p in truth],
            "ce": [oracle.minus_log(p, t) for p in truth],
        }
        checks |= {f"gamma {g}": [oracle.focal(p, t, g) for p in truth] for g in oracle.GAMMAS}
        for name, values in checks.items():
            assert oracle.worst_error(got[name].numpy(), values) < 1e-5, name


def test_rows_of_131072_classes_are_those_of_pytorch():
    classes = 131_072
    preds = torch.randn(3, classes) * 5
    preds[1, -1] = 60.0  # the first class of the softmax is in the last tile, and far ahead
    labels = torch.tensor([5, classes - 1, 70_000])
    losses = softmax_losses("logits", classes)
    got = columns_of(preds, labels, losses, "logits")
    expected = MulticlassScorecard()(preds.double(), labels)
    expected |= {name: loss(preds.double(), labels) for name, loss in losses.items()}
    assert got["pred"].tolist() == expected["pred"].tolist()
    for name in ("p_label", "p_pred", "margin", "entropy", *losses):
        assert_near(got[name], expected[name], name)


@pytest.mark.parametrize("classes", [10, 300])
def test_a_row_is_the_same_whatever_is_beside_it(classes):
    preds, labels = noisy(classes, "logits", torch.float32)
    losses = softmax_losses("logits", classes)
    whole = columns_of(preds, labels, losses, "logits")
    for rows in (slice(0, 1), slice(7, 20), slice(21, 48)):
        part = columns_of(preds[rows].clone(), labels[rows].clone(), losses, "logits")
        for name, values in part.items():
            ok = whole["status"][rows] == OK
            assert np.array_equal(values[ok], whole[name][rows][ok]), name


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_sigmoids_are_those_of_pytorch(kind, dtype):
    z = torch.cat([torch.tensor(oracle.GRID), torch.randn(40) * 4, torch.tensor([-torch.inf, torch.inf, torch.nan])])
    preds = {"logits": z, "probs": z.sigmoid(), "log-probs": torch.nn.functional.logsigmoid(z)}[kind]
    preds = readable(preds.to(dtype))
    preds = torch.cat([preds, preds, torch.tensor([-0.5, 1.5, 1.0000005, 0.25, 0.25, 0.25]).to(dtype)])
    labels = torch.cat([torch.zeros(len(z)), torch.ones(len(z)), torch.tensor([0, 1, 0, -100, 2, -1])]).long()
    losses = {
        "bce": BinaryCrossEntropyLoss(pos_weight=3.0, neg_weight=0.5, weight=2.0, preds_are=kind),
        "binary_focal": BinaryFocalLoss(gamma=1.5, alpha=0.25, preds_are=kind),
        "dice": DiceLoss(preds_are=kind),
        "squared": DiceLoss(squared=True, smooth_nr=0.5, smooth_dr=0.25, preds_are=kind),
    }
    got = columns_of(preds, labels, losses, kind, task="binary")
    expected = BinaryScorecard(preds_are=kind)(preds, labels)
    assert got["status"].tolist() == expected["status"].tolist()
    ok = expected["status"] == OK
    assert got["pred"][ok].tolist() == expected["pred"][ok].tolist()
    expected |= {name: loss(preds, labels) for name, loss in losses.items()}
    for name in ("p_label", "p_pred", "margin", "entropy", *losses):
        assert_near(got[name][ok], expected[name][ok], name, steps=FLOOR if name in ("dice", "squared") else 4)
