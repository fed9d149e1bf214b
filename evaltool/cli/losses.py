"""``evaltool losses``."""

import json
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import click

from evaltool.catalogue import (
    CATALOGUE,
    METRICS,
    NOTATION,
    LossEntry,
    MetricEntry,
    unknown_loss,
    unknown_metric,
)
from evaltool.cli.completion import loss_names
from evaltool.errors import EvaltoolError
from evaltool.schema import TASKS

WIDTH = 80  # at most, wherever the text goes
METRIC_NOTATION = (
    "n is how many positions are counted, h the hits of a class, t how many are labelled and p how many predicted as "
    "it. A segmentation is multiclass to a metric or, of one foreground class, binary."
)
TITLE = 14  # columns before the text of a row


@click.command(
    "losses",
    short_help="The catalogue: formulas, parameters, tasks, sources.",
    epilog="\b\nExample:\n  evaltool losses focal generalized-dice --task segmentation",
)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=loss_names)
@click.option("--task", type=click.Choice(TASKS), help="Only those of this task.")
@click.option("--metrics", is_flag=True, help="The metrics that `evaltool export` takes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(names: tuple[str, ...], task: str | None, metrics: bool, as_json: bool) -> None:
    """List the losses that `evaltool score --loss` takes, or those called NAME; with --metrics the metrics.

    Parameters are written as a SPEC takes them, with their defaults. Those under "from labels" can be computed from
    the label counts: balanced is a rule of --class-weights, and so are the names of the other rules.
    """
    registry: Mapping[str, LossEntry | MetricEntry] = METRICS if metrics else CATALOGUE
    flag = " --metrics" if metrics else ""
    for name in names:
        if name not in registry:
            raise (unknown_metric if metrics else unknown_loss)(name, f"evaltool losses {' '.join(names)}{flag}")
    found = {name: registry[name] for name in names or registry if task in (None, *registry[name].tasks)}
    if not found:
        raise EvaltoolError(
            f"none of these {'metrics' if metrics else 'losses'} fits the task {task}\n  {', '.join(names)}\n"
            f"  `evaltool losses{flag} --task {task}` lists those that do."
        )
    if as_json:
        click.echo(json.dumps([_record(name, entry) for name, entry in found.items()], indent=2))
        return
    for name, entry in found.items():
        click.echo(f"{click.style(name, bold=True)}  {entry.class_name}")
        for title, text in _rows(entry):
            click.echo(_wrapped(text, f"  {title}".ljust(TITLE)))
        click.echo()
    click.echo(_wrapped(METRIC_NOTATION if metrics else NOTATION, ""))


def _record(name: str, entry: LossEntry | MetricEntry) -> dict[str, Any]:
    """Return what --json prints of a loss or metric."""
    if isinstance(entry, MetricEntry):
        record = asdict(entry)
        return {"name": name, "class": record.pop("class_name"), **record}
    return {
        "name": name,
        "class": entry.class_name,
        "kind": entry.kind,
        "formula": entry.formula,
        "parameters": entry.parameters,
        "from_labels": entry.from_labels,
        "soft_labels": entry.soft_labels,
        "zero_or_one": entry.zero_or_one,
        "tasks": entry.tasks,
        "source": entry.source,
    }


def _rows(entry: LossEntry | MetricEntry) -> Iterator[tuple[str, str]]:
    yield "formula", entry.formula
    if entry.parameters:
        yield "parameters", _assigned(entry.parameters)
    if isinstance(entry, MetricEntry):
        yield from ([("of a loss", "loss=SPEC")] if entry.of_loss else [])
        yield "tasks", ", ".join(entry.tasks)
        yield from ([("source", entry.source)] if entry.source else [])
        return
    if entry.from_labels:
        yield "from labels", ", ".join(_filled(name, entry) for name in entry.from_labels)
    yield "tasks", ", ".join(task + _condition(entry, task) for task in entry.tasks)
    if entry.source:
        yield "source", entry.source


def _condition(entry: LossEntry, task: str) -> str:
    if task in entry.needs:
        return f" (with {entry.needs[task]})"
    if task == "multiclass" and entry.soft_labels:
        return " (soft labels too)"
    if task == "multilabel" and entry.zero_or_one:
        return " (no soft labels)"
    return " (one foreground class)" if task == "segmentation" and entry.kind == "sigmoid" else ""


def _filled(name: str, entry: LossEntry) -> str:
    """Return how label counts fill a parameter in, and where they do."""
    if name in entry.counted:
        return f"{name}, unless given"
    where = {"softmax": "of a softmax", "sigmoid": "binary", "sigmoids": "multilabel"}
    only = [where[outputs] for outputs in entry.from_labels[name]]
    return f"{name}=balanced" + (f" ({', '.join(only)})" if only else "")


def _assigned(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_written(value)}" for name, value in parameters.items())


def _written(value: Any) -> str:
    """Return a value as a SPEC takes it."""
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value).lower()


def _wrapped(text: str, start: str) -> str:
    width = min(WIDTH, max(40, shutil.get_terminal_size().columns))
    return textwrap.fill(text, width, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False)
