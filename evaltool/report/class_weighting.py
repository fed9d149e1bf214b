"""Class weights, alpha and prior bias of a report, as numbers and as code to paste."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evaltool.report.document import WeightRule
from evaltool.weights import class_weights, prior_bias

RULES = ("inverse", "sqrt-inverse", "median-frequency", "enet", "effective-number")
LONGEST_OPTION = 32  # classes whose numbers are still typed

Counts = Sequence[float]


def weight_rules(counts: Counts, form: str, positives: Counts = (), total: float = 0.0) -> list[WeightRule]:
    """Return class weights by every rule; [] where nothing was counted.

    Args:
        counts: labels of each class, [C] or, binary, [2]; multilabel: positives of each class.
        form: "softmax", "sigmoid" (binary, one foreground class) or "sigmoids".
        positives: of sigmoids how often each is 1 ...
        total: ... of so many decisions: the code weighs positives against negatives, not classes against each other.
    """
    if not sum(counts) > 0:
        return []
    rules: list[WeightRule] = []
    for rule in RULES:
        weights = _rule(counts, rule)
        rules.append(
            {
                "rule": rule,
                "weights": weights,
                "torch": _weighted_classes(rule, weights)
                if form == "softmax"
                else _weighted_positives(
                    rule,
                    [(weights[0], weights[1])]
                    if form == "sigmoid"
                    else [_pair(rule, count, total) for count in positives],
                ),
                "option": f"--class-weights {_listed(weights) if len(weights) <= LONGEST_OPTION else rule}",
            }
        )
    return rules


def alpha_of(counts: Counts, form: str) -> dict[str, Any]:
    """Return alpha of a focal loss: the effective-number weights (``balanced``), scaled to a mean of 1."""
    if not sum(counts) > 0:
        return {"values": [], "torch": "", "option": ""}
    raw = np.asarray(_rule(counts, "effective-number"))
    values = (raw / raw.mean()).tolist()
    few = len(values) <= LONGEST_OPTION
    if form == "sigmoids":
        code = (
            f"from evaltool.losses import BinaryFocalLoss\n\ncriterion = BinaryFocalLoss(gamma=2.0, "
            f"weight={_listed(values, brackets=True)}, reduction='mean')\n"
        )
        option = f"binary-focal:weight={_listed(values, brackets=True) if few else 'balanced'}"
    else:
        name, word = ("FocalLoss", "focal") if form == "softmax" else ("BinaryFocalLoss", "binary-focal")
        # of one sigmoid the pair is (negatives, positives)
        code = (
            f"from evaltool.losses import {name}\n\ncriterion = {name}(gamma=2.0, "
            f"alpha={_listed(values, brackets=True)}, reduction='mean')\n"
        )
        option = f"{word}:alpha={_listed(values, brackets=True) if few else 'balanced'}"
    return {"values": values, "torch": code, "option": f"--loss {option}"}


def bias_of(counts: Counts, total: float, form: str) -> dict[str, Any]:
    """Return the last layer's bias with which training starts at the classes' frequencies.

    Of a softmax that is log prior, of sigmoids ``weights.prior_bias`` of each prior; a class without a label counts as
    half a one.

    Args:
        counts: as ``weight_rules`` takes them.
        total: decisions that each sigmoid has made; the sum of the counts of a softmax.
        form: as ``weight_rules`` takes it.
    """
    if not sum(counts) > 0 or not total > 0:
        return {"values": [], "torch": ""}
    if form == "softmax":
        n = np.maximum(np.asarray(counts, np.float64), 0.5)
        values = np.log(n / n.sum()).tolist()
    else:
        positives = counts[1:] if form == "sigmoid" else counts
        pi = np.clip(np.asarray(positives, np.float64) / total, 0.5 / total, 1 - 0.5 / total)
        values = prior_bias(pi.tolist()).tolist()
    code = (
        "import torch\n\n# last_layer: the module that gives the logits\n"
        "with torch.no_grad():\n"
        f"    last_layer.bias.copy_(torch.tensor({_listed(values, brackets=True)}))\n"
    )
    return {"values": values, "torch": code}


def _rule(counts: Counts, rule: str) -> list[float]:
    weights: list[float] = class_weights(list(counts), rule).tolist()
    return weights


def _pair(rule: str, positives: float, total: float) -> tuple[float, float]:
    """Return the weights of the labels 0 and 1 of one sigmoid."""
    if not total > 0:
        return 0.0, 0.0
    negatives, of_positives = _rule([max(total - positives, 0.0), positives], rule)
    return negatives, of_positives


def _weighted_classes(rule: str, weights: list[float]) -> str:
    return (
        f"import torch\n\n# {rule}\nweights = torch.tensor({_listed(weights, brackets=True)})\n"
        "weights *= len(weights) / weights.sum()  # mean 1: learning rate and weight decay keep their meaning\n"
        "criterion = torch.nn.CrossEntropyLoss(weight=weights)\n"
    )


def _weighted_positives(rule: str, pairs: list[tuple[float, float]]) -> str:
    # a label that does not occur has the weight 0, and nothing to weigh the other against
    ratios = [positive / negative if min(negative, positive) > 0 else 1.0 for negative, positive in pairs]
    shown = f"{ratios[0]:.6g}" if len(ratios) == 1 else _listed(ratios, brackets=True)
    return (
        f"import torch\n\n# {rule}, of positives over negatives\n"
        f"criterion = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor({shown}))\n"
    )


def _listed(values: Sequence[float], *, brackets: bool = False) -> str:
    text = ",".join(f"{value:.6g}" for value in values)
    return f"[{text}]" if brackets else text
