"""What is advised, on problems where the right step is known; the costs against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from evaltool.report.class_weighting import weight_rules
from evaltool.report.row_sample import in_second_half
from tests.report.faults import gaussian
from tests.report.test_verdict import broken, reported


def titles(document):
    return [action["title"] for action in document["advice"]["actions"]]


def test_steps_that_undo_each_other_are_not_both_advised():
    rng = np.random.default_rng(11)
    labels = (rng.random(5000) < 0.06).astype(int)
    preds = (1.7 * rng.normal(size=5000) + 2.2 * labels - 2.5).astype(np.float32)
    document, _ = reported(preds, labels, task="binary")
    advice = document["advice"]
    assert advice["adjustment"]["gain"]["low"] > 0
    assert advice["correction"]["gain"]["low"] > 0  # each gains by its own rate
    moving = [title for title in titles(document) if "Subtract" in title or "Bring" in title]
    assert len(moving) <= 1
    # what merely predicts the majority is no step
    assert not any("Bring" in title for title in moving)


def test_a_prior_shift_is_corrected_at_a_price_that_is_named(rng):
    preds, labels = broken(rng, "nothing")
    preds[:, 3:] += 2
    document, _ = reported(preds, labels)
    correction = document["advice"]["correction"]
    rows = in_second_half(np.arange(len(labels)))
    decided = (preds + correction["values"]).argmax(1)
    for way, pred in (("before", preds.argmax(1)), ("after", decided)):
        assert correction[f"accuracy_{way}"] == pytest.approx(accuracy_score(labels[rows], pred[rows]))
        found = correction[f"balanced_accuracy_{way}"]
        assert found == pytest.approx(balanced_accuracy_score(labels[rows], pred[rows]))
    action = document["advice"]["actions"][0]
    assert action["title"].startswith("Bring the predictions back")
    assert "accuracy rises from" in action["why"]
    assert "balanced accuracy " in action["why"]


def test_predicting_the_majority_is_never_advised(rng):
    document, _ = reported(*broken(rng, "everything"))
    assert document["advice"]["correction"]["gain"]["low"] > 0
    assert not any("Bring" in title for title in titles(document))


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_no_bias_where_a_class_is_always_masked(rng, task):
    labels = rng.integers(0, 3, 900)
    preds = rng.normal(size=(900, 3)).astype(np.float32)
    preds[np.arange(900), labels] += 1
    preds[:, 2] = -np.inf
    labels = labels if task == "multiclass" else np.eye(3, dtype=int)[labels]
    correction = reported(preds, labels, task=task)[0]["advice"]["correction"]
    assert correction["values"] == []
    assert correction["torch"] == ""
    assert "no finite bias" in correction["reason"]


def test_labels_that_are_all_rare_weigh_their_positives(rng):
    labels = (rng.random((4000, 4)) < 0.05).astype(int)
    preds = (rng.normal(size=labels.shape) + np.where(labels == 1, -0.5, -3)).astype(np.float32)
    document, verdict = reported(preds, labels, task="multilabel")
    assert verdict["imbalance"] == "problem"
    action = next(action for action in document["advice"]["actions"] if "pos_weight" in action["title"])
    scope = {}
    exec(action["command"], scope)
    positives = labels.sum(0)
    np.testing.assert_allclose(scope["criterion"].pos_weight, np.sqrt((4000 - positives) / positives), rtol=1e-5)


def test_a_ratio_of_1_is_no_reason_for_weights(rng):
    preds, labels = gaussian(rng, [2000] * 3 + [100] * 3, weak=(5,))
    document, verdict = reported(preds, labels)
    assert verdict["imbalance"] in ("problem", "minor")
    assert not any(" 1 times" in action["why"] for action in document["advice"]["actions"])
    assert " 1 times" not in verdict["sentences"][0]


def test_positives_without_negatives_weigh_1():
    code = weight_rules([5, 0], "sigmoids", [5, 0], 5.0)[0]["torch"]
    scope = {}
    exec(code, scope)
    assert scope["criterion"].pos_weight.tolist() == [1, 1]
