"""Loss histogram, quantiles and shares, against NumPy and against what a run counts."""

import math

import numpy as np
import pytest
import torch

import evaltool
from evaltool.losses import BinaryCrossEntropyLoss, CrossEntropyLoss, DiceLoss, L1Loss
from evaltool.metrics import ConfusionMatrix, LossHistogram, LossQuantiles, LossShare
from evaltool.numerics.scripting import scripted


@pytest.fixture
def batch(rng):
    labels = rng.integers(0, 4, 2000)
    logits = (rng.normal(size=(2000, 4)) * 3 + 2 * np.eye(4)[labels]).astype(np.float32)
    logits[7, 1], labels[11], labels[12], labels[13] = np.nan, -100, 9, -1
    logits[20] = [0.0, 1.0, 2.0, -np.inf]
    labels[20] = 3  # an infinite loss
    return logits, labels


def test_a_run_counts_the_same(batch, tmp_path):
    logits, labels = batch
    # the modules' own arithmetic, to the last bit
    where = tmp_path / "digits.run"
    scores = evaltool.score(logits, labels, losses=["ce"], max_bad=1.0, output=where, engine="torch")
    inputs = torch.from_numpy(logits), torch.from_numpy(labels)
    histogram = LossHistogram(CrossEntropyLoss())
    histogram.update(*inputs)
    counts = histogram.compute()
    assert int(counts[8176]) == scores.summary["n_infinite"] == 1
    counts[8176] = 0  # which a run counts apart
    with np.load(tmp_path / "digits.run" / "state.npz") as file:
        kept = dict(file)
    assert np.array_equal(counts, kept["histogram"][0])
    confusion = ConfusionMatrix(num_classes=4)
    confusion.update(*inputs)
    assert np.array_equal(confusion.compute(), kept["confusion"])
    assert int(confusion.n_bad) == int(histogram.n_bad) == scores.summary["n_bad"] == 3
    again = ConfusionMatrix(num_classes=4)
    again.merge({"counts": torch.from_numpy(kept["confusion"]), "n_bad": torch.tensor(3)})
    assert torch.equal(again.compute(), confusion.compute())
    share = LossShare(CrossEntropyLoss(), num_classes=4)(*inputs)
    expected = [row["loss_share"]["ce"] for row in scores.summary["classes"]]
    np.testing.assert_allclose(share, expected, rtol=1e-12)


@pytest.mark.parametrize("at", [(0.5, 0.9, 0.99), (0.0, 1.0), (0.25,)])
def test_quantiles_are_within_their_bound_of_numpys(at, batch):
    inputs = torch.from_numpy(batch[0]), torch.from_numpy(batch[1])
    values = CrossEntropyLoss()(*inputs).numpy()
    values = values[np.isfinite(values) & (batch[1] != -100)]
    got = LossQuantiles(CrossEntropyLoss(), at=at)(*inputs)
    np.testing.assert_allclose(got, np.quantile(values, at, method="lower"), rtol=1 / 32)


def test_quantiles_of_signed_and_of_the_largest_numbers():
    class Given(torch.nn.Module):
        def forward(self, preds: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return preds

    values = torch.tensor([-3.0, -1.0, 0.0, 2.0, 3.4e38])
    got = LossQuantiles(Given(), at=[0.0, 0.25, 0.5, 0.75, 1.0])(values, values)
    np.testing.assert_allclose(got, values.double(), rtol=1 / 32, atol=1e-38)


def test_shares_of_a_loss_by_position_are_of_the_positions_labels(rng):
    preds = torch.from_numpy(rng.normal(size=(4, 3, 5, 6))).float()
    labels = torch.from_numpy(rng.integers(0, 2, (4, 5, 6)))  # class 2 does not occur
    labels[1, 2:] = -100
    values = CrossEntropyLoss().map(preds, labels).double()
    expected = [float(values[labels == c].sum() / values.sum()) for c in range(3)]
    got = LossShare(CrossEntropyLoss(), num_classes=3)(preds, labels)
    assert got.tolist() == pytest.approx(expected, rel=1e-12)
    assert got[2] == 0


def test_shares_of_multilabel_are_of_the_columns_and_of_binary_of_the_labels(rng):
    preds = torch.from_numpy(rng.normal(size=(50, 3))).float()
    labels = torch.from_numpy(rng.integers(0, 2, (50, 3)))
    values = BinaryCrossEntropyLoss().map(preds, labels).double()
    got = LossShare(BinaryCrossEntropyLoss(), num_classes=3, task="multilabel")(preds, labels)
    assert got.tolist() == pytest.approx((values.sum(0) / values.sum()).tolist(), rel=1e-12)
    got = LossShare(BinaryCrossEntropyLoss(), task="binary")(preds[:, 0], labels[:, 0])
    one = labels[:, 0] == 1
    assert float(got[1]) == pytest.approx(float(values[one, 0].sum() / values[:, 0].sum()), rel=1e-12)


def test_a_loss_without_values_by_position_is_shared_by_sample(rng):
    preds, labels = torch.from_numpy(rng.normal(size=(30, 3))).float(), torch.from_numpy(rng.integers(0, 3, 30))
    values = DiceLoss()(preds, labels).double()
    expected = [float(values[labels == c].sum() / values.sum()) for c in range(3)]
    for module in (LossShare(DiceLoss(), num_classes=3), scripted(LossShare(DiceLoss(), num_classes=3))):
        assert module(preds, labels).tolist() == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match=r"the loss has shape \[2\], expected one value per label"):
        LossShare(DiceLoss(), num_classes=3)(torch.randn(2, 3, 4), torch.zeros(2, 4))


def test_an_infinite_loss_is_left_out_of_the_shares():
    preds, labels = torch.tensor([[0.0, -torch.inf], [0.0, 0.0]]), torch.tensor([1, 1])
    share = LossShare(CrossEntropyLoss(), num_classes=2)
    share.update(preds, labels)
    assert share.compute().tolist() == [0.0, 1.0]
    assert math.isclose(float(share.state()["counts"].sum()), math.log(2) * 2**24, rel_tol=1e-7)


def test_a_loss_that_reduces_is_refused():
    for metric in (LossHistogram, LossQuantiles, LossShare):
        with pytest.raises(ValueError, match=r"^the loss has reduction='mean', expected 'none'$"):
            metric(L1Loss(reduction="mean"), **({"num_classes": 2} if metric is LossShare else {}))
