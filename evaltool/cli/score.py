"""``evaltool score``."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from evaltool.cli.completion import paths, specs
from evaltool.cli.parameters import Device, Label, Positive, Share, named_files
from evaltool.schema import ENGINES, KINDS, PREDS_DTYPES, PROGRESS, TASKS, WEIGHT_WORDS


@click.command(
    "score",
    short_help="Score every sample: losses, margins, statuses.",
    epilog="\b\nExample:\n  evaltool score preds.npy labels.npy --loss ce --loss focal:gamma=2 -o scored.run",
)
@click.argument("preds", shell_complete=paths("file"))
@click.argument("more", metavar="[PREDS]...", nargs=-1, shell_complete=paths("file"))
@click.argument("labels", shell_complete=paths("file"))
@click.option(
    "-o",
    "--output",
    metavar="RUN",
    help="Directory of the run.  [default: <preds stem>.run here]",
    shell_complete=paths("dir"),
)
@click.option("--task", type=click.Choice(["auto", *TASKS]), default="auto", help="What is predicted.  [default: auto]")
@click.option(
    "--preds-are", type=click.Choice(["auto", *KINDS]), default="auto", help="The kind of PREDS.  [default: auto]"
)
@click.option(
    "--loss",
    "losses",
    metavar="SPEC",
    multiple=True,
    help="ce, focal:gamma=2,alpha=balanced or hard=focal:gamma=5, which names the column; repeatable; "
    "`evaltool losses` lists them.  [default: by task]",
    shell_complete=specs,
)
@click.option("--ignore-index", type=Label(), default=-100, show_default=True, help="Label that counts for nothing.")
@click.option("--class-names", metavar="FILE|a,b,c", help="One name per class.", shell_complete=paths("file"))
@click.option(
    "--class-weights",
    metavar="FILE|RULE|1,2,3",
    help=f"One number per class, or a rule on the label counts: {', '.join(WEIGHT_WORDS)}.",
    shell_complete=paths("file", tuple(WEIGHT_WORDS)),
)
@click.option(
    "--ids",
    metavar="FILE[:COLUMN]",
    help="One id per sample: .csv, .parquet, .npy, or one per line.",
    shell_complete=paths("file"),
)
@click.option(
    "--module",
    "modules",
    metavar="FILE",
    multiple=True,
    help=".onnx, .pt or .pt2 file (preds, labels) -> [N] as one more column; column=FILE names it; repeatable.",
    shell_complete=paths("file"),
)
@click.option(
    "--model",
    metavar="FILE",
    help="TorchScript, ONNX or pt2 model: PREDS is then its input, and what it predicts is scored and not stored.",
    shell_complete=paths("file"),
)
@click.option(
    "--input",
    "inputs",
    metavar="NAME=FILE",
    multiple=True,
    help="One more input of --model; PREDS may be NAME=FILE as well; repeatable.",
    shell_complete=paths("file"),
)
@click.option("--output-name", metavar="NAME", help="Which output of --model to score.  [default: the first]")
@click.option(
    "--average",
    is_flag=True,
    help="Score the mean of several PREDS, of checkpoints or folds; without it there is one.",
)
@click.option("--trust", is_flag=True, help="Run --module and --model files that no manifest vouches for.")
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="auto",
    help="What computes: fused kernels on the CPU, "
    "the modules in PyTorch, or a graph of them.  [default: auto: fused where it can, else torch]",
)
@click.option(
    "--device", type=Device(), metavar="auto|cpu|cuda[:i]", default="auto", help="Where to compute.  [default: auto]"
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Rows per block, and per batch of --model.  [default: a few megabytes]",
)
@click.option(
    "--max-bad", type=Share(), default="1%", show_default=True, help="Exit with status 1 above this share of bad rows."
)
@click.option("--dtype", type=click.Choice(PREDS_DTYPES), help="bfloat16 reads raw 2-byte PREDS; another is checked.")
@click.option("--scale", type=Positive(), help="Divide integer preds, as in 255.")
@click.option("--overwrite", is_flag=True, help="Replace the run that is there.")
@click.option(
    "--progress",
    type=click.Choice(PROGRESS),
    default="auto",
    help="A bar (rich), lines (plain) or neither on stderr.  [default: auto]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(
    preds: str,
    more: tuple[str, ...],
    labels: str,
    output: str | None,
    losses: tuple[str, ...],
    modules: tuple[str, ...],
    inputs: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Score every sample of PREDS (.npy), or of what --model predicts from them, against LABELS (.npy).

    With --average, several PREDS come before LABELS, and the mean of their probabilities is scored.

    Writes RUN/scores.parquet with a loss per sample, RUN/summary.json, RUN/state.npz and RUN/run.json.
    """
    # here: --help answers without them
    from evaltool.scorer import score

    if inputs and options["model"] is None:
        raise click.UsageError("--input is an input of --model, which is not given.")
    source: Any = preds
    if options["average"]:
        source = [preds, *more]
    elif more:
        extra = [*more, labels][1]
        raise click.UsageError(f"{extra!r} is one argument too many; several PREDS need --average.")
    if options["model"]:
        source = named_files([preds, *inputs])
    first = next(iter(source.values())) if isinstance(source, dict) else preds
    run = Path(output) if output else Path(f"{Path(first).stem}.run")
    scores = score(source, labels, losses=losses or None, module=modules, output=run, **options)
    try:
        if as_json:
            click.echo(json.dumps(scores.summary, indent=2, ensure_ascii=False))
        else:
            from evaltool.cli.view import print_scores

            print_scores(scores)
    except BrokenPipeError:  # as in `| head`: the run is whole, and nobody wants more of the view
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if scores.failure:
        click.echo(f"failed: {scores.failure}", err=True)
        sys.exit(1)
