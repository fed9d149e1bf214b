"""The tables of the page that can have a row per class, as compact JSON from which its script builds rows.

A thousand rows written as HTML would fill the page; short numbers and names by index do not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from evaltool.report.terms import TERMS

Row = Mapping[str, Any]
# title, kind, value of a row; kinds are written by page.js: class, text, count, percent, number, times, points, signed
Column = tuple[str, str, Callable[[Row], Any]]
CELLS_OF_LOSSES = 16_000  # of all losses together; what does not fit is in the JSON only


def long_tables_of(document: Row, shown: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Return the long tables that a document has rows for, by the id of their place on the page."""
    tables = {}
    if shown:
        tables["classes"] = class_table(document, shown)
    if document["slices"] and document["slices"]["rows"]:
        tables["slices"] = slice_table(document["slices"]["rows"])
    if document["advice"] and document["advice"]["thresholds"]:
        kept = {row["index"] for row in shown}
        rows = [row for row in document["advice"]["thresholds"] if row["index"] in kept]
        tables["thresholds"] = threshold_table(rows)
    if document["comparison"] and document["comparison"]["classes"]:
        kept = {row["index"] for row in shown}
        rows = [row for row in document["comparison"]["classes"] if row["index"] in kept]
        tables["changes"] = change_table(rows)
    return tables


def class_table(document: Row, shown: Sequence[Row]) -> dict[str, Any]:
    """Return the class table: rates once, and for every loss its own columns, of which one loss's are shown."""
    columns: list[Column] = [
        ("class", "class", lambda row: row["index"]),
        ("group", "text", lambda row: row["group"]),
        ("labels", "count", lambda row: row["count"]),
        ("training count", "count", lambda row: row["train_count"]),
        ("share", "percent", lambda row: row["share"]),
        ("predicted", "percent", lambda row: row["predicted_share"]),
    ]
    extra = {"training count", "predicted", "IoU", "AUROC", "p50", "p90", "p99", "image p10", "image p90"}
    if document["task"] == "segmentation":
        extra = extra - {"IoU"} | {"precision", "AP"}
    losses = [name for name in document["losses"] if name in shown[0]["losses"]]
    losses = losses[: max(1, CELLS_OF_LOSSES // (8 * len(shown)))]
    own: list[str | None] = [None] * len(columns)
    for loss in losses:
        columns += [
            ("loss share", "percent", _of_loss(loss, "share")),
            ("ratio", "times", _of_loss(loss, "share_ratio")),
            ("mean loss", "number", _of_loss(loss, "mean")),
            *((key, "number", _of_loss(loss, key)) for key in ("p50", "p90", "p99")),
        ]
        own += [loss] * 6
    rates = [
        ("recall", "recall"),
        ("precision", "precision"),
        ("F1", "f1"),
        ("IoU", "iou"),
        ("AP", "average_precision"),
    ]
    columns += [(title, "percent", _estimate(key)) for title, key in rates]
    columns += [("AUROC", "number", _estimate("auroc")), ("ECE", "percent", _estimate("ece"))]
    columns += [(f"image {key}", "percent", _of_image(key)) for key in ("p10", "p50", "p90")]
    table = _table(columns, shown, extra=extra, own=own)
    table["tint"] = "ratio"
    table["order"] = ["loss share", -1] if losses else ["labels", -1]
    table["losses"] = losses
    return table


def slice_table(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the groups of --group-by."""
    columns: list[Column] = [
        ("group", "text", lambda row: row["group"]),
        ("rows", "count", lambda row: row["count"]),
        *((name.replace("_", " "), "percent", _entry("rates", name)) for name in rows[0]["rates"]),
        *((f"mean {name}", "number", _entry("losses", name)) for name in rows[0]["losses"]),
        ("difference", "signed", _estimate("difference")),
        ("q value", "number", lambda row: row["q_value"]),
        ("significant", "text", lambda row: "yes" if row["significant"] else "no"),
        ("worst class", "class", lambda row: row["worst_class"]),
    ]
    # a page holds about ten columns: the rest is a choice away
    extra = [f"mean {name}" for name in list(rows[0]["losses"])[1:]]
    return _table(columns, rows, extra=extra) | {"mark": "significant"}


def threshold_table(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the threshold of each sigmoid."""
    columns: list[Column] = [
        ("class", "class", lambda row: row["index"]),
        ("threshold", "number", lambda row: row["threshold"]),
        ("F1 at 0.5", "percent", lambda row: row["f1_before"]),
        ("F1 there", "percent", lambda row: row["f1_after"]),
        ("F1 gain", "points", lambda row: _difference(row["f1_after"], row["f1_before"])),
        ("recall", "percent", lambda row: row["recall_after"]),
        ("precision", "percent", lambda row: row["precision_after"]),
    ]
    return _table(columns, rows)


def change_table(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what changed in each class between two runs."""
    columns: list[Column] = [
        ("class", "class", lambda row: row["index"]),
        ("recall before", "percent", lambda row: row["recall_before"]),
        ("recall after", "percent", lambda row: row["recall_after"]),
        ("change of recall, points", "points", _estimate("recall")),
        ("precision before", "percent", lambda row: row["precision_before"]),
        ("precision after", "percent", lambda row: row["precision_after"]),
        *((f"change of {name}", "signed", _entry("losses", name)) for name in list(rows[0]["losses"])[:1] if rows),
        ("gained", "count", lambda row: row["gained"]),
        ("lost", "count", lambda row: row["lost"]),
    ]
    return _table(columns, rows)


def _table(
    columns: Sequence[Column],
    rows: Iterable[Row],
    *,
    extra: Iterable[str] = (),
    own: Sequence[str | None] = (),
) -> dict[str, Any]:
    """Return columns that have a value somewhere, and the rows; an estimate is [value, low, high]."""
    extra = set(extra)
    cells = [[_cell(value(row)) for _, _, value in columns] for row in rows]
    kept = [place for place in range(len(columns)) if any(row[place] is not None for row in cells)]
    heads = []
    for place in kept:
        title, kind, _ = columns[place]
        head: dict[str, Any] = {"title": title, "kind": kind}
        meaning = TERMS.get("loss share ratio" if kind == "times" else title)
        if meaning:
            head["means"] = meaning
        if title in extra:
            head["extra"] = True
        if place < len(own) and own[place] is not None:
            head["loss"] = own[place]
        heads.append(head)
    return {"columns": heads, "rows": [[row[place] for place in kept] for row in cells]}


def _cell(value: Any) -> Any:
    if isinstance(value, Mapping):
        if value["value"] is None:
            return None
        ends = [] if value["low"] is None else [_digits(value[end], 3) for end in ("low", "high")]
        return [_digits(value["value"], 6), *ends]
    return _digits(value, 6) if isinstance(value, float) else value


def _digits(value: float, count: int) -> float | int:
    """Return a number to so many digits: three are shown, six sort, and round to three as the number itself does."""
    short = float(f"{value:.{count}g}")
    return int(short) if short.is_integer() else short


def _estimate(key: str) -> Callable[[Row], Any]:
    return lambda row: row[key]


def _entry(table: str, key: str) -> Callable[[Row], Any]:
    return lambda row: row[table].get(key)


def _of_loss(loss: str, key: str) -> Callable[[Row], Any]:
    return lambda row: row["losses"][loss][key] if loss in row["losses"] else None


def _of_image(key: str) -> Callable[[Row], Any]:
    return lambda row: row["per_image"][key] if row["per_image"] else None


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before
