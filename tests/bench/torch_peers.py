"""PyTorch, as one would use it in place of evaltool: eager, compiled, scripted; and ONNX Runtime."""

import shutil
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from .contest import BATCHES, Contestant, Ready, Skip
from .problems import Problem

COLUMNS = "the same columns, without counts and statuses"


def ready(problem: Problem, function: Callable[[Any, Any], Any], batches: tuple[int | None, ...]) -> Ready:
    """Return what applies a function (preds, labels) -> dict of [n] to batches and puts the columns together."""
    import torch

    @torch.inference_mode()
    def run(numbers: int | None) -> list[dict[str, Any]]:
        return [function(*batch) for batch in problem.batches(numbers)]

    def collect(parts: list[dict[str, Any]]) -> dict[str, Any]:
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    return Ready(run, batches, collect)


def eager(problem: Problem, threads: int, batches: tuple[int | None, ...]) -> Ready:
    """Prepare the columns in eager PyTorch."""
    from .columns import COLUMNS

    return ready(problem, COLUMNS[problem.shape.task], batches)


def pooled(problem: Problem, threads: int) -> Ready:
    """Prepare the columns in eager PyTorch, a batch in each thread: nothing waits for others at every operation."""
    import torch

    from .columns import COLUMNS

    function = COLUMNS[problem.shape.task]
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))

    @torch.inference_mode()
    def of_part(part: slice) -> Any:
        return function(*problem.part(part))

    def run(numbers: int | None) -> list[Any]:
        parts = list(pool.map(of_part, problem.parts(numbers)))
        torch.set_num_threads(threads)
        return parts

    return Ready(run, BATCHES, ready(problem, function, BATCHES).collect)


def compiled(problem: Problem, threads: int) -> Ready:
    """Prepare the columns by torch.compile, with any batch size."""
    import torch

    from .columns import COLUMNS

    if problem.device == "cpu" and not shutil.which("g++") and not shutil.which("clang++"):
        raise Skip("torch.compile needs a C++ compiler")
    if sys.platform == "win32":
        raise Skip("measured on Linux and macOS")
    torch._dynamo.reset()
    graph = torch.compile(COLUMNS[problem.shape.task], fullgraph=True)

    def function(preds: Any, labels: Any) -> Any:
        for tensor in (preds, labels):
            if len(tensor) > 1:
                torch._dynamo.mark_dynamic(tensor, 0)
        return graph(preds, labels)

    done = ready(problem, function, BATCHES[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler about itself
        done.run(BATCHES[1])
    return done


def scripted(problem: Problem, threads: int) -> Ready:
    """Prepare the columns by torch.jit.script."""
    import torch

    from .columns import COLUMNS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and in use
        script = torch.jit.script(COLUMNS[problem.shape.task])
    return ready(problem, script, BATCHES)


def onnxruntime(problem: Problem, threads: int) -> Ready:
    """Prepare the scorecard that ``evaltool export`` writes, in ONNX Runtime with as many threads."""
    import torch

    from evaltool.artifacts.onnx_graphs import onnx_model
    from evaltool.artifacts.onnx_sessions import OnnxSession
    from evaltool.artifacts.signature import ELEMENTS, SOFTMAX, Signature
    from evaltool.catalogue.spec import LossSpec, build_loss
    from evaltool.metrics.scorecard import Scorecard, task_card
    from evaltool.schema import DEFAULT_LOSSES

    shape = problem.shape
    softmax = shape.task != "multilabel"
    chosen = {"activation": "softmax" if softmax else "sigmoid", "ignore_index": -100, "preds_are": "logits"}
    losses = {
        name.replace("-", "_"): build_loss(LossSpec(name.replace("-", "_"), name), form="softmax", **chosen)
        for name in DEFAULT_LOSSES[shape.task]
    }
    card = Scorecard(task_card(shape.task, False, -100, "logits", 1e-3), losses)
    layout = SOFTMAX if softmax else ELEMENTS
    signature = Signature(layout, 2 + len(shape.spatial), shape.classes, "float32", "int64" if softmax else "float32")
    graph = onnx_model(card.eval(), signature).SerializeToString()
    session = OnnxSession(graph, problem.device, threads=threads)
    kind = torch.int64 if softmax else torch.float32

    def function(preds: Any, labels: Any) -> Any:
        return session.run({"preds": preds, "labels": labels.to(kind)})

    return ready(problem, function, BATCHES)


BOTH = ("cpu", "cuda")
TORCH_PEERS = (
    Contestant("PyTorch eager, whole array", COLUMNS, partial(eager, batches=(None,)), devices=BOTH),
    Contestant("PyTorch eager, best batch", COLUMNS, partial(eager, batches=BATCHES), devices=BOTH, streams=True),
    Contestant("PyTorch eager, batches in threads", COLUMNS, pooled, streams=True),
    Contestant("torch.compile, best batch", COLUMNS, compiled, devices=BOTH, streams=True),
    Contestant("TorchScript, best batch", COLUMNS, scripted, devices=BOTH, streams=True),
    Contestant(
        "ONNX Runtime, best batch", "evaltool's exported scorecard, without counts", onnxruntime, devices=BOTH,
        streams=True,
    ),
)  # fmt: skip
