"""The words of a verdict."""

from typing import Any

from evaltool.report.document import ClassRow, Estimate, Verdict
from evaltool.report.formats import class_labels, counted
from evaltool.report.head_tail import HeadTail
from evaltool.report.judgement import CROWDED, EVEN, FEW, NOISE, RELEVANT, SHIFT, SMALL, Judgement, beyond, opposite

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


def imbalance_sentence(document: dict[str, Any], judgement: Judgement, compared: HeadTail) -> str:
    """Return the first sentence: is imbalance the problem, with the numbers that say so."""
    head, tail = _sides(document, compared)
    found = f"{percent(compared.head_recall['value'])} of {head} are found and {percent(compared.tail_recall['value'])}"
    found = f"{found} of {tail}, a difference of {points(compared.recall_gap)}"
    if judgement.noise is not None:
        sure, missed, expected, _ = judgement.noise
        return (
            f"Wrong labels may explain what looks like imbalance: {found}, but {sure:,} of the {missed:,} missed are "
            "surely taken for another class, and wrong labels as frequent as in the other classes would be "
            f"{round(expected):,}."
        )
    if judgement.imbalance == "unknown":
        return f"There is too little to tell whether imbalance is a problem: {found}."
    if judgement.imbalance in ("problem", "minor"):
        minor = "" if judgement.imbalance == "problem" else "minor "
        opening = f"Imbalance is a {minor}problem here"
        if judgement.route == SHIFT:
            right, of_head = (percent(side["value"]) for side in (compared.tail_precision, compared.head_precision))
            often = times(compared.tail_predicted)
            return (
                f"{opening}, the other way round: {found}; the rare are predicted {often}, and {right} of those "
                f"predictions are right, against {of_head} of the frequent."
            )
        return f"{opening}: {found}{_loss_words(document, compared)}."
    if compared.ratio < EVEN:
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
    size = f"though the largest class is {compared.ratio:.0f} times the smallest"
    return f"Imbalance is not your problem, {size}: {_alike(compared)}, {found}{_base_rates(compared)}."


def _alike(compared: HeadTail) -> str:
    more = opposite(compared.recall_gap)
    if beyond(more, SMALL):
        return "the rare are found more often" if beyond(more, RELEVANT) else "the rare are found somewhat more often"
    return "both are missed alike" if (compared.head_recall["value"] or 0.0) < 0.5 else "the rare are found as often"


def _base_rates(compared: HeadTail) -> str:
    """Return why rare classes are predicted too often, where they are and are found no better for it."""
    if (compared.tail_predicted["low"] or 0.0) < CROWDED:
        return ""
    return f"; that the rare are predicted {times(compared.tail_predicted)} is the errors of the many"


def times(ratio: Estimate) -> str:
    """Return how often something is predicted beside how often it occurs."""
    value = ratio["value"] or 0.0
    text = f"{value:.2g}"
    return "about as often as they occur" if text == "1" else f"{text} times as often as they occur"


def shift_matters(shift: float | None) -> bool:
    """Return whether predictions are visibly distributed otherwise than the labels."""
    return shift is not None and shift >= 0.1


def classes_sentence(document: dict[str, Any], judgement: Judgement, compared: HeadTail) -> tuple[str, list[int]]:
    """Return the second sentence, which classes, and their indices."""
    rows: list[ClassRow] = [row for row in document["classes"] if row["count"] > 0]
    if judgement.imbalance in ("problem", "minor") and compared.tail:
        return _worst_sentence(document, judgement, compared, rows)
    wrong = {row["index"]: round(row["count"] * (1 - _value(row, "recall"))) for row in rows}
    missed = sorted((row for row in rows if wrong[row["index"]]), key=lambda row: (-wrong[row["index"]], row["index"]))
    if not missed:
        return f"All labels of all {len(rows)} classes are found.", []
    shown = missed[:NAMED]
    listed = ", ".join(
        f"{named(document, row['index'])} ({wrong[row['index']]:,} of {row['count']:,})" for row in shown
    )
    mostly = 2 * sum(wrong[row["index"]] for row in shown) > sum(wrong.values())
    sentence = f"Most of what is missed is {listed}" if mostly else f"What is missed most often is {listed}"
    classes = [row["index"] for row in shown]
    worst = [row for row in _worse_than(rows, sum(wrong.values()), "recall") if row["index"] not in classes][:1]
    for row in worst:
        sentence += f"; the lowest recall has {named(document, row['index'])} ({_rate_words(row, 'recall')})"
    return f"{sentence}.", [*classes, *(row["index"] for row in worst)]


def _worst_sentence(
    document: dict[str, Any], judgement: Judgement, compared: HeadTail, rows: list[ClassRow]
) -> tuple[str, list[int]]:
    """Return the classes of the tail, and those elsewhere that are worse beyond chance, the worst first."""
    rate = "precision" if judgement.route == SHIFT else "recall"
    side = compared.tail_precision if judgement.route == SHIFT else compared.tail_recall
    tail, bar = set(compared.tail), side["value"]
    worse = [row for row in rows if row["index"] not in tail and _below(row, rate, bar)]
    carrying = sorted((*worse, *(row for row in rows if row["index"] in tail)), key=lambda row: _value(row, rate))
    shown = carrying[:NAMED]
    listed = ", ".join(
        f"{named(document, row['index'])} ({_rate_words(row, rate)}{_not_rare(document, row, tail)})" for row in shown
    )
    rest = len(carrying) - len(shown)
    return f"It shows most in {listed}{f' and {rest} more' if rest else ''}.", [row["index"] for row in shown]


def _not_rare(document: dict[str, Any], row: ClassRow, tail: set[int]) -> str:
    total = sum(other["count"] for other in document["classes"])
    return "" if row["index"] in tail else f"; it is not rare, {percent(row['count'] / total)} of all labels"


def _worse_than(rows: list[ClassRow], wrong: int, rate: str) -> list[ClassRow]:
    """Return the classes whose rate is below that of all labels together beyond chance, the worst first."""
    total = sum(row["count"] for row in rows)
    below = [row for row in rows if _below(row, rate, 1 - wrong / total)]
    return sorted(below, key=lambda row: _value(row, rate))


def _below(row: ClassRow, rate: str, bar: float | None) -> bool:
    high = row[rate]["high"]  # type: ignore[literal-required]
    return high is not None and bar is not None and high < bar


def first_step(document: dict[str, Any], judgement: Judgement) -> str:
    """Return the third sentence, what to do first: the first of the advice's actions where there is any."""
    actions = (document.get("advice") or {}).get("actions") or []
    if actions:
        title = actions[0]["title"]
        return f"First: {title[0].lower()}{title[1:]}{_stop(actions[0]['why'])}"
    if judgement.imbalance == "problem":
        if judgement.route == SHIFT:
            return "First: give the rare classes less weight, and compare the two runs class by class."
        return "First: give the rare classes more weight or more samples, and compare the two runs class by class."
    if judgement.route == FEW and judgement.compared is None:
        if document["n_scored"] == 0:
            return "First: find out why no sample could be scored."
        return "First: score samples of other classes as well; one class cannot be held against another."
    if judgement.imbalance == "unknown" and judgement.route != NOISE:
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
        why = f"Nothing can be said about imbalance: {what}, in {counted(n, 'scored sample')}."
    else:
        one, many = ("image with", "images with") if document["task"] == "segmentation" else ("label of", "labels of")
        why = (
            f"There is too little to tell whether imbalance is a problem: {counted(n, 'scored sample')}, and "
            f"{counted(compared.tail_units, one, many)} the rarest classes."
        )
    classes = [row["index"] for row in labelled[:NAMED]] if len(labelled) == 1 else []
    found = "".join(f"Of {named(document, row['index'])}, {_rate_words(row, 'recall')}." for row in labelled[:1])
    second = found if classes else "No class can be told from another by so few."
    return {
        "imbalance": "unknown",
        "sentences": [why, second, first_step(document, Judgement("unknown", FEW, compared))],
        "classes": classes,
        "evidence": {"ratio": compared.ratio if compared else None},
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


def _loss_words(document: dict[str, Any], compared: HeadTail) -> str:
    share = compared.tail_loss_share
    words = "" if share is None else f", and the rare carry {percent(share)} of the loss"
    if share is not None and document["task"] == "multilabel":
        # the loss of a class is that of its negatives too
        words = (
            f", and the decisions on the rare, {percent(compared.tail_loss_size)} of all, carry {percent(share)} of "
        )
        words += "the loss"
    if compared.tail_predicted["value"] is not None:
        words += f"; they are predicted {times(compared.tail_predicted)}"
    return words


def _rate_words(row: ClassRow, rate: str) -> str:
    value = percent(row[rate]["value"])  # type: ignore[literal-required]
    return f"{value} of {row['predicted']:,} right" if rate == "precision" else f"{value} of {row['count']:,} found"


def _value(row: ClassRow, rate: str) -> float:
    value = row[rate]["value"]  # type: ignore[literal-required]
    return 1.0 if value is None else float(value)


def _stop(why: str) -> str:
    return f": {why}" if why.endswith(".") else f": {why}."
