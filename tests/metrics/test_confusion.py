"""What follows from the confusion matrix, against scikit-learn: every average, with classes that do not occur."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from evaltool.metrics import (
    Accuracy,
    BalancedAccuracy,
    CohenKappa,
    ConfusionMatrix,
    DiceScore,
    F1Score,
    JaccardIndex,
    MatthewsCorrCoef,
    Precision,
    Recall,
)

CLASSES = 5
EXACT = {"rtol": 1e-12, "atol": 1e-14}  # float64 of whole numbers, sums in another order


@st.composite
def decisions(draw, task):
    """Labels and predictions, of few rows and often of few classes."""
    n = draw(st.integers(1, 30))
    top = 1 if task != "multiclass" else draw(st.integers(0, CLASSES - 1))
    shape = (n, 3) if task == "multilabel" else (n,)
    numbers = st.lists(st.integers(0, top), min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))
    return np.array(draw(numbers)).reshape(shape), np.array(draw(numbers)).reshape(shape)


def preds_of(decided, task):
    """Return logits that decide so."""
    if task == "multiclass":
        return torch.nn.functional.one_hot(torch.from_numpy(decided), CLASSES).float() * 3 - 1
    return torch.from_numpy(decided).float() * 3 - 1


def oracle(function, *arguments, **options):
    """Return what scikit-learn gives; it warns of what has no denominator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.as_tensor(np.asarray(function(*arguments, **options), np.float64))


RATES = {
    Precision: sk.precision_score,
    Recall: sk.recall_score,
    F1Score: sk.f1_score,
    DiceScore: sk.f1_score,
    JaccardIndex: sk.jaccard_score,
}


@pytest.mark.parametrize("average", ["none", "macro", "micro", "weighted"])
@pytest.mark.parametrize("metric", RATES)
@settings(max_examples=40)
@given(st.data())
def test_rates_are_those_of_scikit_learn(metric, average, data):
    for task in ("multiclass", "binary", "multilabel"):
        labels, decided = data.draw(decisions(task))
        classes = {"multiclass": CLASSES, "binary": 2, "multilabel": 3}[task]
        got = metric(average=average, num_classes=classes, task=task)(preds_of(decided, task), torch.from_numpy(labels))
        options = {"average": None if average == "none" else average, "zero_division": 0}
        if average == "none":
            options["labels"] = range(classes)
        torch.testing.assert_close(got, oracle(RATES[metric], labels, decided, **options), **EXACT)


@pytest.mark.parametrize("metric", RATES)
@settings(max_examples=40)
@given(decisions("binary"))
def test_of_binary_the_value_is_that_of_label_1(metric, drawn):
    labels, decided = drawn
    got = metric(task="binary")(preds_of(decided, "binary"), torch.from_numpy(labels))
    torch.testing.assert_close(got, oracle(RATES[metric], labels, decided, zero_division=0), **EXACT)


SINGLE = {
    "balanced-accuracy": (BalancedAccuracy, sk.balanced_accuracy_score, {}),
    "mcc": (MatthewsCorrCoef, sk.matthews_corrcoef, {}),
    "kappa": (CohenKappa, sk.cohen_kappa_score, {}),
    "kappa-linear": (CohenKappa, sk.cohen_kappa_score, {"weights": "linear"}),
    "kappa-quadratic": (CohenKappa, sk.cohen_kappa_score, {"weights": "quadratic"}),
    "accuracy": (Accuracy, sk.accuracy_score, {}),
}


@pytest.mark.parametrize("name", SINGLE)
@settings(max_examples=60)
@given(st.data())
def test_single_numbers_are_those_of_scikit_learn(name, data):
    metric, function, arguments = SINGLE[name]
    for task in ("multiclass", "binary"):
        labels, decided = data.draw(decisions(task))
        classes = {} if metric is Accuracy else {"num_classes": CLASSES if task == "multiclass" else 2}
        got = metric(task=task, **classes, **arguments)(preds_of(decided, task), torch.from_numpy(labels))
        more = {"labels": range(CLASSES if task == "multiclass" else 2)} if metric is CohenKappa else {}
        expected = oracle(function, labels, decided, **arguments, **more)
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12, equal_nan=True)


@settings(max_examples=40)
@given(decisions("multiclass"))
def test_confusion_matrix_is_scikit_learns(drawn):
    labels, decided = drawn
    got = ConfusionMatrix(num_classes=CLASSES)(preds_of(decided, "multiclass"), torch.from_numpy(labels))
    assert np.array_equal(got, sk.confusion_matrix(labels, decided, labels=range(CLASSES)))


def test_multilabel_confusion_matrix_and_accuracy_are_scikit_learns(rng):
    labels, decided = rng.integers(0, 2, (2, 50, 3))
    preds = preds_of(decided, "multilabel")
    got = ConfusionMatrix(num_classes=3, task="multilabel")(preds, torch.from_numpy(labels))
    assert np.array_equal(got, sk.multilabel_confusion_matrix(labels, decided))
    accuracy = Accuracy(task="multilabel")(preds, torch.from_numpy(labels))
    assert float(accuracy) == pytest.approx((labels == decided).mean(), rel=1e-12)
    balanced = BalancedAccuracy(num_classes=3, task="multilabel")(preds, torch.from_numpy(labels))
    each = [sk.balanced_accuracy_score(labels[:, c], decided[:, c]) for c in range(3)]
    assert float(balanced) == pytest.approx(np.mean(each), rel=1e-12)


@pytest.mark.parametrize("top_k", [1, 2, 3, 7, 9])
def test_top_k_accuracy_is_scikit_learns(top_k, rng):
    preds = rng.normal(size=(300, 7)).astype(np.float32)
    labels = rng.integers(0, 7, 300)
    got = Accuracy(top_k=top_k)(torch.from_numpy(preds), torch.from_numpy(labels))
    expected = oracle(sk.top_k_accuracy_score, labels, preds, k=top_k, labels=range(7))
    torch.testing.assert_close(got, expected, **EXACT)


def test_of_equal_classes_the_first_comes_first():
    preds = torch.zeros(4, 4)
    assert [float(Accuracy(top_k=k)(preds, torch.arange(4))) for k in (1, 2, 3, 4)] == [0.25, 0.5, 0.75, 1.0]
    assert [float(Accuracy(top_k=2)(preds[:1], torch.tensor([label]))) for label in range(4)] == [1, 1, 0, 0]
    assert ConfusionMatrix(num_classes=4)(preds, torch.arange(4))[:, 0].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("kind", ["logits", "probs", "log-probs"])
def test_a_sigmoid_decides_above_its_threshold(kind, rng):
    probs = torch.from_numpy(rng.uniform(size=200)).float()
    preds = {"logits": probs.double().logit().float(), "probs": probs, "log-probs": probs.log()}[kind]
    labels = torch.from_numpy(rng.integers(0, 2, 200))
    for threshold in (0.1, 0.5, 0.9):
        got = ConfusionMatrix(task="binary", threshold=threshold, preds_are=kind)(preds, labels)
        assert np.array_equal(got, sk.confusion_matrix(labels, probs > threshold))
    at = torch.tensor([0.25]).double()
    at = {"logits": at.logit(), "probs": at, "log-probs": at.log()}[kind].float()
    assert ConfusionMatrix(task="binary", threshold=0.25, preds_are=kind)(at, torch.tensor([0])).tolist() == [
        [1, 0],
        [0, 0],
    ]


def test_billions_of_rows_of_one_class_leave_the_coefficient_its_digits():
    counts = torch.tensor([[4 * 10**9, 3], [5, 2]])
    metric = MatthewsCorrCoef(num_classes=2)
    metric.merge({"counts": counts, "n_bad": torch.tensor(0)})
    tn, fp, fn, tp = (int(x) for x in counts.flatten())
    exact = (tp * tn - fp * fn) / ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5
    assert float(metric.compute()) == pytest.approx(exact, rel=1e-6)
