"""What the user sees after a scoring: a few tables on stdout."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evaltool.scorer import Scores

PIPE_WIDTH = 120
ALL_CLASSES = 25  # up to so many classes are all shown
GROUP = 6  # of more: so many most frequent, least frequent, and worst predicted (of equals the most frequent)


def print_scores(scores: Scores) -> None:
    """Print decisions, counts, losses, classes, the hardest samples and where the run lies."""
    if sys.stdout is None:  # closed: the run is whole, and nobody reads a view
        return
    terminal = sys.stdout.isatty()
    console = Console(markup=False, highlight=False, emoji=False, width=None if terminal else PIPE_WIDTH)
    if terminal:
        _print(console, scores)
        return
    with console.capture() as captured:
        _print(console, scores)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _print(console: Console, scores: Scores) -> None:
    summary, manifest = scores.summary, scores.manifest
    console.print(_headline(summary, manifest), style="bold")
    console.print(_statuses(summary))
    if summary["accuracy"] is not None:
        console.print(_accuracy(summary))
    if metrics := _metrics(summary["metrics"]):
        console.print(metrics)
    losses = list(summary["losses"])
    tables = [_losses(summary["losses"])]
    if summary["classes"]:
        tables.append(_fitting(console, losses, lambda shown: _classes(summary, shown)))
    if summary["hardest"]:
        names = _names(summary)
        tables.append(_fitting(console, losses, lambda shown: _hardest(summary["hardest"], losses, shown, names)))
    for table in tables:
        console.print()
        console.print(table)
    if scores.path is not None:
        console.print()
        console.print(f"run: {scores.path}  (scores.parquet, summary.json, state.npz, run.json)")


def _headline(summary: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    n, classes = summary["n_samples"], len(summary["classes"])
    parts = [summary["task"], summary["preds_are"], f"{n:,} sample{'' if n == 1 else 's'}"]
    if classes:
        parts.append(f"{classes:,} class{'' if classes == 1 else 'es'}")
    parts.append(f"{manifest['engine']} on {manifest['device']}, {manifest['seconds']:.1f} s")
    return " · ".join(part for part in parts if part)


def _statuses(summary: Mapping[str, Any]) -> str:
    parts = [f"{summary['n_scored']:,} scored"]
    others = ("ignored", "nonfinite", "bad_label", "bad_preds", "clamped", "infinite", "failed")
    parts += [f"{summary[f'n_{name}']:,} {name}" for name in others if summary[f"n_{name}"]]
    return "rows: " + ", ".join(parts)


def _accuracy(summary: Mapping[str, Any]) -> str:
    imbalance = summary["imbalance"]
    parts = [f"accuracy {_number(summary['accuracy'])}", f"balanced accuracy {_number(summary['balanced_accuracy'])}"]
    if imbalance["ratio"] is not None:
        classes = f"{imbalance['effective_classes']:.3g} effective classes of {len(summary['classes'])}"
        parts.append(f"imbalance {imbalance['ratio']:.3g} : 1, {classes}")
    return " · ".join(parts)


METRICS = {
    "auroc_macro": "auroc",
    "average_precision_macro": "average precision",
    "brier": "brier",
    "ece": "ece",
    "ece_class_wise": "ece",
    "mcc": "mcc",
}


def _metrics(values: Mapping[str, float | None]) -> str:
    left_out = () if values["ece"] is None else ("ece_class_wise",)
    known = {name: title for name, title in METRICS.items() if values[name] is not None and name not in left_out}
    return " · ".join(f"{title} {_number(values[name])}" for name, title in known.items())


def _table(title: str, *columns: str, text: Sequence[str] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False)
    for name in columns:
        if name in text:
            table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=24)
        else:
            table.add_column(name, justify="right", no_wrap=True)
    return table


def _fitting(console: Console, losses: Sequence[str], table_of: Callable[[Sequence[str]], Table]) -> Table:
    """Return the table of as many losses as fit without cutting a number, the first at least."""
    for count in range(len(losses), 0, -1):
        table = table_of(losses[:count])
        if console.measure(table, options=console.options.update(width=10 * PIPE_WIDTH)).maximum <= console.width:
            break
    if count < len(losses):
        table.title = f"{table.title}, {count} of {len(losses)} losses fit"
    return table


def _losses(losses: Mapping[str, Mapping[str, Any]]) -> Table:
    keys = ("mean", "p50", "p90", "p99", "max")
    table = _table("Losses", "loss", *keys, text=("loss",))
    for name, stats in losses.items():
        table.add_row(name, *(_number(stats[key]) for key in keys))
    return table


def _classes(summary: Mapping[str, Any], losses: Sequence[str]) -> Table:
    classes: Sequence[Mapping[str, Any]] = summary["classes"]
    shown: list[tuple[str, Sequence[Mapping[str, Any]]]] = [("", classes)]
    title = "Classes"
    if len(classes) > ALL_CLASSES:
        by_count = sorted(classes, key=lambda row: (-row["count"], row["class"]))
        scored = [row for row in by_count if row["recall"] is not None]
        head, rest = by_count[:GROUP], by_count[GROUP:]
        tail = [row for row in rest if row["count"]][-GROUP:]
        shown = [
            ("most samples", head),
            ("fewest samples", tail),
            ("lowest recall", sorted(scored, key=lambda row: row["recall"])[:GROUP]),
        ]
        absent = sum(not row["count"] for row in classes)
        title = f"Classes ({len(classes):,}, {absent:,} of them without a sample)"
    table = _table(
        title, "class", "count", "share", "recall", "precision", *(f"{name} share" for name in losses), text=("class",)
    )
    for heading, rows in shown:
        if heading:
            table.add_row(Text(heading, style="italic"))
        for row in rows:
            shares = (_percent(row["loss_share"][name]) for name in losses)
            table.add_row(
                Text(_class_label(row)),
                f"{row['count']:,}",
                _percent(row["share"]),
                _number(row["recall"]),
                _number(row["precision"]),
                *shares,
            )
        if heading:
            table.add_section()
    return table


def _names(summary: Mapping[str, Any]) -> dict[int, str]:
    return {row["class"]: row["name"] for row in summary["classes"] if row["name"] != str(row["class"])}


def _class_label(row: Mapping[str, Any]) -> str:
    return str(row["class"]) if row["name"] == str(row["class"]) else f"{row['class']} {row['name']}"


def _hardest(
    rows: Sequence[Mapping[str, Any]], losses: Sequence[str], shown: Sequence[str], names: Mapping[int, str]
) -> Table:
    text = ("id", "label", "pred", "worst_class")
    skipped = {"p_pred", "margin", "entropy", "worst_class_loss", "n_valid", *losses} - {*shown}
    columns = [name for name in rows[0] if name not in skipped]
    table = _table(f"Hardest by {losses[0]}", *columns, text=text)
    for row in rows:
        cells = []
        for name in columns:
            value = row[name]
            named = name in text[1:] and isinstance(value, int)
            cells.append(Text(names.get(value, str(value)) if named else _number(value)))
        table.add_row(*cells)
    return table


def _number(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{value:.3g}"
    return str(value)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
