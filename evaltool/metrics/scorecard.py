"""All of a job's modules as one: what a sample's columns are, in one pass and, exported, in one graph."""

from collections.abc import Collection, Mapping

from torch import Tensor, nn

from evaltool.numerics.elementary import working_precision
from evaltool.numerics.log_odds import two_classes


class Scorecard(nn.Module):
    """Every per-sample column of a task, losses included, and what the summary adds up over positions and classes.

    Args:
        card: the task's scorecard without losses, for instance ``MulticlassScorecard``.
        losses: modules (preds, labels) -> [N] of evaltool by column.
        two_classes: the columns whose loss is given one foreground class as background and foreground.
        parts: give the losses' values per position or class instead.
        columns: only these outputs, in this order; None for all.
    """

    of_two: list[str]
    columns: list[str]

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

    def forward(self, preds: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the columns of preds and labels as the task has them.

        A loss is ``loss_<column>``, float [N]; with ``parts`` instead ``map_<column>``, shaped as the labels, where it
        has a value per position, and else ``parts_<column>``, [N, K], which sum to it.
        """
        outputs: dict[str, Tensor] = self.card(preds, labels)
        for name, loss in self.losses.items():
            given = preds
            if name in self.of_two:
                given = two_classes(working_precision(preds).reshape(labels.shape), self.preds_are)
            if not self.parts:
                outputs[f"loss_{name}"] = loss(given, labels)
            elif hasattr(loss, "map"):
                outputs[f"map_{name}"] = loss.map(given, labels)
            else:
                outputs[f"parts_{name}"] = loss.by_class(given, labels)
        if len(self.columns) == 0:
            return outputs
        return {name: outputs[name] for name in self.columns}
