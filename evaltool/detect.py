"""What are these arrays: the task, the kind of the predictions, and the reason in one line each.

Shapes and dtypes decide where they can; else an evenly spaced probe of the rows does.  The scorer then checks
every row against the decision.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.readers import Rows

PROBE_ROWS = 1024
PROBE_BYTES = 1 << 24
PROBE_PIECES = 64
MAJORITY = 0.9  # share of the probed rows that decides the kind; the others become bad_preds


@dataclass(frozen=True)
class Decision:
    """What was decided, and why."""

    task: str
    preds_are: str | None  # None for regression
    num_classes: int  # 2 for binary and for one foreground class, 0 for regression
    foreground: bool  # segmentation of one foreground class
    soft_labels: bool  # labels are shares of the classes, [N, C]
    tolerance: float  # how far probabilities may sum from 1
    reasons: tuple[str, ...]


def decide(preds: Rows, labels: Rows, *, task: str = "auto", preds_are: str = "auto", ignore_index: int) -> Decision:
    """Return what the arrays are.

    Raises:
        EvaltoolError: they are no pair that a task can score; the message names both shapes.
    """
    _check_sizes(preds, labels)
    probe = Probe(preds, labels, ignore_index)
    if task == "auto":
        task, why = _guess_task(probe)
    else:
        why = "as given by --task"
    _check_task(probe, task)
    foreground = task == "segmentation" and probe.same_shape
    foreground = foreground or (task == "segmentation" and probe.preds_shape[1] == 1)
    kind, kind_why = _decide_kind(probe, task, preds_are, foreground)
    reasons = [f"task: {task}, {why}"]
    if kind:
        reasons.append(f"preds: {kind}, {kind_why}")
    num_classes = {"binary": 2, "regression": 0}.get(task, 2 if foreground else probe.preds_shape[-1])
    if task == "segmentation" and not foreground:
        num_classes = probe.preds_shape[1]
    return Decision(
        task=task,
        preds_are=kind,
        num_classes=num_classes,
        foreground=foreground,
        soft_labels=task == "multiclass" and probe.same_shape,
        tolerance=probe.tolerance,
        reasons=tuple(reasons),
    )


POSITION_AXES = {3: "L", 4: "HW", 5: "DHW"}


def axes_text(shape: tuple[int, ...]) -> str:
    """Return a shape with axis names: ``[1000, 10] = [N, C]``."""
    names = ["N", "C", *POSITION_AXES.get(len(shape), ["*S"])]
    return f"{list(shape)} = [{', '.join(names[: len(shape)])}]"


class Probe:
    """Some rows of both arrays, and what can be asked about them."""

    def __init__(self, preds: Rows, labels: Rows, ignore_index: int) -> None:
        self.preds_name, self.labels_name = preds.name, labels.name
        self.preds_shape, self.labels_shape = preds.shape, labels.shape
        self.labels_dtype = labels.dtype
        self.ignore_index = ignore_index
        pieces = _pieces(preds)
        self.preds = np.concatenate([_numbers(preds.read(a, b)) for a, b in pieces])
        self.labels = np.concatenate([_array(labels.read(a, b)) for a, b in pieces])
        self.known = self.labels[self.labels != ignore_index]
        stored = getattr(preds, "rows", preds)
        self.tolerance = _tolerance(preds, stored)

    @property
    def same_shape(self) -> bool:
        """Whether both have one shape; an axis of one class makes no difference between [N] and [N, 1]."""
        return self.preds_shape == self.labels_shape

    @property
    def flat_preds(self) -> bool:
        """Whether there is one number per sample."""
        return len(self.preds_shape) == 1 or self.preds_shape[1:] == (1,)

    @property
    def flat_labels(self) -> bool:
        """Whether there is one label per sample."""
        return len(self.labels_shape) == 1 or self.labels_shape[1:] == (1,)

    @property
    def integral(self) -> bool:
        """Whether every probed label is an integer (or missing: NaN)."""
        if self.labels.dtype.kind != "f":
            return True
        finite = self.known[np.isfinite(self.known)]
        return bool((finite == np.floor(finite)).all())

    def share_in_unit(self) -> float:
        """Return the share of the probed labels, the ignored aside, that lie in [0, 1]."""
        return float(((self.known >= 0) & (self.known <= 1)).mean()) if self.known.size else 1.0

    def one_hot(self, axis: int) -> bool:
        """Whether the probed labels are 0 and 1 with a single 1 along the axis."""
        labels = self.labels.astype(np.float64)
        return bool(np.isin(labels, (0.0, 1.0)).all() and (labels.sum(axis) == 1).all())

    def shares(self) -> bool:
        """Whether the probed rows of labels are shares that sum to 1."""
        labels = self.labels.astype(np.float64)
        rows_sum_to_one = np.abs(labels.sum(1) - 1) < 1e-3
        return bool((labels >= 0).all() and rows_sum_to_one.mean() >= MAJORITY) if labels.size else False

    def mismatch(self, expected: str, hint: str) -> EvaltoolError:
        """Return the error for shapes that do not belong together."""
        return EvaltoolError(
            "labels do not match predictions\n"
            f"  {self.preds_name}: shape {axes_text(self.preds_shape)}\n"
            f"  {self.labels_name}: shape {list(self.labels_shape)}, expected {expected}\n  {hint}"
        )

    def no_class_axis(self, hint: str) -> EvaltoolError:
        """Return the error for predictions without classes."""
        known = self.known[np.isfinite(self.known)] if self.labels.dtype.kind == "f" else self.known
        values = f"values {known.min():g} to {known.max():g}" if known.size else "no value"
        return EvaltoolError(
            "predictions have no axis of classes\n"
            f"  {self.preds_name}: shape {list(self.preds_shape)}, expected [N, C] or [N, C, *S]\n"
            f"  {self.labels_name}: shape {list(self.labels_shape)}, {values}\n  {hint}"
        )


def _pieces(preds: Rows) -> list[tuple[int, int]]:
    n = preds.shape[0]
    row = max(1, int(np.prod(preds.shape[1:], dtype=np.int64)) * preds.dtype.itemsize)
    rows = min(n, max(8, min(PROBE_ROWS, PROBE_BYTES // row)))
    pieces = min(rows, PROBE_PIECES)
    length = rows // pieces
    return [(int(a), int(a) + length) for a in np.linspace(0, n - length, pieces).astype(np.int64)]


def _array(block: Any) -> np.ndarray[Any, Any]:
    return (
        block if isinstance(block, np.ndarray) else np.asarray(block.float().cpu() if _is_half(block) else block.cpu())
    )


def _is_half(block: Any) -> bool:
    return str(block.dtype) in ("torch.bfloat16", "torch.float16")


def _numbers(block: Any) -> np.ndarray[Any, Any]:
    return _array(block).astype(np.float64)


def _tolerance(preds: Rows, stored: Any) -> float:
    if getattr(preds, "scale", None):
        scale: float = preds.scale  # type: ignore[attr-defined]
        return 0.51 * max(preds.shape[1:2], default=1) / scale
    if getattr(preds, "bfloat16", False) or getattr(stored, "coarse", False):
        return 0.05
    return 1e-2 if preds.dtype.itemsize == 2 else 1e-3


def _check_sizes(preds: Rows, labels: Rows) -> None:
    if preds.shape[0] != labels.shape[0]:
        raise EvaltoolError(
            "predictions and labels differ in their number of samples\n"
            f"  {preds.name}: shape {list(preds.shape)}, N = {preds.shape[0]}\n"
            f"  {labels.name}: shape {list(labels.shape)}, N = {labels.shape[0]}\n"
            "  Both have to hold the same samples in the same order."
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


def _guess_task(probe: Probe) -> tuple[str, str]:
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
    raise probe.mismatch(f"{[p[0], *p[2:]]} = [N, *S]", "One label per position is needed, without the class axis.")


def _guess_flat(probe: Probe) -> tuple[str, str]:
    if not probe.integral:
        return "regression", "because labels hold fractions (for soft labels in [0, 1] pass --task binary)"
    if probe.share_in_unit() > 0.5:
        return "binary", "because there is one prediction per sample and labels are 0 and 1"
    if probe.labels_dtype.kind == "f":
        return "regression", "because labels are real numbers, one per sample"
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
        return "multiclass", "because every probed row of labels sums to 1 (soft labels)"
    if probe.share_in_unit() > 0.5:
        return "multilabel", f"because preds and labels are both [N, C] = {[n, c]} and labels lie in [0, 1]"
    if probe.labels_dtype.kind == "f":
        return "regression", f"because preds and labels are both {[n, c]} and labels are real numbers"
    raise probe.mismatch(f"{[n]} = [N], or {[n, c]} of 0 and 1", "If the labels are amounts, pass --task regression.")


def _check_task(probe: Probe, task: str) -> None:
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
        raise probe.mismatch(f"{[p[0], *p[2:]]} = [N, *S]", "One label per position is needed, without the class axis.")


def _check_fractions(probe: Probe, task: str) -> None:
    wants_classes = task == "segmentation" or (task == "multiclass" and not probe.same_shape)
    if wants_classes and not probe.integral:
        fractions = probe.known[np.isfinite(probe.known) & (probe.known != np.floor(probe.known))]
        raise EvaltoolError(
            f"labels hold fractions where class indices are expected\n  {probe.labels_name}: dtype "
            f"{probe.labels_dtype}, for instance {fractions[0]:g}, expected integers from 0\n"
            "  Are predictions and labels swapped? Soft labels are [N, C] with rows that sum to 1; real-valued "
            "targets need --task regression."
        )


def _decide_kind(probe: Probe, task: str, preds_are: str, foreground: bool) -> tuple[str | None, str]:
    if task == "regression":
        return None, ""
    if preds_are != "auto":
        return preds_are, "as given by --preds-are"
    preds = probe.preds
    one_per_class = task == "multiclass" or (task == "segmentation" and not foreground)
    rows = preds if one_per_class else preds.reshape(len(preds), -1)
    rows = rows[~(np.isnan(preds) | (preds == np.inf)).reshape(len(preds), -1).any(1)]
    if not len(rows):
        return "logits", "because no probed row is finite"
    number = f"of {len(rows)} probed rows"
    in_unit = ((rows >= 0) & (rows <= 1)).reshape(len(rows), -1).all(1)
    if not one_per_class:
        if in_unit.mean() >= MAJORITY:
            return "probs", f"because {in_unit.mean():.0%} {number} lie in [0, 1]"
        return "logits", f"because {1 - in_unit.mean():.0%} {number} leave [0, 1]"
    off = np.abs(rows.sum(1) - 1).reshape(len(rows), -1).max(1)
    probs = in_unit & (off <= probe.tolerance)
    if probs.mean() >= MAJORITY:
        return "probs", f"because {probs.mean():.0%} {number} are in [0, 1] and sum to 1"
    log_probs = _log_probs(rows, probe.tolerance)
    if log_probs.mean() >= MAJORITY:
        return "log-probs", f"because {log_probs.mean():.0%} {number} are <= 0 and their exponentials sum to 1"
    return "logits", f"because {1 - probs.mean():.0%} {number} do not sum to 1"


def _log_probs(rows: np.ndarray[Any, Any], tolerance: float) -> np.ndarray[Any, Any]:
    with np.errstate(over="ignore"):
        off = np.abs(np.exp(np.minimum(rows, 1.0)).sum(1) - 1).reshape(len(rows), -1).max(1)
    result: np.ndarray[Any, Any] = (rows <= tolerance).reshape(len(rows), -1).all(1) & (off <= tolerance)
    return result
