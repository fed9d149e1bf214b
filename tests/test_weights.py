"""What training starts from: weights by every rule, the last layer's bias, and gamma's course."""

import itertools
import math

import numpy as np
import pytest
import torch

from evaltool.losses import FocalLoss
from evaltool.numerics.scripting import scripted
from evaltool.numerics.weight_rules import RULES
from evaltool.schema import WEIGHT_RULES
from evaltool.weights import class_weights, gamma_schedule, prior_bias


def test_prior_bias_is_the_logit_of_the_prior():
    pi = torch.tensor([0.01, 0.5, 0.9], dtype=torch.float64)
    torch.testing.assert_close(prior_bias(pi).sigmoid(), pi, rtol=1e-14, atol=0)
    assert float(prior_bias(0.01)) == pytest.approx(-math.log(99), rel=1e-15)
    assert prior_bias([0.2, 0.3]).shape == (2,)


@pytest.mark.parametrize("pi", [0, 1, -0.1, 1.5, math.nan, [0.5, 1.0], "0.1", None])
def test_prior_bias_outside_the_unit_interval(pi):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the whole text is compared
        prior_bias(pi)
    assert str(caught.value) == f"pi={pi!r}, expected a probability in (0, 1)"


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_gamma_rises_from_start_to_end(shape):
    course = [gamma_schedule(step, 20, start=0.5, end=3.0, warmup=4, shape=shape) for step in range(25)]
    assert course[:5] == [0.5] * 5
    assert course[20:] == [3.0] * 5
    assert all(later > earlier for earlier, later in itertools.pairwise(course[4:21]))
    assert course[12] == pytest.approx(1.75)  # half way


def test_gamma_sets_a_loss_eager_and_scripted():
    preds, labels = torch.randn(6, 4), torch.randint(0, 4, (6,))
    for loss in (FocalLoss(gamma=0.0), scripted(FocalLoss(gamma=0.0))):
        loss.gamma.fill_(gamma_schedule(5, 10, end=3.0))
        assert torch.equal(loss(preds, labels), FocalLoss(gamma=1.5)(preds, labels))


BAD = {
    "unknown shape": ({"shape": "step"}, "shape='step', expected one of 'linear', 'cosine'"),
    "falling": ({"start": 2.0, "end": 1.0}, "start=2.0, end=1.0, expected 0 <= start <= end"),
    "all warm-up": (
        {"warmup": 10},
        "step=1, total_steps=10, warmup=10, expected step >= 0 and total_steps > warmup >= 0",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_schedule(name):
    arguments, message = BAD[name]
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the whole text is compared
        gamma_schedule(1, 10, **arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("inverse", [100 / (4 * 70), 100 / (4 * 20), 100 / (4 * 10), 0]),
        ("sqrt-inverse", [math.sqrt(100 / (4 * 70)), math.sqrt(100 / 80), math.sqrt(100 / 40), 0]),
        ("median-frequency", [0.2 / 0.7, 1, 2, 0]),
        ("enet", [1 / math.log(1.02 + share) for share in (0.7, 0.2, 0.1, 0)]),
        ("effective-number", [1e-4 / (1 - 0.9999**n) for n in (70, 20, 10)] + [0]),
        ("repeat-factor", [1, 1, 1, 0]),
    ],
)
def test_weights_by_rule(rule, expected):
    got = class_weights(torch.tensor([70, 20, 10, 0]), rule)
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)


def test_repeat_factor_of_a_rare_class():
    weights = class_weights(torch.tensor([99_990, 10]), "repeat-factor")
    torch.testing.assert_close(weights, torch.tensor([1.0, math.sqrt(1e-3 / 1e-4)], dtype=torch.float64))


def test_counts_may_be_a_list_or_an_array():
    expected = class_weights(torch.tensor([70, 20, 10]), "inverse")
    assert torch.equal(class_weights([70, 20, 10], "inverse"), expected)
    assert torch.equal(class_weights(np.array([70, 20, 10]), "inverse"), expected)


@pytest.mark.parametrize("counts", [[0, 0], [1, -1], [1.0, math.inf], [[1, 2]]])
def test_counts_that_are_none(counts):
    with pytest.raises(ValueError, match=r"expected \[C\] finite numbers >= 0 with a positive sum$"):
        class_weights(counts, "inverse")


def test_every_rule_has_its_formula():
    assert tuple(RULES) == WEIGHT_RULES
