"""A job's losses as the numbers that kernels read, and why a job is none for them."""

from typing import Any, NamedTuple

import numpy as np

from evaltool.kernels.job import KernelJob, KernelLoss
from evaltool.schema import is_softmax

Array = np.ndarray[Any, Any]

CROSS_ENTROPY, FOCAL_OF_2, FOCAL, DICE = range(4)
SOFTMAX_LOSSES, SIGMOID_LOSSES = ("ce", "focal", "dice"), ("bce", "binary-focal", "dice")
MOST_CLASSES = {"segmentation": 1024, "multilabel": 8192}  # counted densely in every thread


class LossTable(NamedTuple):
    """The losses, L of them; what a loss does not have is 0 or 1."""

    kinds: Array  # int64 [L]
    factors: Array  # float64 [L, K]: K = 2 C, class * 2 + label, in multilabel, else one per label
    gammas: Array  # float64 [L, K]
    smooth: Array  # float64 [L, 2], of the Dice losses: smooth_nr, smooth_dr
    squared: Array  # int64 [L]
    every_class: Array  # int64 [L], 1 where the mean is over all classes


def loss_table(job: KernelJob) -> LossTable:
    """Return the table of a job that is not refused."""
    count, keys = len(job.losses), job.num_classes * (2 if job.task == "multilabel" else 1)
    table = LossTable(
        np.zeros(count, np.int64),
        np.ones((count, keys)),
        np.full((count, keys), 2.0),
        np.ones((count, 2)),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
    )
    for i, loss in enumerate(job.losses):
        given = loss.parameters
        if loss.name == "dice":
            table.kinds[i] = DICE
            table.smooth[i] = np.float32(given["smooth_nr"]), np.float32(given["smooth_dr"])
            table.squared[i] = given["squared"]
            table.every_class[i] = given["classes"] == "all"
            continue
        table.factors[i] = _factors(job, loss)
        if loss.name in ("focal", "binary-focal"):
            table.gammas[i] = _by_key(job, given["gamma"])
            table.kinds[i] = FOCAL_OF_2 if (table.gammas[i] == 2.0).all() else FOCAL
    return table


def _factors(job: KernelJob, loss: KernelLoss) -> Array:
    given = loss.parameters
    if loss.name == "ce":
        return _by_key(job, given["weight"])
    if loss.name == "focal":
        return _by_key(job, given["alpha"])
    negatives, positives = given.get("neg_weight"), given.get("pos_weight")
    if loss.name == "binary-focal":
        negatives, positives = _sides(given["alpha"])
    factors = _by_key(job, given["weight"]).copy()
    factors[0::2] *= _per_class(job, negatives)
    factors[1::2] *= _per_class(job, positives)
    return factors


def _sides(alpha: Any) -> tuple[Any, Any]:
    """Return the factors of negatives and positives: a number a in [0, 1] means 1 - a and a."""
    if alpha is None:
        return None, None
    values = np.asarray(alpha, np.float32).reshape(-1)
    return (np.float32(1) - values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def _per_class(job: KernelJob, values: Any) -> Array:
    """Return numbers for the keys of one label: [C] in multilabel, else [1]."""
    given = np.asarray(1.0 if values is None else values, np.float32).astype(np.float64).reshape(-1)
    return np.broadcast_to(given, [job.num_classes if job.task == "multilabel" else 1])


def _by_key(job: KernelJob, values: Any) -> Array:
    given = np.asarray(1.0 if values is None else values, np.float32).astype(np.float64).reshape(-1)
    if job.task == "multilabel":
        return np.broadcast_to(given, [job.num_classes]).repeat(2)
    return np.broadcast_to(given, [job.num_classes])


def loss_refusal(job: KernelJob) -> str | None:
    """Return why no kernel of softmaxes or sigmoids can do this job's losses, a sentence; None if one can."""
    most = MOST_CLASSES.get(job.task)
    if most and job.num_classes > most:
        return f"{job.task} of {job.num_classes} classes, more than {most}"
    softmax = is_softmax(job.task, job.foreground)
    known: tuple[str, ...] = SOFTMAX_LOSSES if softmax else SIGMOID_LOSSES
    if job.foreground:
        known = tuple(dict.fromkeys(SOFTMAX_LOSSES + SIGMOID_LOSSES))
    for loss in job.losses:
        if loss.name not in known:
            return f"the loss {loss.name} (column {loss.column}) has no kernel in {job.task}"
        if loss.parameters.get("label_smoothing"):
            return f"label_smoothing (column {loss.column}) has no kernel"
        unknown = loss.parameters.keys() - KNOWN_PARAMETERS[loss.name]
        if unknown:
            return f"the parameter {min(unknown)} of {loss.name} (column {loss.column}) has no kernel"
        if wrong := _wrong_length(job, loss):
            return wrong
    return None


KNOWN_PARAMETERS = {
    "ce": {"weight", "label_smoothing"},
    "focal": {"gamma", "alpha"},
    "dice": {"smooth_nr", "smooth_dr", "squared", "classes"},
    "bce": {"pos_weight", "neg_weight", "weight"},
    "binary-focal": {"gamma", "alpha", "weight"},
}


def _wrong_length(job: KernelJob, loss: KernelLoss) -> str | None:
    softmax = loss.name in ("ce", "focal")
    allowed = (1, job.num_classes) if softmax or job.task == "multilabel" else (1,)
    for name in ("weight", "gamma", "alpha", "pos_weight", "neg_weight"):
        pair = name == "alpha" and loss.name == "binary-focal"
        value = loss.parameters.get(name)
        size = 1 if value is None else np.size(value)
        if size not in ((1, 2) if pair else allowed):
            return f"{size} numbers of {name} (column {loss.column}) do not fit {job.num_classes} classes"
    return None
