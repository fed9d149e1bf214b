"""What an artifact computes, as JSON holds it: enough to build the module again, so that anyone can check a file.

A subject has ``kind`` ("loss", "metric", "metrics" or "scorecard"), ``name``, ``preds_are`` and ``ignore_index``. A
loss has ``loss`` (its registry name), ``parameters`` and ``activation``; the others have ``task``, ``foreground``,
``tolerance`` and ``losses``, each with ``column``, ``loss`` and ``parameters``. A metric, which has one loss or none,
has ``metric`` (its registry name), ``parameters`` and ``num_classes`` beside them.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn

from evaltool.artifacts.signature import ELEMENTS, REAL, SOFTMAX, Signature
from evaltool.catalogue import CATALOGUE, METRICS, LossSpec, build_loss, build_metric
from evaltool.errors import EvaltoolError
from evaltool.metrics import Metric, Scorecard, task_card
from evaltool.schema import COLUMNS, KINDS, LOSSES, TASKS, is_softmax

Subject = Mapping[str, Any]
OF_TASK = ("task", "foreground", "tolerance", "losses")
FIELDS = {
    "loss": ("loss", "parameters", "activation"),
    "metric": ("metric", "parameters", "num_classes", *OF_TASK),
    "metrics": OF_TASK,
    "scorecard": OF_TASK,
}


def subject_of(metadata: Mapping[str, Any]) -> Subject:
    """Return the subject that metadata describes.

    Raises:
        EvaltoolError: a field is missing or holds what no subject has.
        TypeError, KeyError: a field is not even of the type.
    """
    kind = metadata.get("kind")
    wanted = ("kind", "name", "preds_are", "ignore_index", *FIELDS.get(str(kind), ()))
    missing = [name for name in wanted if name not in metadata]
    if kind not in FIELDS or missing:
        what = f"without {', '.join(missing)}" if missing else f"kind {kind!r}"
        raise EvaltoolError(
            f"the metadata does not say what is computed\n  {what}, expected kind {' or '.join(FIELDS)} and "
            "its fields\n  Write the file with evaltool export."
        )
    subject = {name: metadata[name] for name in wanted}
    index = subject["ignore_index"]
    known = subject["preds_are"] in KINDS and type(index) is int and -(2**63) <= index < 2**63
    if kind != "loss":
        known = known and subject["task"] in TASKS and type(subject["foreground"]) is bool
    if kind == "metric":
        of_loss = subject["metric"] in METRICS and METRICS[subject["metric"]].of_loss
        known = known and subject["metric"] in METRICS and len(subject["losses"]) == of_loss
    if not known:
        raise EvaltoolError(
            f"the metadata does not say what is computed\n  {str(subject)[:200]}\n  Write the file with evaltool "
            "export."
        )
    for item in [subject] if kind == "loss" else subject["losses"]:
        if item["loss"] not in CATALOGUE:
            raise EvaltoolError(
                f"no loss is called {item['loss']!r}\n  {subject['name']}\n  `evaltool losses` lists them."
            )
    return subject


def module_of(subject: Subject) -> nn.Module:
    """Return the module that a subject describes.

    Raises:
        EvaltoolError: a parameter is outside its range.
    """
    if subject["kind"] == "loss":
        return _loss(subject, subject["name"], subject["loss"], subject["parameters"], subject["activation"])
    if subject["kind"] == "metric":
        return metric_of(subject)
    task, foreground = subject["task"], subject["foreground"]
    activation = "softmax" if is_softmax(task, foreground) else "sigmoid"
    losses, of_two = {}, []
    for item in subject["losses"]:
        two = foreground and CATALOGUE[item["loss"]].takes_two_classes
        of_two += [item["column"]] if two else []
        own = "softmax" if two else activation
        losses[item["column"]] = _loss(subject, item["column"], item["loss"], item["parameters"], own)
    return Scorecard(
        task_card(task, foreground, subject["ignore_index"], subject["preds_are"], subject["tolerance"]),
        losses,
        preds_are=subject["preds_are"],
        two_classes=of_two,
        columns=columns_of(subject),
    ).eval()


def metric_of(subject: Subject) -> Metric:
    """Return the module of a metric; a segmentation is multiclass to it or, of one foreground class, binary.

    Raises:
        EvaltoolError: a parameter is outside its range.
    """
    task, foreground = subject["task"], subject["foreground"]
    activation = "softmax" if is_softmax(task, foreground) else "sigmoid"
    losses = [_loss(subject, i["column"], i["loss"], i["parameters"], activation) for i in subject["losses"]]
    return build_metric(
        subject["metric"],
        subject["parameters"],
        loss=losses[0] if losses else None,
        num_classes=subject["num_classes"],
        task={"segmentation": "binary" if foreground else "multiclass"}.get(task, task),
        ignore_index=subject["ignore_index"],
        preds_are=subject["preds_are"],
        tolerance=subject["tolerance"],
    ).eval()


def output_names(subject: Subject) -> list[str]:
    """Return the names of a file's outputs."""
    return {"loss": ["loss"], "metric": ["value"]}.get(subject["kind"]) or columns_of(subject)


def columns_of(subject: Subject) -> list[str]:
    """Return the columns of a scorecard in the order of a run's, without index and id."""
    losses = [item["column"] for item in subject["losses"]]
    columns = [name for name in COLUMNS[subject["task"]] if name not in ("index", "id")]
    at = columns.index(LOSSES)
    return [*columns[:at], *losses, *columns[at + 1 :]]


def signature_of(subject: Subject, rank: int, preds_dtype: str = "float32", labels_dtype: str = "int64") -> Signature:
    """Return what a file of a subject takes for preds of a rank."""
    layout = layout_of(subject, rank)
    if layout == REAL and labels_dtype.startswith("int"):
        labels_dtype = "float32"
    signature = Signature(layout, rank, None, preds_dtype, labels_dtype)
    return Signature(layout, rank, _num_classes(subject, signature), preds_dtype, labels_dtype)


def layout_of(subject: Subject, rank: int) -> str:
    """Return how labels stand to preds of a rank."""
    if subject["kind"] != "loss":
        if subject["task"] == "regression":
            return REAL
        return SOFTMAX if is_softmax(subject["task"], subject["foreground"]) else ELEMENTS
    kind = CATALOGUE[subject["loss"]].kind
    if kind in ("softmax", "real"):
        return {"softmax": SOFTMAX, "real": REAL}[kind]
    softmax = kind == "either" and subject["activation"] != "sigmoid" and rank > 1
    return SOFTMAX if softmax else ELEMENTS


def _num_classes(subject: Subject, signature: Signature) -> int | None:
    """Return C where the parameters hold numbers per class."""
    if not signature.has_classes:
        return None
    if subject["kind"] == "metric":
        counted: int | None = getattr(metric_of(subject), "num_classes", None)
        # of the most probable class alone, any number will do
        if counted is not None and (counted > 1 or subject["task"] == "multilabel"):
            return counted
    items = [subject] if subject["kind"] == "loss" else subject["losses"]
    softmax = signature.layout == SOFTMAX
    return next((n for item in items if (n := numbers_per_class(item["loss"], item["parameters"], softmax))), None)


def numbers_per_class(loss: str, parameters: Mapping[str, Any], softmax: bool) -> int | None:
    """Return how many numbers a loss's parameters hold per class; None if one serves all of them.

    Args:
        loss: its registry name.
        parameters: its parameters' values.
        softmax: the classes share one distribution; else each has a sigmoid.
    """
    outputs = "softmax" if softmax else "sigmoids"
    for name, value in parameters.items():
        per_class = isinstance(value, (list, tuple)) and len(value) > 1
        if per_class and not CATALOGUE[loss].is_pair(name, outputs):
            return len(value)
    return None


def _loss(subject: Subject, column: str, name: str, parameters: Mapping[str, Any], activation: str) -> nn.Module:
    return build_loss(
        LossSpec(column, name, dict(parameters)),
        ignore_index=subject["ignore_index"],
        preds_are=subject["preds_are"],
        activation=activation,
        form={"sigmoid": "hinge"}.get(activation, activation),
    ).eval()
