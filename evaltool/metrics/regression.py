"""What a real-valued prediction says of its sample beside its losses: whether it can be scored."""

import torch
from torch import Tensor, nn

from evaltool.metrics.status import sample_status
from evaltool.numerics.elementary import working_precision
from evaltool.numerics.positions import by_sample


class RegressionScorecard(nn.Module):
    """Every per-sample column of the task regression beside the losses.

    ``label`` and ``pred`` are there where a sample is one number, labels [N].
    """

    def forward(self, preds: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the columns, [N] each, for preds and labels [N, ...]."""
        one_number = labels.dim() == 1
        preds = by_sample(working_precision(preds))
        labels = by_sample(working_precision(labels))
        bad_label = ~labels.isfinite().all(1)
        columns = {
            "status": sample_status(
                torch.ones_like(bad_label), ~preds.isfinite().all(1), bad_label, torch.zeros_like(bad_label)
            )
        }
        if one_number:
            columns["label"] = labels.squeeze(1)
            columns["pred"] = preds.squeeze(1)
        return columns
