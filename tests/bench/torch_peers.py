"""PyTorch, as one would use it in place of evaltool: eager, compiled, scripted; and ONNX Runtime."""

import shutil
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from .contest import BATCHES, Contestant, Ready, Skip, batches_of
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


def eager(problem: Problem, threads: int, *, whole: bool) -> Ready:
    """Prepare the columns in eager PyTorch, of the whole array at once or of batches."""
    from .columns import COLUMNS

    return ready(problem, COLUMNS[problem.shape.task], (None,) if whole else batches_of(problem))


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

    sizes = batches_of(problem)[1:]
    done = ready(problem, function, sizes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler about itself
        done.run(sizes[0])
    return done


def scripted(problem: Problem, threads: int) -> Ready:
    """Prepare the columns by torch.jit.script."""
    import torch

    from .columns import COLUMNS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and in use
        script = torch.jit.script(COLUMNS[problem.shape.task])
    return ready(problem, script, batches_of(problem))


def default_losses(task: str) -> dict[str, Any]:
    """Return the modules of a task's default losses by column."""
    from evaltool.catalogue.spec import LossSpec, build_loss
    from evaltool.schema import DEFAULT_LOSSES

    form = {"activation": "sigmoid" if task == "multilabel" else "softmax", "form": "softmax"}
    return {
        (column := name.replace("-", "_")): build_loss(
            LossSpec(column, name), ignore_index=-100, preds_are="logits", **form
        )
        for name in DEFAULT_LOSSES[task]
    }


def onnxruntime(problem: Problem, threads: int) -> Ready:
    """Prepare the scorecard that ``evaltool export`` writes, in ONNX Runtime with as many threads."""
    import torch

    from evaltool.artifacts.onnx_graphs import onnx_model
    from evaltool.artifacts.onnx_sessions import OnnxSession
    from evaltool.artifacts.signature import ELEMENTS, SOFTMAX, Signature
    from evaltool.metrics.scorecard import Scorecard, task_card

    shape = problem.shape
    softmax = shape.task != "multilabel"
    card = Scorecard(task_card(shape.task, False, -100, "logits", 1e-3), default_losses(shape.task))
    layout = SOFTMAX if softmax else ELEMENTS
    signature = Signature(layout, 2 + len(shape.spatial), shape.classes, "float32", "int64" if softmax else "float32")
    graph = onnx_model(card.eval(), signature).SerializeToString()
    session = OnnxSession(graph, problem.device, threads=threads)
    kind = torch.int64 if softmax else torch.float32

    def function(preds: Any, labels: Any) -> Any:
        return session.run({"preds": preds, "labels": labels.to(kind)})

    return ready(problem, function, batches_of(problem))


BOTH = ("cpu", "cuda")
TORCH_PEERS = (
    Contestant("PyTorch eager, whole array", COLUMNS, partial(eager, whole=True), devices=BOTH),
    Contestant("PyTorch eager, best batch", COLUMNS, partial(eager, whole=False), devices=BOTH, streams=True),
    Contestant("PyTorch eager, batches in threads", COLUMNS, pooled, streams=True),
    Contestant("torch.compile, best batch", COLUMNS, compiled, devices=BOTH, streams=True),
    Contestant("TorchScript, best batch", COLUMNS, scripted, devices=BOTH, streams=True),
    Contestant(
        "ONNX Runtime, best batch", "evaltool's exported scorecard, without counts", onnxruntime, devices=BOTH,
        streams=True,
    ),
)  # fmt: skip
