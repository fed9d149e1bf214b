"""The catalogue says of every class what the class says of itself."""

import inspect
import re

import pytest

from evaltool import losses
from evaltool.catalogue import CATALOGUE, SET_BY_SCORER, loss_class
from evaltool.schema import TASKS


@pytest.mark.parametrize("name", CATALOGUE)
def test_parameters_are_those_of_the_class(name):
    takes = inspect.signature(loss_class(name)).parameters
    defaults = {key: parameter.default for key, parameter in takes.items() if key not in SET_BY_SCORER}
    assert list(CATALOGUE[name].parameters.items()) == list(defaults.items())


# what the scorer sets, by kind
TAKEN = {
    "softmax": {"ignore_index", "preds_are", "reduction"},
    "sigmoid": {"ignore_index", "preds_are", "reduction"},
    "either": {"ignore_index", "preds_are", "reduction", "activation"},
    "real": {"reduction"},
}


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_class_takes_what_the_scorer_sets_for_its_kind(name):
    taken = TAKEN[CATALOGUE[name].kind]
    if name == "lovasz":
        taken = taken - {"activation"} | {"form"}
    assert set(inspect.signature(loss_class(name)).parameters) & set(SET_BY_SCORER) == taken


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_value_splits_by_position_or_by_class(name):
    assert hasattr(loss_class(name), "map") != hasattr(loss_class(name), "by_class")


def test_every_class_is_in_the_catalogue_once():
    assert sorted(entry.class_name for entry in CATALOGUE.values()) == sorted(losses.__all__)


@pytest.mark.parametrize("name", CATALOGUE)
def test_formula_and_source_are_a_line_of_plain_text(name):
    entry = CATALOGUE[name]
    assert re.fullmatch(r"[ -~]+[^. ]", entry.formula)
    assert re.fullmatch(r"(\w+ \d{4}(, arXiv:\d{4}\.\d{5})?(; )?)*", entry.source)


@pytest.mark.parametrize("name", CATALOGUE)
def test_what_is_filled_in_are_parameters_that_are_none_by_default(name):
    entry = CATALOGUE[name]
    takers = {parameter for names in entry.class_weights.values() for parameter in names}
    for parameter in (*takers, *entry.pairs, *entry.counted, *entry.needs.values()):
        assert entry.parameters[parameter] is None, parameter
    assert set(entry.class_weights) <= {"softmax", "sigmoid", "sigmoids"}
    assert set(entry.tasks) <= set(TASKS)


OUTPUTS = {
    "ce": {"multiclass": "softmax", "segmentation": "softmax", "foreground": "softmax"},
    "bce": {"binary": "sigmoid", "multilabel": "sigmoids", "foreground": "sigmoid"},
    "ohem-ce": {"multilabel": "sigmoids", "foreground": "sigmoid"},
    "dice": {
        "multiclass": "softmax",
        "binary": "sigmoid",
        "multilabel": "sigmoids",
        "segmentation": "softmax",
        "foreground": "sigmoid",
    },
    "generalized-dice": {
        "multiclass": "softmax",
        "multilabel": "sigmoids",
        "segmentation": "softmax",
        "foreground": "softmax",
    },
    "lovasz": {"multiclass": "softmax", "multilabel": "sigmoids", "segmentation": "softmax", "foreground": "sigmoid"},
    "mse": {"regression": "real"},
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_tasks_of_a_loss_and_what_it_is_given_there(name):
    entry = CATALOGUE[name]
    asked = {**{task: (task, False) for task in TASKS}, "foreground": ("segmentation", True)}
    found = {task: entry.outputs(*words) for task, words in asked.items() if entry.fits(*words)}
    assert found == OUTPUTS[name]
