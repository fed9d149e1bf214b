"""Cross-entropy kernels that run on a GPU alone: Liger-Kernel, apex."""

from typing import Any

from .contest import GPU_BATCHES, Contestant, Ready
from .problems import Problem
from .torch_peers import ready

CROSS_ENTROPY = "cross-entropy of each sample"


def liger(problem: Problem, threads: int) -> Ready:
    """Prepare Liger-Kernel's cross-entropy; versions that write gradients over the logits are given a copy."""
    from liger_kernel.transformers import LigerCrossEntropyLoss

    loss = LigerCrossEntropyLoss(reduction="none")
    some = problem.preds[:2].clone()
    loss(some, problem.labels[:2])
    keeps = bool((some == problem.preds[:2]).all())
    return ready(problem, lambda preds, labels: {"ce": loss(preds if keeps else preds.clone(), labels)}, GPU_BATCHES)


def apex(problem: Problem, threads: int) -> Ready:
    """Prepare apex's cross-entropy; its label 0 is ignored unless another is named."""
    from apex.contrib.xentropy import SoftmaxCrossEntropyLoss

    def function(preds: Any, labels: Any) -> dict[str, Any]:
        return {"ce": SoftmaxCrossEntropyLoss.apply(preds, labels, 0.0, -100, False)}

    return ready(problem, function, GPU_BATCHES)


GPU_PEERS = (
    Contestant("Liger-Kernel, best batch", CROSS_ENTROPY, liger, ("multiclass",), devices=("cuda",)),
    Contestant("apex xentropy, best batch", CROSS_ENTROPY, apex, ("multiclass",), devices=("cuda",)),
)
