"""``export`` and ``verify``: many artifacts, one after the other or several at a time."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from evaltool.devices import chosen_device
from evaltool.export.request import subjects
from evaltool.export.verification import Verified, manifests_under, verified
from evaltool.export.write import FORMATS, Exported, check_free, export_item, items_of
from evaltool.progress import Watcher, opened_progress
from evaltool.readers.side_files import read_class_weights, read_counts

In = TypeVar("In")
Out = TypeVar("Out")
ITEMS_PER_PROCESS = 4  # below that a process of its own costs more than it saves: it has to import torch


def export(
    losses: Sequence[str],
    *,
    output: str | Path = "models",
    formats: Sequence[str] = (),
    ranks: Sequence[int] = (),
    task: str | None = None,
    preds_are: str = "logits",
    ignore_index: int = -100,
    class_weights: str | Path | Sequence[float] | None = None,
    counts: str | Path | Sequence[float] | None = None,
    num_classes: int | None = None,
    preds_dtypes: Sequence[str] = (),
    labels_dtypes: Sequence[str] = (),
    device: str = "cpu",
    overwrite: bool = False,
    progress: str | None = None,
    jobs: int | None = 1,
) -> Iterator[Exported]:
    """Yield what became of each artifact, as soon as it is written, compared with float64 and in place.

    Args:
        losses: names or SPECs of losses, "scorecard" (every column of ``evaltool score`` in one graph) or "metrics"
            (the same without losses).
        output: repository to write to: ``onnx/focal/1/model.onnx`` and so on.
        formats: "torchscript", "onnx", "pt2"; by default the first two.
        ranks: of the preds, one ONNX or pt2 file each; by default all for ONNX and 2 for pt2.
        task: what the losses are of, where they may be of several: a task, or "foreground", a segmentation of one
            foreground class.
        preds_are: "logits", "probs" or "log-probs".
        ignore_index: label that counts for nothing.
        class_weights: one number per class, a file of them, or a rule on the counts.
        counts: labels of each class, or a file of them, for rules, priors and margins.
        num_classes: C, of metrics that count by class.
        preds_dtypes: of ONNX and pt2 files: "float32" (the default), "float16".
        labels_dtypes: of ONNX and pt2 files: "int64" (the default), "int32".
        device: to compile pt2 for.
        overwrite: replace artifacts that are there.
        progress: what stderr shows: None nothing, "plain" lines, "rich" a bar, "auto" a bar on a terminal and lines
            elsewhere.
        jobs: processes to work in; None for as many as there are cores, and a script that asks for that has to
            guard its main part with ``if __name__ == "__main__"``.

    Raises:
        EvaltoolError: a SPEC is wrong, or an artifact is there already; nothing has been written.
    """
    wrong = [name for name in formats if name not in FORMATS]
    if wrong:
        raise ValueError(f"formats={formats!r}, expected some of {', '.join(FORMATS)}")
    place = chosen_device(device)
    numbers = None if counts is None else read_counts(counts)
    weights = None if class_weights is None else read_class_weights(class_weights, None)
    with opened_progress(progress, doing="exporting", done="exported", unit="files") as watcher:
        items = items_of(
            subjects(
                losses,
                task=task,
                preds_are=preds_are,
                ignore_index=ignore_index,
                class_weights=weights,
                counts=numbers,
                num_classes=num_classes,
                warn=watcher.warned,
            ),
            formats or ("torchscript", "onnx"),
            ranks=ranks or None,
            preds_dtypes=preds_dtypes or ("float32",),
            labels_dtypes=labels_dtypes or ("int64",),
            device=str(place),
        )
        repository = Path(output)
        check_free(items, repository, overwrite=overwrite)
        yield from _each(partial(export_item, repository=repository), items, watcher, jobs)


def verify(
    paths: Sequence[str | Path], *, device: str = "cpu", progress: str | None = None, jobs: int | None = 1
) -> Iterator[Verified]:
    """Yield what each file turned out to be, of artifacts, their folders and whole repositories.

    Args:
        paths: of files beside or below a manifest.json, or of folders with manifests in them.
        device: where to run the files.
        progress: as for ``export``.
        jobs: as for ``export``.

    Raises:
        EvaltoolError: a path does not exist or has no manifest.
    """
    manifests = manifests_under([Path(path) for path in paths])
    check = partial(_results, device=str(chosen_device(device)))
    with opened_progress(progress, doing="verifying", done="verified", unit="files") as watcher:
        for results in _each(check, manifests, watcher, jobs):
            yield from results


def _results(manifest: Path, *, device: str) -> list[Verified]:
    return list(verified(manifest, device=device))


def _each(work: Callable[[In], Out], items: Sequence[In], watcher: Watcher, jobs: int | None) -> Iterator[Out]:
    """Yield what work makes of each item, in order."""
    processes = min(jobs or len(os.sched_getaffinity(0)), max(1, len(items) // ITEMS_PER_PROCESS))
    for number, result in enumerate(_mapped(work, items, processes), 1):
        watcher.progressed(number, len(items))
        yield result


def _mapped(work: Callable[[In], Out], items: Iterable[In], processes: int) -> Iterator[Out]:
    if processes == 1:
        yield from map(work, items)
        return
    # spawned: a forked copy of a process that runs PyTorch's threads may hang
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=_one_thread)
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    torch.set_num_threads(1)
