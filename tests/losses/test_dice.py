"""What Dice is a sum over, and what an empty mask scores."""

import pytest
import torch

from evaltool.losses import DiceLoss


def soft_dice(p, y, *, nr=1.0, dr=1.0, k=1):
    p, y = p.double(), y.double()
    return 1 - (2 * (p * y).sum() + nr) / ((p**k).sum() + (y**k).sum() + dr)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("classes", ["present", "all"])
def test_mean_over_classes_of_sums_over_positions(classes, squared):
    preds, labels = torch.randn(2, 4, 5, 6), torch.randint(0, 3, (2, 5, 6))  # class 3 never occurs
    got = DiceLoss(classes=classes, squared=squared, smooth_nr=0.5, smooth_dr=2.0)(preds, labels)
    for n in range(2):
        p = preds[n].double().softmax(0)
        chosen = range(4) if classes == "all" else sorted(set(labels[n].flatten().tolist()))
        values = [soft_dice(p[c], labels[n] == c, nr=0.5, dr=2.0, k=2 if squared else 1) for c in chosen]
        assert float(got[n]) == pytest.approx(float(sum(values) / len(values)), rel=1e-5)


def test_without_positions_classes_are_pooled():
    preds, labels = torch.randn(5, 4), torch.randint(0, 4, (5,))
    one_hot = torch.nn.functional.one_hot(labels, 4)
    got = DiceLoss()(preds, labels)
    for n in range(5):
        assert float(got[n]) == pytest.approx(float(soft_dice(preds[n].double().softmax(0), one_hot[n])), rel=1e-5)


def test_multilabel_classes_are_pooled():
    preds, labels = torch.randn(5, 4), torch.randint(0, 2, (5, 4))
    got = DiceLoss()(preds, labels)
    for n in range(5):
        assert float(got[n]) == pytest.approx(float(soft_dice(preds[n].double().sigmoid(), labels[n])), rel=1e-5)


def test_soft_labels_of_a_softmax():
    preds, labels = torch.randn(5, 4), torch.rand(5, 4).softmax(1)
    got = DiceLoss(activation="softmax")(preds, labels)
    for n in range(5):
        assert float(got[n]) == pytest.approx(float(soft_dice(preds[n].double().softmax(0), labels[n])), rel=1e-5)


def test_empty_mask_with_almost_empty_prediction_is_near_zero():
    preds = torch.full((1, 1, 64, 64), -20.0)
    assert float(DiceLoss()(preds, torch.zeros(1, 64, 64, dtype=torch.int64))) < 1e-4


def test_no_smoothing_and_nothing_there_is_zero():
    preds = torch.full((1, 8), -torch.inf)
    loss = DiceLoss(smooth_nr=0, smooth_dr=0, activation="sigmoid")
    assert float(loss(preds, torch.zeros(1, 8, dtype=torch.int64))) == 0


def test_all_ignored_is_zero_whatever_the_smoothing():
    preds, labels = torch.randn(1, 3, 4), torch.full((1, 4), -100)
    for classes in ("present", "all"):
        assert float(DiceLoss(smooth_nr=0, smooth_dr=1, classes=classes)(preds, labels)) == 0


def test_parts_of_the_classes_sum_to_the_value():
    preds, labels = torch.randn(3, 4, 5, 6), torch.randint(0, 4, (3, 5, 6))
    loss = DiceLoss()
    parts = loss.by_class(preds, labels)
    assert parts.shape == (3, 4)
    torch.testing.assert_close(parts.sum(1), loss(preds, labels))


def test_mean_is_over_samples():
    preds, labels = torch.randn(3, 4, 5), torch.randint(0, 4, (3, 5))
    torch.testing.assert_close(DiceLoss(reduction="mean")(preds, labels), DiceLoss()(preds, labels).mean())
    torch.testing.assert_close(DiceLoss(reduction="sum")(preds, labels), DiceLoss()(preds, labels).sum())


def test_from_probs_equals_from_logits():
    preds, labels = torch.randn(3, 4, 5), torch.randint(0, 4, (3, 5))
    for kind, given in (("probs", preds.softmax(1)), ("log-probs", preds.log_softmax(1))):
        torch.testing.assert_close(
            DiceLoss(preds_are=kind)(given, labels), DiceLoss()(preds, labels), rtol=1e-5, atol=0
        )
