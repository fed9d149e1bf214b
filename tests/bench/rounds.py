"""Times: every contestant once a round, in an order that turns, so that a busy moment meets all of them."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from .contest import Ready

AT_LEAST = 0.05  # seconds: shorter runs are repeated, and count by their mean


@dataclass(frozen=True)
class Watch:
    """What is looked at when a run starts and ends.

    Attributes:
        clock: "wall"; or "cpu", the CPU time of this process and those it started over the number of threads: where
            others keep the cores busy, it leaves out the waiting for them, and all idling too.
        threads: that each contestant has.
        wait: returns when the device is done.
    """

    clock: str = "wall"
    threads: int = 1
    wait: Callable[[], None] = lambda: None

    def now(self) -> float:
        """Return seconds."""
        if self.clock == "wall":
            return time.perf_counter()
        spent = os.times()
        return (time.process_time() + spent.children_user + spent.children_system) / self.threads


@dataclass(frozen=True)
class Times:
    """Seconds of one contestant, one for each round, and how many predictions its batches had."""

    seconds: tuple[float, ...]
    batch: int | None

    @property
    def middle(self) -> float:
        """The median of the rounds."""
        return median(self.seconds)


def timed(work: Callable[[], Any], watch: Watch) -> float:
    """Return the seconds of one run: the mean of as many as take ``AT_LEAST`` together."""
    runs, start = 0, watch.now()
    while True:
        work()
        watch.wait()
        runs += 1
        spent = watch.now() - start
        if spent >= AT_LEAST:
            return spent / runs


def best_batch(ready: Ready, watch: Watch) -> int | None:
    """Return the batch size that is fastest; every one is run once before."""
    if len(ready.batches) == 1:
        return ready.batches[0]
    found = {}
    for numbers in ready.batches:
        ready.run(numbers)
        found[numbers] = timed(lambda numbers=numbers: ready.run(numbers), watch)
    return min(found, key=found.__getitem__)


def interleaved(contestants: Mapping[str, Ready], rounds: int, watch: Watch) -> dict[str, Times]:
    """Return the times of all, after one run each to warm up."""
    batches = {name: best_batch(ready, watch) for name, ready in contestants.items()}
    for name, ready in contestants.items():
        ready.run(batches[name])
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(rounds):
        turned = names[turn % len(names) :] + names[: turn % len(names)]
        for name in turned:
            seconds[name].append(timed(lambda name=name: contestants[name].run(batches[name]), watch))
    return {name: Times(tuple(seconds[name]), batches[name]) for name in names}
