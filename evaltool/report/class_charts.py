"""Charts with a mark for every class."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from evaltool.report.chart_frame import (
    BLUE,
    CHART_ROWS,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    Rows,
    Spec,
    diagonal,
    finished,
    five_digits,
    intervals,
    parts,
)

NAMED_AXIS = 12  # up to so many classes have their name on an axis


def frequency(shown: Sequence[Mapping[str, Any]]) -> Spec | None:
    """Return predicted against true frequency: by name for few classes, log-log for many."""
    rows = [
        {"i": row["index"], "t": five_digits(row["share"]), "p": five_digits(row["predicted_share"])}
        for row in shown
        if row["share"] is not None and row["predicted_share"] is not None
    ]
    if not rows:
        return None
    tips = [
        alt.Tooltip("name:N", title="class"),
        alt.Tooltip("t:Q", title="of the labels", format=".3~%"),
        alt.Tooltip("p:Q", title="of the predictions", format=".3~%"),
    ]
    base = alt.Chart(alt.NamedData(name="rows"))
    if len(rows) <= NAMED_AXIS:
        kinds = ["labels", "predictions"]
        color = alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=[BLUE, ORANGE]), title=None)
        shape = alt.Shape("kind:N", scale=alt.Scale(domain=kinds, range=["circle", "diamond"]), title=None)
        y = alt.Y("name:N", title=None, sort=None, axis=alt.Axis(grid=False, ticks=False, domain=False, offset=8))
        x = alt.X("t:Q", title="share", axis=alt.Axis(format=".2~%", tickCount=5))
        rule = base.mark_rule(color=MUTED, strokeWidth=1.5).encode(x=x, x2="p:Q", y=y)
        labels = (
            base.transform_calculate(kind="'labels'")
            .mark_point(filled=True, size=90, opacity=1)
            .encode(x=x, y=y, tooltip=tips, color=color, shape=shape)
        )
        preds = (
            base.transform_calculate(kind="'predictions'")
            .mark_point(filled=True, size=90, opacity=1)
            .encode(x="p:Q", y=y, tooltip=tips, color=color, shape=shape)
        )
        return finished(alt.layer(rule, labels, preds), rows, height=max(90, 26 * len(rows)))
    return finished(_frequency_plane(base, rows, tips), rows, height=320)


def _frequency_plane(base: alt.Chart, rows: Rows, tips: list[alt.Tooltip]) -> Any:
    least = min(value for row in rows for value in (row["t"], row["p"]) if value)
    floor = least / 2  # where shares of 0 are drawn, since a logarithmic axis has no 0
    top = max(value for row in rows for value in (row["t"], row["p"]))
    scale = alt.Scale(type="log", domain=[floor, min(1.0, top * 1.5)], nice=False)
    axis = alt.Axis(format=".2~%", tickCount=5)
    zeros = any(not row["t"] or not row["p"] for row in rows)
    edge = " (0 is drawn at the edge)" if zeros else ""
    x = alt.X("x:Q", scale=scale, axis=axis, title=f"share of the labels{edge}")
    y = alt.Y("y:Q", scale=scale, axis=axis, title="share of the predictions")
    above = alt.condition("datum.p > datum.t", alt.value(ORANGE), alt.value(BLUE))
    raised = base.transform_calculate(x=f"max(datum.t, {floor})", y=f"max(datum.p, {floor})")
    cloud = raised.mark_point(filled=True, size=38, opacity=0.65).encode(x=x, y=y, tooltip=tips, color=above)
    return alt.layer(diagonal(floor, min(1.0, top * 1.5)), cloud)


def recall(shown: Sequence[Mapping[str, Any]], groups: Mapping[str, Any] | None) -> Spec | None:
    """Return recall with its interval against the count of each class, coloured by frequency group."""
    rows = [
        {"i": row["index"], "n": row["count"], "g": row["group"]}
        | {key: five_digits(row["recall"][part]) for key, part in (("r", "value"), ("l", "low"), ("h", "high"))}
        for row in shown
        if row["recall"]["value"] is not None and row["count"] > 0
    ]
    if not rows:
        return None
    names = [row["name"] for row in groups["rows"]] if groups else sorted({row["g"] for row in rows})
    colors = alt.Scale(domain=names, range=[BLUE, GREEN, ORANGE, PURPLE][: len(names)])
    shapes = alt.Scale(domain=names, range=["circle", "square", "triangle-up", "diamond"][: len(names)])
    counts = [row["n"] for row in rows]
    wide = max(counts) >= 10 * min(counts)
    # a little air at both ends, so that the outermost points are not cut by the edge
    domain = [min(counts) / 1.4, max(counts) * 1.4] if wide else [min(counts) * 0.9, max(counts) * 1.1]
    x = alt.X(
        "n:Q",
        title="labels of the class",
        scale=alt.Scale(type="log" if wide else "linear", domain=domain, nice=False),
        axis=alt.Axis(format="~s", tickCount=6),
    )
    y = alt.Y("r:Q", title="recall", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    color = alt.Color("g:N", scale=colors, title=None)
    many = len(rows) > 100
    base = alt.Chart(alt.NamedData(name="rows"))
    tips = [
        alt.Tooltip("name:N", title="class"),
        alt.Tooltip("n:Q", title="labels", format=","),
        alt.Tooltip("r:Q", title="recall", format=".1%"),
        alt.Tooltip("l:Q", title="from", format=".1%"),
        alt.Tooltip("h:Q", title="to", format=".1%"),
    ]
    rule = base.mark_rule(opacity=0.18 if many else 0.5, strokeWidth=1 if many else 1.5).encode(
        x=x, y=alt.Y("l:Q", title="recall"), y2="h:Q", color=color
    )
    points = base.mark_point(filled=True, size=28 if many else 64, opacity=0.8 if many else 1).encode(
        x=x, y=y, color=color, shape=alt.Shape("g:N", scale=shapes, title=None), tooltip=tips
    )
    return finished(alt.layer(rule, points), rows, height=320)


def confusion(confusions: Mapping[str, Any], classes: Sequence[Mapping[str, Any]]) -> Spec:
    """Return the heat map of a block of classes: the share of each label's samples that went to each class."""
    block, rows = confusions["block"], []
    counts = list(zip(block, confusions["counts"], strict=True))
    wholes = {label: classes[label]["count"] or sum(line) for label, line in counts}
    cells = [(label, pred, line[at]) for label, line in counts for at, pred in enumerate(block)]
    # the diagonal first: an axis has its classes in the order in which they come
    for label, pred, count in sorted(cells, key=lambda cell: cell[0] != cell[1]):
        if count or label == pred:
            share = five_digits(count / wholes[label] if wholes[label] else 0.0)
            rows.append({"i": label, "j": pred, "n": count, "s": share, "k": "right" if label == pred else "wrong"})
    named = len(block) <= NAMED_AXIS
    axis = alt.Axis(labelLimit=110 if named else 90, labelFontSize=12 if named else 10, ticks=False, domain=False)
    x = alt.X("pred:N", title="predicted", sort=None, axis=axis, scale=alt.Scale(paddingInner=0.06))
    y = alt.Y("name:N", title="label", sort=None, axis=axis, scale=alt.Scale(paddingInner=0.06))
    kinds = alt.Scale(domain=["right", "wrong"], range=[BLUE, ORANGE])
    base = alt.Chart(alt.NamedData(name="rows"))
    tiles = base.mark_rect(cornerRadius=2).encode(
        x=x,
        y=y,
        color=alt.Color("k:N", scale=kinds, title=None),
        opacity=alt.Opacity("s:Q", scale=alt.Scale(type="sqrt", domain=[0, 1], range=[0.04, 1]), legend=None),
        tooltip=[
            alt.Tooltip("name:N", title="label"),
            alt.Tooltip("pred:N", title="predicted"),
            alt.Tooltip("n:Q", title="count", format=","),
            alt.Tooltip("s:Q", title="of the label", format=".2~%"),
        ],
    )
    if not named:
        return finished(tiles, rows, height=max(240, 20 * len(block)))
    ink = alt.condition("datum.s > 0.4", alt.value("#ffffff"), alt.value(INK))
    texts = base.mark_text(fontSize=11).encode(x=x, y=y, text=alt.Text("n:Q", format=".3~s"), color=ink)
    return finished(alt.layer(tiles, texts), rows, height=max(120, 40 * len(block)))


def changes(classes: Sequence[Mapping[str, Any]]) -> Spec | None:
    """Return by how much recall changed, of the classes where it changed most."""
    rows = [{"i": row["index"]} | parts(row["recall"]) for row in classes if row["recall"]["value"] is not None]
    rows = sorted(rows, key=lambda row: -abs(row["v"]))[:CHART_ROWS]
    if not rows:
        return None
    rows.sort(key=lambda row: -row["v"])
    rows = [row | {key: five_digits(100 * row[key]) for key in ("v", "l", "h")} for row in rows]
    worse = alt.when("datum.h < 0").then(alt.value(ORANGE))
    color = worse.when("datum.l > 0").then(alt.value(BLUE)).otherwise(alt.value(MUTED))  # grey: it may be chance
    return intervals(rows, "change of recall in percentage points", color, form="+.3~g", zero=True)
