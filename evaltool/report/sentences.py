"""The words of a verdict."""

from typing import Any

from evaltool.report.document import ClassRow, Estimate, Verdict
from evaltool.report.formats import class_labels
from evaltool.report.head_tail import HeadTail

NAMED = 3  # classes in a sentence
LONGEST_NAME = 40


def percent(share: float | None) -> str:
    """Return a share as it is read: 4.2%, 43%, 99.6%."""
    if share is None:
        return "an unknown share"
    return f"{share:.0%}" if 0.1 <= share <= 0.99 or share in (0, 1) else f"{share:.1%}"


def points(gap: Estimate) -> str:
    """Return a difference of shares with its interval, in points of a percent."""
    value, low, high = (None if gap[end] is None else 100 * float(gap[end] or 0.0) for end in ("value", "low", "high"))
    text = "an unknown number of points" if value is None else f"{_whole(value)} points"
    return text if low is None or high is None else f"{text} (95% interval {_whole(low)} to {_whole(high)})"


def _whole(number: float) -> str:
    return f"{round(number)}"  # rounds to an integer, which has no -0


def named(document: dict[str, Any], index: int) -> str:
    """Return a class's name as all views have it, shortened where it is very long."""
    return class_labels(document["names"], length=LONGEST_NAME)[index]


def imbalance_sentence(document: dict[str, Any], imbalance: str, compared: HeadTail) -> str:
    """Return the first sentence: is imbalance the problem, with the numbers that say so."""
    head, tail = _sides(document, compared)
    found = f"{percent(compared.head_recall['value'])} of {head} are found and {percent(compared.tail_recall['value'])}"
    found = f"{found} of {tail}, a difference of {points(compared.recall_gap)}"
    if imbalance == "unknown":
        return f"There is too little to tell whether imbalance is a problem: {found}."
    if imbalance in ("problem", "minor"):
        opening = "Imbalance is a problem here" if imbalance == "problem" else "Imbalance is a minor problem here"
        if _crowded(compared):
            ratio = compared.tail_predicted_ratio or 0.0
            right, of_head = (percent(side["value"]) for side in (compared.tail_precision, compared.head_precision))
            return (
                f"{opening}, the other way round: {tail} are predicted {ratio:.1f} times as often as they occur, and "
                f"{right} of those predictions are right, against {of_head} of {head}."
            )
        return f"{opening}: {found}{_loss_words(compared)}."
    if compared.ratio < 1.5:
        shift = (document["imbalance"] or {}).get("prior_shift")
        leaning = (
            f", but {percent(shift)} of the predictions would have to change to match them"
            if shift_matters(shift)
            else ""
        )
        return (
            "Imbalance is not your problem: the classes are about equally frequent, the largest "
            f"{compared.ratio:.1f} times the smallest{leaning}."
        )
    alike = "both are missed alike" if (compared.head_recall["value"] or 0.0) < 0.5 else "the rare are found as often"
    size = f"though the largest class is {compared.ratio:.0f} times the smallest"
    return f"Imbalance is not your problem, {size}: {alike}, {found}."


def shift_matters(shift: float | None) -> bool:
    """Return whether predictions are visibly distributed otherwise than the labels."""
    return shift is not None and shift >= 0.1


def classes_sentence(document: dict[str, Any], imbalance: str, compared: HeadTail) -> tuple[str, list[int]]:
    """Return the second sentence, which classes, and their indices."""
    rows: list[ClassRow] = [row for row in document["classes"] if row["count"] > 0]
    crowded = imbalance in ("problem", "minor") and _crowded(compared)
    if imbalance in ("problem", "minor") and compared.tail:
        tail = set(compared.tail)
        rate = "precision" if crowded else "recall"
        rows = sorted((row for row in rows if row["index"] in tail), key=lambda row: _value(row, rate))[:NAMED]
        listed = ", ".join(f"{named(document, row['index'])} ({_rate_words(row, rate)})" for row in rows)
        rest = len(tail) - len(rows)
        more = f" and {rest} more" if rest else ""
        return f"It shows most in {listed}{more}.", [row["index"] for row in rows]
    missed = sorted(rows, key=lambda row: (-row["count"] * (1 - _value(row, "recall")), row["index"]))
    missed = [row for row in missed if _value(row, "recall") < 1][:NAMED]
    if not missed:
        return f"All labels of all {len(rows)} classes are found.", []
    listed = ", ".join(
        f"{named(document, row['index'])} ({round(row['count'] * (1 - _value(row, 'recall'))):,} of {row['count']:,})"
        for row in missed
    )
    return f"Most of what is missed is {listed}.", [row["index"] for row in missed]


def first_step(document: dict[str, Any], imbalance: str) -> str:
    """Return the third sentence, what to do first: the first of the advice's actions where there is any."""
    actions = (document.get("advice") or {}).get("actions") or []
    if actions:
        title = actions[0]["title"]
        return f"First: {title[0].lower()}{title[1:]}{_stop(actions[0]['why'])}"
    if imbalance == "problem":
        return "First: give the rare classes more weight or more samples, and compare the two runs class by class."
    if imbalance == "unknown":
        return "First: score more samples, of the rare classes above all."
    if document["classes"] and all(_value(row, "recall") == 1 for row in document["classes"]):
        return "First: nothing has to be done; there is no error to mend."
    return "First: look at the samples with the largest loss; some may be labelled wrong."


def unscored(document: dict[str, Any], compared: HeadTail | None) -> Verdict:
    """Return that nothing can be told, and why."""
    n = document["n_scored"]
    labelled = [row for row in document["classes"] if row["count"] > 0]
    if n == 0:
        why = "No sample was scored, so nothing can be said about imbalance."
    elif compared is None:
        what = "only one class has labels" if labelled else "no class has labels"
        why = f"Nothing can be said about imbalance: {what}, in {n:,} scored samples."
    else:
        why = (
            f"There is too little to tell whether imbalance is a problem: {n:,} scored samples, and "
            f"{compared.tail_labels:,} labels of the rarest classes."
        )
    classes = [row["index"] for row in labelled[:NAMED]] if len(labelled) == 1 else []
    found = "".join(f"Of {named(document, row['index'])}, {_rate_words(row, 'recall')}." for row in labelled[:1])
    second = found if classes else "No class can be told from another by so few."
    return {
        "imbalance": "unknown",
        "sentences": [why, second, first_step(document, "unknown")],
        "classes": classes,
        "evidence": {"ratio": compared.ratio if compared else None},
    }


def regression_verdict(document: dict[str, Any], fewest: int) -> Verdict:
    """Return how errors are spread; numbers have no classes."""
    column = next(iter(document["losses"]), None)
    hardness = document["hardness"].get(column) if column else None
    n, share = document["n_scored"], hardness and hardness["hardest_hundredth_share"]
    none = "There are no classes in regression, so imbalance of classes is not your problem"
    if n < fewest or hardness is None or share is None:
        return {
            "imbalance": "unknown" if n < fewest else "none",
            "sentences": [
                f"{none}; {n:,} scored samples are too few to tell how errors are spread."
                if n < fewest
                else f"{none}, and there is no error to speak of.",
                "No group of samples stands out.",
                first_step(document, "unknown" if n < fewest else "none"),
            ],
            "classes": [],
            "evidence": {"hardest_hundredth_share": share},
        }
    tenth, half = hardness["hardest_tenth_share"], hardness["easy_half_share"]
    heavy = share >= 0.2
    opening = "a few outliers carry the error" if heavy else "the error is spread over many samples"
    loss = document["losses"][column]
    first = first_step(document, "none")
    if heavy and not (document.get("advice") or {}).get("actions"):
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


def _sides(document: dict[str, Any], compared: HeadTail) -> tuple[str, str]:
    if not compared.tail:
        return "the labels 0", f"the labels 1 ({percent(compared.tail_share)} of all)"
    return _side(document, compared.head, "most frequent"), (
        f"{_side(document, compared.tail, 'rarest')} ({percent(compared.tail_share)} of all labels)"
    )


def _side(document: dict[str, Any], classes: list[int], what: str) -> str:
    if len(classes) == 1:
        return f"the labels of {named(document, classes[0])}"
    return f"the labels of the {len(classes)} {what} classes"


def _crowded(compared: HeadTail) -> bool:
    gap = compared.recall_gap["low"]
    return (compared.tail_predicted_ratio or 0.0) >= 1.1 and not (gap is not None and gap > 0)


def _loss_words(compared: HeadTail) -> str:
    share = compared.tail_loss_share
    words = "" if share is None else f", and the rare carry {percent(share)} of the loss"
    if compared.tail_predicted_ratio is not None:
        words += f"; they are predicted {compared.tail_predicted_ratio:.2g} times as often as they occur"
    return words


def _rate_words(row: ClassRow, rate: str) -> str:
    value = percent(row[rate]["value"])  # type: ignore[literal-required]
    return f"{value} of {row['predicted']:,} right" if rate == "precision" else f"{value} of {row['count']:,} found"


def _value(row: ClassRow, rate: str) -> float:
    value = row[rate]["value"]  # type: ignore[literal-required]
    return 1.0 if value is None else float(value)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"


def _stop(why: str) -> str:
    return f": {why}" if why.endswith(".") else f": {why}."
