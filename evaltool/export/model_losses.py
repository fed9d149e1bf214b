"""The losses of a model's predictions: what its output is, which losses fit it, and one module that gives them all."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from evaltool.artifacts.signature import ELEMENTS, REAL, SOFTMAX, Signature
from evaltool.catalogue import LossSpec, parse_spec
from evaltool.detect import Decision
from evaltool.errors import EvaltoolError
from evaltool.export.request import TOLERANCE, GivenCounts
from evaltool.export.subject import numbers_per_class
from evaltool.numerics.elementary import working_precision
from evaltool.numerics.log_odds import two_classes
from evaltool.schema import DEFAULT_LOSSES, is_softmax
from evaltool.scorer.loss_columns import LossColumn, column_from_spec

LARGEST_RANK = 5
# the ranks of preds that a task has, and what they look like
RANKS = {
    "multiclass": ((2,), "[N, C] with C >= 2"),
    "binary": ((1, 2), "[N] or [N, 1]"),
    "multilabel": ((2,), "[N, C]"),
    "segmentation": ((3, 4, 5), "[N, C, *S], one to three axes of positions"),
    "regression": ((1, 2, 3, 4, 5), "[N, ...] of at most 5 axes"),
}


@dataclass(frozen=True)
class Wish:
    """What the user asks for, as the arguments of ``fuse`` give it."""

    losses: Sequence[str]
    task: str
    preds_are: str
    ignore_index: int
    class_weights: Sequence[float] | str | None
    counts: Sequence[float] | None
    labels_dtype: str | None


class PredsLosses(nn.Module):
    """Several losses of the same preds, by column.

    Args:
        losses: modules (preds, labels) -> [N] by column.
        of_two: the columns whose loss is given one foreground class as background and foreground.
        preds_are: "logits", "probs" or "log-probs".
        squeeze: the preds have an axis of one class, which the labels do not have.
    """

    of_two: list[str]

    def __init__(
        self, losses: Mapping[str, nn.Module], of_two: Collection[str], *, preds_are: str, squeeze: bool
    ) -> None:
        super().__init__()
        self.losses = nn.ModuleDict(losses)
        self.of_two = sorted(of_two)
        self.preds_are = preds_are
        self.squeeze = squeeze

    def forward(self, preds: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return each loss, [N], by column; preds and labels as the signature of ``ModelLosses`` says."""
        if self.squeeze:
            preds = preds.squeeze(1)
        values: dict[str, Tensor] = {}
        for name, loss in self.losses.items():
            given = preds
            if name in self.of_two:
                given = two_classes(working_precision(preds), self.preds_are)
            values[name] = loss(given, labels)
        return values


@dataclass(frozen=True)
class ModelLosses:
    """The losses that a model is fused with.

    Attributes:
        decision: what the preds are.
        columns: the losses by column.
        preds_are: the kind of the preds.
        ignore_index: label that counts for nothing.
        squeeze: the preds have an axis of one class, which the labels do not have.
        signature: of the losses, without that axis.
        notes: what was decided and why, a line each.
        warnings: what was decided on little.
    """

    decision: Decision
    columns: dict[str, LossColumn]
    preds_are: str
    ignore_index: int
    squeeze: bool
    signature: Signature
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def module(self, *, squeeze: bool) -> PredsLosses:
        """Return the losses as one module, ready to compute; it drops the axis of one class if asked."""
        return PredsLosses(
            {name: column.module for name, column in self.columns.items()},
            [name for name, column in self.columns.items() if column.two_classes],
            preds_are=self.preds_are,
            squeeze=squeeze,
        ).eval()

    def records(self) -> list[dict[str, Any]]:
        """Return the losses as JSON holds them."""
        return [column.record for column in self.columns.values()]


def model_losses(preds: Tensor, where: str, wish: Wish) -> ModelLosses:
    """Return the losses for the predictions of a model.

    Args:
        preds: some that it gave.
        where: the model and its output, for messages.
        wish: what the user asks for.

    Raises:
        EvaltoolError: the output is no predictions, a SPEC is wrong, or a loss does not fit.
    """
    shape = list(preds.shape)
    if not preds.is_floating_point() or not 1 <= preds.dim() <= LARGEST_RANK:
        dtype = str(preds.dtype).removeprefix("torch.")
        raise EvaltoolError(
            f"this output cannot be predictions\n  {where}: {dtype} {shape}, expected floats of 1 to {LARGEST_RANK} "
            "axes, [N, ...]\n  Choose another output with --output-name."
        )
    specs = _specs(wish.losses)
    task, why = (wish.task, "as given by --task") if wish.task != "auto" else _guessed_task(shape, specs)
    _check_shape(task, shape, where)
    one_class = preds.dim() > 1 and shape[1] == 1
    foreground = task == "segmentation" and one_class
    specs = specs or [LossSpec(name.replace("-", "_"), name, {}, name) for name in DEFAULT_LOSSES[task]]
    classes = 2 if task == "binary" or foreground else 0 if task == "regression" else shape[1]
    decision = Decision(
        task=task,
        preds_are=None if task == "regression" else wish.preds_are,
        num_classes=classes,
        foreground=foreground,
        one_hot=False,
        soft_labels=False,
        fractions=wish.labels_dtype == "float32" and task in ("binary", "multilabel"),
        tolerance=TOLERANCE,
        reasons=(),
    )
    counts = GivenCounts(wish.counts, decision)
    weights = wish.class_weights
    if isinstance(weights, str):
        weights = counts.weights(weights, f"--class-weights {weights}")
    columns = {spec.column: column_from_spec(spec, decision, wish.ignore_index, counts, weights) for spec in specs}
    squeeze = foreground or (task == "binary" and one_class)
    notes, warnings = [f"task: {task}, {why}"], []
    if wish.task == "auto" and task == "multilabel":  # one-hot labels of one class each would pass unseen
        notes, warnings = [], [f"{notes[0]}: labels are 0 or 1 per class; --task multilabel says so"]
    if task != "regression":
        notes.append(f"preds: taken for {wish.preds_are}; --preds-are says otherwise")
    return ModelLosses(
        decision=decision,
        columns=columns,
        preds_are=wish.preds_are,
        ignore_index=wish.ignore_index,
        squeeze=squeeze,
        signature=_signature(preds, decision, columns, squeeze, wish.labels_dtype),
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def _specs(texts: Sequence[str]) -> list[LossSpec]:
    specs = [parse_spec(text) for text in texts]
    columns = [spec.column for spec in specs]
    for column in columns:
        if columns.count(column) > 1:
            raise EvaltoolError(
                f"two losses fill the output {column!r}\n  --loss {' --loss '.join(texts)}\n"
                f"  Name one of them, as in --loss other={column.replace('_', '-')}."
            )
    return specs


def _guessed_task(shape: Sequence[int], specs: Sequence[LossSpec]) -> tuple[str, str]:
    """Return the first task of the shape that all the losses fit, and why."""
    one_class = len(shape) > 1 and shape[1] == 1
    tasks: tuple[str, ...] = ("multiclass", "multilabel", "regression")
    why = f"because the preds are [N, C] with C = {shape[-1]}"
    if len(shape) > 2:
        tasks = ("segmentation", "regression")
        why = f"because the preds have {len(shape)} axes" + (", axis 1 of one foreground class" if one_class else "")
    elif len(shape) == 1 or one_class:
        tasks, why = ("binary", "regression"), "because there is one pred per sample"
    for task in tasks:
        if all(spec.entry.fits(task, one_class and task == "segmentation") for spec in specs):
            others = "" if task == tasks[0] else f" and {specs[0].name} is none of {tasks[0]}"
            return task, why + others
    return tasks[0], why


def _check_shape(task: str, shape: Sequence[int], where: str) -> None:
    ranks, text = RANKS[task]
    wrong = len(shape) not in ranks
    wrong |= (task == "multiclass" and shape[-1] < 2) or (task == "binary" and len(shape) == 2 and shape[1] != 1)
    if wrong:
        raise EvaltoolError(
            f"the output does not fit the task {task}\n  {where}: shape {list(shape)}, expected {text}\n  Pass another "
            "--task, or choose another output with --output-name."
        )


def _signature(
    preds: Tensor, decision: Decision, columns: Mapping[str, LossColumn], squeeze: bool, labels_dtype: str | None
) -> Signature:
    """Return what the losses take."""
    softmax = is_softmax(decision.task, decision.foreground)
    layout = REAL if decision.task == "regression" else SOFTMAX if softmax else ELEMENTS
    integral = layout == SOFTMAX or any(column.two_classes for column in columns.values())
    known = ("int64", "int32") if integral else ("float32",) if layout == REAL else ("int64", "int32", "float32")
    chosen = labels_dtype or known[0]
    if chosen not in known:
        raise EvaltoolError(
            f"the losses take no labels of this dtype\n  --labels-dtype {chosen}, expected {' or '.join(known)} for "
            f"{', '.join(columns)} in the task {decision.task}\n  Leave it out for {known[0]}."
        )
    rank = preds.dim() - squeeze
    dtype = str(preds.dtype).removeprefix("torch.")
    wide = Signature(layout, rank, None, dtype, chosen)
    # a number of classes only where parameters hold one number per class: any other graph takes any number
    fixed = wide.has_classes and any(
        numbers_per_class(column.record["loss"], column.record["parameters"], softmax) for column in columns.values()
    )
    return Signature(layout, rank, decision.num_classes if fixed else None, dtype, chosen)


def are_like_probabilities(preds: Tensor) -> bool:
    """Whether the numbers of every position, [N, C, *S] with C >= 2, are in [0, 1] and sum to 1."""
    if preds.dim() < 2 or preds.shape[1] < 2 or not preds.numel():
        return False
    off = preds.to(torch.float64).sum(1) - 1
    return bool((preds >= 0).all() and (preds <= 1).all() and (off.abs() < TOLERANCE).all())


def labels_for(preds: Tensor, losses: ModelLosses, generator: torch.Generator) -> Tensor:
    """Return random labels for preds: right ones, ignored ones and one that is none of the classes.

    Args:
        preds: of the model.
        losses: what they are for.
        generator: of the numbers.
    """
    given = preds.squeeze(1) if losses.squeeze else preds
    dtype: torch.dtype = getattr(torch, losses.signature.labels_dtype)
    if losses.signature.layout == REAL:
        return torch.randn(given.shape, generator=generator).to(dtype)
    softmax = losses.signature.layout == SOFTMAX
    shape = [given.shape[0], *given.shape[2:]] if softmax else list(given.shape)
    top = given.shape[1] if softmax else 2
    labels = torch.randint(0, top, shape, generator=generator)
    flat = labels.view(-1)
    if flat.numel() > 2:  # the first sample stays whole
        flat[-1] = losses.ignore_index
        flat[flat.numel() // 2] = top
    return labels.to(dtype)
