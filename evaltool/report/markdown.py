"""The report as Markdown for a pull request: verdict, key numbers, and the few rows of each table that matter most."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evaltool.report import formats
from evaltool.report.formats import count, interval, number, percent, points, signed, times, words

LONGEST_COMMAND = 600
WORST = 5  # classes, confusions and actions
NAME_LENGTH = 60
HEADINGS = {
    "problem": "imbalance is a problem",
    "minor": "imbalance is a minor problem",
    "none": "imbalance is not the problem",
    "unknown": "too little to tell about imbalance",
}


def markdown_of(document: Mapping[str, Any]) -> str:
    """Return a short Markdown text, fewer than 150 lines, that GitHub and GitLab render; names in it are escaped.

    Args:
        document: a report as document.py describes it.
    """
    labels = [escaped(label) for label in formats.class_labels(document["names"], length=NAME_LENGTH)]
    verdict = document["verdict"]
    title = f"## evaltool: {escaped(formats.shortened(document['name'], NAME_LENGTH))}"
    lines = [title if document["task"] == "regression" else f"{title}, {HEADINGS[verdict['imbalance']]}", ""]
    for sentence in filter(None, verdict["sentences"]):
        lines += [escaped(sentence), ""]
    lines += _gates(document) + _notes(document) + _key_numbers(document)
    lines += _groups(document)
    lines += _worst_classes(document, labels)
    lines += _confusions(document, labels)
    lines += _actions(document)
    lines += _comparison(document)
    origin = document["provenance"]
    scored = f"{count(document['n_scored'])} of {count(document['n_samples'])} rows scored"
    lines += [f"<sub>{escaped(document['task'])}, {scored}, evaltool {escaped(origin['evaltool'])}</sub>"]
    # a lone surrogate, in a path for instance, cannot be written as UTF-8
    return ("\n".join(lines) + "\n").encode("utf-8", "replace").decode("utf-8")


def escaped(text: str) -> str:
    r"""Return text on one line that Markdown and HTML show as it is.

    >>> print(escaped("a|b <i>`c`</i> *d* [e](f)"))
    a\|b &lt;i&gt;\`c\`&lt;/i&gt; \*d\* \[e\](f)
    """
    text = formats.printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # "@name" would notify a person, "#1" link an issue
    return re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", text).replace("@", "&#64;")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, text: int = 1) -> list[str]:
    """Return a table; the first ``text`` columns to the left, the others to the right."""
    rules = ["---" if place < text else "---:" for place in range(len(heads))]
    return [f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows)] + [""]


def _gates(document: Mapping[str, Any]) -> list[str]:
    lines = []
    for gate in sorted(document["gates"], key=lambda gate: not gate["failed"]):
        came = "failed" if gate["known"] else "cannot be told, so it failed"
        values = ", ".join(f"{name} = {number(value)}" for name, value in gate["values"].items())
        lines.append(f"- {came if gate['failed'] else 'passed'}: {escaped(gate['expression'])} ({escaped(values)})")
    return ["**Gates**", "", *lines, ""] if lines else []


def _notes(document: Mapping[str, Any]) -> list[str]:
    lines = [f"> {escaped(note)}" for note in document["provenance"]["notes"][:WORST]]
    return [*lines, ""] if lines else []


def _key_numbers(document: Mapping[str, Any]) -> list[str]:
    rows = [
        (words(key), formats.rate_form(key)(estimate["value"]), interval(estimate, formats.rate_form(key)))
        for key, estimate in document["rates"].items()
        if estimate["value"] is not None
    ]
    if document["calibration"] and document["calibration"]["ece"]["value"] is not None:
        ece = document["calibration"]["ece"]
        rows.append(("calibration error", percent(ece["value"]), interval(ece, percent)))
    imbalance = document["imbalance"]
    if imbalance and imbalance["ratio"] is not None:
        effective = f"{number(imbalance['effective_classes'])} effective classes of {count(len(document['names']))}"
        rows.append(("imbalance", f"{number(imbalance['ratio'])} : 1", effective))
    losses = [(f"mean {name}", number(stats["mean"]), "") for name, stats in document["losses"].items()]
    rows += [row for row in losses if row[1] != formats.UNKNOWN]
    cells = [tuple(escaped(cell) for cell in row) for row in rows[:16]]
    return _table(("", "value", "95% interval"), cells) if rows else []


def _groups(document: Mapping[str, Any]) -> list[str]:
    groups = document["groups"]
    if not groups or not groups["rows"]:
        return []
    loss = formats.loss_of(document)
    rows = []
    for row in groups["rows"]:
        own = row["losses"].get(loss)
        cells = [f"{escaped(row['name'])} ({escaped(row['rule'])})", count(len(row["classes"])), percent(row["share"])]
        cells += [percent(row["recall"]["value"]), percent(row["precision"]["value"])]
        cells += [percent(own["share"]), times(own["share_ratio"]["value"])] if own else ["", ""]
        rows.append(cells)
    heads = ["classes", "number", "labels", "recall", "precision", f"share of {escaped(loss or '')}", "loss / labels"]
    return _table(heads, rows)


def _worst_classes(document: Mapping[str, Any], labels: Sequence[str]) -> list[str]:
    loss = formats.loss_of(document)
    rows = worst_classes(document)[:WORST]
    if not rows:
        return []
    cells = []
    for row in rows:
        own = row["losses"].get(loss)
        line = [labels[row["index"]], escaped(row["group"]), count(row["count"])]
        line += [f"{percent(row['recall']['value'])} ({interval(row['recall'], percent)})"]
        line += [percent(row["precision"]["value"])]
        line += [percent(own["share"]), times(own["share_ratio"]["value"])] if own else ["", ""]
        cells.append(line)
    heads = [
        "lowest recall",
        "group",
        "labels",
        "recall",
        "precision",
        f"share of {escaped(loss or '')}",
        "loss / labels",
    ]
    return _table(heads, cells, text=2)


def worst_classes(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the classes that have a recall below 1, the lowest first, of equals the more frequent."""
    known = [row for row in document["classes"] if row["recall"]["value"] is not None and row["recall"]["value"] < 1]
    return sorted(known, key=lambda row: (row["recall"]["value"], -row["count"], row["index"]))


def _confusions(document: Mapping[str, Any], labels: Sequence[str]) -> list[str]:
    confusions = document["confusions"]
    if not confusions or not confusions["pairs"]:
        return []
    heads = ["dearest confusions", "taken for", "count", "of the label"]
    if confusions["loss"]:
        heads += [f"share of {escaped(confusions['loss'])}"]
    rows = []
    for pair in confusions["pairs"][:WORST]:
        cells = [labels[pair["label"]], labels[pair["pred"]], count(pair["count"]), percent(pair["share_of_label"])]
        rows.append(cells + ([percent(pair["loss_share"])] if confusions["loss"] else []))
    return _table(heads, rows, text=2)


def _actions(document: Mapping[str, Any]) -> list[str]:
    advice = document["advice"]
    if not advice or not advice["actions"]:
        return []
    lines = ["**What to try**", ""]
    for place, action in enumerate(advice["actions"][:WORST], 1):
        lines.append(f"{place}. {escaped(action['title'])}: {escaped(action['why'])}")
        command = [_indented(line) for line in action["command"].splitlines()]
        if command and sum(map(len, command)) <= LONGEST_COMMAND:
            # a fence longer than any run of backticks inside
            fence = "`" * max(3, 1 + max(len(run) for run in re.findall("`*", action["command"])))
            lines += ["", *(f"   {line}".rstrip() for line in (fence, *command, fence)), ""]
    return [*lines, ""]


def _indented(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))] + formats.printable(line)


def _comparison(document: Mapping[str, Any]) -> list[str]:
    comparison = document["comparison"]
    if not comparison:
        return []
    lines = [f"**Compared with {escaped(formats.shortened(comparison['other'], NAME_LENGTH))}**", ""]
    for sentence in comparison["sentences"][:WORST]:
        lines += [escaped(sentence), ""]
    rows = []
    for key, change in comparison["rates"].items():
        form, difference = formats.rate_form(key), change["difference"]
        shift = points if form is percent else signed
        rows.append(
            (
                words(key),
                form(change["before"]),
                form(change["after"]),
                shift(difference["value"]),
                interval(difference, shift),
            )
        )
    for key, change in comparison["losses"].items():
        difference = change["difference"]
        rows.append(
            (
                f"mean {key}",
                number(change["before"]),
                number(change["after"]),
                signed(difference["value"]),
                interval(difference, signed),
            )
        )
    if not rows:
        return lines
    return lines + _table(
        ("", "before", "after", "change", "95% interval"), [[escaped(cell) for cell in row] for row in rows[:16]]
    )
