"""Predictions of several checkpoints or folds, averaged as probabilities before they are scored."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaltool.detect import Decision, decide
from evaltool.errors import EvaltoolError
from evaltool.progress import Watcher
from evaltool.readers import Rows, open_preds
from evaltool.readers.averaged import AveragedRows
from evaltool.run.manifest import input_record
from evaltool.schema import is_softmax


def averaged_preds(preds: Any, labels: Rows, options: Any, watcher: Watcher) -> AveragedRows:
    """Return the mean of several predictions, each read as the kind that it is.

    Args:
        preds: paths, arrays or tensors.
        labels: their labels.
        options: those of ``score``.
        watcher: is told what each of them is.

    Raises:
        EvaltoolError: they are no two or more predictions for the same task and of one shape.
    """
    if options.model is not None:
        raise EvaltoolError(
            f"predictions to average are given, and a model as well\n  --average and --model {options.model}\n"
            "  Store what each model predicts with `evaltool predict`, and average that."
        )
    if isinstance(preds, (str, Path)) or not isinstance(preds, Sequence) or len(preds) < 2:
        raise EvaltoolError(
            "there is nothing to average\n  one prediction, expected two or more\n"
            "  Give several: evaltool score --average A.npy B.npy LABELS.npy, or score([a, b], labels, average=True)."
        )
    rows = [open_preds(source, dtype=options.dtype, scale=options.scale) for source in preds]
    found: list[Decision] = []
    for number, source in enumerate(rows, 1):
        asked = {"preds_are": options.preds_are, "ignore_index": options.ignore_index}
        decision = decide(source, labels, task=options.task, **asked)
        if found and (decision.task, decision.foreground) != (found[0].task, found[0].foreground):
            raise EvaltoolError(
                f"predictions to average are of different tasks\n  {rows[0].name}: {found[0].task}\n"
                f"  {source.name}: {decision.task}\n  Name the task with --task."
            )
        found.append(decision)
        if decision.preds_are is not None:
            watcher.decided([f"average, {number} of {len(rows)}: {source.name}, {decision.preds_are}"])
        for doubt in decision.doubts:
            watcher.warned(f"{source.name}: {doubt}")
    return AveragedRows(
        rows,
        [decision.preds_are for decision in found],
        softmax=is_softmax(found[0].task, found[0].foreground),
        tolerances=[decision.tolerance for decision in found],
    )


def averaged_decision(decision: Decision, rows: Rows) -> Decision:
    """Return a decision with the reason why the predictions are what they are."""
    reasons = (f"preds: probs, the {rows.name}" if text.startswith("preds:") else text for text in decision.reasons)
    return replace(decision, reasons=tuple(reasons))


def preds_record(rows: Rows) -> dict[str, Any]:
    """Return what run.json records of predictions, of averaged ones each of them."""
    record = input_record("preds", rows)
    if not isinstance(rows, AveragedRows):
        return record
    parts = zip(rows.sources, rows.kinds, rows.tolerances, strict=True)
    each = [
        {**input_record("preds", part), "preds_are": kind, "tolerance": tolerance} for part, kind, tolerance in parts
    ]
    return {**record, "softmax": rows.softmax, "average": each}
