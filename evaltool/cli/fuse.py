"""``evaltool fuse``."""

import json
import sys
from functools import partial
from typing import Any

import click

from evaltool.cli.completion import paths, specs
from evaltool.cli.parameters import loss_options
from evaltool.schema import KINDS, TASKS


@click.command(
    "fuse",
    short_help="Put losses into a model: one graph for both.",
    epilog="\b\nExample:\n  evaltool fuse model.onnx --loss focal --loss ce -o fused.onnx",
)
@click.argument("model", shell_complete=paths("file"))
@click.option(
    "--loss",
    "losses",
    metavar="SPEC",
    multiple=True,
    help="As in `evaltool score`; repeatable.  [default: by task]",
    shell_complete=specs,
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="What to write.  [default: <model stem>_fused.onnx or .pt here]",
    shell_complete=paths("file"),
)
@click.option("--task", type=click.Choice(["auto", *TASKS]), default="auto", help="What is predicted.  [default: auto]")
@click.option(
    "--preds-are", type=click.Choice(KINDS), default="logits", show_default=True, help="The kind of the output."
)
@click.option("--output-name", metavar="NAME", help="Which output of the model holds the preds.  [default: the first]")
@loss_options
@click.option(
    "--labels-dtype",
    type=click.Choice(["int64", "int32", "float32"]),
    help="Of the new input.  [default: int64; float32 for regression]",
)
@click.option(
    "--example",
    metavar="FILE",
    help=".npz with an array per input, by name, to compare on.  [default: random inputs]",
    shell_complete=paths("file"),
)
@click.option("--trust", is_flag=True, help="Run a TorchScript file that no manifest vouches for.")
@click.option("--overwrite", is_flag=True, help="Replace the file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(model: str, losses: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Write MODEL (.onnx, .pt) with losses in it: its inputs and labels in, its outputs and a loss per sample out.

    Everything that is in MODEL stays as it is. The new file is run beside the two apart, with right, ignored and bad
    labels; if they differ it is deleted, and the exit status is 1.
    """
    # here: --help answers without torch
    from evaltool.export import fuse

    announce = partial(click.echo, err=True) if sys.stderr.isatty() else None
    report = fuse(model, losses, announce=announce, **options)
    for note in report.notes:
        click.echo(note, err=True)
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        click.echo(json.dumps(report.record(), indent=2, ensure_ascii=False))
    elif not report.failure:
        batches = f"{report.batches} batch{'es' if report.batches > 1 else ''}"
        click.echo(f"{report.path}: compared on {batches}, worst error {report.worst_error:.1e}")
        for role in ("input", "output"):
            for spec in getattr(report, f"{role}s"):
                click.echo(f"  {role.ljust(6)}  {_shown(spec)}")
    if report.failure:
        click.echo(f"failed: {report.path}: {report.failure}; it was deleted", err=True)
        sys.exit(1)


def _shown(spec: dict[str, Any]) -> str:
    if "dtype" not in spec:  # an output that is no tensor
        return str(spec["name"])
    sizes = ", ".join("?" if size is None else str(size) for size in spec["shape"])
    return f"{spec['name']} {spec['dtype']} [{sizes}]"
