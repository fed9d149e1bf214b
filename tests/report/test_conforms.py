"""The checker of documents finds what is wrong with one."""

import copy
import math

import numpy as np
import pytest

from tests.report.conforms import assert_conforms, departures
from tests.report.documents import TASKS, document


@pytest.mark.parametrize("task", TASKS)
def test_generated_documents_conform(task):
    for n_classes in (1, 2, 10) if task in ("multiclass", "segmentation", "multilabel") else (2,):
        assert_conforms(document(task, n_classes))


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("task", TASKS)
def test_generated_documents_without_rows_conform(task, rows):
    assert_conforms(document(task, 3, rows=rows))


WRONG = {
    "report.task: missing": lambda found: found.pop("task"),
    "report.extra: not a key of Report": lambda found: found.update(extra=1),
    "report.n_samples: bool True is not a int": lambda found: found.update(n_samples=True),
    "report.rates.accuracy.value: nan is not finite": lambda found: found["rates"]["accuracy"].update(value=math.nan),
    "report.classes[0].count: float 1.5 is not a int": lambda found: found["classes"][0].update(count=1.5),
    "report.classes[0].recall: NoneType None is not a Estimate": lambda found: found["classes"][0].update(recall=None),
    "report.imbalance.gini: str 'x' is not a float": lambda found: found["imbalance"].update(gini="x"),
    "report.groups.rows: NoneType None is not a list": lambda found: found["groups"].update(rows=None),
    "report.verdict.classes[0]: int64 np.int64(1) is not a int": lambda found: found["verdict"].update(
        classes=[np.int64(1)]
    ),
}


@pytest.mark.parametrize("line", WRONG)
def test_a_departure_is_named_with_its_place(line):
    wrong = copy.deepcopy(document("multiclass", 3))
    WRONG[line](wrong)
    assert departures(wrong) == [line]
