"""The charts of the page, as Vega-Lite specifications made by altair."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from evaltool.report.chart_frame import (
    BLUE,
    CHART_ROWS,
    MUTED,
    ORANGE,
    Spec,
    diagonal,
    finished,
    five_digits,
    intervals,
    parts,
)
from evaltool.report.class_charts import changes, confusion, frequency, recall

FEWEST = 5  # samples of which a distribution is drawn


def charts_of(document: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> dict[str, Spec]:
    """Return the charts that a document has data for, by the id of their place on the page.

    Args:
        document: a report.
        shown: the class rows to draw, at most a thousand.
    """
    charts: dict[str, Spec] = {}
    imbalance, confusions, calibration = document["imbalance"], document["confusions"], document["calibration"]
    if imbalance and len(shown) > 1:
        if len(imbalance["lorenz"]) > 1:
            charts["lorenz-labels"] = lorenz(imbalance["lorenz"], "classes, rarest first", "labels")
        charts |= _present("frequency", frequency(shown))
    if len(shown) > 1:
        charts |= _present("recall", recall(shown, document["groups"]))
    if confusions and confusions["n_pairs"] and len(confusions["block"]) > 1:
        charts["confusion"] = confusion(confusions, document["classes"])
    for name, hardness in list(document["hardness"].items())[: int(document["n_scored"] >= FEWEST)]:
        charts |= _present("losses", histogram_of_loss(hardness["histogram"], name))
        if len(hardness["lorenz"]) > 1:
            charts["lorenz-loss"] = lorenz(hardness["lorenz"], "samples, easiest first", f"{name} loss")
    if calibration and sum(row["count"] for row in calibration["bins"]) >= FEWEST:
        charts["reliability"] = reliability(calibration["bins"])
        charts["confidences"] = confidences(calibration["bins"])
    for place, distribution in enumerate(document["distributions"].values() if document["n_scored"] >= FEWEST else ()):
        charts |= _present(f"distribution-{place}", spread(distribution["histogram"]))
    return charts | _of_groups(document)


def _of_groups(document: Mapping[str, Any]) -> dict[str, Spec]:
    charts: dict[str, Spec] = {}
    if document["slices"]:
        charts |= _present("slices", slice_losses(document["slices"]["rows"]))
    if document["comparison"]:
        charts |= _present("changes", changes(document["comparison"]["classes"]))
    return charts


def lorenz(curve: Sequence[Sequence[float]], of: str, carried: str) -> Spec:
    """Return the Lorenz curve with the diagonal that equal shares would draw."""
    rows = [{"x": five_digits(x), "y": five_digits(y)} for x, y in curve]
    x = alt.X("x:Q", title=f"share of the {of}", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    y = alt.Y("y:Q", title=f"share of the {carried}", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    tips = [alt.Tooltip("x:Q", title=of, format=".1%"), alt.Tooltip("y:Q", title=carried, format=".1%")]
    base = alt.Chart(alt.NamedData(name="rows"))
    area = base.mark_area(color=BLUE, opacity=0.12).encode(x=x, y=y)
    line = base.mark_line(color=BLUE, strokeWidth=2).encode(x=x, y=y)
    points = base.mark_point(opacity=0, size=60, filled=True).encode(x=x, y=y, tooltip=tips)
    return finished(alt.layer(diagonal(0, 1), area, line, points), rows, height=260)


def histogram_of_loss(bins: Sequence[Mapping[str, float]], loss: str) -> Spec | None:
    """Return by bins of the loss which share of the samples and which of the whole loss lies there."""
    bins = [row for row in bins if row["low"] > 0 and row["high"] > row["low"]]
    samples, carried = sum(row["count"] for row in bins), sum(row["loss"] for row in bins)
    if not samples or not carried:
        return None
    rows = [
        {"a": five_digits(row["low"]), "b": five_digits(row["high"]), "n": row["count"]}
        | {"s": five_digits(row["count"] / samples), "t": five_digits(row["loss"] / carried)}
        for row in bins
    ]
    x = alt.X(
        "a:Q",
        bin="binned",
        title=f"{loss} loss of a sample",
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(format="~g", tickCount=6),
    )
    kinds = alt.Scale(domain=["share of the samples", "share of the loss"], range=[BLUE, ORANGE])
    tips = [
        alt.Tooltip("a:Q", title="loss from", format=".3~g"),
        alt.Tooltip("b:Q", title="to", format=".3~g"),
        alt.Tooltip("n:Q", title="samples", format=","),
        alt.Tooltip("s:Q", title="of the samples", format=".2~%"),
        alt.Tooltip("t:Q", title="of the loss", format=".2~%"),
    ]
    base = alt.Chart(alt.NamedData(name="rows"))
    bars = {"s": "share of the samples", "t": "share of the loss"}
    layers = [
        base.transform_calculate(kind=f"'{name}'")
        .mark_bar(opacity=0.55)
        .encode(
            x=x,
            x2="b:Q",
            y=alt.Y(f"{key}:Q", title="share", axis=alt.Axis(format=".1~%")),
            color=alt.Color("kind:N", scale=kinds, title=None),
            tooltip=tips,
        )
        for key, name in bars.items()
    ]
    return finished(alt.layer(*layers), rows, height=260)


def reliability(bins: Sequence[Mapping[str, Any]]) -> Spec:
    """Return accuracy with its interval against confidence; a calibrated model lies on the diagonal."""
    rows = [
        {"x": five_digits(row["confidence"]), "n": row["count"]}
        | {key: five_digits(row["accuracy"][part]) for key, part in (("y", "value"), ("l", "low"), ("h", "high"))}
        for row in bins
        if row["count"] and row["confidence"] is not None and row["accuracy"]["value"] is not None
    ]
    unit = alt.Scale(domain=[0, 1])
    x = alt.X("x:Q", title="confidence", axis=alt.Axis(format="%"), scale=unit)
    y = alt.Y("y:Q", title="accuracy", axis=alt.Axis(format="%"), scale=unit)
    base = alt.Chart(alt.NamedData(name="rows"))
    rule = base.mark_rule(color=BLUE, strokeWidth=1.5, opacity=0.6).encode(
        x=x, y=alt.Y("l:Q", title="accuracy"), y2="h:Q"
    )
    line = base.mark_line(color=BLUE, strokeWidth=1.5).encode(x=x, y=y)
    points = base.mark_point(color=BLUE, filled=True, size=64, opacity=1).encode(
        x=x,
        y=y,
        tooltip=[
            alt.Tooltip("x:Q", title="confidence", format=".1%"),
            alt.Tooltip("y:Q", title="accuracy", format=".1%"),
            alt.Tooltip("n:Q", title="rows", format=","),
        ],
    )
    return finished(alt.layer(diagonal(0, 1), rule, line, points), rows, height=300)


def confidences(bins: Sequence[Mapping[str, Any]]) -> Spec:
    """Return how many rows each bin of confidence has."""
    rows = [{"a": five_digits(row["low"]), "b": five_digits(row["high"]), "n": row["count"]} for row in bins]
    chart = (
        alt.Chart(alt.NamedData(name="rows"))
        .mark_bar(color=MUTED, opacity=0.6)
        .encode(
            x=alt.X("a:Q", bin="binned", title="confidence", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            x2="b:Q",
            y=alt.Y("n:Q", title="rows", axis=alt.Axis(format="~s", tickCount=3)),
            tooltip=[alt.Tooltip("a:Q", title="from", format=".0%"), alt.Tooltip("n:Q", title="rows", format=",")],
        )
    )
    return finished(chart, rows, height=80)


def slice_losses(slices: Sequence[Mapping[str, Any]]) -> Spec | None:
    """Return the mean loss of the worst groups with its interval; significant ones stand out."""
    rows = [
        {"name": row["group"], "sig": row["significant"], "loss": name} | parts(estimate)
        for row in slices
        for name, estimate in list(row["losses"].items())[:1]
        if estimate["value"] is not None
    ]
    if not rows:
        return None
    color = alt.condition("datum.sig", alt.value(ORANGE), alt.value(BLUE))
    return intervals(rows[:CHART_ROWS], f"mean {rows[0]['loss']} loss", color, form=".3~g")


def spread(bins: Sequence[Mapping[str, float]]) -> Spec | None:
    """Return a histogram of a per-sample column."""
    rows = [{"a": row["low"], "b": row["high"], "n": row["count"]} for row in bins if row["high"] > row["low"]]
    if not rows:
        return None
    chart = (
        alt.Chart(alt.NamedData(name="rows"))
        .mark_bar(color=BLUE, opacity=0.75)
        .encode(
            x=alt.X(
                "a:Q", bin="binned", title=None, axis=alt.Axis(format=".3~g"), scale=alt.Scale(zero=False, nice=False)
            ),
            x2="b:Q",
            y=alt.Y("n:Q", title="samples", axis=alt.Axis(format="~s", tickCount=4)),
            tooltip=[
                alt.Tooltip("a:Q", title="from", format=".3~g"),
                alt.Tooltip("b:Q", title="to", format=".3~g"),
                alt.Tooltip("n:Q", title="samples", format=","),
            ],
        )
    )
    return finished(chart, rows, height=160)


def _present(place: str, spec: Spec | None) -> dict[str, Spec]:
    return {} if spec is None else {place: spec}
