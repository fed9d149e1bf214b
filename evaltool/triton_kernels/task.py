"""What kernels are asked for, from a job and its losses' modules; nothing here needs Triton."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from evaltool.schema import KINDS, is_softmax

# by class, for the modules of evaltool.losses themselves are not needed here
SOFTMAX_LOSSES = ("CrossEntropyLoss", "FocalLoss", "DiceLoss")
SIGMOID_LOSSES = ("BinaryCrossEntropyLoss", "BinaryFocalLoss", "DiceLoss")
CODES = {"CrossEntropyLoss": 0, "BinaryCrossEntropyLoss": 0, "FocalLoss": 1, "BinaryFocalLoss": 1, "DiceLoss": 2}
SQUARED_DICE = 3
MOST_LOSSES = 15  # four bits each
TASKS = ("multiclass", "segmentation", "binary")


@dataclass(frozen=True)
class KernelLosses:
    """Loss columns as kernels take them.

    Attributes:
        columns: their names.
        codes: one hexadecimal digit each, the first one lowest: 0 cross-entropy, 1 focal, 2 Dice, 3 squared Dice.
        table: float32 [L, 2, C], or [L, 2, 1] where no class differs: gamma and the factor at each label (Dice:
            smooth_nr and smooth_dr).
        everywhere: by place, whether it is a Dice loss whose mean is over all classes.
    """

    columns: tuple[str, ...]
    codes: int
    table: Tensor
    everywhere: tuple[bool, ...]


@dataclass(frozen=True)
class KernelTask:
    """What a job's kernels are compiled for.

    Attributes:
        preds_are: the kind of the predictions.
        sigmoid: preds are one number per label, and classes 0 and 1.
        tolerance: how far a softmax may sum from 1.
        ignore_index: label that counts for nothing.
        losses: those of the job.
    """

    preds_are: str
    sigmoid: bool
    tolerance: float
    ignore_index: int
    losses: KernelLosses

    @property
    def kind(self) -> int:
        """The kind's number in the kernels."""
        return KINDS.index(self.preds_are)

    @property
    def table(self) -> tuple[Tensor, int]:
        """The losses' parameters and their width."""
        return self.losses.table, self.losses.table.size(2)

    @property
    def count(self) -> int:
        """How many losses there are."""
        return len(self.losses.columns)


def refusal(
    losses: Mapping[str, Any], *, task: str, foreground: bool, soft_labels: bool, num_classes: int
) -> str | None:
    """Return why the kernels cannot do a job, as half a sentence, None if they can.

    Args:
        losses: modules by column.
        task: one of ``schema.TASKS``.
        foreground: segmentation of one foreground class.
        soft_labels: labels are shares of the classes.
        num_classes: C; 2 for binary and for one foreground class.
    """
    if task not in TASKS:
        return f"no kernel does the task {task} on a GPU"
    if soft_labels:
        return "the labels are shares of the classes"
    softmax = is_softmax(task, foreground)
    known = SOFTMAX_LOSSES if softmax else SIGMOID_LOSSES + (SOFTMAX_LOSSES if foreground else ())
    for column, loss in losses.items():
        if _class(loss) not in known:
            return f"no kernel has the loss {type(loss).__name__} of the column {column}"
        if getattr(loss, "label_smoothing", 0) > 0:
            return f"no kernel has the label smoothing of the column {column}"
        if getattr(loss, "activation", "auto") not in ("auto", "softmax" if softmax else "sigmoid"):
            return f"no kernel has the {loss.activation} of the column {column}"
        if any(values.numel() not in (1, num_classes) for values in _row(loss)):
            return f"the column {column} has numbers for other classes"
    return f"{len(losses)} losses are more than {MOST_LOSSES}" if len(losses) > MOST_LOSSES else None


def kernel_task(
    losses: Mapping[str, Any],
    *,
    task: str,
    preds_are: str | None,
    foreground: bool,
    tolerance: float,
    ignore_index: int,
    device: torch.device,
) -> KernelTask:
    """Return what the kernels of a job take, none of whose losses is refused."""
    rows = [_row(loss) for loss in losses.values()]
    width = max([values.numel() for row in rows for values in row], default=1)
    table = torch.zeros(max(len(rows), 1), 2, width)
    for i, row in enumerate(rows):
        for k, values in enumerate(row):
            table[i, k] = values.detach().float().cpu()
    codes = [SQUARED_DICE if getattr(loss, "squared", False) else CODES[_class(loss)] for loss in losses.values()]
    packed = KernelLosses(
        tuple(losses),
        sum(code << (4 * i) for i, code in enumerate(codes)),
        table.to(device),
        tuple(getattr(loss, "classes", "") == "all" for loss in losses.values()),
    )
    return KernelTask(preds_are or "logits", not is_softmax(task, foreground), tolerance, ignore_index, packed)


def _class(loss: Any) -> str:
    """Return the name of a loss's class, "" of somebody else's."""
    return type(loss).__name__ if type(loss).__module__.startswith("evaltool.losses.") else ""


def _row(loss: Any) -> tuple[Tensor, Tensor]:
    """Return both parameters of a loss, [1] or [C] each."""
    one = torch.ones(1)
    name = _class(loss)
    if name == "DiceLoss":
        return one * loss.smooth_nr, one * loss.smooth_dr
    if name == "FocalLoss":
        return loss.gamma, _or_one(loss.alpha)
    if name == "BinaryFocalLoss":
        return loss.gamma, _or_one(loss.alpha) * _or_one(loss.weight)
    if name == "BinaryCrossEntropyLoss":
        sides = torch.cat([_or_one(loss.neg_weight), _or_one(loss.pos_weight)])
        return one, sides * _or_one(loss.weight)
    return one, _or_one(loss.weight)


def _or_one(values: Tensor | None) -> Tensor:
    return torch.ones(1) if values is None else values.detach().float().cpu()
