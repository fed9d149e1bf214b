"""Which engine scores a job, with which loss columns."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from evaltool.detect import Decision
from evaltool.devices import chosen_device, is_cpu
from evaltool.engines import Engine
from evaltool.errors import EvaltoolError
from evaltool.kernels.choice import refusal
from evaltool.kernels.job import KernelJob
from evaltool.progress import Watcher
from evaltool.readers import Rows, as_array
from evaltool.readers.side_files import read_class_weights
from evaltool.scorer.label_counts import LABELS_PER_READ, LabelCounts
from evaltool.scorer.loss_columns import LossColumn, loss_columns

COMPILED = {"onnxruntime": "some seconds", "aoti": "a minute or two"}
COMPILING = "engine: fused, compiling the kernels for this machine, once"
SIGMOID_TASKS = ("binary", "multilabel")


def open_engine(
    device: str, decision: Decision, asked: Mapping[str, Any], options: Any, labels: Rows, watcher: Watcher
) -> tuple[Engine, dict[str, LossColumn]]:
    """Return the engine of a job, and its loss columns.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:i".
        decision: what the inputs are.
        asked: a LossSpec or a module by column.
        options: those of ``score``.
        labels: the labels.
        watcher: is told what was decided.

    Raises:
        EvaltoolError: a loss, the device or the engine cannot be used.
    """
    counts = LabelCounts(labels, decision, options.ignore_index)
    weights = None
    if options.class_weights is not None:
        if not decision.num_classes:
            raise EvaltoolError("the task regression has no classes to weigh\n  Leave --class-weights out.")
        given = read_class_weights(options.class_weights, decision.num_classes)
        weights = counts.weights(given, f"--class-weights {given}") if isinstance(given, str) else given
    on_cpu = is_cpu(device)
    if not on_cpu:
        chosen_device(device)  # that it is there, before anything is built for it
    columns = loss_columns(
        asked,
        [options.module] if isinstance(options.module, (str, Path)) else list(options.module),
        decision=decision,
        ignore_index=options.ignore_index,
        counts=counts,
        class_weights=weights,
        trust=options.trust,
        device=device,
    )
    unweighted = [name for name, column in columns.items() if not column.weighted]
    if weights is not None and unweighted:
        watcher.warned(f"class weights do not apply to {', '.join(unweighted)}")
    job = _kernel_job(decision, columns, options.ignore_index)
    why = _hindrance(job, decision, columns, labels) if on_cpu else "it computes on the CPU alone"
    name = _chosen(options.engine, why, on_cpu, watcher)
    if name == "fused":
        return _fused(job, decision, watcher), columns
    return _of_modules(name, device, decision, columns, options.ignore_index, watcher), columns


def _kernel_job(decision: Decision, columns: Mapping[str, LossColumn], ignore_index: int) -> KernelJob:
    return KernelJob(
        task=decision.task,
        preds_are=decision.preds_are or "logits",
        num_classes=decision.num_classes,
        foreground=decision.foreground,
        tolerance=decision.tolerance,
        ignore_index=ignore_index,
        losses=tuple(column.loss for column in columns.values() if column.loss is not None),
    )


def _hindrance(job: KernelJob, decision: Decision, columns: Mapping[str, LossColumn], labels: Rows) -> str | None:
    """Return why no kernel can do a job on the CPU, None if one can."""
    for name, column in columns.items():
        if column.loss is None:
            return f"the column {name} is a module"
    if decision.soft_labels:
        return "the labels are shares of the classes"
    why = refusal(job)
    if why is None and decision.task in SIGMOID_TASKS and (decision.fractions or _has_fractions(labels)):
        return "labels lie between 0 and 1"
    return why


def _chosen(asked: str, why: str | None, on_cpu: bool, watcher: Watcher) -> str:
    """Return the engine's name; of "auto" the fused one where nothing hinders it, else torch, which does every job.

    Args:
        asked: one of ``schema.ENGINES``.
        why: what hinders the engine fused.
        on_cpu: where to compute; a GPU has no fused engine of its own yet, which is nothing to tell.
        watcher: is told of what hinders it.

    Raises:
        EvaltoolError: "fused" is asked for and cannot do the job.
    """
    if asked not in ("auto", "fused"):
        return asked
    if why is None:
        return "fused"
    if asked == "fused":
        raise EvaltoolError(
            f"the engine fused cannot do this job\n  --engine fused: {why}\n"
            "  Leave --engine out, or name torch, which does every job."
        )
    if on_cpu:
        watcher.decided([f"engine: torch, not fused, because {why}"])
    return "torch"


def _fused(job: KernelJob, decision: Decision, watcher: Watcher) -> Engine:
    from evaltool.engines.fused import FusedEngine  # here: it takes numba

    return FusedEngine(job, one_hot=decision.one_hot, compiling=lambda: watcher.decided([COMPILING]))


def _of_modules(
    name: str,
    device: str,
    decision: Decision,
    columns: Mapping[str, LossColumn],
    ignore_index: int,
    watcher: Watcher,
) -> Engine:
    from evaltool.engines.by_name import engine_class  # here: it takes torch

    if name in COMPILED:
        watcher.decided([f"engine: {name}, which takes {COMPILED[name]} to compile the columns"])
    known = {key: value for key, value in asdict(decision).items() if key not in ("fractions", "reasons", "doubts")}
    return engine_class(name)(
        **known,
        ignore_index=ignore_index,
        losses={column: loss.module for column, loss in columns.items()},
        two_classes=[column for column, loss in columns.items() if loss.two_classes],
        device=chosen_device(device),
    )


def _has_fractions(labels: Rows) -> bool:
    """Whether a label lies between 0 and 1: floats are read until one does, for the probe saw but some of them."""
    if labels.dtype.kind != "f":
        return False
    row = max(1, int(np.prod(labels.shape[1:], dtype=np.int64)))
    step = max(1, LABELS_PER_READ // row)
    for start in range(0, labels.shape[0], step):
        block = as_array(labels.read(start, min(start + step, labels.shape[0])))
        if ((block > 0) & (block < 1)).any():
            return True
    return False
