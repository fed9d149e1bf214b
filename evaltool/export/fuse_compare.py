"""A fused file beside the model alone and the losses in float64."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from evaltool.export.comparison import LIMIT, error_of
from evaltool.export.model_inputs import Feeds, Run
from evaltool.export.model_losses import ModelLosses, labels_for

# how far outputs may move, as a share of the largest, where a runtime fuses the two graphs' operators differently
MOVED = {torch.float64: 1e-6, torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}


@torch.no_grad()
def compared(
    fused: Run,
    losses: ModelLosses,
    batches: Sequence[Feeds],
    alone: Sequence[Mapping[str, Tensor]],
    preds: str,
    labels: str,
    outputs: Mapping[str, str],
) -> tuple[float, str | None]:
    """Return the worst error of a loss, and what is wrong.

    Args:
        fused: runs the written file.
        losses: what it has to compute.
        batches: inputs by name.
        alone: what the model alone gives for each of them, by name.
        preds: the output that the losses are given.
        labels: the input that takes the labels.
        outputs: names of the losses' outputs, by column.
    """
    oracle = losses.module(squeeze=losses.squeeze)
    generator = torch.Generator().manual_seed(1)
    worst = 0.0
    for feeds, expected in zip(batches, alone, strict=True):
        given = labels_for(expected[preds], losses, generator)
        try:
            found = fused({**feeds, labels: given})
        except RuntimeError as error:
            return torch.inf, f"it does not run: {error}"
        for name, value in expected.items():
            if not _is_same(found[name], value):
                return worst, f"the output {name!r} differs from the model's alone; is the model random?"
        wide = given.to(torch.float64) if given.is_floating_point() else given
        values = oracle(found[preds].to(torch.float64), wide)
        for column, name in outputs.items():
            off = error_of(column, found[name], values[column])
            worst = max(worst, off)
            if not off <= LIMIT:
                return worst, f"error {off:.2g} in the output {name!r}, allowed is {LIMIT:g}"
    return worst, None


def _is_same(found: Tensor, wanted: Tensor) -> bool:
    """Whether an output is that of the model alone."""
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return False
    if not wanted.is_floating_point() or not wanted.numel():
        return bool((found == wanted).all())
    finite = wanted[wanted.isfinite()].abs()
    allowed = float(finite.max()) * MOVED[wanted.dtype] if finite.numel() else 0.0
    return torch.allclose(found, wanted, rtol=0, atol=allowed, equal_nan=True)
