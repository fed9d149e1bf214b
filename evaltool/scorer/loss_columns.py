"""From what the user asks for (SPECs, modules, files, class weights) to loss columns."""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from evaltool.catalogue import CATALOGUE, LossSpec, build_loss, check_column_name, free_parameters
from evaltool.detect import Decision
from evaltool.engines.torchscript import load_module, manifest_of
from evaltool.errors import EvaltoolError
from evaltool.readers import Rows, as_array
from evaltool.run.manifest import file_record
from evaltool.schema import DEFAULT_LOSSES, SOFT_LABEL_LOSSES, is_softmax
from evaltool.weights import class_weights as weights_by_rule

LABELS_PER_READ = 1 << 22


@dataclass(frozen=True)
class LossColumn:
    """A loss column: its module, its formula with the parameters' values, and its record in run.json."""

    module: nn.Module
    formula: str
    record: dict[str, Any]


def loss_columns(
    asked: Mapping[str, Any],
    files: Sequence[str | Path],
    *,
    decision: Decision,
    ignore_index: int,
    class_weights: Sequence[float] | None,
    trust: bool,
    device: torch.device,
) -> dict[str, LossColumn]:
    """Return the loss columns of a job; a file replaces the default loss of its name.

    Raises:
        EvaltoolError: a loss does not fit the task, a parameter is wrong, or a file is not trusted.
    """
    wanted = dict(asked)  # by column: a LossSpec or a module
    if not asked:
        names = SOFT_LABEL_LOSSES if decision.soft_labels else DEFAULT_LOSSES[decision.task]
        wanted = {name.replace("-", "_"): LossSpec(name.replace("-", "_"), name) for name in names}
    columns = {
        column: _from_spec(item, decision, ignore_index, class_weights)
        if isinstance(item, LossSpec)
        else _from_module(column, item, decision, ignore_index)
        for column, item in wanted.items()
    }
    from_files: set[str] = set()
    for file in files:
        column, path = _file_column(str(file))
        if column in asked or column in from_files:
            raise EvaltoolError(f"two losses fill the column {column!r}\n  Name the file's: --module other={path}")
        from_files.add(column)
        module = load_module(path, trust=trust, device=device)
        _check_settings(column, module, decision, ignore_index)
        columns[column] = LossColumn(module, f"TorchScript {path.name}", {"column": column, **file_record(path)})
    return columns


def _file_column(text: str) -> tuple[str, Path]:
    name, equals, rest = text.partition("=")
    if equals and not Path(text).exists():
        check_column_name(name, f"--module {text}")
        return name, Path(rest)
    path = Path(text)
    manifest = manifest_of(path) if path.is_file() else None
    named = (manifest or {}).get("name")
    column = re.sub(r"[^a-z0-9]+", "_", str(named or path.stem).lower()).strip("_")
    check_column_name(column, f"--module {text}")
    return column, path


def _from_module(column: str, module: Any, decision: Decision, ignore_index: int) -> LossColumn:
    """Return the column of a caller's module; a copy, for it is moved to the device and set to evaluate."""
    if not isinstance(module, nn.Module):
        raise EvaltoolError(
            f"this is no loss\n  the column {column!r}: {type(module).__name__}, expected a SPEC or a torch.nn.Module\n"
            '  Write for instance losses=["ce", "focal:gamma=2"].'
        )
    _check_settings(column, module, decision, ignore_index)
    name = type(module).__name__
    return LossColumn(copy.deepcopy(module), name, {"column": column, "module": name})


def _check_settings(column: str, module: nn.Module, decision: Decision, ignore_index: int) -> None:
    """Raise EvaltoolError if a module says it takes another kind of predictions, or ignores another label."""
    settings: dict[str, int | str] = {"ignore_index": ignore_index}
    if decision.preds_are:
        settings["preds_are"] = decision.preds_are
    for name, value in settings.items():
        built = getattr(module, name, value)
        if isinstance(built, (int, str)) and built != value:
            raise EvaltoolError(
                f"the module of the column {column!r} was built for other input\n  it has {name}={built!r}, this job "
                f"has {value!r}\n  Build it with {name}={value!r}."
            )


def _from_spec(
    spec: LossSpec, decision: Decision, ignore_index: int, class_weights: Sequence[float] | None
) -> LossColumn:
    _check_fits(spec, decision)
    weighted = {} if class_weights is None else _weight_parameters(spec.name, class_weights, decision)
    parameters = {**weighted, **spec.parameters}
    module = build_loss(
        replace(spec, parameters=parameters),
        ignore_index=ignore_index,
        preds_are=decision.preds_are or "logits",
        activation="softmax" if is_softmax(decision.task, decision.foreground) else "sigmoid",
    )
    _check_lengths(spec.name, module, decision)
    values = _parameter_values(module, parameters)
    told = ", ".join(f"{name} = {_shown(value)}" for name, value in values.items())
    formula = f"{spec.entry.formula}; {told}" if told else spec.entry.formula
    return LossColumn(
        module, formula, {"column": spec.column, "loss": spec.name, "parameters": values, "formula": formula}
    )


def _check_lengths(name: str, module: nn.Module, decision: Decision) -> None:
    one_sigmoid = name in ("bce", "binary-focal") and decision.task != "multilabel"
    for parameter, buffer in module.named_buffers():
        if name == "binary-focal" and parameter == "alpha":
            continue  # always a pair, (negatives, positives)
        if one_sigmoid and buffer.numel() != 1:
            raise EvaltoolError(
                f"{parameter} of the loss {name} is one number\n  got {buffer.numel()} numbers, expected 1: there is "
                "one score per sample or position\n  Both labels apart have pos_weight and neg_weight (bce) and "
                "alpha=negatives,positives (binary-focal)."
            )
        if buffer.numel() not in (1, decision.num_classes):
            raise EvaltoolError(
                f"{parameter} of the loss {name} is not one number per class\n  got {buffer.numel()} numbers, expected "
                f"1 or {decision.num_classes} = C\n  Give one number per class, in the order of the class indices."
            )


def _check_fits(spec: LossSpec, decision: Decision) -> None:
    fits = decision.task in spec.entry.tasks
    if decision.task == "segmentation" and spec.name in ("bce", "binary-focal"):
        fits = decision.foreground
    if decision.soft_labels and fits and spec.name not in SOFT_LABEL_LOSSES:
        raise EvaltoolError(
            f"the loss {spec.name} does not fit soft labels\n  labels are shares of the classes, [N, C]; it takes one "
            "class per sample\n"
            "  Use --loss ce and --loss dice, or save labels.argmax(axis=1)."
        )
    if not fits:
        what = "with several classes" if decision.task in spec.entry.tasks else ""
        others = [name for name, entry in CATALOGUE.items() if decision.task in entry.tasks]
        if what:
            others = [name for name in others if name not in ("bce", "binary-focal")]
        raise EvaltoolError(
            f"the loss {spec.name} does not fit the task {decision.task} {what}".rstrip()
            + f"\n  {spec.name} is for {', '.join(spec.entry.tasks)}"
            f"\n  For {decision.task} there are {', '.join(others)}."
        )


def _weight_parameters(name: str, weights: Sequence[float], decision: Decision) -> dict[str, Any]:
    """Return the parameters by which a loss takes class weights; none for a loss that has no such parameter."""
    if name == "ce":
        return {"weight": list(weights)}
    if name == "focal":
        return {"alpha": list(weights)}
    if name not in ("bce", "binary-focal"):
        return {}
    if decision.task == "multilabel":
        return {"weight": list(weights)}
    if name == "binary-focal":
        return {"alpha": list(weights)}
    negatives, positives = weights
    return {"neg_weight": negatives, "pos_weight": positives}


def takes_class_weights(column: LossColumn) -> bool:
    """Whether a column's values are weighted by class."""
    return any(column.record.get("parameters", {}).get(name) is not None for name in ("weight", "alpha", "pos_weight"))


def _parameter_values(module: nn.Module, given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(given.get(name, default)) for name, default in free_parameters(type(module)).items()}


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _shown(value: Any) -> str:
    return f"[{len(value)} numbers]" if isinstance(value, list) and len(value) > 20 else str(value)


def resolved_class_weights(
    weights: str | list[float], decision: Decision, labels: Rows, ignore_index: int
) -> list[float]:
    """Return class weights; a rule's are computed from the counts of all labels.

    Raises:
        EvaltoolError: the rule finds no valid label.
    """
    if not isinstance(weights, str):
        return weights
    counts = _label_counts(decision, labels, ignore_index)
    if not counts.sum():
        raise EvaltoolError(f"no valid label to compute class weights from\n  {labels.name}: --class-weights {weights}")
    values: list[float] = weights_by_rule(torch.from_numpy(counts), weights).tolist()
    return values


def _label_counts(decision: Decision, labels: Rows, ignore_index: int) -> np.ndarray[Any, Any]:
    counts = np.zeros(decision.num_classes, np.float64)
    row = max(1, int(np.prod(labels.shape[1:], dtype=np.int64)))
    step = max(1, LABELS_PER_READ // row)
    for start in range(0, labels.shape[0], step):
        values = as_array(labels.read(start, min(start + step, labels.shape[0]))).astype(np.float64)
        inside = (values != ignore_index) & (values >= 0)
        if decision.soft_labels or decision.one_hot or decision.task == "multilabel":
            counts += np.where(inside & (values <= 1), values, 0).sum(0)
        else:
            valid = values[inside & (values < decision.num_classes) & (values == np.floor(values))]
            counts += np.bincount(valid.astype(np.int64), minlength=decision.num_classes)
    return counts
