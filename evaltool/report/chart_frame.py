"""What all charts share: colours, configuration, and the way a specification is finished.

Data name a class by its index ``i``; the page's script puts ``name`` beside it, so that names stand in the file once.
Colours are Okabe and Ito's, which the colour-blind tell apart; inks and greys are those that page.css swaps in the
dark.
"""

import math
from collections.abc import Mapping
from typing import Any

import altair as alt

BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
INK, MUTED, GRID = "#1c2128", "#59636e", "#e2e6ea"
CHART_ROWS = 30  # intervals under each other, and still readable
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"

CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": "#ffffff",
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "gridColor": GRID,
        "domainColor": GRID,
        "tickColor": GRID,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelLimit": 140,
    },
    "legend": {
        "labelColor": INK,
        "titleColor": MUTED,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "orient": "top",
        "symbolStrokeWidth": 2,
        "symbolOpacity": 1,
    },
    "aria": False,  # the figure has a description; thousands of marks that speak help nobody
}

Spec = dict[str, Any]
Rows = list[dict[str, Any]]


def finished(chart: Any, rows: Rows, *, height: int) -> Spec:
    """Return a chart as wide as its place, with its data by name, which altair need not check one by one."""
    spec: Spec = chart.properties(width="container", height=height).to_dict()
    del spec["config"]  # CONFIG, which the page has once
    return spec | {"datasets": spec.get("datasets", {}) | {"rows": rows}}


def intervals(rows: Rows, title: str, color: Any, *, form: str, zero: bool = False) -> Spec:
    """Return values ``v`` with intervals from ``l`` to ``h``, one named row under the other.

    Args:
        rows: of ``name`` (or ``i``), ``v``, ``l`` and ``h``.
        title: what is drawn.
        color: of rule and point.
        form: d3 format of the numbers.
        zero: whether 0 is in the picture, as a line.
    """
    base = alt.Chart(alt.NamedData(name="rows"))
    axis = alt.Axis(format=form, tickCount=5)
    y = alt.Y("name:N", title=None, sort=None, axis=alt.Axis(grid=False, ticks=False, domain=False, offset=8))
    tips = [
        alt.Tooltip(f"{key}:Q", title=name, format=form) for key, name in (("v", "value"), ("l", "from"), ("h", "to"))
    ]
    scale = alt.Scale(zero=zero)
    rule = base.mark_rule(strokeWidth=2, opacity=0.5).encode(
        x=alt.X("l:Q", title=title, axis=axis, scale=scale), x2="h:Q", y=y, color=color
    )
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("v:Q", title=title, axis=axis, scale=scale), y=y, color=color, tooltip=[alt.Tooltip("name:N"), *tips]
    )
    line = alt.Chart(alt.InlineData(values=[{"z": 0}])).mark_rule(color=MUTED, strokeDash=[3, 3]).encode(x="z:Q")
    layers = [line, rule, points] if zero else [rule, points]
    return finished(alt.layer(*layers), rows, height=max(70, 22 * len(rows)))


def parts(estimate: Mapping[str, Any]) -> dict[str, Any]:
    """Return an estimate as value, low and high of a chart; without an interval all three are the value."""
    value = estimate["value"]
    low, high = (value if estimate[part] is None else estimate[part] for part in ("low", "high"))
    return {"v": five_digits(value), "l": five_digits(low), "h": five_digits(high)}


def diagonal(low: float, high: float) -> Any:
    """Return the line on which x and y are the same."""
    ends = alt.InlineData(values=[{"x": low, "y": low}, {"x": high, "y": high}])
    return alt.Chart(ends).mark_line(color=MUTED, strokeWidth=1, strokeDash=[4, 4]).encode(x="x:Q", y="y:Q")


def five_digits(value: float | None) -> float | None:
    """Return a number with the five digits that a chart can show."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.5g}")
