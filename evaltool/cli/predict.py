"""``evaltool predict``."""

import json
from typing import Any

import click

from evaltool.cli.completion import paths
from evaltool.cli.parameters import BatchSize, Device, named_files
from evaltool.schema import OUTPUT_DTYPES, PROGRESS


@click.command(
    "predict",
    short_help="Run a TorchScript, ONNX or pt2 model over .npy inputs.",
    epilog="\b\nExample:\n  evaltool predict model.onnx inputs.npy -o logits.npy",
)
@click.argument("model", shell_complete=paths("file"))
@click.argument("inputs", metavar="[NAME=]INPUT...", nargs=-1, required=True, shell_complete=paths("file"))
@click.option(
    "-o", "--output", metavar="PREDS", required=True, help="The .npy file to write.", shell_complete=paths("file")
)
@click.option("--output-name", metavar="NAME", help="Which output of the model.  [default: the first]")
@click.option(
    "--device", type=Device(), metavar="auto|cpu|cuda[:i]", default="auto", help="Where to compute.  [default: auto]"
)
@click.option(
    "--batch-size",
    type=BatchSize(),
    metavar="auto|N",
    default="auto",
    help="Rows per batch; auto is halved when memory runs out.  [default: auto]",
)
@click.option(
    "--dtype", type=click.Choice(OUTPUT_DTYPES), help="Of the predictions written.  [default: as the model gives them]"
)
@click.option("--trust", is_flag=True, help="Run a TorchScript or pt2 file that no manifest vouches for.")
@click.option("--overwrite", is_flag=True, help="Replace the file that is there.")
@click.option(
    "--progress",
    type=click.Choice(PROGRESS),
    default="auto",
    help="A bar (rich), lines (plain) or neither on stderr.  [default: auto]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(model: str, inputs: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Write what MODEL (.pt, .onnx, .pt2) predicts for every row of its inputs (.npy) to PREDS.

    An INPUT without a name feeds the model's only input; of several, each is NAME=INPUT. Inputs are read and
    predictions written in blocks of rows; PREDS appears when it is whole.
    """
    # here: --help answers without it
    from evaltool.predictor import predict

    report = predict(model, named_files(inputs), **options)
    if as_json:
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
        return
    written, rows = report["output"], report["output"]["shape"][0]
    speed = rows / max(report["seconds"], 1e-3)
    click.echo(f"{written['path']}: {written['name']} {written['dtype']} {written['shape']}")
    click.echo(
        f"{rows:,} rows in {report['seconds']:.1f} s ({speed:,.0f} per second), batches of {report['batch_size']:,}, "
        f"{report['provider']} on {report['device']}"
    )
