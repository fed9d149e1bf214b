"""The engine ``fused``: kernels that compute every column of a block, and count it, in one pass."""

import os
import threading
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from numba.core import event

from evaltool.block import NO_LABEL, Array, Block, added_counts, count_shapes
from evaltool.engines.class_labels import class_labels, counted_labels, real_labels
from evaltool.kernels.choice import kernel_of
from evaltool.kernels.job import Kernel, KernelJob
from evaltool.readers import as_array
from evaltool.schema import BAD_LABEL, OK, is_softmax

COMPILES = "numba:compile"  # an event of numba; what is found in its cache is not compiled
COUNT_BYTES = 1 << 28  # that the counts of all threads take at most


class FusedEngine:
    """Scores blocks on the CPU with a kernel in each thread; no torch is needed.

    Args:
        job: what to compute.
        one_hot: labels are [N, C] with a single 1 in each row.
        compiling: is called if the kernel has to be compiled before the first block.
    """

    name = "fused"
    device = "cpu"
    provider = "numba"
    borrows = True  # blocks may be views of memory that is not to be changed, and bfloat16 as its bits

    def __init__(self, job: KernelJob, *, one_hot: bool, compiling: Callable[[], None] = lambda: None) -> None:
        self.job = job
        self.workers = _workers(self.job)
        self._one_hot = one_hot
        self._softmax = is_softmax(job.task, job.foreground)
        self._make = kernel_of(job)
        self._listener = _CompilerListener(compiling)
        event.register(COMPILES, self._listener)  # type: ignore[no-untyped-call]
        self._kernels: list[Kernel] = []
        self._mine = threading.local()
        self._lock = threading.Lock()

    def enter_thread(self) -> None:
        """Nothing to prepare: a kernel computes in the thread that calls it."""

    def close(self) -> None:
        """Drop the kernels."""
        event.unregister(COMPILES, self._listener)  # type: ignore[no-untyped-call]
        self._kernels.clear()

    def score(self, preds: Any, labels: Any) -> Block:
        """Return the scores of preds [n, ...] and labels [n, ...], arrays or tensors."""
        preds, given = self._shaped(as_array(preds), as_array(labels))
        labels = real_labels(given) if self.job.task == "regression" else class_labels(given, one_hot=self._one_hot)
        status, columns = self._kernel().score(np.ascontiguousarray(preds), labels)
        block = Block(status, columns, counted=True)
        if self.job.task in ("multiclass", "binary"):
            columns["label"] = self._label_column(given, labels, status == OK)
        elif self.job.task == "regression" and labels.ndim == 1:
            columns["label"] = np.array(labels)
        if self.job.task != "regression" and (bad := status == BAD_LABEL).any():
            top = self.job.num_classes if self._softmax else 2
            block.bad_labels = counted_labels(labels[bad], self.job.ignore_index, top)
        return block

    def counts(self) -> dict[str, Array] | None:
        """Return what all threads have counted, in the layout of ``state.npz``."""
        return reduce(added_counts, (kernel.counts() for kernel in self._kernels)) if self._kernels else None

    def _kernel(self) -> Kernel:
        """Return the calling thread's kernel."""
        if not hasattr(self._mine, "kernel"):
            kernel = self._make(self.job)
            with self._lock:
                self._kernels.append(kernel)
            self._mine.kernel = kernel
        found: Kernel = self._mine.kernel
        return found

    def _shaped(self, preds: Array, labels: Array) -> tuple[Array, Array]:
        """Return both without an axis of one class; one label per sample may come as a column."""
        if self.job.task in ("multiclass", "binary", "regression") and labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
            preds = preds[:, 0] if preds.ndim == 2 and preds.shape[1] == 1 else preds
        one_class = preds.ndim == labels.ndim + 1 and preds.shape[1] == 1 and not self._softmax
        return preds[:, 0] if one_class else preds, labels

    def _label_column(self, given: Array, labels: Array, ok: Array) -> Array:
        if self.job.task == "multiclass" or given.dtype.kind != "f":
            return np.array(labels)  # they may lie in a place that the next block takes
        # of a label that is no number in [0, 1] nothing integral is known
        return np.where(ok | (labels == self.job.ignore_index), labels, NO_LABEL)


class _CompilerListener(event.Listener):
    """Calls a function when a kernel is compiled, which is so where the cache of compiled kernels has none, but once.

    Args:
        compiling: the function.
    """

    def __init__(self, compiling: Callable[[], None]) -> None:
        self._compiling: list[Callable[[], None]] = [compiling]

    def on_start(self, event: Any) -> None:
        """Tell of the first kernel; functions inlined in it are compiled as well."""
        while self._compiling:
            self._compiling.pop()()

    def on_end(self, event: Any) -> None:
        """Nothing to tell."""


def _workers(job: KernelJob) -> int:
    """Return how many threads may score: the CPUs of this process, OMP_NUM_THREADS, and what the counts leave room."""
    try:
        threads = int(os.environ.get("OMP_NUM_THREADS", ""))
    except ValueError:
        threads = 0
    if threads < 1:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shapes = count_shapes(job.task, job.num_classes, job.foreground).values()
    numbers = sum(int(np.prod(shape)) for shape in shapes) + min(job.num_classes**2, 1 << 20)
    return max(1, min(threads, COUNT_BYTES // (8 * max(1, numbers))))
