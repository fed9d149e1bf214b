"""Class weights, alpha and prior bias of a report, as numbers and as code to paste."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evaltool.report.document import WeightRule
from evaltool.weights import class_weights, prior_bias

RULES = ("inverse", "sqrt-inverse", "median-frequency", "enet", "effective-number")
LONGEST_OPTION = 32  # classes whose numbers are still typed

Counts = Sequence[float]


def weight_rules(counts: Counts, form: str) -> list[WeightRule]:
    """Return class weights by every rule; [] where nothing was counted.

    Args:
        counts: labels of each class, [C] or, binary, [2]; multilabel: positives of each class.
        form: "softmax", "sigmoid" (binary, one foreground class) or "sigmoids".
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
                "torch": _criterion(rule, weights, form),
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


def _criterion(rule: str, weights: list[float], form: str) -> str:
    head = f"import torch\n\n# {rule}\n"
    if form == "sigmoid":
        # a class without labels has the weight 0, and nothing to weigh the other against
        ratio = weights[1] / weights[0] if min(weights) > 0 else 1.0
        return head + f"criterion = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor({ratio:.6g}))\n"
    module = "CrossEntropyLoss" if form == "softmax" else "BCEWithLogitsLoss"
    return (
        head
        + f"weights = torch.tensor({_listed(weights, brackets=True)})\n"
        + "weights *= len(weights) / weights.sum()  # mean 1: learning rate and weight decay keep their meaning\n"
        + f"criterion = torch.nn.{module}(weight=weights)\n"
    )


def _listed(values: Sequence[float], *, brackets: bool = False) -> str:
    text = ",".join(f"{value:.6g}" for value in values)
    return f"[{text}]" if brackets else text
