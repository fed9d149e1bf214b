"""What goes back into training: a weight per sample, or the indices of the hardest samples of each class."""

import math
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.mine.candidates import of_column
from evaltool.mine.order import Best
from evaltool.mine.ranking import LABEL_ERROR, Ranking, ranking_of
from evaltool.progress import Silence
from evaltool.run.reader import Run

Array = np.ndarray[Any, Any]

SURE = 0.5  # from this p_wrong on a label is not trained on as a hard one


class SampleWeights:
    """Collects a weight per sample of the run, and which labels are likely right.

    By label-error it is the chance that the label is right, of multilabel the smallest of the sample's labels', of
    segmentation the Dice score. By anything else it is how much worse than the best value (or 0) the sample is, so that
    a loss is its own weight. A sample that could not be scored has weight 0.
    """

    def __init__(self, run: Run, ranking: Ranking) -> None:
        self._run, self._ranking = run, ranking
        self._keys = np.full(run.n_samples, np.nan)
        self._p_right = np.full(run.n_samples, np.nan)

    def add(self, rows: Array) -> None:
        """Add candidates."""
        # the worst label counts where a sample has several
        np.fmax.at(self._keys, rows["index"], rows["key"])
        np.fmin.at(self._p_right, rows["index"], 1 - rows["p_wrong"])

    def likely_right(self) -> Array:
        """Return which samples have a label that is likely right, bool [N]."""
        return np.asarray(self._p_right > 1 - SURE)

    def values(self) -> Array:
        """Return the weights, float64 [N].

        Raises:
            EvaltoolError: none is above 0, or it is not known how likely labels are right.
        """
        if self._ranking.word == LABEL_ERROR:
            weights = np.clip(1 - self._keys, 0, 1) if self._run.task == "segmentation" else self._p_right
            if np.isnan(weights).all() and not np.isnan(self._keys).all():
                raise EvaltoolError(
                    f"weights by label-error need p_wrong\n  {self._run.name}: {self._run.num_classes:,} classes, too "
                    "many to know it\n  Rank by a loss with --by."
                )
        else:
            finite = self._keys[np.isfinite(self._keys)]
            least = min(0.0, finite.min(initial=0.0))
            weights = np.clip(self._keys, least, finite.max(initial=least)) - least
        weights = np.where(np.isnan(weights), 0, weights)
        if not weights.any():
            raise EvaltoolError(
                f"no sample has a weight above 0\n  {self._run.name}: by {self._ranking.name}\n  Rank by another score."
            )
        return np.asarray(weights)


def hard_sample(run: Run, ranking: Ranking, likely_right: Array | None, ratio: float) -> Array:
    """Return the indices of the hardest samples of each class, int64, ascending.

    No class has more than ``ratio`` times the samples of the rarest one; what is hard is said by the column that ranks,
    else by the first loss.

    Args:
        run: the run.
        ranking: what ranks.
        likely_right: bool [N], where labels were judged; others are left out.
        ratio: see above.

    Raises:
        EvaltoolError: samples have no single class.
    """
    if run.task not in ("multiclass", "binary"):
        raise EvaltoolError(
            f"--as-sampler takes so many samples of each class\n  {run.name}: task {run.task}, where a sample has no "
            "single class\n  Use --as-weights."
        )
    hard = ranking if ranking.column is not None else ranking_of(run, run.losses[0], None)
    best = Best(None)
    for _, _, rows in of_column(run, hard, Silence()):
        rows = rows if likely_right is None else rows[likely_right[rows["index"]]]
        best.add(rows[rows["quota"] >= 0])
    rows = best.rows()
    if not len(rows):
        raise EvaltoolError(f"no sample can be drawn\n  {run.name}: by {hard.name}\n  Rank by another score.")
    counts = np.bincount(rows["quota"])
    limited = Best(None, per_class=math.ceil(ratio * counts[counts > 0].min()))
    limited.add(rows)
    return np.sort(limited.rows()["index"])


def npy_bytes(array: Array) -> Callable[[IO[bytes]], None]:
    """Return a function that writes an array as .npy."""
    return lambda file: np.lib.format.write_array(file, array, allow_pickle=False)
