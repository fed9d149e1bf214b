"""float32 losses against 60-digit arithmetic, over extreme grids and random draws: 1e-5 relative, nothing flushed."""

import itertools

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evaltool.losses import BinaryCrossEntropyLoss, BinaryFocalLoss, CrossEntropyLoss, DiceLoss, FocalLoss
from evaltool.numerics.scripting import scripted
from tests import oracle

TOLERANCE = 1e-5  # the target: a float32 result is within 1e-5 of the true value of the float32 inputs
WAYS = {"eager": lambda module: module, "scripted": scripted}


@pytest.fixture(scope="module")
def grid() -> tuple[torch.Tensor, list]:
    """Every triple of extreme logits, and random ones, with their probabilities."""
    rng = np.random.default_rng(1)
    rows = np.array(list(itertools.product(oracle.GRID, repeat=3)), np.float32)
    rows = np.concatenate([rows, rng.uniform(-60, 60, (400, 3)).astype(np.float32)])
    return torch.from_numpy(rows), [oracle.softmax(row) for row in rows]


@pytest.mark.parametrize("way", WAYS)
def test_cross_entropy_over_the_extreme_grid(grid, way):
    logits, probs = grid
    got = WAYS[way](CrossEntropyLoss())(logits, torch.zeros(len(logits), dtype=torch.int64))
    assert oracle.worst_error(got, [oracle.minus_log(p, 0) for p in probs]) < TOLERANCE


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("gamma", oracle.GAMMAS)
def test_focal_over_the_extreme_grid(grid, way, gamma):
    logits, probs = grid
    got = WAYS[way](FocalLoss(gamma=gamma))(logits, torch.zeros(len(logits), dtype=torch.int64))
    assert oracle.worst_error(got, [oracle.focal(p, 0, gamma) for p in probs]) < TOLERANCE


def test_dice_without_positions_over_the_extreme_grid(grid):
    logits, probs = grid
    got = DiceLoss()(logits, torch.zeros(len(logits), dtype=torch.int64))
    assert oracle.worst_error(got, [2 * oracle.rest(p, 0) / 3 for p in probs]) < TOLERANCE


@pytest.fixture(scope="module")
def line() -> np.ndarray:
    rng = np.random.default_rng(2)
    return np.concatenate([np.array(oracle.GRID), rng.uniform(-105, 105, 800)]).astype(np.float32)


@pytest.mark.parametrize("label", [0, 1])
def test_binary_cross_entropy_over_the_line(line, label):
    got = BinaryCrossEntropyLoss()(torch.from_numpy(line), torch.full((len(line),), label))
    assert oracle.worst_error(got, [oracle.minus_log(oracle.pair(x), label) for x in line]) < TOLERANCE


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("gamma", oracle.GAMMAS)
def test_binary_focal_over_the_line(line, label, gamma):
    got = BinaryFocalLoss(gamma=gamma)(torch.from_numpy(line), torch.full((len(line),), label))
    assert oracle.worst_error(got, [oracle.focal(oracle.pair(x), label, gamma) for x in line]) < TOLERANCE


def two_sided_probs() -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.concatenate([10 ** rng.uniform(-37, -1e-6, 400), 1 - 10 ** rng.uniform(-7, -0.5, 400)]).astype(np.float32)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("label", [0, 1])
def test_binary_focal_from_probs(label, gamma):
    p = two_sided_probs()
    truth = [[1 - oracle.exact(x), oracle.exact(x)] for x in p]
    got = BinaryFocalLoss(gamma=gamma, preds_are="probs")(torch.from_numpy(p), torch.full((len(p),), label))
    assert oracle.worst_error(got, [oracle.focal(q, label, gamma) for q in truth]) < TOLERANCE


@pytest.mark.parametrize("label", [0, 1])
def test_binary_cross_entropy_from_log_probs(label):
    log_p = -(10 ** np.random.default_rng(4).uniform(-7, 2, 800)).astype(np.float32)
    truth = [[-mp.expm1(oracle.exact(x)), mp.exp(oracle.exact(x))] for x in log_p]
    got = BinaryCrossEntropyLoss(preds_are="log-probs")(torch.from_numpy(log_p), torch.full((len(log_p),), label))
    assert oracle.worst_error(got, [oracle.minus_log(q, label) for q in truth]) < TOLERANCE


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("kind", ["probs", "log-probs"])
def test_softmax_focal_from_probs_and_log_probs(kind, gamma):
    """The tails of the other classes are kept: a confident sample's loss comes from them, not from 1 - p."""
    rng = np.random.default_rng(5)
    log_p = torch.log_softmax(torch.from_numpy(rng.uniform(-40, 40, (600, 4))), 1).float()
    preds = log_p.exp() if kind == "probs" else log_p
    truth = [oracle.normalised(row) if kind == "probs" else oracle.softmax(row) for row in preds.numpy()]
    labels = torch.from_numpy(rng.integers(0, 4, 600))
    got = FocalLoss(gamma=gamma, preds_are=kind)(preds, labels)
    expected = [oracle.focal(p, t, gamma) for p, t in zip(truth, labels.tolist(), strict=True)]
    assert oracle.worst_error(got, expected) < TOLERANCE


logit_rows = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(2, 12)), elements=st.floats(-110, 110, width=32)
)


@settings(max_examples=150)
@given(logits=logit_rows, gamma=st.floats(0, 5), data=st.data())
def test_focal_of_random_draws(logits, gamma, data):
    n, c = logits.shape
    labels = data.draw(hnp.arrays(np.int64, n, elements=st.integers(0, c - 1)))
    got = FocalLoss(gamma=gamma)(torch.from_numpy(logits), torch.from_numpy(labels))
    expected = [oracle.focal(oracle.softmax(row), t, gamma) for row, t in zip(logits, labels, strict=True)]
    assert oracle.worst_error(got, expected) < TOLERANCE


@settings(max_examples=60)
@given(
    logits=hnp.arrays(np.float32, (2, 3, 5), elements=st.floats(-110, 110, width=32)),
    labels=hnp.arrays(np.int64, (2, 5), elements=st.integers(0, 2)),
    squared=st.booleans(),
)
def test_dice_of_random_draws(logits, labels, squared):
    got = DiceLoss(squared=squared)(torch.from_numpy(logits), torch.from_numpy(labels))
    expected = []
    for z, y in zip(logits, labels, strict=True):
        p = [oracle.softmax(z[:, s]) for s in range(5)]
        per_class = [
            oracle.dice([q[c] for q in p], [int(t == c) for t in y], squared=squared) for c in sorted(set(y.tolist()))
        ]
        expected.append(mp.fsum(per_class) / len(per_class))
    # a class sums five positions, each of which may miss by a step of the subnormal numbers
    assert oracle.worst_error(got, expected, steps=20) < TOLERANCE


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("loss", [CrossEntropyLoss(), FocalLoss(gamma=5.0)], ids=["ce", "focal"])
def test_half_precision_is_exact_for_the_half_inputs(dtype, loss, rng):
    logits = torch.from_numpy(rng.uniform(-80, 80, (300, 4))).to(dtype)
    labels = torch.from_numpy(rng.integers(0, 4, 300))
    gamma = 5.0 if isinstance(loss, FocalLoss) else 0.0
    expected = [
        oracle.focal(oracle.softmax(z), t, gamma) for z, t in zip(logits.double().numpy(), labels.tolist(), strict=True)
    ]
    assert loss(logits, labels).dtype == torch.float32
    assert oracle.worst_error(loss(logits, labels), expected) < TOLERANCE


def test_dice_of_a_large_half_precision_mask(rng):
    logits = torch.from_numpy(rng.normal(-6, 2, (1, 512, 512))).half()
    labels = torch.from_numpy((rng.random((1, 512, 512)) < 0.01).astype(np.int64))
    p = torch.sigmoid(logits.double())
    expected = 1 - (2 * (p * labels).sum() + 1) / (p.sum() + labels.sum() + 1)
    assert DiceLoss()(logits, labels).double().item() == pytest.approx(expected.item(), rel=1e-5)


def test_dice_of_a_perfect_large_mask_keeps_its_digits(rng):
    labels = torch.from_numpy((rng.random((1, 256, 256)) < 0.3).astype(np.int64))
    logits = (labels * 2 - 1).float() * 20
    p = torch.sigmoid(logits.double())
    miss = torch.sigmoid(-logits.double())
    expected = (miss * labels + p * (1 - labels)).sum() / (p.sum() + labels.sum() + 1)
    assert DiceLoss()(logits, labels).double().item() == pytest.approx(expected.item(), rel=1e-5)
