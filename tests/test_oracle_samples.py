"""The loss oracle beyond single formulas: published values, tails, kinds of predictions, ignored labels, rounding."""

import mpmath as mp
import numpy as np
import pytest

from tests import oracle
from tests.oracle_losses import NAMES, SIGMOID, SOFTMAX, expected
from tests.oracle_samples import at, sides

CATALOGUE = (
    "ce bce focal binary-focal ova-focal balanced-ce ohem-ce dice generalized-dice dice-ce dice-focal tversky "
    "focal-tversky jaccard log-cosh-dice lovasz asymmetric poly gce logit-adjusted ldam quality-focal varifocal seesaw"
)
Q = mp.exp(-100) / (1 + mp.exp(-100))  # the miss probability of two classes, or of a sigmoid, 100 apart

# golden name: the oracle's name and parameters, and how its values become what was published
GOLDEN = {
    "ce_mean": ("ce", {}, np.mean),
    "ce_per_sample": ("ce", {}, None),
    "bce_mean": ("bce", {}, np.mean),
    "balanced_ce_sum_per_sample": ("balanced-ce", {"preds_are": "probs"}, lambda values: 3 * values),
    "ohem_balanced_bce_per_sample": ("ohem-ce", {"preds_are": "probs", "eps": 1e-6}, None),
    "binary_focal_retinanet_mean": ("binary-focal", {"gamma": 0.2, "alpha": 0.6}, np.mean),
    "binary_focal_uniform_alpha_mean": ("binary-focal", {"alpha": (0.25, 0.25)}, np.mean),
    "softmax_focal_per_sample": ("focal", {}, None),
    "softmax_focal_alpha_per_sample": ("focal", {"alpha": [0.25, 0.5, 1.5]}, None),
    "softmax_focal_uniform_alpha_mean": ("focal", {"alpha": 0.25}, np.mean),
    "one_vs_all_focal_mean": ("ova-focal", {"alpha": 0.25}, np.mean),
    "one_vs_all_focal_per_sample": ("ova-focal", {"alpha": 0.25}, None),
    "dice_squared_per_sample": (
        "dice",
        {"preds_are": "probs", "squared": True, "smooth_nr": 0, "smooth_dr": 0.002},
        None,
    ),
}


def floats(values):
    return np.array([float(value) for value in values])


def batch(name: str, rng: np.random.Generator, *, scale: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and labels that fit a loss: [N, 3, 5] and [N, 5], or [N, 5] for a sigmoid."""
    if name in SIGMOID:
        return rng.normal(0, scale, (4, 5)), rng.integers(0, 2, (4, 5))
    return rng.normal(0, scale, (4, 3, 5)), rng.integers(0, 3, (4, 5))


def test_every_loss_of_the_catalogue_is_there():
    assert sorted(NAMES) == sorted(CATALOGUE.split())


@pytest.mark.parametrize("key", GOLDEN)
def test_published_value(golden, key):
    name, parameters, end = GOLDEN[key]
    entry = golden[key]
    preds = np.array(entry["inputs"].get("logits", entry["inputs"].get("probs")))
    values = floats(expected(name, preds, np.array(entry["inputs"]["labels"]), **parameters))
    # gamma = 0.2 and alpha = 0.6 are float32 in a module
    np.testing.assert_allclose(values if end is None else end(values), entry["value"], rtol=1e-7, atol=1e-15)


TAILS = {
    "ce": ({}, Q),
    "focal": ({}, Q**3),
    "ova-focal": ({}, Q**3),
    "poly": ({"eps": 2.0}, 3 * Q),
    "gce": ({}, Q),
    "logit-adjusted": ({"prior": [1.0, 3.0]}, 3 * Q),
    "ldam": ({}, mp.exp(0.5) * Q),
    "seesaw": ({"counts": [16.0, 1.0], "p": 0.5}, Q / 4),
    "dice": ({}, 2 * Q / 3),
    "generalized-dice": ({}, Q),
    "dice-ce": ({}, 5 * Q / 3),
    "dice-focal": ({}, 2 * Q / 3),
    "tversky": ({}, 2 * Q / 3),
    "focal-tversky": ({"gamma": 2.0}, mp.sqrt(2 * Q / 3)),
    "jaccard": ({}, 4 * Q / 3),
    "log-cosh-dice": ({}, (2 * Q / 3) ** 2 / 2),
    "lovasz": ({}, Q),
    "bce": ({}, Q),
    "binary-focal": ({}, Q**3),
    "balanced-ce": ({"beta": 0.25}, 3 * Q / 4),
    "asymmetric": ({"clip": 0.0}, Q**5),
    "quality-focal": ({}, Q**3),
    "varifocal": ({}, 3 * Q**3 / 4),
}


@pytest.mark.parametrize("name", TAILS)
def test_confident_sample_keeps_its_digits(name):
    """Two classes 100 apart, the label on the right one: what a difference from 1 would have lost."""
    parameters, tail = TAILS[name]
    preds, labels = (np.array([-100.0]), np.array([0])) if name in SIGMOID else (np.array([[100.0, 0.0]]), [0])
    (value,) = expected(name, preds, labels, **parameters)
    assert abs(value / tail - 1) < 1e-15


@pytest.mark.parametrize("name", NAMES)
def test_extreme_logits_give_finite_values_above_zero_or_at_it(name, rng):
    preds, labels = batch(name, rng)
    preds = rng.choice(oracle.GRID, preds.shape)
    assert all(mp.isfinite(value) and value >= 0 for value in expected(name, preds, labels))


@pytest.mark.parametrize("name", NAMES)
def test_kinds_of_predictions_agree(name, rng):
    preds, labels = batch(name, rng)
    odds = np.exp(preds)
    probs = odds / (odds + 1 if name in SIGMOID else odds.sum(1, keepdims=True))
    truth = floats(expected(name, preds, labels))
    np.testing.assert_allclose(floats(expected(name, probs, labels, preds_are="probs")), truth, rtol=1e-12)
    np.testing.assert_allclose(floats(expected(name, np.log(probs), labels, preds_are="log-probs")), truth, rtol=1e-12)
    if name not in SIGMOID:
        np.testing.assert_allclose(floats(expected(name, 3 * probs, labels, preds_are="probs")), truth, rtol=1e-12)


@pytest.mark.parametrize("ignore_index", [-100, 255, 1])
@pytest.mark.parametrize("name", NAMES)
def test_ignored_positions_count_for_nothing(name, ignore_index, rng):
    preds, labels = batch(name, rng)
    labels[labels == 1] = 0  # 1 may mean ignored
    marked = labels.copy()
    marked[:, 1:3] = ignore_index
    marked[2] = ignore_index
    truth = expected(name, preds[..., [0, 3, 4]], labels[..., [0, 3, 4]])
    assert expected(name, preds, marked, ignore_index=ignore_index) == [*truth[:2], 0, truth[3]]


@pytest.mark.parametrize("name", NAMES)
def test_invalid_label_is_an_error(name, rng):
    preds, labels = batch(name, rng)
    for bad in (-1, 3):
        labels[1, 2] = bad
        with pytest.raises(ValueError, match="expected"):
            expected(name, preds, labels)


@pytest.mark.parametrize("name", ["ohem-ce", "lovasz"])
def test_fractions_are_no_labels_of_hard_losses(name):
    with pytest.raises(ValueError, match="expected 0 or 1"):
        expected(name, np.zeros((1, 3)), np.array([[0.0, 1.0, 0.5]]))


@pytest.mark.parametrize("name", [*sorted(set(SOFTMAX) - {"ce", "logit-adjusted"}), "dice-focal"])
def test_shares_are_no_labels_of_hard_losses(name):
    options = {"activation": "softmax"} if name == "dice-focal" else {}
    with pytest.raises(ValueError, match="shares"):
        expected(name, np.zeros((1, 2)), np.array([[0.5, 0.5]]), **options)


def test_unknown_names_and_parameters_are_errors():
    with pytest.raises(ValueError, match="expected one of"):
        expected("entropy", np.zeros((1, 2)), np.zeros(1))
    with pytest.raises(TypeError):
        expected("ce", np.zeros((1, 2)), np.zeros(1), gamma=2.0)


def test_parameters_kept_per_class_are_float32():
    tenth, fifth, rest = (float(np.float32(value)) for value in (0.1, 0.2, 0.9))
    assert [at(0.1, 0), at([0.1, 0.2], 1), at([0.1], 5), at(None, 0)] == [tenth, fifth, tenth, 1.0]
    assert sides(0.1) == (rest, tenth)
    assert sides((0.1, 0.9)) == (tenth, rest)
    assert sides(None) == (1.0, 1.0)
    with pytest.raises(ValueError, match="per class"):
        at([0.1, 0.2], None)


def test_dice_is_the_dice_of_the_first_oracle(rng):
    preds, labels = rng.normal(0, 3, (4, 6)), rng.random((4, 6))
    for squared in (False, True):
        got = expected("dice", preds, labels, squared=squared, smooth_nr=0.25, smooth_dr=2.0)
        for x, y, value in zip(preds, labels, got, strict=True):
            p = [oracle.pair(v)[1] for v in x]
            truth = oracle.dice(p, [oracle.exact(v) for v in y], nr=0.25, dr=2.0, squared=squared)
            assert abs(value / truth - 1) < 1e-50


def test_nothing_there_is_no_loss():
    preds = np.full((1, 4), -np.inf)
    labels = np.zeros((1, 4))
    for name in ("dice", "tversky", "jaccard", "focal-tversky", "generalized-dice"):
        assert expected(name, preds, labels, smooth_nr=0, smooth_dr=0) == [0]


def test_masked_class_counts_for_nothing():
    with_mask, without = np.array([[1.0, -np.inf, 2.0]]), np.array([[1.0, 2.0]])
    for name in ("ce", "focal", "poly", "gce", "ldam", "seesaw", "dice", "lovasz"):
        assert expected(name, with_mask, [2]) == expected(name, without, [1])
    assert expected("ce", with_mask, [1]) == [mp.inf]


SAME = [
    ("ce", {}, "focal", {"gamma": 0.0}),
    ("ce", {}, "poly", {"eps": 0.0}),
    ("ce", {}, "ldam", {"max_margin": 0.0}),
    ("ce", {}, "logit-adjusted", {"prior": [2.0, 2.0, 2.0]}),
    ("ce", {}, "logit-adjusted", {"prior": [1.0, 2.0, 3.0], "tau": 0.0}),
    ("ce", {}, "seesaw", {"q": 0.0}),
    ("focal", {"gamma": 1.5}, "poly", {"eps": 0.0, "gamma": 1.5}),
    ("dice", {}, "tversky", {"alpha": 0.5, "beta": 0.5}),
    ("jaccard", {}, "tversky", {"alpha": 1.0, "beta": 1.0}),
    ("tversky", {}, "focal-tversky", {"gamma": 1.0}),
    ("dice", {}, "dice-ce", {"lambda_ce": 0.0}),
    ("focal", {}, "dice-focal", {"lambda_dice": 0.0}),
    ("bce", {}, "binary-focal", {"gamma": 0.0}),
    ("bce", {}, "asymmetric", {"gamma_pos": 0.0, "gamma_neg": 0.0, "clip": 0.0}),
    ("bce", {}, "quality-focal", {"beta": 0.0}),
]


@pytest.mark.parametrize(("name", "parameters", "other", "others"), SAME)
def test_special_cases_are_the_same_loss(name, parameters, other, others, rng):
    preds, labels = batch(name, rng, scale=20.0)
    pairs = zip(expected(name, preds, labels, **parameters), expected(other, preds, labels, **others), strict=True)
    assert all(abs(a / b - 1) < 1e-50 for a, b in pairs)
