"""Times: every contestant once a round, in an order that turns, so that a busy moment meets all of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from .contest import Ready

AT_LEAST = 0.05  # seconds: shorter runs are repeated, and count by their mean


@dataclass(frozen=True)
class Times:
    """Seconds of one contestant, one for each round, and how many predictions its batches had."""

    seconds: tuple[float, ...]
    batch: int | None

    @property
    def middle(self) -> float:
        """The median of the rounds."""
        return median(self.seconds)


def timed(work: Callable[[], Any], wait: Callable[[], None]) -> float:
    """Return the seconds of one run: the mean of as many as take ``AT_LEAST`` together."""
    runs, start = 0, time.perf_counter()
    while True:
        work()
        wait()
        runs += 1
        spent = time.perf_counter() - start
        if spent >= AT_LEAST:
            return spent / runs


def best_batch(ready: Ready, wait: Callable[[], None]) -> int | None:
    """Return the batch size that is fastest; every one is run once before."""
    if len(ready.batches) == 1:
        return ready.batches[0]
    found = {}
    for numbers in ready.batches:
        ready.run(numbers)
        found[numbers] = timed(lambda numbers=numbers: ready.run(numbers), wait)
    return min(found, key=found.__getitem__)


def interleaved(contestants: Mapping[str, Ready], rounds: int, wait: Callable[[], None]) -> dict[str, Times]:
    """Return the times of all, after one run each to warm up."""
    batches = {name: best_batch(ready, wait) for name, ready in contestants.items()}
    for name, ready in contestants.items():
        ready.run(batches[name])
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(rounds):
        turned = names[turn % len(names) :] + names[: turn % len(names)]
        for name in turned:
            seconds[name].append(timed(lambda name=name: contestants[name].run(batches[name]), wait))
    return {name: Times(tuple(seconds[name]), batches[name]) for name in names}
