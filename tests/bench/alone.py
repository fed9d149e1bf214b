"""One contestant in a fresh process: how much memory it takes above its imports, and how long.

``python -m tests.bench.alone`` reads what to do as JSON from its arguments and prints JSON.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .contest import Contestant, Ready, Skip, prepared
from .problems import open_problem

PEAK = Path("/proc/self/clear_refs")


def limit_threads(threads: int, clock: str = "wall") -> None:
    """Let this process and its children have so many CPUs; to be called before PyTorch is imported."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if clock == "cpu":
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # threads that wait would else spin, and be counted
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def peak_of(ready: Ready, batch: int | None) -> float | None:
    """Return by how many MB a run raises the peak of this process's memory; None where the system does not tell."""
    if not PEAK.exists():
        return None
    PEAK.write_text("5")  # the peak becomes what is held now; so compiling before does not hide anything
    before = _status("VmRSS")
    ready.run(batch)
    return (_status("VmHWM") - before) / 1000


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1.024 for line in lines if line.startswith(name))


def child_peak() -> float:
    """Return the largest peak of the processes that this one started, in MB."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1.024 / 1000


def measured(
    contestant: Contestant,
    folder: Path,
    threads: int,
    batch: int | None,
    device: str = "cpu",
    engine: str = "auto",
    runs: int = 0,
) -> Any:
    """Return the memory in MB above that of a tiny problem, and the seconds of so many runs after it."""
    options = {"device": device, "engine": engine, "streamed": contestant.streams}
    tiny = prepared(contestant, open_problem(folder / "tiny", **options), threads)
    tiny.run(batch)
    before = child_peak()
    problem = open_problem(folder, share=contestant.share, **options)
    ready = prepared(contestant, problem, threads)
    if contestant.process:
        ready.run(batch)
        memory: float | None = child_peak() - before
    elif device == "cpu":
        memory = peak_of(ready, batch)
    else:
        memory = _device_peak(ready, batch)
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        ready.run(batch)
        seconds.append(time.perf_counter() - start)
    return {"memory_mb": memory, "seconds": seconds}


def _device_peak(ready: Ready, batch: int | None) -> float:
    """Return the MB that PyTorch's allocator held at most on the GPU."""
    import torch

    torch.cuda.reset_peak_memory_stats()
    ready.run(batch)
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / 1e6


def measure(contestant: Contestant, folder: Path, **options: Any) -> dict[str, Any]:
    """Return what a fresh process measures; options are those of ``measured``."""
    asked = {"name": contestant.name, "folder": str(folder), **options}
    words = [sys.executable, "-W", "ignore", "-m", "tests.bench.alone", json.dumps(asked)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise Skip(f"its process failed: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure what the argument says."""
    from .lists import contestants

    asked = json.loads(sys.argv[1])
    folder = Path(asked.pop("folder"))
    limit_threads(asked["threads"])
    shape = open_problem(folder).shape
    found = next(
        one for one in contestants(asked.get("device", "cpu")) if one.name == asked["name"] and shape.task in one.tasks
    )
    asked.pop("name")
    sys.stdout.write(json.dumps(measured(found, folder, **asked)) + "\n")


if __name__ == "__main__":
    main()
