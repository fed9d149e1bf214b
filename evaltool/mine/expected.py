"""How many labels are expected to be wrong among the rows that passed the filters.

The confident joint says how many are wrong in the whole run.  Filters select on what has to do with being wrong (a
loss, or what has been reviewed), so each row takes its own probability of being wrong with it, all of them multiplied
by the one number with which they add up to the whole run's.
"""

from typing import Any

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.mine.candidates import of_predictions
from evaltool.mine.filters import Filter
from evaltool.mine.label_errors import LabelErrors, label_errors
from evaltool.mine.ranking import LABEL_ERROR, Ranking
from evaltool.progress import Watcher
from evaltool.run.inputs import Inputs
from evaltool.run.reader import Run

Array = np.ndarray[Any, Any]


class ExpectedErrors:
    """Adds up over blocks of all judged labels, and of those that passed.

    Args:
        found: the run's label errors.

    Attributes:
        of_run: the expected number of errors of the whole run.
        n_passed: labels that passed.
    """

    def __init__(self, found: LabelErrors) -> None:
        self.of_run = found.n_expected
        self.n_passed = 0
        self._n_all = 0
        self._expected = float(found.expected.sum())
        self._all = self._passed = 0.0

    def add(self, rows: Array, passed: Array) -> None:
        """Add the candidates of consecutive rows, and those of them that passed."""
        self._n_all += len(rows)
        self.n_passed += len(passed)
        self._all += _wrong(rows)
        self._passed += _wrong(passed)

    def number(self) -> int:
        """Return the expected number of errors among the labels that passed; the run's own where all did."""
        if self.n_passed == self._n_all:
            return self.of_run
        scale = self._expected / self._all if self._all > 0 else 0.0
        return min(self.n_passed, round(scale * self._passed))


def _wrong(rows: Array) -> float:
    """Return the sum of p_wrong; where it is unknown, of what the label's probability leaves."""
    return float(np.where(np.isnan(rows["p_wrong"]), 1 - rows["p_label"], rows["p_wrong"]).sum())


def check_budget(run: Run, ranking: Ranking) -> None:
    """Refuse ``--budget auto`` where nobody can say how many labels are wrong.

    Raises:
        EvaltoolError: the task is none whose labels are judged.
    """
    if run.task in ("regression", "segmentation"):
        raise EvaltoolError(
            f"--budget auto is the number of labels expected to be wrong\n  {run.name}: {run.task} ranked by "
            f"{ranking.name} has no such number\n  Say how many with --top or --fraction."
        )


def budget_errors(
    run: Run, ranking: Ranking, inputs: Inputs | None, found: LabelErrors | None, passing: Filter, watcher: Watcher
) -> ExpectedErrors:
    """Return the expected errors; where the candidates are not all judged labels they have been counted."""
    assert inputs is not None
    judged = found
    if judged is None:
        judged = label_errors(run, inputs, watcher)
        watcher.decided([expected_said(run, judged)])
    expected = ExpectedErrors(judged)
    if not passing.lets_all_pass and (found is None or ranking.word != LABEL_ERROR):
        _count(expected, inputs, judged, passing, watcher)
    return expected


def expected_said(run: Run, found: LabelErrors) -> str:
    """Return the line that says how many labels of the run are expected to be wrong."""
    rows = int(found.counts.sum())
    what = "labels" if run.task != "multilabel" else "labels (one per sample and class)"
    return f"expected wrong: {found.n_expected:,} of {rows:,} {what}, by the confident joint"


def _count(expected: ExpectedErrors, inputs: Inputs, found: LabelErrors, passing: Filter, watcher: Watcher) -> None:
    """Add all labels of a run by a pass of its own, for lists whose candidates are not every judged label."""
    for start, stop, rows in of_predictions(inputs, Ranking(LABEL_ERROR, None, False, ""), found, watcher):
        expected.add(rows, passing.keep(rows, start, stop))
    passing.restart()
