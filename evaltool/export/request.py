"""From what the user asks to export to subjects, with every parameter in numbers."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from evaltool.artifacts.signature import SOFTMAX
from evaltool.catalogue import (
    CATALOGUE,
    METRICS,
    LossSpec,
    MetricSpec,
    parse_metric,
    parse_spec,
    split_spec,
    unknown_subject,
)
from evaltool.detect import Decision
from evaltool.errors import EvaltoolError
from evaltool.export.subject import Subject, module_of, numbers_per_class, signature_of
from evaltool.schema import DEFAULT_LOSSES
from evaltool.scorer.label_counts import Counts, LabelCounts
from evaltool.scorer.loss_columns import column_from_spec

ALL_RANKS = (1, 2, 3, 4, 5)
RANKS_OF_TASK = {
    "multiclass": (2,),
    "binary": (1,),
    "multilabel": (2,),
    "segmentation": (3, 4, 5),
    "foreground": (3, 4, 5),
    "regression": ALL_RANKS,
}
# what a scorecard is of: the task, and whether the preds hold one foreground class
CARDS = {task: (task, False) for task in RANKS_OF_TASK if task != "foreground"} | {"foreground": ("segmentation", True)}
TOLERANCE = 1e-3  # how far a row of probabilities may sum from 1


class GivenCounts(LabelCounts):
    """Class counts as the user gives them, in place of labels to count.

    Args:
        counts: one per class; for sigmoids the negatives and positives; None if none are given.
        decision: what is exported.
    """

    def __init__(self, counts: Sequence[float] | None, decision: Decision) -> None:
        self.given = counts
        self.decision = decision

    def _some(self, counts: Any, asked: str) -> Any:
        if self.given is None or not counts.sum():
            raise EvaltoolError(
                f"there are no labels to count\n  {asked}\n  Give numbers, or --counts with one count per class."
            )
        return counts

    @cached_property
    def _counts(self) -> Counts:
        classes = np.asarray(self.given if self.given is not None else [0.0, 0.0], np.float64)
        return Counts(classes, classes)


def subjects(
    asked: Sequence[str],
    *,
    task: str | None,
    preds_are: str,
    ignore_index: int,
    class_weights: Sequence[float] | str | None,
    counts: Sequence[float] | None,
    num_classes: int | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> list[Subject]:
    """Return the subjects of names and SPECs; "scorecard" and "metrics" stand for those of every task, or of one.

    ``num_classes`` is what metrics need that count by class. ``warn`` is told what class weights do not apply to.

    Raises:
        EvaltoolError: a SPEC is wrong, does not fit the task, or two artifacts would have one name.
    """
    found: list[Subject] = []
    for text in asked:
        if text in ("scorecard", "metrics"):
            found += [
                _card(text, card, preds_are, ignore_index, class_weights, counts)
                for card in CARDS
                if task in (None, card, CARDS[card][0])
            ]
            continue
        _, name, _ = split_spec(text)
        if name not in CATALOGUE and name not in METRICS:
            raise unknown_subject(name, text)
        if name in CATALOGUE:
            found.append(_loss(parse_spec(text), task, preds_are, ignore_index, class_weights, counts))
        else:
            of_loss = partial(
                _loss, preds_are=preds_are, ignore_index=ignore_index, class_weights=class_weights, counts=counts
            )
            found.append(
                _metric(parse_metric(text), task or "multiclass", preds_are, ignore_index, num_classes, of_loss)
            )
    names = [subject["name"] for subject in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise EvaltoolError(
            f"two artifacts would be called {twice[0]!r}\n  {' '.join(asked)}\n  Name one of them, as in "
            f"other={twice[0].replace('_', '-')}."
        )
    unweighted = sorted({item["column"] for subject in found for item in _losses(subject) if not _weighted(item)})
    if class_weights is not None and unweighted:
        warn(f"class weights do not apply to {', '.join(unweighted)}")
    return found


def _losses(subject: Subject) -> list[dict[str, Any]]:
    return [{**subject, "column": subject["name"]}] if subject["kind"] == "loss" else subject["losses"]


def _weighted(item: Mapping[str, Any]) -> bool:
    takers = {name for names in CATALOGUE[item["loss"]].class_weights.values() for name in names}
    return any(item["parameters"][name] is not None for name in takers)


def ranks_of(subject: Subject) -> tuple[int, ...]:
    """Return the ranks of preds that a subject is exported for."""
    if subject["kind"] != "loss":
        return RANKS_OF_TASK[_card_of(subject)]
    entry = CATALOGUE[subject["loss"]]
    if subject.get("task"):
        return RANKS_OF_TASK[subject["task"]]
    if entry.kind == "real":
        return ALL_RANKS
    if entry.kind == "sigmoid" and signature_of(subject, 2).num_classes is not None:
        return (2,)
    # of one sigmoid: [N]; a loss that balances within the sample is none of a single number
    one = entry.kind != "softmax" and "binary" in entry.tasks
    unset = entry.needs.get("binary")
    one = one and (unset is None or subject["parameters"][unset] is not None)
    two = "multiclass" in entry.tasks or "multilabel" in entry.tasks
    return (*((1,) if one else ()), *((2,) if two else ()), 3, 4, 5)


def _card_of(subject: Subject) -> str:
    return "foreground" if subject["foreground"] else str(subject["task"])


def _card(
    kind: str,
    card: str,
    preds_are: str,
    ignore_index: int,
    class_weights: Sequence[float] | str | None,
    counts: Sequence[float] | None,
) -> Subject:
    task, foreground = CARDS[card]
    losses = []
    for name in DEFAULT_LOSSES[task] if kind == "scorecard" else ():
        spec = LossSpec(name.replace("-", "_"), name, {}, name)
        weights = None if task == "regression" else class_weights
        record = _record(spec, task, foreground, preds_are, ignore_index, weights, counts)
        losses.append({name: record[name] for name in ("column", "loss", "parameters")})
    return {
        "kind": kind,
        "name": f"{kind}_{card}",
        "preds_are": preds_are,
        "ignore_index": ignore_index,
        "task": task,
        "foreground": foreground,
        "tolerance": TOLERANCE,
        "losses": losses,
    }


def _loss(
    spec: LossSpec,
    task: str | None,
    preds_are: str,
    ignore_index: int,
    class_weights: Sequence[float] | str | None,
    counts: Sequence[float] | None,
) -> Subject:
    entry = spec.entry
    meant, foreground = CARDS[task or _usual_task(spec)]
    foreground = foreground or (meant == "segmentation" and entry.kind == "sigmoid")
    record = _record(spec, meant, foreground, preds_are, ignore_index, class_weights, counts)
    softmax = entry.outputs(meant, foreground) == "softmax"
    if foreground and softmax:
        raise EvaltoolError(
            f"the loss {spec.name} is one of several classes\n  {spec.text}: `evaltool score` gives it background and "
            "foreground\n  Export a loss of a sigmoid, such as bce, binary-focal or dice."
        )
    activation = "auto" if task is None else ("softmax" if softmax else "sigmoid")
    name = spec.column
    if entry.kind == "either" and task in ("multilabel", "foreground"):
        name = f"{name}_{task}"  # beside the softmax of the same name
    subject = {
        "kind": "loss",
        "name": name,
        "preds_are": preds_are,
        "ignore_index": ignore_index,
        "loss": spec.name,
        "parameters": record["parameters"],
        "activation": activation,
    }
    return subject if task is None else {**subject, "task": task}


def _metric(
    spec: MetricSpec,
    card: str,
    preds_are: str,
    ignore_index: int,
    num_classes: int | None,
    of_loss: Callable[[LossSpec, str], Subject],
) -> Subject:
    """Return the subject of a metric of one task, multiclass unless the user says otherwise."""
    task, foreground = CARDS[card]
    if task not in spec.entry.tasks:
        raise EvaltoolError(
            f"the metric {spec.name} does not fit the task {task}\n  {spec.text}: it is for "
            f"{', '.join(spec.entry.tasks)}\n  `evaltool losses --metrics --task {task}` lists those that do."
        )
    losses = []
    if spec.loss is not None:
        loss = parse_spec(spec.loss)
        item = of_loss(loss, card)
        losses.append({"column": loss.column, "loss": item["loss"], "parameters": item["parameters"]})
    subject = {
        "kind": "metric",
        "name": spec.column if card == "multiclass" else f"{spec.column}_{card}",
        "preds_are": preds_are,
        "ignore_index": ignore_index,
        "metric": spec.name,
        "parameters": spec.parameters,
        "num_classes": num_classes,
        "task": task,
        "foreground": foreground,
        "tolerance": TOLERANCE,
        "losses": losses,
    }
    signature = signature_of(subject, RANKS_OF_TASK[card][-1])
    sizes = {numbers_per_class(i["loss"], i["parameters"], signature.layout == SOFTMAX) for i in losses}
    if sizes - {None, signature.num_classes}:
        raise EvaltoolError(
            f"the loss has another number of classes\n  {spec.text}: {max(filter(None, sizes))} numbers per class, "
            f"--num-classes {num_classes}\n  Give one number per class."
        )
    try:
        module_of(subject)(*signature.example())
    except ValueError as error:  # as of a loss without a value per position
        raise EvaltoolError(
            f"the metric {spec.name} is not one of this task and loss\n  {spec.text}, task {card}: {error}\n"
            "  Choose another --task or loss."
        ) from None
    return subject


def _usual_task(spec: LossSpec) -> str:
    """Return the task whose classes a SPEC's numbers are of where none is named."""
    order = ("multiclass", "binary", "multilabel", "regression", "segmentation")
    fit = [task for task in order if task in spec.entry.tasks and task not in spec.entry.needs]
    return "multilabel" if fit[0] == "binary" and "multilabel" in fit and per_class(spec, "sigmoids") else fit[0]


def per_class(spec: LossSpec, outputs: str) -> set[int]:
    """Return the lengths of a SPEC's lists with one number per class."""
    return {
        len(value)
        for name, value in spec.parameters.items()
        if isinstance(value, list) and len(value) > 1 and not spec.entry.is_pair(name, outputs)
    }


def _record(
    spec: LossSpec,
    task: str,
    foreground: bool,
    preds_are: str,
    ignore_index: int,
    class_weights: Sequence[float] | str | None,
    counts: Sequence[float] | None,
) -> dict[str, Any]:
    """Return what is known of a loss, its parameters in numbers."""
    outputs = spec.entry.outputs(task, foreground)
    given_lists = (given for given in (counts, class_weights) if given and not isinstance(given, str))
    sizes = per_class(spec, outputs) | {len(given) for given in given_lists}
    if outputs == "sigmoid" or not sizes:
        sizes = {2}
    decision = Decision(
        task=task,
        preds_are=None if task == "regression" else preds_are,
        num_classes=0 if task == "regression" else max(sizes),
        foreground=foreground,
        one_hot=False,
        soft_labels=False,
        fractions=False,
        tolerance=TOLERANCE,
        reasons=(),
    )
    given = GivenCounts(counts, decision)
    if isinstance(class_weights, str):
        class_weights = given.weights(class_weights, f"--class-weights {class_weights}")
    column = column_from_spec(spec, decision, ignore_index, given, class_weights)
    return column.record
