"""What mining hands on: the chosen rows beside the run they come from.

Every format and the gallery read this, and nothing of how the rows were chosen.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from evaltool.errors import EvaltoolError
from evaltool.run.inputs import Inputs
from evaltool.run.reader import Run

Array = np.ndarray[Any, Any]
Row = dict[str, Any]
MASKS_AT_ONCE = 16
PRESENCE = ("absent", "present")  # what a label of a multilabel row says about the row's class


class Mined(NamedTuple):
    """The rows that were chosen, in list order.

    ``table`` may have these columns, and only ``index`` is always there: rank, index, id, class, label, pred,
    suggested, score, by, p_wrong, p_label, p_suggested, the run's losses, status, group, box, why, text. In multilabel
    runs ``class`` is the class in question and label, pred and suggested are 0 or 1 (``PRESENCE``); elsewhere they are
    class indices. A random control looks like any other row.
    """

    table: pa.Table
    run: Run
    inputs: Inputs | None = None  # predictions and labels; of segmentation, for the masks

    @property
    def label_names(self) -> list[str]:
        """What a label can be, by its number in the columns label, pred and suggested; [] for regression."""
        return list(PRESENCE) if self.run.task == "multilabel" else self.run.class_names

    def rows(self) -> list[Row]:
        """Return the rows as dictionaries, in list order; a column that is missing is missing in all."""
        rows: list[Row] = self.table.to_pylist()
        return rows

    def name_of(self, label: int | None) -> str | None:
        """Return what a number in label, pred or suggested is called; None for none, and for one out of range."""
        names = self.label_names
        return names[label] if label is not None and 0 <= label < len(names) else None

    def masks(self, indices: Sequence[int] | None = None) -> "Iterator[Masks]":
        """Yield label and prediction of rows of a segmentation run, some in memory at a time.

        Args:
            indices: of the run, in the order wanted; None for the rows in list order.

        Raises:
            EvaltoolError: the predictions and labels of the run were not opened, or have no height and width.
        """
        if self.inputs is None:
            raise EvaltoolError(
                f"there are no masks to show\n  {self.run.name}: its predictions cannot be read\n"
                "  Name them with --preds, score stored ones, or choose another format, such as csv."
            )
        if self.run.task != "segmentation" or len(self.inputs.preds.shape) not in (3, 4):
            raise EvaltoolError(
                f"there are no masks to show\n  {self.run.name}: task {self.run.task}, preds "
                f"{list(self.inputs.preds.shape)}, expected a segmentation run of [N, C, H, W]\n"
                "  Choose another format, such as csv."
            )
        indices = self.table["index"].to_pylist() if indices is None else indices
        for start in range(0, len(indices), MASKS_AT_ONCE):
            yield from _masks_of(self.inputs, np.asarray(indices[start : start + MASKS_AT_ONCE], np.int64))


class Masks(NamedTuple):
    """The masks of one image: int64 [H, W] class indices; of one foreground class, 0 and 1."""

    label: Array
    pred: Array
    valid: Array  # bool [H, W]: neither ignored nor bad


def _masks_of(inputs: Inputs, indices: Array) -> Iterator[Masks]:
    rows, back = np.unique(indices, return_inverse=True)  # a row can be listed for several classes
    block = inputs.rows(rows)
    pred = block.odds.argmax(1) if inputs.softmax else block.odds > 0
    flat = (len(rows), *inputs.preds.shape[-2:])
    labels, preds, valid = (array.reshape(flat) for array in (block.labels, pred.astype(np.int64), block.valid))
    for k in back:
        yield Masks(labels[k], preds[k], valid[k])
