"""What is measured computes what it says: every contestant's values are evaltool's."""

import warnings

import numpy as np
import pytest
import torch

import evaltool

from .contest import Skip, prepared
from .lists import contestants
from .problems import Shape, open_problem, write_problem

# 1e-4: peers take 1 - p and the softmax's logarithm in float32, and cleanlab clips
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
LOOSER = {
    "ece": {"rtol": 0, "atol": 1e-4},  # sums of many confidences in float32
    "auroc_64_bins": {"rtol": 0, "atol": 0.02},  # what is in one of 64 bins is tied
}
SHAPES = (
    Shape("rows", "multiclass", 10),
    Shape("wide", "multiclass", 300),
    Shape("masks", "segmentation", 3, (40, 24)),
    Shape("two", "segmentation", 2, (32, 16)),
    Shape("elements", "multilabel", 12),
)
ROWS = 96


COMPILED = ("torch.compile", "ONNX Runtime")
CASES = [
    pytest.param(
        shape, one, id=f"{shape.name}-{one.name}", marks=pytest.mark.slow if one.name.startswith(COMPILED) else ()
    )
    for shape in SHAPES
    for one in contestants("cpu")
    if shape.task in one.tasks and "cpu" in one.devices and not one.process
    if not (shape.name in ("wide", "two") and one.name.startswith(COMPILED))  # seconds each, and nothing new
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a function that gives a shape's problem and what evaltool makes of it, computed once."""
    known = {}

    def problem_and_values(shape):
        if shape not in known:
            folder = tmp_path_factory.mktemp(shape.name)
            write_problem(folder, shape, ROWS)
            problem = open_problem(folder)
            known[shape] = problem, expected(problem)
        return known[shape]

    return problem_and_values


def expected(problem):
    """evaltool's columns, and what peers make of the same numbers."""
    scores = evaltool.score(
        problem.preds, problem.labels, task=problem.shape.task, preds_are="logits", engine="torch", device="cpu"
    )
    assert scores.summary["n_scored"] == ROWS
    values = {name: np.asarray(scores[name]) for name in scores.columns if name not in ("index", "status")}
    metrics = scores.summary["metrics"]
    values |= {"finite": np.ones(ROWS, bool), "accuracy_of_all": scores.summary["accuracy"], "ece": metrics["ece"]}
    task, classes = problem.shape.task, problem.shape.classes
    cells = (classes, 2, 2) if task == "multilabel" else (classes, classes)
    confusion = np.zeros(np.prod(cells), np.int64)
    confusion[scores.state.confusion[0]] = scores.state.confusion[1]
    values |= {"auroc_64_bins": metrics["auroc_macro"], "confusion": confusion.reshape(cells)}
    if task != "multilabel":
        values["mean_ce"] = values["ce"].mean()
    if task == "multiclass":
        values["cleanlab_self_confidence"] = values["p_label"]
        values["cleanlab_normalized_margin"] = (values["margin"] + 1) / 2
        weighted = values["entropy"] / np.log(classes) / values["p_label"]
        values["cleanlab_confidence_weighted_entropy"] = np.log1p(weighted) / weighted
    if task == "segmentation":
        p_label = problem.preds.double().softmax(1).gather(1, problem.labels.long().unsqueeze(1)).flatten(1)
        values["cleanlab_softmin"] = (p_label * torch.softmax((1 - p_label) / 0.1, 1)).sum(1).numpy()
        dice = evaltool.score(
            problem.preds, problem.labels, task=task, preds_are="logits", losses=["dice:classes=all"], device="cpu"
        )
        values["dice_of_all_classes"] = dice["dice"]
    return values


def values_of(contestant, problem):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of peers about themselves
            ready = prepared(contestant, problem, 2)
            batch = ready.batches[0]
            return ready.collect(ready.run(batch if batch is None else 7 * problem.shape.sample))
    except Skip as skip:
        pytest.skip(f"{contestant.name}: {skip}")


@pytest.mark.parametrize(("shape", "contestant"), CASES)
def test_a_contestant_computes_evaltools_values(made, shape, contestant):
    problem, values = made(shape)
    found = values_of(contestant, problem)
    assert found, "nothing to compare"
    if "auroc_64_bins" in found and shape.task == "multiclass" and len(problem.labels.unique()) < shape.classes:
        pytest.skip("torchmetrics counts a class without samples as 0")
    for name in found.keys() - {"status", "clamped", "pred_map"}:
        value = np.asarray(found[name])
        known = "accuracy_of_all" if name == "accuracy" and value.ndim == 0 else name
        np.testing.assert_allclose(value, values[known], **LOOSER.get(name, TOLERANCE), err_msg=name)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_wrong_value_is_found_out(made, shape):
    """The comparison can fail: a focal loss of another gamma is told apart."""
    problem, values = made(shape)
    name = "binary_focal" if shape.task == "multilabel" else "focal"
    losses = [f"{name.replace('_', '-')}:gamma=1.99"]
    other = evaltool.score(
        problem.preds, problem.labels, task=shape.task, preds_are="logits", device="cpu", losses=losses
    )
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(other[name], values[name], **TOLERANCE)
