"""The registry says of every metric what its class says of itself."""

import inspect
import re

import pytest

from evaltool import metrics
from evaltool.catalogue import METRICS, SET_BY_TASK
from evaltool.metrics import Metric
from evaltool.schema import TASKS


def arguments(name):
    """Return what a metric's class takes, by name."""
    return inspect.signature(getattr(metrics, METRICS[name].class_name)).parameters


@pytest.mark.parametrize("name", METRICS)
def test_parameters_are_those_of_the_class(name):
    own = {key: argument.default for key, argument in arguments(name).items() if key not in (*SET_BY_TASK, "loss")}
    assert list(METRICS[name].parameters.items()) == list(own.items())


@pytest.mark.parametrize("name", METRICS)
def test_what_is_built_with_a_loss_says_so(name):
    assert METRICS[name].of_loss == ("loss" in arguments(name))


@pytest.mark.parametrize("name", METRICS)
def test_formula_source_and_tasks_are_plain(name):
    entry = METRICS[name]
    assert re.fullmatch(r"[ -~]+[^. ]", entry.formula)
    assert re.fullmatch(r"(\w+ \d{4}(, arXiv:\d{4}\.\d{5})?(; )?)*", entry.source)
    assert set(entry.tasks) <= set(TASKS)


def test_every_class_is_in_the_registry_once():
    classes = {name for name in metrics.__all__ if inspect.isclass(getattr(metrics, name))}
    known = {name for name in classes if issubclass(getattr(metrics, name), Metric)} - {"Metric"}
    assert sorted(entry.class_name for entry in METRICS.values()) == sorted(known)
