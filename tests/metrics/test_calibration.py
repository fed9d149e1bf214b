"""Calibration errors against float64 arithmetic written apart, bin by bin."""

import numpy as np
import pytest
import torch

from evaltool.metrics import CalibrationError
from evaltool.metrics.calibration import equal_mass

ROUNDING = 2e-9  # of the sums of confidences, as documented


def gaps(confidence, right, places, norm):
    """Return the error of cases whose bins are known."""
    shares, distances = [], []
    for place in np.unique(places):
        inside = places == place
        shares.append(inside.mean())
        distances.append(abs(right[inside].mean() - confidence[inside].mean()))
    shares, distances = np.array(shares), np.array(distances)
    return {
        "l1": (shares * distances).sum(),
        "l2": np.sqrt((shares * distances**2).sum()),
        "max": distances.max(),
    }[norm]


def equal_width(confidence, num_bins):
    return np.minimum(np.floor(confidence * num_bins), num_bins - 1)


def mass_bins(log_odds, num_bins):
    """Return each case's bin where no fine bin is split: it goes where its middle rank falls."""
    fine = np.clip(np.floor((np.clip(log_odds, -32, 32) + 32) * 16), 0, 1023)
    below = np.array([(fine < place).sum() for place in fine])
    inside = np.array([(fine == place).sum() for place in fine])
    return np.minimum((2 * below + inside) * num_bins // (2 * len(fine)), num_bins - 1)


@pytest.fixture
def softmax(rng):
    labels = rng.integers(0, 4, 700)
    logits = torch.from_numpy(rng.normal(size=(700, 4)) * 3 + 2 * np.eye(4)[labels]).float()
    return logits, labels, logits.double().softmax(1).numpy()


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@pytest.mark.parametrize("binning", ["equal-width", "equal-mass"])
def test_top_label(binning, norm, softmax):
    logits, labels, probs = softmax
    confidence, right = probs.max(1), probs.argmax(1) == labels
    others = np.sort(probs, 1)[:, :-1].sum(1)
    places = equal_width(confidence, 15) if binning == "equal-width" else mass_bins(np.log(confidence / others), 15)
    got = CalibrationError(binning=binning, norm=norm)(logits, torch.from_numpy(labels))
    assert float(got) == pytest.approx(gaps(confidence, right, places, norm), abs=1e-7)  # float32 probabilities


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@pytest.mark.parametrize("binning", ["equal-width", "equal-mass"])
def test_class_wise_is_the_mean_over_classes(binning, norm, softmax):
    logits, labels, probs = softmax
    each = []
    for c in range(4):
        odds = np.log(probs[:, c] / np.delete(probs, c, 1).sum(1))
        places = equal_width(probs[:, c], 10) if binning == "equal-width" else mass_bins(odds, 10)
        each.append(gaps(probs[:, c], labels == c, places, norm))
    metric = CalibrationError(form="class-wise", binning=binning, num_bins=10, norm=norm, num_classes=4)
    assert float(metric(logits, torch.from_numpy(labels))) == pytest.approx(np.mean(each), abs=1e-7)


def test_binary_by_decision_and_by_class(rng):
    probs, labels = rng.uniform(size=400).astype(np.float32), rng.integers(0, 2, 400)
    wide = probs.astype(np.float64)
    inputs = torch.from_numpy(probs), torch.from_numpy(labels)
    sure = np.maximum(wide, 1 - wide)
    expected = gaps(sure, (wide > 0.5) == labels, equal_width(sure, 15), "l1")
    assert float(CalibrationError(task="binary", preds_are="probs")(*inputs)) == pytest.approx(expected, abs=1e-7)
    expected = gaps(wide, labels == 1, equal_width(wide, 15), "l1")
    got = CalibrationError(task="binary", form="class-wise", preds_are="probs")(*inputs)
    assert float(got) == pytest.approx(expected, abs=1e-7)


def test_multilabel_is_class_wise(rng):
    probs, labels = rng.uniform(size=(300, 3)).astype(np.float32), rng.integers(0, 2, (300, 3))
    got = CalibrationError(task="multilabel", num_classes=3, preds_are="probs")(
        torch.from_numpy(probs), torch.from_numpy(labels)
    )
    wide = probs.astype(np.float64)
    each = [gaps(wide[:, c], labels[:, c] == 1, equal_width(wide[:, c], 15), "l1") for c in range(3)]
    assert float(got) == pytest.approx(np.mean(each), abs=1e-7)


def test_bins_of_equal_mass_hold_about_as_many_each(softmax):
    logits, labels, _ = softmax
    metric = CalibrationError(binning="equal-mass", num_bins=5)
    metric.update(logits, torch.from_numpy(labels))
    grouped = equal_mass(metric.state()["counts"], 5)[0, :, 0]
    assert int(grouped.sum()) == 700
    assert bool(((grouped - 140).abs() < 20).all())


def test_sums_of_confidences_round_by_less_than_documented():
    preds = torch.full((1000,), (2**26 + 0.8) / 2**28, dtype=torch.float64)
    metric = CalibrationError(task="binary", form="class-wise", preds_are="probs")
    got = float(metric(preds, torch.zeros(1000)))
    assert 0 < abs(got - float(preds[0])) < ROUNDING


def test_probabilities_of_0_and_1_stand_in_the_outermost_bins():
    probs, labels = torch.tensor([0.0, 1.0, 1.0]), torch.tensor([0, 1, 1])
    for binning in ("equal-width", "equal-mass"):
        metric = CalibrationError(task="binary", form="class-wise", binning=binning, preds_are="probs")
        assert float(metric(probs, labels)) == 0.0
