"""The report on a terminal: verdict, key rates, groups, worst classes, first actions."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evaltool.report import formats
from evaltool.report.formats import count, interval, number, percent, times, words
from evaltool.report.markdown import worst_classes

WORST = 5  # classes and confusions
ACTIONS = 3
COMMAND_LENGTH = 160  # of a longer one the page has all
STYLES = {"problem": "bold red", "minor": "bold yellow", "none": "bold green", "unknown": "bold"}


def short_text(document: Mapping[str, Any]) -> RenderableType:
    """Return the short version for a rich console, whose markup, highlight and emoji are off.

    Args:
        document: a report as document.py describes it.
    """
    labels = formats.class_labels(document["names"])
    parts: list[RenderableType] = [*_verdict(document), _rates(document)]
    for table in (_groups(document), _worst(document, labels), _confusions(document, labels)):
        if table is not None:
            parts += [Text(), table]
    parts += _changes(document) + _actions(document)
    return Group(*parts)


def _verdict(document: Mapping[str, Any]) -> list[RenderableType]:
    first, *rest = [sentence for sentence in document["verdict"]["sentences"] if sentence] or ["There is no verdict."]
    style = STYLES.get(document["verdict"]["imbalance"], "bold")
    return [
        _line(first, style=style if document["task"] != "regression" else "bold"),
        *(_line(line) for line in rest),
        *(_line(f"note: {note}") for note in document["provenance"]["notes"][:WORST]),
        Text(),
    ]


def _rates(document: Mapping[str, Any]) -> Text:
    parts = []
    for key, estimate in list(document["rates"].items())[:4]:
        if estimate["value"] is not None:
            form = formats.rate_form(key)
            around = interval(estimate, form)
            parts.append(f"{words(key)} {form(estimate['value'])}" + (f" ({around})" if around else ""))
    if document["calibration"] and document["calibration"]["ece"]["value"] is not None:
        parts.append(f"calibration error {percent(document['calibration']['ece']['value'])}")
    imbalance = document["imbalance"]
    if imbalance and imbalance["ratio"] is not None:
        effective = f"{number(imbalance['effective_classes'])} effective classes of {count(len(document['names']))}"
        parts.append(f"imbalance {number(imbalance['ratio'])} : 1, {effective}")
    if not document["rates"]:
        parts += [f"mean {name} {number(stats['mean'])}" for name, stats in document["losses"].items()]
    parts.append(f"{count(document['n_scored'])} of {count(document['n_samples'])} rows scored")
    return Text(" · ".join(parts))


def _groups(document: Mapping[str, Any]) -> Table | None:
    groups = document["groups"]
    if not groups or len(groups["rows"]) < 2:
        return None
    loss = formats.loss_of(document)
    table = _table(
        f"By {groups['by']}", ("group", "rule"), ("classes", "labels", "recall", "precision", f"{loss} share", "ratio")
    )
    for row in groups["rows"]:
        own = row["losses"].get(loss)
        shares = (percent(own["share"]), times(own["share_ratio"]["value"])) if own else ("", "")
        rates = (percent(row["recall"]["value"]), percent(row["precision"]["value"]))
        table.add_row(row["name"], row["rule"], count(len(row["classes"])), percent(row["share"]), *rates, *shares)
    return table


def _worst(document: Mapping[str, Any], labels: Sequence[str]) -> Table | None:
    rows = worst_classes(document)[:WORST]
    if not rows:
        return None
    loss = formats.loss_of(document)
    table = _table(
        "Lowest recall",
        ("class", "group"),
        ("labels", "recall", "95% interval", "precision", f"{loss} share", "ratio"),
    )
    for row in rows:
        own = row["losses"].get(loss)
        shares = (percent(own["share"]), times(own["share_ratio"]["value"])) if own else ("", "")
        recall = (percent(row["recall"]["value"]), interval(row["recall"], percent))
        label = Text(labels[row["index"]])
        table.add_row(label, row["group"], count(row["count"]), *recall, percent(row["precision"]["value"]), *shares)
    return table


def _confusions(document: Mapping[str, Any], labels: Sequence[str]) -> Table | None:
    confusions = document["confusions"]
    if not confusions or not confusions["pairs"]:
        return None
    loss = confusions["loss"]
    table = _table(
        "Dearest confusions" if loss else "Most frequent confusions",
        ("label", "taken for"),
        ("count", "of the label", *([f"{loss} share"] if loss else [])),
    )
    for pair in confusions["pairs"][:WORST]:
        shares = (percent(pair["share_of_label"]), *([percent(pair["loss_share"])] if loss else []))
        table.add_row(Text(labels[pair["label"]]), Text(labels[pair["pred"]]), count(pair["count"]), *shares)
    return table


def _changes(document: Mapping[str, Any]) -> list[RenderableType]:
    comparison = document["comparison"]
    if not comparison or not comparison["sentences"]:
        return []
    return [
        Text(),
        _line(f"Compared with {comparison['other']}", style="bold"),
        *(_line(line) for line in comparison["sentences"]),
    ]


def _actions(document: Mapping[str, Any]) -> list[RenderableType]:
    advice = document["advice"]
    if not advice or not advice["actions"]:
        return []
    lines: list[RenderableType] = [Text(), Text("What to try", style="bold")]
    for place, action in enumerate(advice["actions"][:ACTIONS], 1):
        lines.append(_line(f"{place}. {action['title']}: {action['why']}"))
        if action["command"] and len(action["command"]) <= COMMAND_LENGTH:
            lines.append(Text("   ") + _line(action["command"], style="cyan"))
    return lines


def _line(text: str, style: str = "") -> Text:
    return Text(formats.printable(text), style=style)


def _table(title: str, text: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False)
    for name in text:
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=24 if name != "rule" else 32)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table
