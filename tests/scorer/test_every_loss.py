"""Every loss of the catalogue in every task it fits: the column is what the class gives, and splits by class."""

import numpy as np
import pytest
import torch

import evaltool
from evaltool.catalogue import CATALOGUE, loss_class
from evaltool.errors import EvaltoolError
from evaltool.numerics.log_odds import two_classes

from .problems import TASKS, problem, unprobed


def is_given(name, task):
    """Return as what a loss is given the classes of a task, None if it does not fit."""
    entry = CATALOGUE[name]
    asked = ("segmentation", True) if task == "foreground" else (task, False)
    return entry.outputs(*asked) if entry.fits(*asked) else None


CASES = [(name, task) for name in CATALOGUE for task in TASKS if is_given(name, task)]


def spec_of(name, task):
    """Return a SPEC of a loss, with the parameter that the task needs."""
    needed = CATALOGUE[name].needs.get(task)
    return f"{name}:{needed}=0.5" if needed else name


@pytest.mark.parametrize(("name", "task"), CASES)
def test_column_is_what_the_class_gives(name, task):
    preds, labels = problem(task)
    scores = evaltool.score(preds, labels, losses=[spec_of(name, task)])
    record = scores.manifest["losses"][0]
    x, y = torch.from_numpy(preds), torch.from_numpy(labels)
    if task == "foreground" and is_given(name, task) == "softmax":
        x = two_classes(x[:, 0], "logits")
    expected = loss_class(name)(**record["parameters"])(x, y)
    assert set(scores["status"]) == {"ok"}
    assert scores.summary["n_failed"] == 0
    # the mean of the map is taken in another order
    np.testing.assert_allclose(scores[record["column"]], expected, rtol=1e-6, atol=1e-7)
    shares = [row["loss_share"][record["column"]] for row in scores.summary["classes"]]
    assert all(share is not None for share in shares)
    if shares:
        assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_compiled_column_is_the_same_bit_for_bit(name, task):
    inputs, spec = problem(task, 7), spec_of(name, task)
    first, second = (evaltool.score(*inputs, losses=[spec], engine=engine) for engine in ("torch", "torchscript"))
    assert first.table.equals(second.table)


@pytest.mark.parametrize("kind", ["probs", "log-probs"])
@pytest.mark.parametrize("name", [name for name in CATALOGUE if is_given(name, "segmentation")])
def test_probabilities_give_what_logits_give(name, kind):
    preds, labels = problem("segmentation", 7)
    z = torch.from_numpy(preds).double()
    given = (z.softmax(1) if kind == "probs" else z.log_softmax(1)).numpy()
    scores, expected = (evaltool.score(x, labels, losses=[name]) for x in (given, preds.astype(np.float64)))
    assert scores.summary["preds_are"] == kind
    column = name.replace("-", "_")
    np.testing.assert_allclose(scores[column], expected[column], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", [name for name in CATALOGUE if CATALOGUE[name].kind in ("softmax", "either")])
def test_labels_that_are_shares_of_the_classes(name):
    preds, _ = problem("multiclass")
    shares = np.random.default_rng(1).dirichlet(np.ones(5), 60)
    if not CATALOGUE[name].soft_labels:
        with pytest.raises(EvaltoolError, match=f"the loss {name} does not fit soft labels"):
            evaltool.score(preds, shares, losses=[name])
        return
    scores = evaltool.score(preds, shares, losses=[name])
    assert np.isfinite(scores[name.replace("-", "_")]).all()
    assert scores.summary["n_failed"] == 0


@pytest.mark.parametrize("task", ["binary", "multilabel"])
@pytest.mark.parametrize("name", [name for name in CATALOGUE if CATALOGUE[name].kind in ("sigmoid", "either")])
def test_labels_between_zero_and_one(name, task):
    if not is_given(name, task):
        return
    preds, labels = problem(task)
    soft = np.random.default_rng(1).random(labels.shape)
    if CATALOGUE[name].zero_or_one:
        with pytest.raises(EvaltoolError) as caught:
            evaltool.score(preds, soft, losses=[name], task=task)
        assert str(caught.value) == (
            f"the loss {name} does not fit soft labels\n  labels lie between 0 and 1; it takes 0 and 1 alone\n"
            "  Leave it out, or save labels > 0.5."
        )
        return
    scores = evaltool.score(preds, soft, losses=[spec_of(name, task)], task=task)
    assert np.isfinite(scores[name.replace("-", "_")]).all()


def test_a_sample_without_a_finite_value_counts_in_no_class():
    """-inf at the label makes dice-ce infinite; a fraction that the probe missed makes the hinge form NaN."""
    preds, labels = problem("segmentation")
    masked = preds.copy()
    masked[7, :, 0, 0] = np.where(np.arange(4) == labels[7, 0, 0], -np.inf, 0)
    scores = evaltool.score(masked, labels, losses=["dice-ce"])
    assert scores["dice_ce"][7] == np.inf
    others = np.arange(60) != 7
    expected = evaltool.score(preds[others], labels[others], losses=["dice-ce"])
    shares, expected = ([row["loss_share"]["dice_ce"] for row in run.summary["classes"]] for run in (scores, expected))
    assert shares == pytest.approx(expected)
    preds, labels = problem("multilabel", 5000)
    labels = labels.astype(np.float64)
    labels[unprobed(preds)[0], 0] = 0.5
    scores = evaltool.score(preds, labels, losses=["lovasz"])
    assert scores.summary["n_failed"] == 1
    assert sum(row["loss_share"]["lovasz"] for row in scores.summary["classes"]) == pytest.approx(1)


@pytest.mark.parametrize("name", [name for name in CATALOGUE if is_given(name, "foreground")])
def test_module_of_one_foreground_class_is_given_what_its_spec_is_given(name):
    preds, labels = problem("foreground")
    spec = evaltool.score(preds, labels, losses=[name], engine="torch")
    parameters = spec.manifest["losses"][0]["parameters"]
    module = evaltool.score(preds, labels, losses=[loss_class(name)(**parameters)])
    column = name.replace("-", "_")
    np.testing.assert_array_equal(module[column], spec[column])
    assert [row["loss_share"] for row in module.summary["classes"]] == [
        row["loss_share"] for row in spec.summary["classes"]
    ]


@pytest.mark.parametrize("name", [name for name in CATALOGUE if CATALOGUE[name].kind == "either"])
def test_module_that_chose_its_form_is_given_one_foreground_class_in_that_form(name):
    preds, labels = problem("foreground")
    option = "form" if name == "lovasz" else "activation"
    x, y = torch.from_numpy(preds[:, 0]), torch.from_numpy(labels)
    for chosen, given in (("softmax", two_classes(x, "logits")), ("hinge" if name == "lovasz" else "sigmoid", x)):
        module = loss_class(name)(**{option: chosen})
        scores = evaltool.score(preds, labels, losses={"chosen": module})
        np.testing.assert_allclose(scores["chosen"], module(given, y), rtol=1e-6, atol=1e-7)


def test_foreign_class_of_the_same_name_is_given_what_there_is():
    class FocalLoss(torch.nn.Module):
        def forward(self, preds, labels):
            assert preds.shape == (60, 1, 6, 5)
            return preds.flatten(1).mean(1)

    preds, labels = problem("foreground")
    scores = evaltool.score(preds, labels, losses=[FocalLoss()], batch_size=60)
    np.testing.assert_allclose(scores["focal"], preds.reshape(60, -1).mean(1), rtol=1e-4, atol=1e-6)


class OneValue(torch.nn.Module):
    """A loss like evaltool's whose value does not split by class."""

    def by_class(self, preds, labels):
        return (preds - labels).abs().mean(1, keepdim=True)


def test_value_that_does_not_split_by_class_has_no_shares(monkeypatch):
    monkeypatch.setattr(OneValue, "__module__", "evaltool.losses.one_value")
    preds, labels = problem("multilabel")
    scores = evaltool.score(preds, labels, losses={"one": OneValue()})
    np.testing.assert_allclose(scores["one"], np.abs(preds - labels).mean(1), rtol=1e-5)
    assert [row["loss_share"] for row in scores.summary["classes"]] == [{"one": None}] * 5
