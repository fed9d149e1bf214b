"""``evaltool mine``."""

from typing import Any

import click

from evaltool.cli.completion import mine_by, paths
from evaltool.cli.parameters import Positive, Share, one_or_more
from evaltool.errors import EvaltoolError
from evaltool.schema import PROGRESS

# evaltool.mine.formats.WRITERS and annotation.FORMATS, which import pyarrow; a test compares them
FORMATS = (
    *("csv", "jsonl", "parquet"),
    *("label-studio", "cvat", "coco", "datumaro", "fiftyone", "imagenet", "voc-masks"),
)


@click.command(
    "mine",
    short_help="List the samples worth a second look.",
    epilog="\b\nExample:\n  evaltool mine scored.run --by label-error --budget auto -o relabel.csv",
)
@click.argument("run", metavar="RUN", shell_complete=paths("dir"))
@click.option(
    "--by",
    metavar="SCORE",
    default="auto",
    help="label-error (the label is probably wrong), hard (the first loss), ambiguous (the model cannot tell), or any "
    "numeric column.  [default: label-error, or hard where there are no classes or no stored predictions]",
    shell_complete=mine_by,
)
@click.option(
    "--ascending/--descending",
    default=None,
    help="Which end of a column comes first.  [default: high losses, low margin, p_label, p_pred, accuracy and iou]",
)
@click.option("--top", type=click.IntRange(min=1), metavar="K", help="How many rows.  [default: 200]")
@click.option("--fraction", type=Share(), help="Share of the rows, 0.01 or 1%.")
@click.option("--threshold", type=float, help="Rows whose score is at least this (ascending: at most).")
@click.option(
    "--budget",
    type=click.Choice(["auto"]),
    help="As many rows as labels are expected to be wrong among those that pass.",
)
@click.option("--per-class", type=click.IntRange(min=1), metavar="K", help="At most K rows of each class.")
@click.option(
    "--tail-first",
    is_flag=True,
    help="List the rarest classes first. Which rows stays, but with --per-class a limit cuts frequent classes first.",
)
@click.option("--where", metavar="SQL", help='Only rows for which it is true: "ce > 1 AND label IN (3, 8)".')
@click.option(
    "--group-by",
    metavar="COLUMN|FILE[:COLUMN]",
    help="A column of the run, or a file with one group per sample; rows of a group stand together.",
    shell_complete=paths("file"),
)
@click.option(
    "--exclude",
    metavar="FILE",
    help="Table with the id or index of rows that have been reviewed.",
    shell_complete=paths("file"),
)
@click.option("--diverse", is_flag=True, help="Spread the rows over the predictions, or the embeddings.")
@click.option("--dedup", is_flag=True, help="Leave out rows with the same label and nearly the same prediction.")
@click.option(
    "--random-controls",
    type=click.IntRange(min=0),
    metavar="K",
    default=0,
    help="Mix in K random rows, blind; OUTPUT.controls.csv tells which.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random rows and their places.")
@click.option(
    "--embeddings",
    metavar="FILE",
    help=".npy [N, d]; label-error is averaged by rank with the labels of the nearest neighbours.",
    shell_complete=paths("file"),
)
@click.option(
    "--preds",
    metavar="FILE",
    multiple=True,
    callback=one_or_more,
    help="Where the run's predictions are now; once for each that was averaged.",
    shell_complete=paths("file"),
)
@click.option("--labels", metavar="FILE", help="Where the run's labels are now.", shell_complete=paths("file"))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="The list to write: a file, of most annotation tools a folder.  [default: CSV on stdout]",
    shell_complete=paths("file"),
)
@click.option("--format", type=click.Choice(FORMATS), help="Of the list.  [default: by the suffix of -o]")
@click.option(
    "--gallery",
    metavar="FILE",
    help="A page to review the list in, from disk; it saves a CSV of decisions.",
    shell_complete=paths("file"),
)
@click.option(
    "--images",
    metavar="DIR|PATTERN|NPY",
    help="Pictures for the gallery and annotation tools: a folder of files called by id or index, 'DIR/{id}.png', or "
    "an image array [N, H, W, 3].",
    shell_complete=paths("file"),
)
@click.option(
    "--ids",
    metavar="FILE[:COLUMN]",
    help="Ids of the samples, where RUN has none.",
    shell_complete=paths("file"),
)
@click.option(
    "--shown",
    type=click.Choice(["suggested", "given"]),
    default="suggested",
    show_default=True,
    help="The labels or masks that annotators begin with.",
)
@click.option(
    "--text",
    metavar="FILE:COLUMN[,COLUMN]",
    help="Of the gallery and Label Studio: what to show of texts and tables, one row per sample.",
    shell_complete=paths("file"),
)
@click.option("--blind", is_flag=True, help="The gallery holds nothing of what the model thinks, and is shuffled.")
@click.option(
    "--thumb", type=click.IntRange(16, 4096), metavar="PIXELS", help="Of the gallery's pictures.  [default: 128]"
)
@click.option("--link", is_flag=True, help="Link the picture files instead of copying them.")
@click.option(
    "--as-weights",
    metavar="FILE",
    help=".npy with a weight per sample, for WeightedRandomSampler: the chance that the label is right, or the loss.",
    shell_complete=paths("file"),
)
@click.option(
    "--as-sampler",
    metavar="FILE",
    help=".npy with the indices of each class's hardest samples, for Subset.",
    shell_complete=paths("file"),
)
@click.option(
    "--ratio",
    type=Positive(),
    default=3.0,
    show_default=True,
    help="--as-sampler takes at most this times the rarest class's samples of each class.",
)
@click.option("--overwrite", is_flag=True, help="Replace the files that are there.")
@click.option(
    "--progress",
    type=click.Choice(PROGRESS),
    default="auto",
    help="A bar (rich), lines (plain) or neither on stderr.  [default: auto]",
)
def command(run: str, **options: Any) -> None:
    """List the samples of RUN, a directory that `evaltool score` wrote, that are worth a second look.

    Predictions and labels are read again where the score needs all classes; what is computed of them is kept in RUN.
    """
    many = [name for name in ("top", "fraction", "threshold", "budget") if options[name] is not None]
    if len(many) > 1:
        raise click.UsageError(f"--{many[0]} and --{many[1]} both say how many rows; give one of them.")
    if options["fraction"] == 0:
        raise click.UsageError("--fraction 0 leaves no row.")
    if options["threshold"] != options["threshold"]:
        raise click.UsageError("--threshold nan is no number.")
    if options["random_controls"] and not options["output"] and not options["gallery"]:
        raise EvaltoolError(
            "random controls need a file\n  the key that tells them is written beside it\n  Name it with -o."
        )
    # here: --help answers without them
    from evaltool.cli.mine_view import print_list, print_mined
    from evaltool.mine.job import mine

    mined = mine(run, **options)
    if mined.paths:
        print_mined(mined)
    else:
        print_list(mined, options["format"] or "csv")
