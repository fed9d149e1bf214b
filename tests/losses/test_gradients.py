"""Losses train networks: right gradients everywhere, finite ones at saturated logits."""

import inspect

import pytest
import torch
from torch.nn import functional as F

from evaltool.losses import (
    AsymmetricLoss,
    BinaryCrossEntropyLoss,
    BinaryFocalLoss,
    CrossEntropyLoss,
    DiceLoss,
    FocalLoss,
    FocalTverskyLoss,
    GeneralizedCrossEntropyLoss,
    PolyLoss,
    QualityFocalLoss,
    TverskyLoss,
)

from .test_contract import CASES, SIGMOID, SOFTMAX, sample

GAMMAS = [0.0, 0.1, 0.5, 1.0, 2.0, 5.0]


@pytest.mark.parametrize("space", [(), (3,)], ids=["flat", "sequence"])
@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("name", CASES)
def test_gradcheck_in_float64(name, reduction, space):
    preds, labels = sample(CASES[name], 3, space, scale=1.5)
    loss = CASES[name].build(reduction=reduction)
    preds = preds.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: loss(p, labels), (preds,))


@pytest.mark.parametrize("kind", ["probs", "log-probs"])
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.kind in (SOFTMAX, SIGMOID)])
def test_gradcheck_from_probs_and_log_probs(name, kind):
    preds, labels = sample(CASES[name], 3, (), scale=1.0)
    preds = preds.double()
    preds = preds.softmax(1) if CASES[name].kind == SOFTMAX else preds.sigmoid()
    preds = (preds if kind == "probs" else preds.log()).detach().requires_grad_()
    loss = CASES[name].build(preds_are=kind)
    assert torch.autograd.gradcheck(lambda p: loss(p, labels), (preds,))


@pytest.mark.parametrize("gamma", GAMMAS)
def test_gradient_is_finite_at_saturated_logits(gamma):
    extremes = torch.tensor([0.0, 0.1, 10.0, 88.0, 100.0, 1e4, -10.0, -100.0, -1e4])
    preds = torch.cartesian_prod(extremes, extremes, extremes).requires_grad_()
    FocalLoss(gamma=gamma)(preds, torch.zeros(len(preds), dtype=torch.int64)).sum().backward()
    assert bool(preds.grad.isfinite().all())
    for label in (0, 1):
        logits = torch.linspace(-200, 200, 4001).requires_grad_()
        BinaryFocalLoss(gamma=gamma)(logits, torch.full((4001,), label)).sum().backward()
        assert bool(logits.grad.isfinite().all())


def focusing(name: str) -> list[str]:
    """Return the focusing exponents that a case leaves open."""
    case = CASES[name]
    exponents = ["gamma", "gamma_pos", "gamma_neg"] + (["beta"] if case.loss is QualityFocalLoss else [])
    known = inspect.signature(case.loss).parameters
    return [key for key in exponents if key in known and key not in case.arguments]


SATURATED = [
    (name, gamma)
    for name, case in CASES.items()
    for gamma in (GAMMAS if focusing(name) else [0.5])
    if case.kind in (SOFTMAX, SIGMOID) and (gamma > 0 or case.loss is not FocalTverskyLoss)
]


@pytest.mark.parametrize(("name", "gamma"), SATURATED)
def test_gradient_of_every_loss_is_finite_at_saturated_logits(name, gamma):
    case = CASES[name]
    chosen = dict.fromkeys(focusing(name), gamma)
    extremes = torch.tensor([0.0, 0.1, 30.0, 88.0, 100.0, 1e4, -88.0, -1e4])
    classes = 4 if case.kind == SOFTMAX else 3
    rows = torch.cartesian_prod(*[extremes] * 3)
    rows = rows if classes == 3 else torch.cat([rows, rows.flip(0)[:, :1]], 1)
    for space in ((), (2,)):
        preds = rows.clone() if not space else torch.stack([rows, rows.roll(7, 0)], 2)
        preds.requires_grad_()
        labels = torch.randint(0, 4 if case.kind == SOFTMAX else 2, (len(rows), *space))
        labels = labels if case.kind == SOFTMAX else torch.randint(0, 2, preds.shape)
        values = case.build(**chosen)(preds, labels)
        values.sum().backward()
        assert bool(values.isfinite().all())
        assert bool(preds.grad.isfinite().all())


@pytest.mark.parametrize("gamma", GAMMAS)
def test_gradient_is_finite_at_the_largest_logits(gamma):
    logits = torch.tensor([1e37, 7e37, 3e38, -1e37, -7e37, -3e38]).requires_grad_()
    for label in (0, 1):
        logits.grad = None
        BinaryFocalLoss(gamma=gamma)(logits, torch.full((6,), label)).sum().backward()
        assert bool(logits.grad.isfinite().all())


def test_gradient_is_finite_beside_masked_classes():
    preds = torch.tensor([[2.0, -torch.inf, 0.5], [3.0, -torch.inf, -torch.inf]]).requires_grad_()
    for loss in (CrossEntropyLoss(), FocalLoss(gamma=0.5), DiceLoss()):
        preds.grad = None
        loss(preds, torch.tensor([0, 0])).sum().backward()
        assert bool(preds.grad.isfinite().all()), type(loss).__name__


@pytest.mark.parametrize("gamma", GAMMAS)
def test_gradient_at_equal_logits_is_that_of_the_formula(gamma):
    """u = 0 is where a network starts; |u| and max(u, 0) have no derivative there."""
    preds = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    FocalLoss(gamma=gamma)(preds, torch.tensor([0])).sum().backward()
    p = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    probs = p.softmax(1)[:, 0]
    (-((1 - probs) ** gamma) * probs.log()).sum().backward()
    torch.testing.assert_close(preds.grad, p.grad, rtol=1e-7, atol=0)  # gamma is kept as float32
    logit = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    BinaryCrossEntropyLoss()(logit, torch.tensor([1])).sum().backward()
    assert float(logit.grad) == -0.5
    logit.grad = None
    DiceLoss()(logit, torch.tensor([1])).sum().backward()
    assert float(logit.grad) == pytest.approx(-(2 * 2.5 - 2) / 2.5**2 * 0.25)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_gradient_agrees_with_the_eager_formula_where_that_is_exact(gamma):
    preds = (torch.randn(200, 5, dtype=torch.float64) * 3).requires_grad_()
    labels = torch.randint(0, 5, (200,))
    FocalLoss(gamma=gamma, reduction="sum")(preds, labels).backward()
    ours, preds.grad = preds.grad, None
    log_p = preds.log_softmax(1).gather(1, labels[:, None])
    (-((1 - log_p.exp()) ** gamma) * log_p).sum().backward()
    torch.testing.assert_close(ours, preds.grad, rtol=1e-6, atol=1e-12)


EAGER = {
    "poly": (PolyLoss(eps=2.0, gamma=1.5), lambda log_p, p: (1 - p) ** 1.5 * -log_p + 2 * (1 - p) ** 2.5),
    "gce": (GeneralizedCrossEntropyLoss(), lambda log_p, p: (1 - p**0.7) / 0.7),
}


@pytest.mark.parametrize("name", EAGER)
def test_gradients_of_softmax_losses_agree_with_the_eager_formula(name):
    loss, formula = EAGER[name]
    preds = (torch.randn(200, 5, dtype=torch.float64) * 3).requires_grad_()
    labels = torch.randint(0, 5, (200,))
    loss(preds, labels).sum().backward()
    ours, preds.grad = preds.grad, None
    log_p = preds.log_softmax(1).gather(1, labels[:, None])
    formula(log_p, log_p.exp()).sum().backward()
    torch.testing.assert_close(ours, preds.grad, rtol=1e-6, atol=1e-12)


def asymmetric(p, y):
    shifted = (p - 0.05).clamp(min=0)
    return -(y * (1 - p) * p.log() + (1 - y) * shifted**4 * (1 - shifted).log())


SIGMOID_EAGER = {
    "asymmetric": (AsymmetricLoss(), asymmetric),
    "quality-focal": (
        QualityFocalLoss(),
        lambda p, y: (y - p) ** 2 * torch.nn.functional.binary_cross_entropy(p, y, reduction="none"),
    ),
    "dice": (DiceLoss(), lambda p, y: 1 - (2 * (p * y).sum(1) + 1) / (p.sum(1) + y.sum(1) + 1)),
    "tversky": (
        TverskyLoss(),
        lambda p, y: (
            1
            - (2 * (p * y).sum(1) + 1)
            / (2 * (p * y).sum(1) + 0.6 * (p * (1 - y)).sum(1) + 1.4 * ((1 - p) * y).sum(1) + 1)
        ),
    ),
}


@pytest.mark.parametrize("name", SIGMOID_EAGER)
def test_gradients_of_sigmoid_losses_agree_with_the_eager_formula(name):
    loss, formula = SIGMOID_EAGER[name]
    preds = (torch.randn(40, 6, dtype=torch.float64) * 2).requires_grad_()
    labels = torch.randint(0, 2, (40, 6)).double()
    if name == "quality-focal":
        labels = torch.rand(40, 6, dtype=torch.float64)
    (loss(preds, labels) * (1 if loss.__class__ in (DiceLoss, TverskyLoss) else 6)).sum().backward()
    ours, preds.grad = preds.grad, None
    formula(preds.sigmoid(), labels).sum().backward()
    torch.testing.assert_close(ours, preds.grad, rtol=1e-6, atol=1e-12)


def test_gradient_equals_pytorchs_cross_entropy():
    preds = (torch.randn(50, 7, dtype=torch.float64) * 5).requires_grad_()
    labels = torch.randint(0, 7, (50,))
    CrossEntropyLoss(reduction="mean")(preds, labels).backward()
    ours, preds.grad = preds.grad, None
    F.cross_entropy(preds, labels).backward()
    torch.testing.assert_close(ours, preds.grad, rtol=1e-9, atol=1e-15)


def test_ignored_positions_get_no_gradient():
    preds = torch.randn(2, 3, 4, requires_grad=True)
    labels = torch.randint(0, 3, (2, 4))
    labels[:, 1] = -100
    for loss in (CrossEntropyLoss(), FocalLoss(), DiceLoss()):
        preds.grad = None
        loss(preds, labels).sum().backward()
        assert bool((preds.grad[:, :, 1] == 0).all())
        assert bool((preds.grad[:, :, 0] != 0).any())


GAPS = [1.0, 20.0, 47.0, 80.0, 88.0, 89.0, 95.0, 100.0, 110.0]


@pytest.mark.parametrize("kind", ["probs", "log-probs"])
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.kind in (SOFTMAX, SIGMOID)])
def test_gradient_through_probabilities_is_finite_however_small_they_are(name, kind):
    """The ratio of two probabilities has 1 / p^2 in its gradient, and log(1 - p) is -inf where p rounds to 1."""
    case = CASES[name]
    for gap in GAPS:
        for label in range(4 if case.kind == SOFTMAX else 2):
            if case.kind == SOFTMAX:
                logits = torch.tensor([[0.0, -gap, -gap, -gap - 1]], requires_grad=True)
                preds = logits.softmax(1) if kind == "probs" else logits.log_softmax(1)
                labels = torch.tensor([label])
            else:
                logits = torch.tensor([[gap, -gap, gap, 0.5]], requires_grad=True)
                preds = logits.sigmoid() if kind == "probs" else F.logsigmoid(logits)
                labels = torch.tensor([[label, 1 - label, 1, 0]])
            if case.kind == SIGMOID and kind == "log-probs" and label == 0 and gap > 88:
                continue  # wrong by so much, the derivative by log p is 1 / (1 - p), which no float32 holds
            value = case.build(preds_are=kind)(preds, labels)
            if not bool(value.isfinite().all()):  # an honest inf: log p is 0 for the wrong label
                continue
            value.sum().backward()
            assert bool(logits.grad.isfinite().all()), (gap, label)


def test_gradient_of_cross_entropy_through_probabilities_is_that_of_the_logits():
    x = torch.tensor([-47.0, 47.0], requires_grad=True)
    BinaryCrossEntropyLoss(preds_are="probs")(x.sigmoid()[:1], torch.tensor([1])).sum().backward()
    assert float(x.grad[0]) == pytest.approx(-1, rel=1e-5)
    z = torch.tensor([[0.0, -47.0, -47.0]], requires_grad=True)
    CrossEntropyLoss(preds_are="probs")(z.softmax(1), torch.tensor([1])).sum().backward()
    torch.testing.assert_close(z.grad, torch.tensor([[1.0, -1.0, 0.0]]), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("logit", [1e19, 3e19, 3e38])
def test_gradient_of_gce_is_finite_at_the_largest_logits(logit):
    preds = torch.tensor([[-logit, 0.0]], requires_grad=True)
    GeneralizedCrossEntropyLoss()(preds, torch.tensor([0])).sum().backward()
    assert preds.grad.tolist() == [[0, 0]]
