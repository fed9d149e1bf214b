"""``score``: decide what the inputs are, stream them through an engine, and collect a run."""

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from evaltool.detect import Decision, decide
from evaltool.engines import Engine
from evaltool.errors import EvaltoolError
from evaltool.progress import Watcher, opened_progress
from evaltool.readers import Rows, open_labels, open_preds
from evaltool.readers.side_files import count_duplicates, read_class_names, read_ids
from evaltool.run.manifest import FORMAT, input_record, versions
from evaltool.run.quantiles import exact_quantiles
from evaltool.run.state import State
from evaltool.run.summary import QUANTILES, summary_of
from evaltool.run.table import table_schema
from evaltool.run.writer import RunWriter, check_output
from evaltool.schema import ENGINES, KINDS, PREDS_DTYPES, PROGRESS, TASKS
from evaltool.scorer.asked import asked_losses
from evaltool.scorer.average import averaged_decision, averaged_preds, preds_record
from evaltool.scorer.blocks import scored_blocks
from evaltool.scorer.engine import open_engine
from evaltool.scorer.loss_columns import LossColumn
from evaltool.scorer.mistakes import too_many_bad
from evaltool.scorer.model_preds import model_records, opened_preds
from evaltool.scorer.scores import Scores, TableInMemory
from evaltool.scorer.stream import streamed

if TYPE_CHECKING:
    from torch import nn

DEFAULT_MAX_BAD = 0.01
QUANTILE_THREADS = 3  # each reads a loss column again


def score(
    preds: Any,
    labels: Any,
    *,
    losses: Sequence["str | nn.Module"] | Mapping[str, "str | nn.Module"] | None = None,
    task: str = "auto",
    preds_are: str = "auto",
    ignore_index: int = -100,
    class_names: str | Path | Sequence[str] | None = None,
    class_weights: str | Path | Sequence[float] | None = None,
    ids: Any = None,
    module: str | Path | Sequence[str | Path] = (),
    average: bool = False,
    model: str | Path | None = None,
    output_name: str | None = None,
    trust: bool = False,
    engine: str = "auto",
    device: str = "auto",
    batch_size: int | None = None,
    max_bad: float = DEFAULT_MAX_BAD,
    dtype: str | None = None,
    scale: float | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    progress: str | None = None,
) -> Scores:
    """Return the scores of every sample.

    Args:
        preds: path of a .npy, array or tensor (CPU or CUDA): float [N, C], [N], [N, C, *S]; see ``task``.
        labels: the same sorts of input; integer [N] or [N, *S], or shares [N, C].
        losses: SPECs (``"focal:gamma=2"``, ``"hard=focal:gamma=5"``), modules (preds, labels) -> [N], or a mapping
            from column to either; by default those of the task.
        task: "auto" or one of multiclass, binary, multilabel, segmentation, regression.
        preds_are: "auto", "logits", "probs" or "log-probs".
        ignore_index: label that counts for nothing.
        class_names: one per class, as a sequence, a file's path or "a,b,c".
        class_weights: a rule ("inverse", ...), or one number per class, for the losses that take them.
        ids: one per sample, as a sequence or ``FILE[:COLUMN]``.
        module: TorchScript files (preds, labels) -> [N], ``FILE`` or ``column=FILE``; each adds a column.
        average: ``preds`` is a sequence of predictions for the same samples, of several checkpoints or folds, each of
            any kind; the mean of their probabilities is scored.
        model: TorchScript (.pt), ONNX (.onnx) or pt2 file that predicts; ``preds`` are then its inputs, one path, array
            or tensor, or a mapping from the inputs' names to them. The predictions are not stored.
        output_name: which output of the model to score; by default the first.
        trust: run TorchScript and pt2 files that no manifest vouches for.
        engine: "fused" (kernels on the CPU, without torch), "torch", "torchscript", "onnxruntime" or "aoti"; "auto" is
            fused where it can do the job, else torch.
        device: "auto", "cpu", "cuda" or "cuda:i".
        batch_size: rows per block, and per batch of the model; by default as many as a few megabytes hold.
        max_bad: share of bad rows above which the result's ``failure`` is set.
        dtype: "bfloat16" for files of raw 2-byte values.
        scale: divide integer preds by this, as in 255.
        output: write the run to this directory while scoring, and keep no column in memory.
        overwrite: replace the run in ``output``.
        progress: what stderr shows: None nothing, "none" decisions and warnings, "plain" lines as well, "rich" a bar,
            "auto" a bar on a terminal and lines elsewhere.

    Returns:
        Scores: a column of float32 per loss (nats or unitless), statuses, and the summary.

    Raises:
        EvaltoolError: the input cannot be scored; nothing has been written.
    """
    options = {name: value for name, value in locals().items() if name not in ("preds", "labels")}
    _check_choices(options)
    _check_numbers(max_bad, batch_size, scale, ignore_index)
    asked = asked_losses(losses)
    with opened_progress(progress) as watcher, opened_preds(preds, SimpleNamespace(**options), watcher) as source:
        scores = _scores(source, labels, asked, SimpleNamespace(**options), watcher)
    scores.given = {"labels": labels} if model is not None else {"preds": preds, "labels": labels}
    return scores


def _scores(preds: Any, labels: Any, asked: Mapping[str, Any], options: Any, watcher: Watcher) -> Scores:
    started = time.time()
    output = None if options.output is None else Path(options.output)
    if output is not None:
        check_output(output, overwrite=options.overwrite)
    rows = _opened(preds, labels, options, watcher)
    preds_are = "probs" if options.average else options.preds_are
    decision = decide(*rows, task=options.task, preds_are=preds_are, ignore_index=options.ignore_index)
    if options.average:
        decision = averaged_decision(decision, rows[0])
    watcher.decided(decision.reasons)
    for doubt in decision.doubts:
        watcher.warned(doubt)
    names = _class_names(options.class_names, decision)
    ids = _id_column(options.ids, rows[0].shape[0], watcher)
    engine, columns = open_engine(_device_of(options.device, preds), decision, asked, options, rows[1], watcher)
    with closing(engine):
        inputs = [preds_record(rows[0]), input_record("labels", rows[1]), *model_records(preds)]
        blocks = scored_blocks(*rows, engine, options.batch_size)
        first = next(blocks)
        formulas = {name: column.formula for name, column in columns.items()}
        schema = table_schema(decision.task, formulas, None if ids is None else ids.type, list(first[1].columns))
        state = State(
            list(columns), task=decision.task, num_classes=decision.num_classes, foreground=decision.foreground
        )
        sink = TableInMemory(schema) if output is None else RunWriter(output, schema, overwrite=options.overwrite)
        with sink:
            hardest = streamed(chain([first], blocks), schema, ids, state, sink, watcher, rows[0].shape[0])
            if (counts := engine.counts()) is not None:
                state.add_arrays(counts)
            sink.close_table()
            summary = summary_of(
                state,
                task=decision.task,
                preds_are=decision.preds_are,
                class_names=names,
                quantiles=_quantiles(state, sink),
                hardest=hardest.rows(),
            )
            failure = too_many_bad(state, decision, max_bad=options.max_bad, ignore_index=options.ignore_index)
            manifest = _manifest(options, decision, names, columns, inputs, engine, started, failure)
            summary["failure"] = failure
            sink.commit(summary, state, manifest)
        if state.n_failed:
            watcher.warned(f"{state.n_failed} rows that can be scored got NaN from a module; their value is null")
        table = sink.table if isinstance(sink, TableInMemory) else None
        return Scores(table, schema, summary=summary, state=state, manifest=manifest, path=output, failure=failure)


def _opened(preds: Any, labels: Any, options: Any, watcher: Watcher) -> tuple[Rows, Rows]:
    if options.average:
        held = open_labels(labels)
        return averaged_preds(preds, held, options, watcher), held
    return open_preds(preds, dtype=options.dtype, scale=options.scale), open_labels(labels)


def _manifest(
    options: Any,
    decision: Decision,
    names: Sequence[str],
    columns: Mapping[str, LossColumn],
    inputs: Sequence[Mapping[str, Any]],
    engine: Engine,
    started: float,
    failure: str | None,
) -> dict[str, Any]:
    """Return what run.json holds."""
    return {
        "format": FORMAT,
        "status": "failed" if failure else "done",
        "failure": failure,
        "versions": versions(),
        "arguments": {name: _recorded(value) for name, value in vars(options).items()},
        "decisions": {name: value for name, value in asdict(decision).items() if name != "tolerance"},
        "class_names": names,
        "losses": [column.record for column in columns.values()],
        "inputs": inputs,
        "engine": engine.name,
        "device": engine.device,
        "provider": engine.provider,
        "started": datetime.fromtimestamp(started, UTC).isoformat(),
        "finished": datetime.now(UTC).isoformat(),
        "seconds": round(time.time() - started, 3),
    }


CHOICES = {
    "task": ("auto", *TASKS),
    "preds_are": ("auto", *KINDS),
    "engine": ENGINES,
    "dtype": (None, *PREDS_DTYPES),
    "progress": (None, *PROGRESS),
}


def _check_choices(options: Mapping[str, Any]) -> None:
    for name, choices in CHOICES.items():
        if options[name] not in choices:
            raise ValueError(f"{name}={options[name]!r}, expected one of {', '.join(map(str, choices))}")


def _check_numbers(max_bad: float, batch_size: int | None, scale: float | None, ignore_index: int) -> None:
    if not isinstance(max_bad, (int, float)) or not 0 <= max_bad <= 1:
        raise ValueError(f"max_bad={max_bad!r}, expected a share in [0, 1]")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size={batch_size!r}, expected at least 1")
    if scale is not None and not 0 < scale < math.inf:
        raise ValueError(f"scale={scale!r}, expected a finite number above 0")
    if not isinstance(ignore_index, int) or not -(2**63) <= ignore_index < 2**63:
        raise ValueError(f"ignore_index={ignore_index!r}, expected an integer of 64 bits")


def _class_names(class_names: str | Path | Sequence[str] | None, decision: Decision) -> list[str]:
    if class_names is not None:
        if not decision.num_classes:
            raise EvaltoolError("the task regression has no classes to name\n  Leave --class-names out.")
        return read_class_names(class_names, decision.num_classes)
    if decision.foreground:
        return ["background", "foreground"]
    return [str(c) for c in range(decision.num_classes)]


def _id_column(ids: Any, n_samples: int, watcher: Watcher) -> "pa.Array[Any] | None":
    if ids is None:
        return None
    column = read_ids(ids, n_samples)
    if column.null_count:
        watcher.warned(f"{column.null_count} ids are missing")
    if twice := count_duplicates(column):
        watcher.warned(f"{twice} ids occur more than once; looked up by id, several samples will answer")
    return column


def _device_of(device: str, preds: Any) -> str:
    """Return the device asked for; by default a CUDA tensor is scored where it is."""
    if device == "auto" and getattr(getattr(preds, "device", None), "type", "") == "cuda":
        return str(preds.device)
    return device


def _quantiles(state: State, sink: "TableInMemory | RunWriter") -> dict[str, list[float | None]]:
    at = list(QUANTILES.values())

    def of_loss(i: int, name: str) -> list[float | None]:
        return exact_quantiles(state.histogram[i], partial(sink.column, name), at)

    with ThreadPoolExecutor(QUANTILE_THREADS) as pool:
        return dict(zip(state.losses, pool.map(of_loss, range(len(state.losses)), state.losses), strict=True))


def _recorded(value: Any) -> Any:
    """Return an argument as JSON can hold it."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _recorded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and len(value) <= 1000:
        return [_recorded(item) for item in value]
    return str(value) if isinstance(value, Path) else f"<{type(value).__name__}>"
