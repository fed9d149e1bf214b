"""What a comparison of two runs says, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaltool.report.changes import chance
from evaltool.report.formats import counted
from evaltool.report.student import benjamini_hochberg
from evaltool.run.reader import Run

NAMED = 5  # classes in a sentence
LEVEL = 0.05  # share of false ones among the classes named


def sentences(comparison: Mapping[str, Any], *, run: Run, left_out: Sequence[str]) -> list[str]:
    """Return what changed, the most important first.

    Args:
        comparison: all but the sentences.
        run: the first run.
        left_out: losses of both runs whose formulas differ.
    """
    said = [_paired(comparison)]
    for name, rate in comparison["rates"].items():
        said += _rate(name.replace("_", " "), rate)
    losses = comparison["losses"]
    if losses:
        name = next(iter(losses))
        said += _loss(name, losses[name])
    said += _classes(comparison["classes"])
    if left_out:
        named = ", ".join(left_out)
        said.append(f"Not compared, because their parameters or weights differ between the runs: {named}.")
    if comparison["classes"] and comparison["classes"][0]["gained"] is None:
        said.append("Numbers per class are those of all rows of each run, for its rows are not paired class by class.")
    return said


def _paired(comparison: Mapping[str, Any]) -> str:
    both = counted(comparison["n_paired"], "sample is", "samples are")
    text = f"{both} in both runs, paired by {comparison['paired_by']}"
    alone = comparison["n_only_first"], comparison["n_only_second"]
    if any(alone):
        text += f"; {alone[0]:,} were scored in the first run only, {alone[1]:,} in the second only"
    if comparison["n_label_changed"]:
        changed = counted(comparison["n_label_changed"], "has", "have")
        text += f"; {changed} another label in the second, and each run is judged by its own"
    return f"{text}."


def _rate(name: str, rate: Mapping[str, Any]) -> list[str]:
    difference = rate["difference"]
    if difference["value"] is None:
        return []
    if difference["value"] == 0:
        return [f"{name[0].upper()}{name[1:]} is {rate['after']:.4f} in both: no change."]
    points = (
        ""
        if difference["low"] is None
        else f", 95% interval {_points(difference['low'])} to {_points(difference['high'])}"
    )
    change = (
        f"{name} went from {rate['before']:.4f} to {rate['after']:.4f} ({_points(difference['value'])} points{points})"
    )
    return [f"{change[0].upper()}{change[1:]}: {_by_chance(difference)}."]


def _loss(name: str, loss: Mapping[str, Any]) -> list[str]:
    difference = loss["difference"]
    if difference["value"] is None:
        return []
    if difference["value"] == 0:
        return [f"The mean {name} is {loss['after']:.4g} in both: no change."]
    ends = "" if difference["low"] is None else f", 95% interval {difference['low']:+.4g} to {difference['high']:+.4g}"
    change = f"{loss['before']:.4g} to {loss['after']:.4g} ({difference['value']:+.4g}{ends})"
    return [f"The mean {name} went from {change}: {_by_chance(difference)}."]


def _by_chance(difference: Mapping[str, Any]) -> str:
    if difference["low"] is None:
        return "too little to tell it from chance"
    return "more than chance" if difference["low"] > 0 or difference["high"] < 0 else "chance may explain it"


def _classes(classes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the classes that changed more than chance explains, all of them tested together."""
    changed = [row for row in classes if row["gained"] or row["lost"]]
    if not changed:
        return []
    q_values = benjamini_hochberg(np.array([chance(row["gained"], row["lost"]) for row in changed]))
    found = [row for row, q in zip(changed, q_values, strict=True) if q <= LEVEL]
    if not found:
        return ["No class gained or lost more samples than chance explains (McNemar's test, Benjamini-Hochberg, 5%)."]
    said = []
    for word, sign in (("gained", 1), ("lost", -1)):
        rows = [row for row in found if sign * (row["gained"] - row["lost"]) > 0]
        rows.sort(key=lambda row: -sign * (row["gained"] - row["lost"]))
        if rows:
            named = [f"{row['name']} ({row['gained']:,} gained, {row['lost']:,} lost)" for row in rows[:NAMED]]
            more = f" and {len(rows) - NAMED:,} more" if len(rows) > NAMED else ""
            which = counted(len(rows), "class", "classes")
            said.append(f"{which} {word} more samples than chance explains: {', '.join(named)}{more}.")
    return said


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
