"""All of a job's modules as one: what a sample's columns are, in one pass and, exported, in one graph."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from evaltool.metrics.binary import BinaryScorecard, MultilabelScorecard
from evaltool.metrics.multiclass import MulticlassScorecard
from evaltool.metrics.regression import RegressionScorecard
from evaltool.metrics.segmentation import SegmentationScorecard
from evaltool.numerics.elementary import working_precision
from evaltool.numerics.log_odds import two_classes
from evaltool.schema import OK

KNOWN = ("status", "label")  # of a sample that is not ok


class Scorecard(nn.Module):
    """Every per-sample column of a task, losses included.

    Args:
        card: the task's scorecard without losses, for instance ``MulticlassScorecard``.
        losses: modules (preds, labels) -> [N] of evaltool by column.
        preds_are: "logits", "probs" or "log-probs".
        two_classes: the columns whose loss is given one foreground class as background and foreground.
        parts: give the losses by position or class instead.
        columns: only these, in this order, with NaN (or -1 in an integer column) where a sample is not ok; None for
            every output as it comes.
    """

    of_two: list[str]
    columns: list[str]
    known: list[str]

    def __init__(
        self,
        card: nn.Module,
        losses: Mapping[str, nn.Module],
        *,
        preds_are: str = "logits",
        two_classes: Collection[str] = (),
        parts: bool = False,
        columns: Collection[str] | None = None,
    ) -> None:
        super().__init__()
        self.card = card
        self.losses = nn.ModuleDict(losses)
        self.preds_are = preds_are
        self.of_two = sorted(two_classes)
        self.parts = parts
        self.columns = list(columns or [])
        self.known = list(KNOWN)
        self.ok = OK

    def forward(self, preds: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the columns of preds and labels as the task has them, each [N].

        With ``parts`` a loss is ``map_<column>``, shaped as the labels, where it has a value per position, and else
        ``parts_<column>``, [N, K], which sum to it.
        """
        outputs: dict[str, Tensor] = self.card(preds, labels)
        for name, loss in self.losses.items():
            given = preds
            if name in self.of_two:
                given = two_classes(working_precision(preds).reshape(labels.shape), self.preds_are)
            if not self.parts:
                outputs[name] = loss(given, labels)
            elif hasattr(loss, "map"):
                outputs[f"map_{name}"] = loss.map(given, labels)
            else:
                outputs[f"parts_{name}"] = loss.by_class(given, labels)
        if len(self.columns) == 0:
            return outputs
        ok = outputs["status"] == self.ok
        chosen: dict[str, Tensor] = {}
        # a sample of several numbers has no label and pred
        nothing = torch.full_like(outputs["status"], torch.nan, dtype=torch.float32)
        for name in self.columns:
            values = outputs.get(name, nothing)
            if name in self.known:
                chosen[name] = values
            elif values.is_floating_point():
                chosen[name] = torch.where(ok, values, torch.full_like(values, torch.nan))
            else:
                chosen[name] = torch.where(ok, values, torch.full_like(values, -1))
        return chosen


def task_card(task: str, foreground: bool, ignore_index: int, preds_are: str, tolerance: float) -> nn.Module:
    """Return the module that gives a task's columns but the losses."""
    if task == "multiclass":
        return MulticlassScorecard(ignore_index=ignore_index, preds_are=preds_are, tolerance=tolerance)
    if task == "binary":
        return BinaryScorecard(ignore_index=ignore_index, preds_are=preds_are)
    if task == "multilabel":
        return MultilabelScorecard(ignore_index=ignore_index, preds_are=preds_are)
    if task == "segmentation":
        return SegmentationScorecard(
            foreground=foreground, ignore_index=ignore_index, preds_are=preds_are, tolerance=tolerance
        )
    return RegressionScorecard()
