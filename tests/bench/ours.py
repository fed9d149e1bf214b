"""evaltool itself: the command, the function, and its kernel alone."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from inspect import signature
from threading import local
from types import SimpleNamespace
from typing import Any

from .contest import GPU_BATCHES, Contestant, Ready, Skip
from .problems import Problem
from .torch_peers import default_losses, ready


def command(problem: Problem, threads: int) -> Ready:
    """Prepare `evaltool score` on the files: a process of its own, imports included."""

    def run(_: None) -> dict[str, Any]:
        asked = [str(problem.preds_file), str(problem.labels_file), "-o", str(problem.folder / "command.run")]
        options = ["--task", problem.shape.task, "--preds-are", "logits", "--device", problem.device]
        options += ["--engine", problem.engine, "--overwrite"]
        words = [sys.executable, "-m", "evaltool", "score", *asked, *options, "--json", "--progress", "none"]
        done = subprocess.run(
            words, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)}
        )
        if done.returncode:
            raise RuntimeError(f"evaltool score failed\n{done.stderr}")
        return {}

    return Ready(run)


def scored(problem: Problem, *, into_run: bool = True, resident: bool = False) -> Any:
    """Return what ``evaltool.score`` makes of the files, or of the tensors where they are."""
    import evaltool

    return evaltool.score(
        problem.preds if resident else problem.preds_file,
        problem.labels if resident else problem.labels_file,
        task=problem.shape.task,
        preds_are="logits",
        engine=problem.engine,
        device=problem.device,
        output=problem.folder / "function.run" if into_run else None,
        overwrite=True,
    )


def function(problem: Problem, threads: int) -> Ready:
    """Prepare ``evaltool.score`` on the files, which writes a run."""

    def collect(scores: Any) -> dict[str, Any]:
        import pyarrow.parquet as pq

        table = pq.read_table(scores.path / "scores.parquet")
        return {name: table[name].to_numpy() for name in table.column_names if name not in ("index", "status")}

    return Ready(lambda _: scored(problem), collect=collect)


def resident(problem: Problem, threads: int) -> Ready:
    """Prepare ``evaltool.score`` on tensors on the GPU."""

    def collect(scores: Any) -> dict[str, Any]:
        return {name: scores[name] for name in scores.columns if name not in ("index", "status")}

    return Ready(lambda _: scored(problem, into_run=False, resident=True), collect=collect)


def kernel(problem: Problem, threads: int) -> Ready:
    """Prepare the engine over the arrays in memory, in its threads; nothing is written.

    The threads stay from run to run, and with them their counts, as they do over the blocks of one job.
    """
    engine = opened_engine(problem)
    return _in_threads(problem, threads, engine, lambda preds, labels: engine.score(preds, labels).columns)


def columns_alone(problem: Problem, threads: int) -> Ready:
    """Prepare the kernel without its counts."""
    from evaltool.engines.class_labels import class_labels
    from evaltool.kernels.choice import kernel_of

    engine = opened_engine(problem)
    if engine.name != "fused":
        raise Skip(f"the engine {engine.name} has no kernel that leaves the counts out")
    make = kernel_of(engine.job)
    if "count" not in signature(make).parameters:
        raise Skip(f"{make.__name__} counts as it goes")
    mine = local()

    def scored(preds: Any, labels: Any) -> Any:
        if not hasattr(mine, "kernel"):
            mine.kernel = make(engine.job, count=False)
        return mine.kernel.score(preds.numpy(), class_labels(labels.numpy(), one_hot=False))[1]

    return _in_threads(problem, threads, engine, scored)


def columns_on_gpu(problem: Problem, threads: int) -> Ready:
    """Prepare the Triton kernels over tensors on the GPU, without counts; the columns stay there."""
    import torch

    from evaltool.triton_kernels.launch import map_columns, row_columns
    from evaltool.triton_kernels.task import kernel_task

    shape = problem.shape
    known = {"task": shape.task, "preds_are": "logits", "foreground": False, "tolerance": 1e-3, "ignore_index": -100}
    task = kernel_task(default_losses(shape.task), device=torch.device(problem.device), **known)

    def scored(preds: Any, labels: Any) -> Any:
        if shape.spatial:
            columns = map_columns(preds.flatten(2), labels.flatten(1).to(torch.int64), task).columns
        else:
            columns = row_columns(preds, labels, task)
        return columns.of(columns.buffer)

    return ready(problem, scored, GPU_BATCHES)


def _in_threads(problem: Problem, threads: int, engine: Any, scored: Any) -> Ready:
    """Prepare a function (preds, labels) -> columns over blocks as a job has them, in as many threads."""
    from evaltool.scorer.blocks import BLOCK_NUMBERS

    if engine.workers == 1:
        over: Any = map
    else:
        over = ThreadPoolExecutor(engine.workers, initializer=engine.enter_thread).map

    def run(numbers: int | None) -> list[Any]:
        blocks = list(over(lambda part: scored(*problem.part(part)), problem.parts(numbers)))
        if "torch" in sys.modules:  # an engine's thread that computes alone tells all of PyTorch so
            sys.modules["torch"].set_num_threads(threads)
        return blocks

    def collect(parts: list[Any]) -> dict[str, Any]:
        import numpy as np

        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    # on a GPU larger blocks pay; on a CPU a job's are those that stay in a core's cache
    return Ready(run, (BLOCK_NUMBERS,) if problem.device == "cpu" else GPU_BATCHES[1:3], collect)


def opened_engine(problem: Problem) -> Any:
    """Return the engine that ``evaltool score`` would take."""
    from evaltool.detect import decide
    from evaltool.progress import opened_progress
    from evaltool.readers import open_labels, open_preds
    from evaltool.scorer.asked import asked_losses
    from evaltool.scorer.engine import open_engine

    rows = open_preds(problem.preds_file), open_labels(problem.labels_file)
    decision = decide(*rows, task=problem.shape.task, preds_are="logits", ignore_index=-100)
    options = SimpleNamespace(engine=problem.engine, module=(), class_weights=None, ignore_index=-100, trust=False)
    with opened_progress(None) as watcher:
        engine, _columns = open_engine(problem.device, decision, asked_losses(None), options, rows[1], watcher)
    return engine


EVERY = "every column, status and count"
BOTH = ("cpu", "cuda")
OURS = (
    Contestant(
        "evaltool score", f"{EVERY}; files to a run, the process's start included", command, devices=BOTH, ours=True,
        files=True, process=True,
    ),
    Contestant(
        "evaltool.score()", f"{EVERY}; files to a run", function, devices=BOTH, ours=True, files=True, streams=True
    ),
    Contestant("evaltool kernel", f"{EVERY}, in memory", kernel, devices=BOTH, ours=True, streams=True),
)  # fmt: skip
COLUMNS_ALONE = "evaltool kernel, columns alone"
ON_CPU = (Contestant(COLUMNS_ALONE, "every column and status, in memory", columns_alone, ours=True, streams=True),)
ON_GPU = (
    Contestant("evaltool.score(tensor)", f"{EVERY}, of a tensor there", resident, devices=("cuda",), ours=True),
    Contestant(
        COLUMNS_ALONE, "every column and status, of a tensor there", columns_on_gpu, ("multiclass", "segmentation"),
        devices=("cuda",), ours=True, streams=True,
    ),
)  # fmt: skip
