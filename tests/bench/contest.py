"""What takes part: something that turns a problem's files or arrays into values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .problems import Problem

Values = Mapping[str, Any]  # by evaltool's name: a number per sample (arrays, tensors) or of all samples


class Skip(Exception):  # noqa: N818
    """This one cannot be measured here; says why."""


@dataclass(frozen=True)
class Ready:
    """A contestant that has imported and compiled all it needs.

    Attributes:
        run: computes everything once; given how many predictions a batch has, None for all.
        batches: the sizes to try, of which the fastest counts.
        collect: turns what run returned into values; outside of the time.
    """

    run: Callable[[int | None], Any]
    batches: tuple[int | None, ...] = (None,)
    collect: Callable[[Any], Values] = dict


@dataclass(frozen=True)
class Contestant:
    """A way to get per-sample numbers.

    Attributes:
        name: as the table has it.
        computes: what of evaltool's numbers it gives.
        prepare: given a problem and the number of threads; raises Skip.
        tasks: that it can do.
        devices: that it can do them on.
        share: of the samples that it is given: of what would take minutes.
        ours: it is evaltool.
        streams: it needs no more than a batch in memory.
        files: it starts from the files, in the page cache; else from arrays in memory.
        process: it runs in a process of its own.
        most_classes: above which it is skipped, and why.
    """

    name: str
    computes: str
    prepare: Callable[[Problem, int], Ready]
    tasks: tuple[str, ...] = ("multiclass", "segmentation", "multilabel")
    devices: tuple[str, ...] = ("cpu",)
    share: int = 1
    ours: bool = False
    streams: bool = False
    files: bool = False
    process: bool = False
    most_classes: tuple[int, str] | None = None


# predictions in a batch; on a CPU 256 kB to 16 MB of float32: from what stays in a core's cache to what does not
BATCHES = (1 << 16, 1 << 18, 1 << 20, 1 << 22)
GPU_BATCHES = (1 << 22, 1 << 24, 1 << 26, None)


def batches_of(problem: Problem) -> tuple[int | None, ...]:
    """Return the sizes of batches to try."""
    return BATCHES if problem.device == "cpu" else GPU_BATCHES


def prepared(contestant: Contestant, problem: Problem, threads: int) -> Ready:
    """Return a contestant ready to run.

    Raises:
        Skip: it does not do the task or is not here; a peer's own failure is a reason as well, evaltool's an error.
    """
    shape = problem.shape
    if shape.task not in contestant.tasks:
        raise Skip(f"does not do {shape.task}")
    kind = problem.device.partition(":")[0]
    if kind not in contestant.devices:
        raise Skip("needs a GPU" if kind == "cpu" else "runs on the CPU alone")
    if contestant.most_classes and shape.classes > contestant.most_classes[0]:
        raise Skip(contestant.most_classes[1])
    try:
        return contestant.prepare(problem, threads)
    except ModuleNotFoundError as error:
        raise Skip(f"{error.name} is not installed") from error
    except Exception as error:
        if contestant.ours or isinstance(error, Skip):
            raise
        raise Skip(reason_of(error)) from error


def reason_of(error: BaseException) -> str:
    """Return an exception in a line."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:120]}"
