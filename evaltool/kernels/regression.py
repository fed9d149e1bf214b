"""The kernel of regression: errors of real numbers, in NumPy."""

import numpy as np

from evaltool.kernels.job import Array, KernelJob
from evaltool.kernels.run_counts import RunCounts
from evaltool.schema import BAD_LABEL, NONFINITE, OK

LOSSES = ("l1", "mse")


class RegressionKernel:
    """Scores samples of real numbers in one thread.

    Args:
        job: a job that ``refusal`` finds nothing against.
    """

    def __init__(self, job: KernelJob) -> None:
        self._job = job
        self._count = RunCounts(job)

    @staticmethod
    def refusal(job: KernelJob) -> str | None:
        """Return why the kernel cannot do a job, or None if it can."""
        other = next((loss for loss in job.losses if loss.name not in LOSSES), None)
        return None if other is None else f"the loss {other.name} (column {other.column}) has no kernel in regression"

    def score(self, preds: Array, labels: Array, *, counted: bool = True) -> tuple[Array, dict[str, Array]]:
        """Return the status and the columns, as ``Kernel.score``; ``counted`` False leaves the counts as they are."""
        if preds.dtype == np.uint16:
            preds = (preds.astype(np.uint32) << 16).view(np.float32)
        working = np.float64 if preds.dtype == np.float64 else np.float32
        n = len(labels)
        given = preds.reshape(n, -1).astype(working, copy=False)
        wanted = labels.reshape(n, -1)
        status = np.full(n, OK, np.int8)
        status[~np.isfinite(wanted).all(1)] = BAD_LABEL
        status[~np.isfinite(given).all(1)] = NONFINITE
        ok = status == OK
        losses = np.full((len(self._job.losses), n), np.nan, np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            error = given - wanted.astype(working, copy=False)
            for i, loss in enumerate(self._job.losses):
                parts = np.abs(error) if loss.name == "l1" else error * error
                losses[i, ok] = (parts.sum(1, dtype=np.float64) / max(parts.shape[1], 1))[ok]
        columns: dict[str, Array] = {}
        if labels.ndim == 1:
            columns["pred"] = np.where(ok, given[:, 0], np.nan).astype(working)
        if counted:
            self._count.add_rows(status, losses)
        return status, columns | {loss.column: losses[i] for i, loss in enumerate(self._job.losses)}

    def counts(self) -> dict[str, Array]:
        """Return everything counted so far, as ``state.npz`` holds it."""
        return self._count.arrays()
