"""The words of a verdict on a regression: how its errors are spread."""

from typing import Any

from evaltool.report.document import Verdict
from evaltool.report.formats import counted
from evaltool.report.sentences import percent


def regression_verdict(document: dict[str, Any], fewest: int) -> Verdict:
    """Return how errors are spread; numbers have no classes."""
    column = next(iter(document["losses"]), None)
    hardness = document["hardness"].get(column) if column else None
    n, share = document["n_scored"], hardness and hardness["hardest_hundredth_share"]
    none = "There are no classes in regression, so imbalance of classes is not your problem"
    if n < fewest or hardness is None or share is None:
        few = n < fewest
        spread = f"; {counted(n, 'scored sample is', 'scored samples are')} too few to tell how errors are spread"
        return {
            "imbalance": "unknown" if few else "none",
            "sentences": [
                f"{none}{spread}." if few else f"{none}, and there is no error to speak of.",
                "No group of samples stands out.",
                "First: score more samples." if few else _without_shares(document, column),
            ],
            "classes": [],
            "evidence": {"hardest_hundredth_share": share},
        }
    tenth, half = hardness["hardest_tenth_share"], hardness["easy_half_share"]
    heavy = share >= 0.2
    opening = "a few outliers carry the error" if heavy else "the error is spread over many samples"
    loss = document["losses"][column]
    first = "First: look at the samples with the largest loss; some may be labelled wrong."
    if heavy:
        first = "First: look at the samples with the largest loss; a loss such as smooth-l1 lets outliers pull less."
    return {
        "imbalance": "none",
        "sentences": [
            f"{none}; {opening}: the worst 1% of the samples carry {percent(share)} of {column}.",
            f"The worst tenth carries {percent(tenth)} and the better half {percent(half)}; the median of {column} is "
            f"{_number(loss['p50'])}, its mean {_number(loss['mean'])}, its largest {_number(loss['max'])}.",
            first,
        ],
        "classes": [],
        "evidence": {
            "hardest_hundredth_share": share,
            "hardest_tenth_share": tenth,
            "easy_half_share": half,
            "loss_p50": loss["p50"],
            "loss_max": loss["max"],
        },
    }


def _without_shares(document: dict[str, Any], column: str | None) -> str:
    if column is not None and document["losses"][column]["max"] == 0:
        return "First: nothing has to be done; there is no error to mend."
    return "First: look at the samples with the largest loss; some may be labelled wrong."


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"
