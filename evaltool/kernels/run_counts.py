"""What one thread has counted of a job, in the layout of ``state.npz``."""

from typing import Any

import numpy as np
from numpy import uint64

from evaltool.block import count_shapes
from evaltool.kernels.compiled import compiled, inlined, part
from evaltool.kernels.elementary import float_of_int, int_of_float
from evaltool.kernels.job import Array, KernelJob
from evaltool.numerics.float_bits import OCTAVES
from evaltool.schema import OK, STATUSES

HISTOGRAM_BINS, LOW_BITS = 8192, 19  # of run.state
POSITION_COUNTS = ("brier", "top", "ranking", "classwise", "confusion", "label_rank", "class_sums", "class_numbers")
STEP = 256  # losses looked at together
FLUSH = 1 << 30  # positions after which the 32-bit counters are emptied


class RunCounts:
    """The counts of one kernel.

    Attributes:
        brier, top, classwise, confusion, label_rank: int64, as ``count_shapes`` has them; the first axis dropped from
            ``top``. What a task does not have has the size 0.
        ranking: int32 [K * 2 * bins + 1]; the last counts what is to be dropped.
        class_sums: int64 [L, C, 255], class_numbers: int64 [L, C].
        n_clamped: ok rows in which a label's probability was raised to the smallest normal float32.
    """

    def __init__(self, job: KernelJob) -> None:
        shapes = count_shapes(job.task, job.num_classes, job.foreground)
        self.losses = [loss.column for loss in job.losses]
        classes, count = job.num_classes, len(job.losses)
        self._shapes = shapes
        self._loose = np.zeros(int(np.prod(shapes.get("ranking", [0]))), np.int64)
        self._positions = 0
        self.ranking = np.zeros(len(self._loose) + 1, np.int32)
        self.bins = shapes["ranking"][2] if "ranking" in shapes else 0
        self.brier = np.zeros(OCTAVES + 1, np.int64)
        self.top = np.zeros(shapes.get("calibration_top_label", (1, 0, 3))[1:], np.int64)
        self.classwise = np.zeros(shapes.get("calibration_class_wise", (0, 0, 3)), np.int64)
        self.label_rank = np.zeros(shapes.get("label_rank", (0,)), np.int64)
        self.confusion = np.zeros((classes, 2, 2) if job.task == "multilabel" else (classes, classes), np.int64)
        self.class_sums = np.zeros((count, classes, OCTAVES), np.int64)
        self.class_numbers = np.zeros((count, classes), np.int64)
        self.n_clamped = 0
        self._status = np.zeros(len(STATUSES), np.int64)
        self._octaves = np.zeros((count, OCTAVES), np.int64)
        self._histogram = np.zeros((count, HISTOGRAM_BINS), np.int64)
        self._number = np.zeros(count, np.int64)
        self._largest = np.full(count, -np.inf)
        self._infinite_failed = np.zeros(2, np.int64)
        self._scratch = np.zeros((3, STEP), np.int32), np.zeros(4 * 256, np.int64)

    def make_room(self, positions: int) -> None:
        """See to it that as many positions can be counted before a 32-bit counter is full."""
        self._positions += positions
        if self._positions > FLUSH:
            self._empty()
            self._positions = positions

    def _empty(self) -> None:
        self._loose += self.ranking[:-1]
        self.ranking[:] = 0

    def add_rows(self, status: Array, losses: Array) -> None:
        """Count the rows of a block: their status, int8 [n], and their losses, float32 [L, n]."""
        self._status += np.bincount(status, minlength=len(STATUSES))
        totals = self._octaves, self._histogram, self._number, self._largest, self._infinite_failed
        count_losses(status, losses, *totals, *self._scratch)

    def subtract(self, other: "RunCounts") -> None:
        """Take back what another has counted of positions and classes."""
        for name in POSITION_COUNTS:
            counts = getattr(self, name)
            counts -= getattr(other, name)

    def arrays(self) -> dict[str, Array]:
        """Return the counts, as ``State.arrays`` does."""
        self._empty()
        found = {
            "brier": self.brier,
            "calibration_top_label": self.top,
            "ranking": self._loose,
            "calibration_class_wise": self.classwise,
            "label_rank": self.label_rank,
        }
        counts = {name: found[name].reshape(shape).copy() for name, shape in self._shapes.items()}
        sums = self.class_sums.reshape(-1)
        keys = np.flatnonzero(sums)
        return counts | {
            "status": self._status.copy(),
            "losses": np.array(self.losses, dtype=np.str_),
            "loss_octaves": self._octaves.copy(),
            "loss_count": self._number.copy(),
            "loss_max": self._largest.copy(),
            "histogram": self._histogram.copy(),
            "class_loss": np.stack([keys, sums[keys]]),
            "class_loss_count": self.class_numbers.copy(),
            "confusion": self.confusion.copy(),
            "clamped_infinite_failed": np.array([self.n_clamped, *self._infinite_failed], np.int64),
        }


@compiled
def count_losses(
    status: Any,
    losses: Any,
    octaves: Any,
    histogram: Any,
    number: Any,
    largest: Any,
    infinite_failed: Any,
    scratch: Any,
    copies: Any,
) -> None:
    """Add the losses, float32 [L, n], of the ok rows.

    ``scratch`` is int32 [3, STEP]; ``copies`` int64 [4 * 256], 0, of the octaves' sums: an addition need not wait then
    for the one before.
    """
    fewest = len(status)
    for loss in range(len(losses)):
        for start in range(0, len(status), STEP):
            _count_step(start, status, losses[loss], histogram[loss], scratch[0], scratch[1], scratch[2], copies)
        for i in range(len(copies)):
            if copies[i] != 0:
                octaves[loss, i & 255] += copies[i]
                copies[i] = 0
        found = _finite_of(status, losses[loss])
        number[loss] += found
        fewest = min(fewest, found)
        largest[loss] = max(largest[loss], _largest_of(status, losses[loss]))
    if fewest < len(status):
        _count_nonfinite(status, losses, infinite_failed)


@part
def _count_step(
    start: Any, status: Any, values: Any, histogram: Any, slots: Any, bins: Any, units: Any, copies: Any
) -> None:
    count = min(STEP, len(status) - start)
    for j in range(count):
        bits = int_of_float(values[uint64(start + j)])
        octave = np.int32(np.int32(bits >> 23) & 255)
        ok = (status[uint64(start + j)] == OK) & (octave < OCTAVES)
        size = np.int32(np.int32(bits & 0x7FFFFF) | (0x800000 if octave > 0 else 0))
        # of what does not count, nothing is added to the first
        units[uint64(j)] = (np.int32(-size) if bits < 0 else size) if ok else np.int32(0)
        slots[uint64(j)] = (octave if ok else 0) + (j & 3) * 256
        ordered = np.int32(bits ^ np.int32(np.int32(bits >> 31) & np.int32(0x7FFFFFFF)))
        bins[uint64(j)] = np.int32(np.int32(ordered >> LOW_BITS) + HISTOGRAM_BINS // 2) if ok else np.int32(-1)
    for j in range(count):
        copies[uint64(slots[uint64(j)])] += np.int64(units[uint64(j)])
    for j in range(count):
        if bins[uint64(j)] >= 0:
            histogram[uint64(bins[uint64(j)])] += 1


@part
def _count_nonfinite(status: Any, losses: Any, infinite_failed: Any) -> None:
    for i in range(len(status)):
        if status[i] != OK:
            continue
        infinite, failed = False, False
        for loss in range(len(losses)):
            infinite |= np.isinf(losses[loss, i])
            failed |= np.isnan(losses[loss, i])
        infinite_failed[0] += infinite
        infinite_failed[1] += failed


@part
def _finite_of(status: Any, values: Any) -> Any:
    number = 0
    for i in range(len(status)):
        number += (status[uint64(i)] == OK) & (((int_of_float(values[uint64(i)]) >> 23) & 255) < OCTAVES)
    return number


@part
def _largest_of(status: Any, values: Any) -> Any:
    """Return the largest finite value as a float64, -inf of none; over the floats' bits, which are in order."""
    largest = np.int32(-0x80000000)
    for i in range(len(status)):
        bits = int_of_float(values[uint64(i)])
        ordered = np.int32(bits ^ np.int32(np.int32(bits >> 31) & np.int32(0x7FFFFFFF)))
        ok = (status[uint64(i)] == OK) & (np.int32(np.int32(bits >> 23) & 255) < OCTAVES)
        largest = max(largest, ordered if ok else np.int32(-0x80000000))
    if largest == np.int32(-0x80000000):
        return -np.inf
    bits = np.int32(largest ^ np.int32(np.int32(largest >> 31) & np.int32(0x7FFFFFFF)))
    return np.float64(float_of_int(bits))


@inlined
def octave_units(bits: Any) -> Any:
    """Return the octave, and how many of its units it is, of the float32 with these bits, int64."""
    octave = (bits >> 23) & 255
    units = (bits & 0x7FFFFF) | (min(octave, 1) << 23)
    return octave, (-units if bits < 0 else units)


@inlined
def count_value(sums: Any, c: Any, value: Any) -> None:
    """Count a finite float32 among a class's sums by octave, int64 [C, 255]."""
    octave, units = octave_units(np.int64(int_of_float(value)))
    if octave < OCTAVES:
        sums[uint64(c), uint64(octave)] += units
