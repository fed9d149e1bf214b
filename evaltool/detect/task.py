"""Which task fits two arrays; or the error that names both shapes and what to do."""

import numpy as np

from evaltool.detect.probe import Probe, axes_text
from evaltool.errors import EvaltoolError


def guessed_task(probe: Probe) -> tuple[str, str]:
    """Return the task that shapes, dtypes and label values speak for, and why.

    Raises:
        EvaltoolError: none does, or several do.
    """
    p, y = probe.preds_shape, probe.labels_shape
    about = f"because preds are {axes_text(p)} and labels {probe.labels_dtype} {list(y)}"
    if probe.flat_preds and probe.flat_labels:
        return _guess_flat(probe)
    if len(p) == 2 and probe.flat_labels:
        return "multiclass", about
    if len(p) == 2 and p == y:
        return _guess_square(probe)
    if len(p) >= 3 and y == (p[0], *p[2:]):
        return "segmentation", about
    if len(p) >= 3 and p == y:
        if p[1] > 1 and probe.integral and probe.one_hot(1):
            raise probe.mismatch(f"{[p[0], *p[2:]]} = [N, *S]", "The labels look one-hot: save labels.argmax(axis=1).")
        if probe.integral and probe.share_in_unit() > 0.5:
            return "segmentation", f"because preds and labels are both {list(p)} and labels are 0 and 1: one foreground"
        if probe.labels_dtype.kind == "f":
            return "regression", f"because preds and labels are both {list(p)} and labels are real numbers"
        raise probe.no_class_axis("Save one score per class; if the labels are amounts, pass --task regression.")
    if len(p) == 1:
        raise probe.mismatch(f"{[p[0]]} = [N]", "One prediction per sample needs one label per sample.")
    if len(p) == 2:
        raise probe.mismatch(f"{[p[0]]} = [N]", "If several classes can be true, labels are [N, C] of 0 and 1.")
    raise _no_masks(probe)


def _no_masks(probe: Probe) -> EvaltoolError:
    """Return the error for labels that are no masks of the predictions."""
    p, y = probe.preds_shape, probe.labels_shape
    hint = "One label per position is needed, without the class axis."
    if y == (p[0], 1, *p[2:]):
        hint = "Drop the axis of length 1: labels[:, 0]."
    elif y == p[:-1]:
        hint = "The predictions look channels-last: save np.moveaxis(preds, -1, 1)."
    return probe.mismatch(f"{[p[0], *p[2:]]} = [N, *S]", hint)


def _guess_flat(probe: Probe) -> tuple[str, str]:
    if not probe.integral:
        return "regression", "because labels hold fractions (for soft labels in [0, 1] pass --task binary)"
    if probe.share_in_unit() > 0.5:
        return "binary", "because there is one prediction per sample and labels are 0 and 1"
    if probe.labels_dtype.kind == "f":
        return "regression", "because labels are real numbers, one per sample"
    if set(np.unique(probe.known).tolist()) == {-1, 1}:
        raise probe.no_class_axis("Binary labels are 0 and 1: save labels > 0.")
    raise probe.no_class_axis("Save one score per class; if the labels are amounts, pass --task regression.")


def _guess_square(probe: Probe) -> tuple[str, str]:
    n, c = probe.preds_shape
    if probe.labels_dtype.kind != "f" and probe.one_hot(1):
        raise probe.mismatch(
            f"{[n]} = [N]",
            "The labels look one-hot: pass --task multilabel if several classes can be true, --task multiclass if "
            "exactly one is.",
        )
    if probe.labels_dtype.kind == "f" and probe.shares():
        return "multiclass", "because labels are [N, C] and every probed row sums to 1"
    if probe.share_in_unit() > 0.5:
        return "multilabel", f"because preds and labels are both [N, C] = {[n, c]} and labels lie in [0, 1]"
    if probe.labels_dtype.kind == "f":
        return "regression", f"because preds and labels are both {[n, c]} and labels are real numbers"
    raise probe.mismatch(f"{[n]} = [N], or {[n, c]} of 0 and 1", "If the labels are amounts, pass --task regression.")


def check_task(probe: Probe, task: str) -> None:
    """Raise EvaltoolError if the arrays cannot be of the task."""
    p, y = probe.preds_shape, probe.labels_shape
    if task == "multiclass":
        if len(p) == 1:
            raise probe.no_class_axis("One score per sample is --task binary.")
        if len(p) > 2:
            raise probe.mismatch(f"preds [N, C], not {axes_text(p)}", "A class per position is --task segmentation.")
        if p[1] < 2:
            raise EvaltoolError(
                f"one class cannot be told from another\n  {probe.preds_name}: shape {axes_text(p)}, expected C >= 2\n"
                "  One score per sample is --task binary."
            )
        if p == y:
            if not probe.shares():
                raise probe.mismatch(
                    f"{[p[0]]} = [N], or rows that sum to 1",
                    "Pass --task multilabel if several classes can be true.",
                )
        elif not probe.flat_labels:
            raise probe.mismatch(f"{[p[0]]} = [N]", "Multiclass labels are one class index per sample.")
    elif task == "binary":
        if not probe.flat_preds:
            raise EvaltoolError(
                f"binary predictions are one score per sample\n  {probe.preds_name}: shape {axes_text(p)}, expected "
                "[N] or [N, 1]\n  Two columns are --task multiclass; save preds[:, 1] for the positive class alone."
            )
        if not probe.flat_labels:
            raise probe.mismatch(f"{[p[0]]} = [N]", "Binary labels are 0 or 1, one per sample.")
    elif task == "multilabel":
        if len(p) != 2:
            raise probe.no_class_axis("Multilabel predictions are one score per sample and class.")
        if p != y:
            raise probe.mismatch(f"{axes_text(p)}", "Multilabel labels are 0 or 1 for every class of every sample.")
    elif task == "segmentation":
        _check_segmentation(probe)
    elif p != y and not (probe.flat_preds and probe.flat_labels):
        raise probe.mismatch(f"{list(p)}", "Regression labels have the shape of the predictions.")
    _check_fractions(probe, task)


def _check_segmentation(probe: Probe) -> None:
    p, y = probe.preds_shape, probe.labels_shape
    if len(p) < 2 or (len(p) == 2 and p != y):
        raise probe.no_class_axis("Segmentation predictions have positions: [N, C, *S], or [N, *S] for one foreground.")
    if p == y and len(p) >= 3 and p[1] > 1 and probe.integral and probe.one_hot(1):
        raise probe.mismatch(f"{[p[0], *p[2:]]} = [N, *S]", "The labels look one-hot: save labels.argmax(axis=1).")
    if y not in (p, (p[0], *p[2:])) or len(y) < 2:
        raise _no_masks(probe)


def _check_fractions(probe: Probe, task: str) -> None:
    wants_classes = task == "segmentation" or (task == "multiclass" and not probe.same_shape)
    if wants_classes and not probe.integral:
        raise EvaltoolError(
            f"labels hold fractions where class indices are expected\n  {probe.labels_name}: dtype "
            f"{probe.labels_dtype}, for instance {probe.fraction():g}, expected integers from 0\n"
            "  Are predictions and labels swapped? Soft labels are [N, C] with rows that sum to 1; real-valued "
            "targets need --task regression."
        )
