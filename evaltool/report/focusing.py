"""Would a focal loss help: what each gamma does to the share of the easy samples, and which one to try."""

from typing import Any

import numpy as np

from evaltool.report.document import Focusing, GammaRow
from evaltool.report.hardness import easy_share
from evaltool.report.loss_bins import edges
from evaltool.report.scan import GAMMAS, Scan
from evaltool.run.reader import Run

Array = np.ndarray[Any, Any]

LITTLE = 0.05  # of the loss, for the easy half
MOST = 0.5  # of the loss, for the hardest hundredth
CONFIDENTLY_WRONG = 0.1  # probability of the label
FEWEST = 100  # samples, for a hundredth of them to be any


def focusing_of(run: Run, scan: Scan) -> Focusing | None:
    """Return the section; None for regression, no rows where a run does not hold each label's probability."""
    if run.task == "regression":
        return None
    if scan.focal_from is None:
        why = "its labels are shares of the classes" if scan.one_label else f"{run.task} has several labels in a sample"
        return {"rows": [], "suggested": None, "reason": f"The scores do not tell: {why}."}
    return focusing_from(scan.focal_bins, scan.focal_sums, scan.focal_squares)


def focusing_from(counts: Array, sums: Array, squares: Array, *, unit: str = "samples") -> Focusing:
    """Return the section from the losses in bins of the cross-entropy, whose order every gamma keeps.

    Args:
        counts: int64 [8192], cases in each bin.
        sums: float64 [6, 8192], of the focal losses (1 - p)^gamma (-ln p) of ``GAMMAS``.
        squares: float64 [6], sums of their squares.
        unit: what the cases are, in the plural.
    """
    if not counts.any() or not sums[0].sum() > 0:
        return {"rows": [], "suggested": None, "reason": "There is no loss to focus: every finite one is 0."}
    rows = [_row(gamma, counts, sums[g], float(squares[g])) for g, gamma in enumerate(GAMMAS)]
    suggested, reason = _suggestion(rows, counts, sums[0], unit)
    return {"rows": rows, "suggested": suggested, "reason": reason}


def _row(gamma: float, counts: Array, sums: Array, squares: float) -> GammaRow:
    whole = float(sums.sum())
    known = whole > 0
    return {
        "gamma": gamma,
        "easy_half_share": easy_share(counts, sums, 0.5) if known else None,
        "hardest_tenth_share": 1 - easy_share(counts, sums, 0.9) if known else None,
        "effective_samples": whole**2 / squares if squares > 0 else None,
    }


def _suggestion(rows: list[GammaRow], counts: Array, entropy: Array, unit: str) -> tuple[float | None, str]:
    n = int(counts.sum())
    easy = rows[0]["easy_half_share"]
    assert easy is not None
    if n < FEWEST:
        few = f"1 {unit.removesuffix('s')} is" if n == 1 else f"{n} {unit} are"
        return None, f"{few} too few to tell easy from hard; {FEWEST} are needed."
    hardest = 1 - easy_share(counts, entropy, 0.99)
    wrong = np.nan_to_num(edges()[:-1], nan=-1.0) >= -np.log(CONFIDENTLY_WRONG)
    if hardest > MOST and entropy[wrong].sum() > MOST * entropy.sum():
        return 0.0, (
            f"The hardest 1% of the {unit} carries {_percent(hardest)} of the cross-entropy, and the model gives "
            f"the labels of {_percent(counts[wrong].sum() / n)} of them all a probability below {CONFIDENTLY_WRONG:g}: "
            f"wrong labels look like this, and a larger gamma would chase them. Look at these {unit} first."
        )
    if easy < LITTLE:
        return 0.0, (
            f"The easy half already carries only {_percent(easy)} of the cross-entropy: there is nothing to focus away."
        )
    enough = [row for row in rows if row["easy_half_share"] is not None and row["easy_half_share"] < LITTLE]
    if not enough:
        return 0.0, (
            f"The easy half carries {_percent(easy)} of the cross-entropy and no gamma up to {GAMMAS[-1]:g} "
            f"brings that under {_percent(LITTLE)}: the {unit} are about equally hard, and gamma tells none apart."
        )
    chosen = enough[0]
    left = chosen["effective_samples"]
    return chosen["gamma"], (
        f"The easy half carries {_percent(easy)} of the cross-entropy; gamma {chosen['gamma']:g} is the smallest that "
        f"leaves it under {_percent(LITTLE)} ({_percent(chosen['easy_half_share'] or 0.0)})."
        + (f" The gradient then rests on as many as {left:,.0f} of {n:,} {unit}." if left is not None else "")
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if share < 0.995 else f"{100 * share:.0f}%"
