"""What one thread has counted of a job, in the layout of ``state.npz``."""

from typing import Any

import numpy as np

from evaltool.block import count_shapes
from evaltool.kernels.compiled import compiled, inlined
from evaltool.kernels.elementary import int_of_float
from evaltool.kernels.job import Array, KernelJob
from evaltool.numerics.float_bits import OCTAVES
from evaltool.schema import OK, STATUSES

HISTOGRAM_BINS, LOW_BITS = 8192, 19  # of run.state
POSITION_COUNTS = ("brier", "top", "ranking", "classwise", "confusion", "label_rank", "class_sums", "class_numbers")
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
        count_losses(status, losses, self._octaves, self._histogram, self._number, self._largest, self._infinite_failed)

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
    status: Any, losses: Any, octaves: Any, histogram: Any, number: Any, largest: Any, infinite_failed: Any
) -> None:
    """Add the losses, float32 [L, n], of the ok rows."""
    for i in range(len(status)):
        if status[i] != OK:
            continue
        infinite, failed = False, False
        for loss in range(len(losses)):
            value = losses[loss, i]
            if np.isnan(value):
                failed = True
            elif np.isinf(value):
                infinite = True
            else:
                bits = np.int64(int_of_float(value))
                octave, units = octave_units(bits)
                octaves[loss, octave] += units
                number[loss] += 1
                ordered = bits & 0xFFFFFFFF
                ordered = ordered ^ 0xFFFFFFFF if bits < 0 else ordered | 0x80000000
                histogram[loss, ordered >> LOW_BITS] += 1
                largest[loss] = max(largest[loss], np.float64(value))
        infinite_failed[0] += infinite
        infinite_failed[1] += failed


@inlined
def octave_units(bits: Any) -> Any:
    """Return the octave, and how many of its units it is, of the float32 with these bits, int64."""
    octave = (bits >> 23) & 255
    units = (bits & 0x7FFFFF) | (min(octave, 1) << 23)
    return octave, (-units if bits < 0 else units)
