"""Which kernel does a job, and why none does."""

import importlib

from evaltool.kernels.job import Kernel, KernelJob

SOFTMAX_LOSSES = ("ce", "focal", "dice")
SIGMOID_LOSSES = ("bce", "binary-focal", "dice")
# by task, or "foreground" for a segmentation of one class: the file and the class, and the losses that it has
KERNELS = {
    "multiclass": ("multiclass", "MulticlassKernel", SOFTMAX_LOSSES),
    "segmentation": ("segmentation", "SegmentationKernel", SOFTMAX_LOSSES),
    "foreground": ("sigmoids", "ForegroundKernel", ("ce", "focal", *SIGMOID_LOSSES)),  # ce of the two classes
    "binary": ("sigmoids", "BinaryKernel", SIGMOID_LOSSES),
    "multilabel": ("sigmoids", "MultilabelKernel", SIGMOID_LOSSES),
    "regression": ("regression", "RegressionKernel", ("l1", "mse")),
}
LOSSES = tuple(dict.fromkeys(name for *_, names in KERNELS.values() for name in names))


def kernel_of(job: KernelJob) -> type[Kernel]:
    """Return the class of a job's kernel, which is imported when asked for: it takes numba."""
    module, name, _ = KERNELS[_task(job)]
    found: type[Kernel] = getattr(importlib.import_module(f"evaltool.kernels.{module}"), name)
    return found


def refusal(job: KernelJob) -> str | None:
    """Return why no kernel can do a job, as half a sentence, or None if one can."""
    *_, names = KERNELS[_task(job)]
    for loss in job.losses:
        if loss.name not in names:
            return f"no kernel has the loss {loss.name} in the task {job.task}"
    return kernel_of(job).refusal(job)


def _task(job: KernelJob) -> str:
    return "foreground" if job.foreground else job.task
