"""What ranks the rows: ``label-error``, ``ambiguous``, ``hard``, or a column of the run."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from evaltool.errors import EvaltoolError
from evaltool.mine.label_errors import MAX_CLASSES
from evaltool.run.reader import Run

LABEL_ERROR, AMBIGUOUS, HARD, AUTO = "label-error", "ambiguous", "hard", "auto"
WORDS = (LABEL_ERROR, HARD, AMBIGUOUS)
LOWER_IS_WORSE = ("margin", "p_label", "p_pred", "accuracy", "iou")
SEGMENTATION_COLUMN = "dice"


@dataclass(frozen=True)
class Ranking:
    """What orders the rows.

    Attributes:
        word: label-error, ambiguous, or "" for a column.
        column: of the run's table; None where the score is computed from the predictions.
        ascending: the lowest value comes first.
        reason: one line that says what was chosen, and why.
    """

    word: str
    column: str | None
    ascending: bool
    reason: str

    @property
    def name(self) -> str:
        """What the score is called in the list."""
        return self.word or str(self.column)

    def score(self, key: Any) -> Any:
        """Return the score of a key, which is always highest first."""
        return -key if self.ascending else key


def ranking_of(run: Run, by: str, ascending: bool | None) -> Ranking:
    """Return what ``by`` asks for.

    Raises:
        EvaltoolError: the run has no such score.
    """
    if by in run.schema.names and by != AUTO:
        return _column(run, by, ascending, f"ranked by {by}")
    if by == AUTO:
        no_inputs = any(record["role"] == "model" for record in run.manifest["inputs"])
        if run.task == "regression" or no_inputs:
            why = "a regression has no classes" if run.task == "regression" else "the predictions were not stored"
            return _column(run, run.losses[0], ascending, f"ranked by {run.losses[0]}, the first loss: {why}")
        by = LABEL_ERROR
    if by == HARD:
        return _column(run, run.losses[0], ascending, f"ranked by {run.losses[0]}, the first loss")
    if by not in WORDS:
        columns = ", ".join(field.name for field in run.schema if _numeric(field))
        raise EvaltoolError(
            f"the run has no such score\n  {run.name}: {by!r}, expected {', '.join(WORDS)} or a column: {columns}\n"
            "  Name one of them with --by."
        )
    if ascending is not None:
        raise EvaltoolError(f"{by} has an order of its own\n  {run.name}\n  Leave --ascending and --descending out.")
    if run.task == "regression":
        raise EvaltoolError(
            f"{by} needs classes\n  {run.name}: task regression\n  Rank by a loss: --by {run.losses[0]}."
        )
    if run.task == "segmentation":
        return _of_segmentation(run, by)
    return Ranking(by, None, False, _said(run, by))


def _said(run: Run, by: str) -> str:
    if by == AMBIGUOUS:
        return "ranked by ambiguous: entropy among labels that are likely right"
    if run.task == "multiclass" and run.num_classes > MAX_CLASSES:
        return (
            f"ranked by label-error as the log-odds of the best other class alone: {run.num_classes:,} classes are "
            f"above {MAX_CLASSES:,}, where the table of how labels go wrong is no longer fitted; p_wrong is unknown"
        )
    if run.manifest["decisions"]["soft_labels"]:
        return "ranked by label-error; of soft labels the largest share is the label"
    return "ranked by label-error: log-odds that another class is the true one"


def _of_segmentation(run: Run, by: str) -> Ranking:
    if by == AMBIGUOUS:
        return Ranking(by, "entropy", False, "ranked by ambiguous: mean entropy over the positions of an image")
    if SEGMENTATION_COLUMN in run.losses:
        return Ranking(
            by, SEGMENTATION_COLUMN, False, "ranked by label-error: the column dice, the soft Dice loss of each image"
        )
    return Ranking(by, None, False, "ranked by label-error: the images' soft Dice loss")


def _column(run: Run, name: str, ascending: bool | None, reason: str) -> Ranking:
    if not _numeric(run.schema.field(name)) or name == "index":
        raise EvaltoolError(
            f"the column cannot rank\n  {run.name}: {name} is {run.schema.field(name).type}\n"
            "  Name a numeric one with --by."
        )
    lowest = name in LOWER_IS_WORSE if ascending is None else ascending
    return Ranking("", name, lowest, f"{reason}, {'lowest' if lowest else 'highest'} first")


def _numeric(field: Any) -> bool:
    return field.name != "index" and bool(pa.types.is_floating(field.type) or pa.types.is_integer(field.type))
