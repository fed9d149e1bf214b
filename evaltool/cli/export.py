"""``evaltool export``."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from evaltool.catalogue import METRICS
from evaltool.cli.completion import artifacts, paths
from evaltool.cli.parameters import Device, loss_options
from evaltool.schema import KINDS, PROGRESS, TASKS

FORMATS = ("torchscript", "onnx", "pt2")


@click.command(
    "export",
    short_help="Write losses and metrics as TorchScript, ONNX or pt2 files.",
    epilog=f"Metrics: {', '.join(METRICS)}.\n\n\b\nExample:\n"
    "  evaltool export focal ce:label_smoothing=0.1 -o exported --rank 2\n"
    "  evaltool export auroc loss-quantiles:loss=focal --num-classes 10 -o exported",
)
@click.argument("losses", metavar="LOSS...", nargs=-1, required=True, shell_complete=artifacts)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    default="models",
    show_default=True,
    help="Repository to write to: DIR/onnx/focal/1/model.onnx and so on.",
    shell_complete=paths("dir"),
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(FORMATS),
    multiple=True,
    help="Repeatable; pt2 compiles for the better part of a minute.  [default: torchscript, onnx]",
)
@click.option(
    "--rank",
    "ranks",
    type=click.IntRange(1, 5),
    multiple=True,
    help="Of the preds, one ONNX or pt2 file each; repeatable.  [default: all for ONNX, 2 for pt2]",
)
@click.option(
    "--task",
    type=click.Choice([*TASKS, "foreground"]),
    help="What it is of, where it may be of several; foreground is a segmentation of one class, preds [N, *S].",
)
@click.option(
    "--num-classes", type=click.IntRange(1), metavar="C", help="Of the preds, for metrics that count by class."
)
@click.option("--preds-are", type=click.Choice(KINDS), default="logits", show_default=True, help="The kind of preds.")
@loss_options
@click.option(
    "--preds-dtype",
    "preds_dtypes",
    type=click.Choice(["float32", "float16"]),
    multiple=True,
    help="Of ONNX and pt2 files; repeatable.  [default: float32]",
)
@click.option(
    "--labels-dtype",
    "labels_dtypes",
    type=click.Choice(["int64", "int32"]),
    multiple=True,
    help="Of ONNX and pt2 files; repeatable.  [default: int64]",
)
@click.option(
    "--device", type=Device(), metavar="cpu|cuda[:i]", default="cpu", show_default=True, help="To compile pt2 for."
)
@click.option("--overwrite", is_flag=True, help="Replace artifacts that are there.")
@click.option(
    "--progress",
    type=click.Choice(PROGRESS),
    default="auto",
    help="A bar (rich), lines (plain) or neither on stderr.  [default: auto]",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(losses: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Write each LOSS to files that need no evaltool: TorchScript, ONNX or pt2.

    LOSS is a name or SPEC as in `evaltool score --loss`, where `hard=focal:gamma=5` names the artifact; or `scorecard`
    (every column of `evaltool score` in one graph), or `metrics` (the same without losses); or a metric of many
    samples as in `evaltool losses --metrics`, of one task (multiclass unless --task says otherwise): in ONNX its value
    of a batch, in TorchScript with update, compute, reset, state and merge as well. Each file is run again in
    its own runtime and compared with float64; the worst error goes into its manifest. A file that is off is deleted,
    and the exit status is 1.
    """
    # here: --help answers without torch
    from evaltool.export import export

    failures = 0
    records = []
    for exported in export(losses, jobs=None, **options):
        records.append(exported.record())
        failures += exported.failure is not None
        if exported.failure:
            click.echo(f"failed: {exported.path}: {exported.failure}; it was deleted", err=True)
        elif not as_json:
            click.echo(f"{exported.path}  {exported.bytes:,} bytes, worst error {exported.worst_error:.1e}")
    if as_json:
        click.echo(json.dumps(records, indent=2, ensure_ascii=False))
    elif not failures:
        folder = Path(options["output"])
        count = f"{len(records)} artifact{'s' if len(records) > 1 else ''}"
        click.echo(f"{count} in {folder}; check at any time with `evaltool verify {folder}`")
    sys.exit(1 if failures else 0)
