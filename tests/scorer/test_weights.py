"""Class weights: to which parameter they go."""

import numpy as np
import pytest
import torch

import evaltool
from evaltool import losses
from evaltool.catalogue import CATALOGUE
from evaltool.weights import class_weights

from .problems import problem

NAMES = [name for name, entry in CATALOGUE.items() if hasattr(losses, entry.class_name)]


def parameters(spec, task, **options):
    """Return the parameters that the run records of a SPEC."""
    return evaltool.score(*problem(task), losses=[spec], **options).manifest["losses"][0]["parameters"]


def weights(counts, rule="effective-number"):
    return class_weights(torch.as_tensor(counts), rule).tolist()


MULTICLASS = np.bincount(problem("multiclass")[1], minlength=5)

FIVE, FOUR, TWO = [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0], [3.0, 2.0]
# what --class-weights set; what is not here they do not touch
WEIGHED = {
    ("ce", "multiclass"): {"weight": FIVE},
    ("ce", "segmentation"): {"weight": FOUR},
    ("ce", "foreground"): {"weight": TWO},
    ("focal", "multiclass"): {"alpha": FIVE},
    ("focal", "foreground"): {"alpha": TWO},
    ("bce", "binary"): {"neg_weight": 3.0, "pos_weight": 2.0},
    ("bce", "foreground"): {"neg_weight": 3.0, "pos_weight": 2.0},
    ("bce", "multilabel"): {"weight": FIVE},
    ("binary-focal", "binary"): {"alpha": TWO},
    ("binary-focal", "foreground"): {"alpha": TWO},
    ("binary-focal", "multilabel"): {"weight": FIVE},
    ("ova-focal", "multiclass"): {"weight": FIVE},
    ("dice", "multiclass"): {},
    ("dice-ce", "multiclass"): {"weight": FIVE},
    ("dice-ce", "binary"): {},
    ("dice-ce", "multilabel"): {},
    ("dice-focal", "segmentation"): {"alpha": FOUR},
    ("dice-focal", "binary"): {"alpha": TWO},
    ("dice-focal", "foreground"): {"alpha": TWO},
    ("dice-focal", "multilabel"): {},
    ("generalized-dice", "foreground"): {},
    ("tversky", "multiclass"): {},
    ("poly", "multiclass"): {"alpha": FIVE},
    ("gce", "multiclass"): {"weight": FIVE},
    ("logit-adjusted", "multiclass"): {"weight": FIVE},
    ("ldam", "foreground"): {"weight": TWO},
    ("seesaw", "segmentation"): {"weight": FOUR},
    ("asymmetric", "multilabel"): {"weight": FIVE},
    ("asymmetric", "binary"): {},
    ("quality-focal", "multilabel"): {"weight": FIVE},
    ("varifocal", "multilabel"): {"weight": FIVE},
    ("varifocal", "foreground"): {},
    ("ohem-ce", "multilabel"): {},
}


@pytest.mark.parametrize(("name", "task"), [case for case in WEIGHED if case[0] in NAMES])
def test_class_weights_go_to_the_parameter_that_takes_them(name, task, capfd):
    given = {"multiclass": FIVE, "segmentation": FOUR, "multilabel": FIVE}.get(task, TWO)
    found = parameters(name, task, class_weights=given, progress="none")
    expected = WEIGHED[name, task]
    assert found == {**CATALOGUE[name].parameters, **expected}
    warned = f"warning: class weights do not apply to {name.replace('-', '_')}\n"
    assert (warned in capfd.readouterr().err) == (not expected)


def test_balanced_class_weights_are_by_the_effective_number():
    found = parameters("ce", "multiclass", class_weights="balanced")
    assert found["weight"] == weights(MULTICLASS)
