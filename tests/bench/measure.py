"""One shape measured: limits and contestants in turns, each one's memory, and ratios within the rounds."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .alone import measure
from .contest import Contestant, Ready, Skip, prepared
from .limits import CPU_LIMITS, GPU_LIMITS
from .lists import contestants
from .problems import Problem, Shape, write_problem
from .rounds import Times, Watch, interleaved

# what others are compared with: the numbers in the JSON, and whose
KERNELS = {"kernel_is_faster": "evaltool kernel", "columns_are_faster": "evaltool kernel, columns alone"}
LIMITS_OF_FILES = ("host to device", "host read")  # on a GPU; both go on at the same time


@dataclass(frozen=True)
class Asked:
    """What to measure.

    Attributes:
        threads: CPUs that each may use.
        rounds: times that each is measured.
        device: "cpu" or "cuda".
        memory: measure it as well.
        names: leave out whom none of these is part of; nobody if there is none.
        engine: evaltool's.
        clock: see ``Watch``.
    """

    threads: int
    rounds: int
    device: str = "cpu"
    memory: bool = True
    names: tuple[str, ...] = ()
    engine: str = "auto"
    clock: str = "wall"


def measure_shape(folder: Path, shape: Shape, rows: int, asked: Asked) -> dict[str, Any]:
    """Return the measurements of a shape, as the JSON has them; its files go again."""
    place = folder / shape.name.replace(" ", "")
    try:
        write_problem(place / "tiny", shape, 2)
        write_problem(place, shape, rows)
        problem = Problem(place, shape, device=asked.device, engine=asked.engine)
        return _measured(problem, asked)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _measured(problem: Problem, asked: Asked) -> dict[str, Any]:
    limits = {
        name: (make(problem, asked.threads), moved)
        for name, (make, moved) in (CPU_LIMITS if asked.device == "cpu" else GPU_LIMITS).items()
    }
    chosen, done, skipped = _prepared(problem, asked)
    times = interleaved({**{name: ready for name, (ready, _) in limits.items()}, **done}, asked.rounds, _watch(asked))
    measured_limits = {
        name: {"gb_per_s": moved * problem.bytes / times[name].middle / 1e9, "seconds": list(times[name].seconds)}
        for name, (_, moved) in limits.items()
    }
    rows = []
    for one in chosen:
        row: dict[str, Any] = {"name": one.name, "computes": one.computes, "evaltool": one.ours}
        if one.name in skipped:
            rows.append(row | {"skipped": skipped[one.name]})
            continue
        bounds = LIMITS_OF_FILES if one.files and asked.device != "cpu" else list(limits)[:1]
        row["limit"] = " and ".join(bounds)
        # the slower of two, round by round
        fastest = [max(each) for each in zip(*(_seconds(times[name], limits[name][1]) for name in bounds), strict=True)]
        row |= _row(times[one.name], -(-problem.size // one.share), problem, fastest, times)
        if asked.memory:
            row["memory_mb"] = _memory(one, problem, times[one.name].batch, asked)
        rows.append(row)
    return {
        "name": problem.shape.name,
        "task": problem.shape.task,
        "shape": [problem.size, problem.shape.classes, *problem.shape.spatial],
        "megabytes": problem.bytes / 1e6,
        "limits": measured_limits,
        "rows": rows,
    }


def _seconds(times: Times, moved: int) -> list[float]:
    """Return how long each round's predictions take at a limit that moves each byte so many times."""
    return [seconds / moved for seconds in times.seconds]


def _prepared(problem: Problem, asked: Asked) -> tuple[list[Contestant], dict[str, Ready], dict[str, str]]:
    """Return who does the task, those ready to run by name, and why the others are not."""
    chosen = [one for one in contestants(asked.device) if problem.shape.task in one.tasks]
    if asked.names:
        chosen = [one for one in chosen if one.ours or any(name.lower() in one.name.lower() for name in asked.names)]
    done, skipped = {}, {}
    for one in chosen:
        sys.stderr.write(f"{problem.shape.name}: preparing {one.name}\n")
        given = problem
        if one.share > 1:
            given = Problem(problem.folder, problem.shape, device=problem.device, share=one.share)
        try:
            done[one.name] = prepared(one, given, asked.threads)
        except Skip as skip:
            skipped[one.name] = str(skip)
    return chosen, done, skipped


def _row(
    times: Times, size: int, problem: Problem, fastest: list[float], others: Mapping[str, Times]
) -> dict[str, Any]:
    """Return a contestant's numbers; ratios are medians of those within a round, which noise meets on both sides."""
    part = size / problem.size
    speeds = [part * problem.bytes / seconds / 1e9 for seconds in times.seconds]
    row = {
        "samples": size,
        "batch_numbers": times.batch,
        "seconds": list(times.seconds),
        "median_seconds": times.middle,
        "gb_per_s": median(speeds),
        "gb_per_s_low": min(speeds),
        "gb_per_s_high": max(speeds),
        "of_limit": median(part * limit / own for limit, own in zip(fastest, times.seconds, strict=True)),
    }
    for name, kernel in KERNELS.items():
        if kernel in others:
            pairs = zip(others[kernel].seconds, times.seconds, strict=True)
            row[name] = median(own / part / ours for ours, own in pairs)
    return row


def _memory(one: Contestant, problem: Problem, batch: int | None, asked: Asked) -> float | None:
    sys.stderr.write(f"{problem.shape.name}: memory of {one.name}\n")
    try:
        options = {"threads": asked.threads, "batch": batch, "device": asked.device, "engine": asked.engine}
        memory: float | None = measure(one, problem.folder, **options)["memory_mb"]
        return memory
    except Skip as skip:
        if one.ours:
            raise RuntimeError(str(skip)) from skip
        sys.stderr.write(f"{problem.shape.name}: {one.name}: {skip}\n")
        return None


def _watch(asked: Asked) -> Watch:
    if asked.device == "cpu":
        return Watch(asked.clock, asked.threads)
    import torch

    return Watch(asked.clock, asked.threads, torch.cuda.synchronize)
