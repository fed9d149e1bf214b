"""The torch engine beside a kernel: what the two are compared in."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import evaltool.losses
from evaltool.catalogue.entries import CATALOGUE
from evaltool.engines.torch_ import TorchEngine
from evaltool.kernels.job import KernelJob, KernelLoss
from evaltool.run.state import State


def kernel_loss(column: str, name: str, **given: Any) -> KernelLoss:
    """Return a loss column with the catalogue's defaults filled in."""
    return KernelLoss(column, name, {**CATALOGUE[name].parameters, **given})


def multiclass_job(
    num_classes: int,
    losses: Sequence[KernelLoss],
    *,
    preds_are: str = "logits",
    ignore_index: int = -100,
    tolerance: float = 1e-3,
) -> KernelJob:
    """Return a job of rows of a softmax."""
    return KernelJob("multiclass", preds_are, num_classes, False, tolerance, ignore_index, tuple(losses))


def torch_scores(job: KernelJob, preds: Any, labels: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return status, columns and the state's arrays as the torch engine has them; preds of uint16 are bfloat16."""
    modules = {}
    for loss in job.losses:
        entry = CATALOGUE[loss.name]
        given = {name: value for name, value in loss.parameters.items() if value is not None}
        module = getattr(evaltool.losses, entry.class_name)
        modules[loss.column] = module(**given, ignore_index=job.ignore_index, preds_are=job.preds_are)
    engine = TorchEngine(
        task=job.task,
        preds_are=job.preds_are,
        num_classes=job.num_classes,
        foreground=job.foreground,
        one_hot=False,
        soft_labels=False,
        tolerance=job.tolerance,
        ignore_index=job.ignore_index,
        losses=modules,
        device=torch.device("cpu"),
    )
    given = torch.from_numpy(preds.copy())
    if preds.dtype == np.uint16:
        given = given.view(torch.bfloat16)
    block = engine.score(given, torch.from_numpy(labels.copy()))
    state = State(list(modules), task=job.task, num_classes=job.num_classes, foreground=job.foreground)
    state.add(block)
    return block.status, block.columns, state.arrays()
