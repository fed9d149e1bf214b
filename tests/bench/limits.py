"""What the machine can do at most: reading the same array, and on a GPU copying it and bringing it there."""

from typing import Any

from .contest import Ready
from .problems import Problem


def reading(problem: Problem, threads: int) -> Ready:
    """Prepare one read of the predictions by as many threads: their largest number."""
    preds = problem.preds
    return Ready(lambda _: {"largest": preds.amax()})


def host_reading(problem: Problem, threads: int) -> Ready:
    """Prepare one read of the file from the page cache into pinned memory."""
    import numpy as np
    import torch

    pinned = torch.empty(problem.bytes, dtype=torch.uint8, pin_memory=True).numpy()
    offset = np.load(problem.preds_file, mmap_mode="r").offset

    def run(_: None) -> dict[str, Any]:
        with problem.preds_file.open("rb", buffering=0) as file:
            file.seek(offset)
            done = 0
            while done < len(pinned):
                done += file.readinto(pinned[done:])
        return {}

    return Ready(run)


def copying(problem: Problem, threads: int) -> Ready:
    """Prepare a copy of the predictions on the GPU, which moves each byte twice."""
    import torch

    preds = problem.preds
    other = torch.empty_like(preds)

    def run(_: None) -> dict[str, Any]:
        other.copy_(preds)
        return {}

    return Ready(run)


def bringing(problem: Problem, threads: int) -> Ready:
    """Prepare a copy of the predictions from pinned memory to the GPU."""
    import torch

    pinned = torch.empty(problem.preds.shape, dtype=torch.float32, pin_memory=True)
    there = problem.preds

    def run(_: None) -> dict[str, Any]:
        there.copy_(pinned, non_blocking=True)
        return {}

    pinned.copy_(there)
    return Ready(run)


# name: what prepares it, and how many bytes it moves for each byte of predictions
CPU_LIMITS = {"read": (reading, 1)}
GPU_LIMITS = {"copy": (copying, 2), "host to device": (bringing, 1), "host read": (host_reading, 1)}
