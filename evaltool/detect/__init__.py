"""What are these arrays: the task, the kind of the predictions, and the reason in one line each.

Shapes and dtypes decide where they can; else an evenly spaced probe of the rows does.  The scorer then checks
every row against the decision.
"""

from dataclasses import dataclass

from evaltool.detect.kind import decided_kind
from evaltool.detect.probe import Probe
from evaltool.detect.task import check_task, guessed_task
from evaltool.errors import EvaltoolError
from evaltool.readers import Rows


@dataclass(frozen=True)
class Decision:
    """What was decided, and why."""

    task: str
    preds_are: str | None  # None for regression
    num_classes: int  # 2 for binary and for one foreground class, 0 for regression
    foreground: bool  # segmentation of one foreground class
    one_hot: bool  # labels are [N, C] with a single 1 in each row
    soft_labels: bool  # labels are shares of the classes, [N, C]
    fractions: bool  # probed labels of binary and multilabel lie between 0 and 1
    tolerance: float  # how far probabilities may sum from 1
    reasons: tuple[str, ...]
    doubts: tuple[str, ...] = ()  # what speaks against the decision


def decide(preds: Rows, labels: Rows, *, task: str = "auto", preds_are: str = "auto", ignore_index: int) -> Decision:
    """Return what the arrays are.

    Raises:
        EvaltoolError: they are no pair that a task can score; the message names both shapes.
    """
    _check_sizes(preds, labels)
    probe = Probe(preds, labels, ignore_index)
    if task == "auto":
        task, why = guessed_task(probe)
    else:
        why = "as given by --task"
    check_task(probe, task)
    foreground = task == "segmentation" and (probe.same_shape or probe.preds_shape[1] == 1)
    kind, kind_why, doubt = decided_kind(probe, task, preds_are, foreground)
    square = task == "multiclass" and probe.same_shape
    one_hot = square and probe.one_hot(1)
    reasons = [f"task: {task}, {why}"]
    if square:
        reasons.append("labels: one-hot, because every probed row is" if one_hot else "labels: shares of the classes")
    if kind:
        reasons.append(f"preds: {kind}, {kind_why}")
    num_classes = {"binary": 2, "regression": 0}.get(task)
    if num_classes is None:
        num_classes = 2 if foreground else probe.preds_shape[1]
    return Decision(
        task=task,
        preds_are=kind,
        num_classes=num_classes,
        foreground=foreground,
        one_hot=one_hot,
        soft_labels=square and not one_hot,
        fractions=task in ("binary", "multilabel") and probe.between_zero_and_one(),
        tolerance=probe.tolerance,
        reasons=tuple(reasons),
        doubts=() if doubt is None else (f"the predictions are {doubt}",),
    )


def _check_sizes(preds: Rows, labels: Rows) -> None:
    if preds.shape[0] != labels.shape[0]:
        transposed = len(preds.shape) == 2 and preds.shape[1] == labels.shape[0]
        hint = "Both have to hold the same samples in the same order."
        hint = "The predictions look transposed: save preds.T." if transposed else hint
        raise EvaltoolError(
            "predictions and labels differ in their number of samples\n"
            f"  {preds.name}: shape {list(preds.shape)}, N = {preds.shape[0]}\n"
            f"  {labels.name}: shape {list(labels.shape)}, N = {labels.shape[0]}\n"
            f"  {hint}"
        )
    if preds.shape[0] == 0:
        raise EvaltoolError(
            f"there is no sample to score\n  {preds.name}: shape {list(preds.shape)}, N = 0\n"
            "  Check how the file was written."
        )
    for rows in (preds, labels):
        if 0 in rows.shape:
            raise EvaltoolError(
                f"an axis has no positions\n  {rows.name}: shape {list(rows.shape)}, expected every axis >= 1\n"
                "  Check how the file was written."
            )
